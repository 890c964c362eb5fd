// The part of the table of secrets (SecretRules.swift) for credentials of users and of programs.

extension SecretRule {
  static let credentials = [
    SecretRule("netrc", .netrc, .content, "host passwords", ".netrc _netrc netrc .authinfo"),
    SecretRule(
      "database-file", .databasePassword, .content, "database password",
      ".pgpass pgpass.conf .mylogin.cnf .pg_service.conf .dbshell .odbc.ini"),
    SecretRule(
      "database-conf", .databasePassword,
      .values("password requirepass masterauth MYSQL_PWD"), "database password",
      ".my.cnf my.cnf debian.cnf mysql/** my.cnf.d/* mongod.conf redis*.conf"),
    SecretRule(
      "redis", .databasePassword, .directives("requirepass masterauth"), "database password",
      "redis*.conf redis/*.conf"),
    SecretRule(
      "aws", .cloudCredentials, .content, "cloud credentials",
      ".aws/credentials .aws/cli/cache/* .boto .s3cfg passwd-s3fs .passwd-s3fs rclone.conf",
      ".oci/config .config/doctl/config.yaml .mc/config.json"),
    SecretRule(
      "gcloud", .cloudCredentials, .content, "cloud credentials",
      "gcloud/credentials.db gcloud/access_tokens.db gcloud/legacy_credentials/**",
      "application_default_credentials.json"),
    SecretRule(
      "azure", .cloudCredentials, .content, "cloud credentials",
      ".azure/accessTokens.json .azure/msal_token_cache* .azure/service_principal_entries*",
      "clouds.yaml openrc *openrc.sh"),
    SecretRule(
      "cloud-init", .cloudInitData, .content, "cloud-init data, which holds passwords",
      "cloud/instance/user-data* cloud/instances/*/user-data* cloud/instances/*/obj.pkl",
      "cloud/instances/*/cloud-config.txt cloud/instances/*/vendor-data*",
      "cloud/instance/vendor-data* cloud/seed/** nocloud/user-data nocloud-net/user-data"),
    SecretRule(
      "cloud-init-conf", .cloudInitData,
      .values("passwd password hashed_passwd plain_text_passwd hashed-password"),
      "cloud-init password",
      "cloud.cfg cloud.cfg.d/* user-data user-data.*"),
    SecretRule(
      "docker", .registryCredentials,
      .values("auth identitytoken registrytoken password"), "registry password",
      ".docker/config.json .dockercfg containers/auth.json kubelet/config.json .dockerconfigjson"),
    SecretRule(
      "package-index", .registryCredentials,
      .values(
        """
        _authToken _auth _password password token oauth_token passphrase :rubygems_api_key \
        rubygems_api_key npmAuthToken ClearTextPassword
        """), "package index password",
      ".npmrc .pypirc .gem/credentials .cargo/credentials* .m2/settings*.xml .composer/auth.json",
      ".config/hub .config/gh/hosts.yml .terraformrc credentials.tfrc.json .condarc NuGet.Config",
      ".yarnrc.yml"),
    SecretRule(
      "kubeconfig", .kubeconfig,
      .values("token client-key-data password id-token refresh-token"), "Kubernetes credentials",
      ".kube/config kubernetes/*.conf *.kubeconfig kubeconfig k3s.yaml"),
    SecretRule(
      "kubernetes-token", .kubeconfig, .content, "Kubernetes token",
      "k3s/server/token k3s/server/node-token rke2/server/token serviceaccount/token",
      "known_tokens.csv basic_auth.csv"),
    SecretRule(
      "git", .gitCredentials, .content, "git passwords",
      ".git-credentials git/credentials .gitcookies"),
    SecretRule(
      "repository", .repositoryPassword,
      .values("password proxy_password proxyPassword PROXY_PASSWORD sslclientkeypassword"),
      "repository password",
      "yum.repos.d/* yum.conf dnf.conf apt.conf apt.conf.d/* pip.conf .pip/* zypp/repos.d/*",
      "sysconfig/rhn/up2date rhsm.conf environment sysconfig/proxy"),
    SecretRule(
      "apt-auth", .repositoryPassword, .content, "repository password",
      "apt/auth.conf apt/auth.conf.d/* zypp/credentials.d/* zypp/credentials.cat SCCcredentials",
      "rhn/systemid NCCcredentials"),
    SecretRule(
      "xcat-client", .xcatCredentials,
      .unlessPublic, "credentials or tables of an xCAT management node",
      ".xcat/* etc/xcat/ca/** etc/xcat/cert/** etc/xcat/hostkeys/** etc/xcatdockerca/**",
      "etc/xcat/*.sqlite etc/xcat/cfgloc* xcatpost/_xcat/* postscripts/_xcat/*"),
    SecretRule(
      "otp", .otpSecret, .content, "one-time password seed",
      ".google_authenticator users.oath .yubico/challenge-* .totp"),
    SecretRule(
      "keyring", .keyring, .content, "stored passwords",
      "keyrings/*.keyring *.kwl logins.json .password-store/** signons.sqlite .config/borg/keys/*",
      ".borg-passphrase .restic-pass* .config/op/config"),
    SecretRule(
      "vault", .vaultPassword, .content, "vault password or token",
      ".vault-token .vault_pass* .vault-pass* vault_pass* .ansible_vault* vault-password*"),
    SecretRule(
      "password-file", .configuredPassword, .content, "file whose name suggests passwords",
      "*.passwd *.passphrase *.password passwords.txt password.txt *.secret *.secrets secrets.yml",
      "secrets.yaml .env *.token .secrets"),
  ]

  static let others = [
    SecretRule(
      "history", .shellHistory, .content, "typed commands, which may hold passwords",
      ".bash_history .zsh_history .sh_history .ksh_history .history .zhistory .mysql_history",
      ".psql_history .python_history .sqlite_history .lesshst .rediscli_history",
      ".node_repl_history fish_history .viminfo"),
    SecretRule(
      "random-seed", .identity, .content, "the same random numbers on every node",
      "systemd/random-seed lib/random-seed urandom/random-seed"),
    SecretRule(
      "machine-id", .identity, .emptied, "the same identity on every node",
      "etc/machine-id dbus/machine-id"),
  ]
}

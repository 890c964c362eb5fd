// The table of paths that hold secrets. docs/secrets.md prints it; a test compares the two, and another one
// has a file for every rule.
//
// 1. A pattern is the end of a path, below any folder: chroots, statelite copies and sources of synclists hold
//    the same files. `*` stands for anything within a component, `/**` at the end for all below a folder.
// 2. A rule tells by its check whether a file that has the path holds a secret.
// 3. A file that is left out is absent. A blanked one stays, and lacks the secret's bytes alone.

/// A row of the table.
public struct SecretRule: Sendable {
  public let id: String
  public let kind: SecretKind
  public let patterns: [String]
  public let check: SecretCheck
  public let reason: String

  init(
    _ id: String, _ kind: SecretKind, _ patterns: [String], _ check: SecretCheck, _ reason: String
  ) {
    self.id = id
    self.kind = kind
    self.patterns = patterns
    self.check = check
    self.reason = reason
  }
}

/// How a file that has the path of a rule is examined.
public enum SecretCheck: Sendable {
  /// Any content is secret: the file is left out.
  case content
  /// Any content but public keys and certificates: the file is left out.
  case unlessPublic
  /// Content that holds one of these texts: the file is left out.
  case contentWith([String])
  /// A keystore, or a key in DER: the file is left out.
  case keyFormat
  /// Lines of fields with colons between them; the hash in the second is replaced by "*".
  case accounts
  /// Passwords on lines of kickstart, preseed and AutoYaST files are blanked.
  case installer
  /// Values of these names are blanked: NAME=VALUE, NAME: VALUE, "NAME": "VALUE", <NAME>VALUE<.
  case values([String])
  /// The rest of a line that begins with one of these words is blanked.
  case directives([String])
  /// The file stays, empty.
  case emptied

  /// What a scrubbed export does with the file, for the table.
  public var treatment: String {
    switch self {
    case .content, .unlessPublic, .contentWith, .keyFormat: "left out"
    case .accounts: "hashes become `*`"
    case .installer, .values, .directives: "values blanked"
    case .emptied: "emptied"
    }
  }
}

extension SecretRule {
  /// All rules. The order is that of the documentation.
  public static let table: [SecretRule] = accounts + keys + services + credentials + others

  private static func backups(_ name: String) -> [String] {
    [name, name + "-", name + "~", name + ".*", name + "_*", "." + name + ".*", name + "+"]
  }

  private static func inEtc(_ names: [String]) -> [String] { names.map { "etc/" + $0 } }

  private static let accounts = [
    SecretRule(
      "shadow", .passwordHash,
      inEtc(backups("shadow") + backups("gshadow") + backups("passwd") + backups("group")),
      .accounts, "hash of a password, locked or not: a locked one can be cracked as well"),
    SecretRule(
      "opasswd", .passwordHash, ["etc/security/opasswd*"], .content, "hashes of earlier passwords"),
    SecretRule(
      "smbpasswd", .sambaSecrets, ["smbpasswd", "smbpasswd.*"], .content, "hashes of passwords"),
    SecretRule(
      "kickstart", .kickstartPassword,
      [
        "anaconda-ks.cfg", "original-ks.cfg", "initial-setup-ks.cfg", "*.ks", "ks.cfg", "*.tmpl",
        "preseed.cfg", "*.preseed", "preseed/*", "autoinst.xml", "*.autoyast", "autoinst*.xml",
      ], .installer, "password of an unattended installation"),
    SecretRule(
      "grub-user", .bootLoaderPassword, ["grub*/user.cfg", "grub*/grub.cfg", "grub/menu.lst"],
      .values(["GRUB2_PASSWORD"]), "hash of the boot loader's password"),
    SecretRule(
      "grub-legacy", .bootLoaderPassword, ["grub/menu.lst", "grub/grub.conf", "etc/lilo.conf"],
      .directives(["password"]), "the boot loader's password"),
  ]

  private static let keys = [
    SecretRule(
      "ssh-host-key", .sshHostKey,
      [
        "ssh/ssh_host_*_key", "ssh/ssh_host_key", "hostkeys/ssh_host_*_key",
        "hostkeys/ssh_host_key",
      ],
      .unlessPublic, "private key of an SSH host"),
    SecretRule(
      "ssh-host-key-copy", .sshHostKey, ["ssh/ssh_host_*_key.*", "ssh_host_*_key"], .unlessPublic,
      "copy of an SSH host's private key"),
    SecretRule(
      "ssh-user-key", .sshUserKey, [".ssh/id_*", ".ssh/identity", "_ssh/id_*", ".ssh/*_rsa"],
      .unlessPublic, "private key of a user"),
    SecretRule(
      "tls-private", .privateKey,
      ["pki/tls/private/**", "etc/ssl/private/**", "private_keys/**", "etc/letsencrypt/keys/**"],
      .unlessPublic, "key of a TLS service"),
    SecretRule(
      "acme-account", .privateKey, ["private_key.json"], .content, "key of an ACME account"),
    SecretRule(
      "key-format", .keystore,
      [
        "*.p12", "*.pfx", "*.jks", "*.jceks", "*.keystore", "*.bks", "*.kdb", "*.kdbx", "*.der",
        "*.pk8", "*.p8", "*.key", "*.pem", "*.ppk",
      ], .keyFormat, "keystore, or a private key in binary form"),
    SecretRule(
      "nss-database", .keystore, ["key3.db", "key4.db"], .content, "database of private keys"),
    SecretRule(
      "softhsm", .keystore, ["softhsm/tokens/**"], .content, "token of a software key store"),
    SecretRule(
      "gnupg", .pgpKey,
      ["secring.gpg", "private-keys-v1.d/*", "trustdb.gpg.secret", "secring.pgp"], .content,
      "private key of GnuPG"),
    SecretRule("munge", .mungeKey, ["munge/*.key", "munge.key"], .content, "key of munge"),
    SecretRule(
      "keytab", .kerberosKeytab, ["*.keytab", "krb5.keytab*", "keytab"], .content,
      "keys of Kerberos principals"),
    SecretRule(
      "kdc", .kerberosDatabase,
      ["krb5kdc/principal*", "krb5kdc/.k5*", "krb5kdc/stash*", ".k5.*", "krb5kdc/*.dump"], .content,
      "database or master key of a KDC"),
    SecretRule(
      "kerberos-ticket", .kerberosTicket, ["tmp/krb5cc*", "krb5cc_*"], .content,
      "tickets of a user"),
    SecretRule(
      "wireguard", .wireguardKey,
      ["wireguard/*.conf", "systemd/network/*.netdev", "*.nmconnection"],
      .values(["PrivateKey", "PresharedKey", "private-key", "preshared-key"]), "key of a tunnel"),
    SecretRule(
      "wireguard-key", .wireguardKey,
      ["wireguard/*.key", "wireguard/privatekey*", "wireguard/*psk*"],
      .content, "key of a tunnel"),
    SecretRule(
      "vpn", .vpnSecret,
      [
        "ipsec.secrets", "ipsec.d/*.secrets", "chap-secrets", "pap-secrets", "srp-secrets",
        "tinc/*/*.priv", "openvpn/*.key", "openvpn/*auth*.txt",
        "openvpn/*/*.key", "openvpn/*pass*", "racoon/psk.txt", "vpnc/*.conf",
      ], .content, "secret of a VPN"),
    SecretRule(
      "swanctl", .vpnSecret, ["swanctl/swanctl.conf", "swanctl/conf.d/*.conf"], .values(["secret"]),
      "secret of a VPN"),
    SecretRule(
      "disk-key", .diskKey,
      ["cryptsetup-keys.d/*", "etc/luks/*", "etc/luks-keys/*", "luks*.key", "crypto_keyfile*"],
      .content, "key of an encrypted disk"),
    SecretRule(
      "system-credential", .systemCredential,
      [
        "systemd/credential.secret", "credstore/*", "credstore.encrypted/*",
        "NetworkManager/secret_key", "sss/secrets/*", "custodia/*.keys",
      ], .content, "key that other secrets of a machine are encrypted with"),
  ]

  private static let services = [
    SecretRule(
      "network-manager", .networkPassword,
      ["system-connections/*", "network-scripts/keys-*", "NetworkManager/conf.d/*"],
      .values([
        "psk", "password", "wep-key0", "wep-key1", "wep-key2", "wep-key3", "wep-key",
        "private-key-password", "phase2-private-key-password", "leap-password", "secret", "secrets",
        "xauth-password", "ipsec-psk", "WPA_PSK", "KEY", "KEY1", "KEY_PASSPHRASE1",
        "IEEE_8021X_PASSWORD", "IEEE_8021X_PRIVATE_KEY_PASSWORD", "cert-pass",
      ]), "password of a network"),
    SecretRule(
      "wpa", .networkPassword,
      ["wpa_supplicant*.conf", "hostapd*.conf", "iwd/*.psk", "iwd/*.8021x", "netplan/*.yaml"],
      .values([
        "psk", "password", "wpa_passphrase", "wpa_psk", "sae_password", "private_key_passwd",
        "Passphrase", "PreSharedKey", "EAP-Password", "wep_key0", "auth_server_shared_secret",
      ]), "password of a network"),
    SecretRule(
      "ldap-conf", .ldapPassword,
      [
        "nslcd.conf", "ldap.conf", "pam_ldap.conf", "libnss-ldap.conf", "slapd.conf",
        "nss_ldap.conf", "sudo-ldap.conf",
      ], .directives(["bindpw", "rootbindpw", "rootpw", "bindpwfile_secret"]),
      "password that binds to LDAP"),
    SecretRule(
      "sssd", .ldapPassword, ["sssd.conf", "sssd/conf.d/*", "autofs_ldap_auth.conf"],
      .values(["ldap_default_authtok", "secret", "ldap_sasl_authtok", "proxy_password"]),
      "password that binds to LDAP"),
    SecretRule(
      "ldap-secret", .ldapPassword, ["ldap.secret", "libnss-ldap.secret", "pam_ldap.secret"],
      .content, "password that binds to LDAP"),
    SecretRule(
      "slapd", .ldapPassword, ["slapd.d/**"], .values(["olcRootPW", "olcDbBindPW"]),
      "password of a directory server"),
    SecretRule(
      "sss-cache", .cachedCredentials, ["sss/db/*.ldb", "sss/db/ccache_*", "cache/nscd/*"],
      .content, "cached accounts and hashes"),
    SecretRule(
      "slurm-conf", .slurmKey, ["slurmdbd.conf", "slurm.conf", "slurmrestd.conf"],
      .values(["StoragePass", "AccountingStoragePass", "ArchivePass", "JobCompPass"]),
      "password of slurm's database"),
    SecretRule(
      "slurm-key", .slurmKey,
      ["jwt_hs256.key", "slurm/*.key", "slurm.key", "slurm*/*.jwks", "StateSaveLocation/*.key"],
      .content, "key of slurm"),
    SecretRule(
      "cluster-key", .clusterKey,
      [
        "corosync/authkey", "pacemaker/authkey", "booth/*.key", "cluster/fence_xvm.key",
        "heartbeat/authkeys", "pcsd/*.key", "drbd.d/*.secret", "ha.d/authkeys", ".erlang.cookie",
        "keepalived/*secret*", "pbs_server_key", "gmond.secret", "lsf.sudoers.key",
      ], .content, "key of a cluster"),
    SecretRule(
      "cluster-conf", .clusterKey, ["cluster.conf", "keepalived.conf", "drbd.d/*.res"],
      .values(["passwd", "auth_pass", "shared-secret", "password"]), "password of a cluster"),
    SecretRule(
      "bmc", .bmcPassword,
      [
        "freeipmi/*.conf", "ipmi*.conf", "ipmitool.conf", "ipmidetect.conf", "powerman.conf",
        "redfish*.conf", "bmc*.conf", "conserver.cf", "ipmi_*", "ipmi/*",
      ], .values(["password", "passwd", "k_g", "IPMI_PASSWORD", "bmc_password", "ipmipass"]),
      "password of a BMC"),
    SecretRule(
      "bmc-directive", .bmcPassword, ["freeipmi/*.conf", "ipmi*.conf", "ipmi/*", "bmc*.conf"],
      .directives(["password", "passwd", "k_g"]), "password of a BMC"),
    SecretRule(
      "conserver", .bmcPassword, ["conserver.passwd", ".ipmipass", "ipmipasswd", "bmc.password"],
      .content, "password of a console"),
    SecretRule(
      "rsync", .rsyncPassword,
      ["rsyncd.secrets", "*rsync*.secrets", "rsync*.pass*", ".rsync_pass*"],
      .content, "passwords of rsync"),
    SecretRule(
      "samba", .sambaSecrets,
      [
        "secrets.tdb", "passdb.tdb", "samba/private/**", "secrets.ldb", "sam.ldb",
        ".smbcredentials", "smbcredentials", "cifs*.cred*", "samba/*cred*", "*.smbcred*",
      ], .content, "secrets of Samba or of CIFS mounts"),
    SecretRule(
      "snmp", .snmpCommunity,
      [
        "snmpd.conf", "snmp.conf", "snmptrapd.conf", "snmpd.local.conf",
        "snmpd.conf.d/*", "snmpd.d/*",
      ],
      .directives([
        "rocommunity", "rwcommunity", "rocommunity6", "rwcommunity6", "com2sec", "com2sec6",
        "createUser", "usmUser", "authCommunity", "defAuthPassphrase", "defPrivPassphrase",
        "defPassphrase", "defCommunity", "trapcommunity", "trapsink", "trap2sink", "informsink",
      ]), "community or passphrase of SNMP"),
    SecretRule(
      "dns", .dnsKey,
      [
        "rndc.key", "rndc.conf", "bind/*.key", "named*.key", "named.conf*", "dhcpd*.conf", "*.tsig",
        "ddns*.key",
      ],
      .directives(["secret"]), "key of a name server"),
    SecretRule(
      "dnssec", .dnsKey, ["K*.private"], .content, "private key of a DNS zone"),
    SecretRule(
      "mail", .mailPassword,
      [
        "sasl_passwd*", "passwd.client", ".fetchmailrc", "fetchmailrc", ".msmtprc", "msmtprc",
        "dovecot/users", "dovecot/passwd*", "sasldb2", "smtp_auth*", ".mailrc.auth",
      ], .content, "password of a mail server"),
    SecretRule(
      "ssmtp", .mailPassword, ["ssmtp.conf"], .values(["AuthPass"]), "password of a mail server"),
    SecretRule(
      "web", .webPassword, [".htpasswd*", "htpasswd*", ".htdigest*", "htdigest*"], .content,
      "hashes of a web server's passwords"),
    SecretRule(
      "monitoring", .configuredPassword,
      ["zabbix*.psk", "zabbix/*.psk", "telegraf.conf", "grafana.ini", "icinga*.pwd"], .content,
      "key or password of monitoring"),
    SecretRule(
      "storage", .storageKey,
      [
        "ceph/*.keyring", "ceph/*.secret", "ceph/*secret*", "*.keyring.secret", "beegfs/conn*auth*",
        "conn.auth", "connauthfile", "mmfs/ssl/**", "mmsdrfs", "glusterfs/*.secret", "lustre/*.key",
        "iscsi/secrets*", "lnet*.key", "minio/*.env",
      ], .content, "key of a storage system"),
    SecretRule(
      "iscsi", .storageKey,
      ["iscsid.conf", "iscsi/nodes/**", "iscsi/send_targets/**", "ietd.conf"],
      .values([
        "node.session.auth.password", "node.session.auth.password_in",
        "discovery.sendtargets.auth.password", "discovery.sendtargets.auth.password_in",
      ]), "CHAP password of iSCSI"),
  ]

  private static let credentials = [
    SecretRule(
      "netrc", .netrc, [".netrc", "_netrc", "netrc", ".authinfo"], .content, "passwords of hosts"),
    SecretRule(
      "database-file", .databasePassword,
      [".pgpass", "pgpass.conf", ".mylogin.cnf", ".pg_service.conf", ".dbshell", ".odbc.ini"],
      .content, "password of a database"),
    SecretRule(
      "database-conf", .databasePassword,
      [".my.cnf", "my.cnf", "debian.cnf", "mysql/**", "my.cnf.d/*", "mongod.conf", "redis*.conf"],
      .values(["password", "requirepass", "masterauth", "MYSQL_PWD"]), "password of a database"),
    SecretRule(
      "redis", .databasePassword, ["redis*.conf", "redis/*.conf"],
      .directives(["requirepass", "masterauth"]), "password of a database"),
    SecretRule(
      "aws", .cloudCredentials,
      [
        ".aws/credentials", ".aws/cli/cache/*", ".boto", ".s3cfg", "passwd-s3fs", ".passwd-s3fs",
        "rclone.conf", ".oci/config", ".config/doctl/config.yaml", ".mc/config.json",
      ],
      .content, "credentials of a cloud"),
    SecretRule(
      "gcloud", .cloudCredentials,
      [
        "gcloud/credentials.db", "gcloud/access_tokens.db", "gcloud/legacy_credentials/**",
        "application_default_credentials.json",
      ], .content, "credentials of a cloud"),
    SecretRule(
      "azure", .cloudCredentials,
      [
        ".azure/accessTokens.json", ".azure/msal_token_cache*", ".azure/service_principal_entries*",
        "clouds.yaml", "openrc", "*openrc.sh",
      ], .content, "credentials of a cloud"),
    SecretRule(
      "cloud-init", .cloudInitData,
      [
        "cloud/instance/user-data*", "cloud/instances/*/user-data*", "cloud/instances/*/obj.pkl",
        "cloud/instances/*/cloud-config.txt", "cloud/instances/*/vendor-data*",
        "cloud/instance/vendor-data*", "cloud/seed/**", "nocloud/user-data",
        "nocloud-net/user-data",
      ], .content, "data of cloud-init, which holds passwords"),
    SecretRule(
      "cloud-init-conf", .cloudInitData,
      ["cloud.cfg", "cloud.cfg.d/*", "user-data", "user-data.*"],
      .values(["passwd", "password", "hashed_passwd", "plain_text_passwd", "hashed-password"]),
      "password of cloud-init"),
    SecretRule(
      "docker", .registryCredentials,
      [
        ".docker/config.json", ".dockercfg", "containers/auth.json", "kubelet/config.json",
        ".dockerconfigjson",
      ],
      .values(["auth", "identitytoken", "registrytoken", "password"]), "password of a registry"),
    SecretRule(
      "package-index", .registryCredentials,
      [
        ".npmrc", ".pypirc", ".gem/credentials", ".cargo/credentials*", ".m2/settings*.xml",
        ".composer/auth.json", ".config/hub", ".config/gh/hosts.yml", ".terraformrc",
        "credentials.tfrc.json", ".condarc", "NuGet.Config", ".yarnrc.yml",
      ],
      .values([
        "_authToken", "_auth", "_password", "password", "token", "oauth_token", "passphrase",
        ":rubygems_api_key", "rubygems_api_key", "npmAuthToken", "ClearTextPassword",
      ]), "password of a package index"),
    SecretRule(
      "kubeconfig", .kubeconfig,
      [
        ".kube/config", "kubernetes/*.conf", "*.kubeconfig", "kubeconfig",
        "k3s.yaml",
      ],
      .values(["token", "client-key-data", "password", "id-token", "refresh-token"]),
      "credentials of a Kubernetes cluster"),
    SecretRule(
      "kubernetes-token", .kubeconfig,
      [
        "k3s/server/token", "k3s/server/node-token", "rke2/server/token", "serviceaccount/token",
        "known_tokens.csv", "basic_auth.csv",
      ],
      .content, "token of a Kubernetes cluster"),
    SecretRule(
      "git", .gitCredentials, [".git-credentials", "git/credentials", ".gitcookies"], .content,
      "passwords of git"),
    SecretRule(
      "repository", .repositoryPassword,
      [
        "yum.repos.d/*", "yum.conf", "dnf.conf", "apt.conf", "apt.conf.d/*", "pip.conf", ".pip/*",
        "zypp/repos.d/*", "sysconfig/rhn/up2date", "rhsm.conf", "environment", "sysconfig/proxy",
      ],
      .values([
        "password", "proxy_password", "proxyPassword", "PROXY_PASSWORD", "sslclientkeypassword",
      ]), "password of a repository"),
    SecretRule(
      "apt-auth", .repositoryPassword,
      [
        "apt/auth.conf", "apt/auth.conf.d/*", "zypp/credentials.d/*", "zypp/credentials.cat",
        "SCCcredentials", "rhn/systemid", "NCCcredentials",
      ],
      .content, "password of a repository"),
    SecretRule(
      "xcat-client", .xcatCredentials,
      [
        ".xcat/*", "etc/xcat/ca/**", "etc/xcat/cert/**", "etc/xcat/hostkeys/**",
        "etc/xcatdockerca/**",
        "etc/xcat/*.sqlite", "etc/xcat/cfgloc*", "xcatpost/_xcat/*", "postscripts/_xcat/*",
      ],
      .unlessPublic, "credentials or tables of an xCAT management node"),
    SecretRule(
      "otp", .otpSecret, [".google_authenticator", "users.oath", ".yubico/challenge-*", ".totp"],
      .content, "seed of one-time passwords"),
    SecretRule(
      "keyring", .keyring,
      [
        "keyrings/*.keyring", "*.kwl", "logins.json", ".password-store/**", "signons.sqlite",
        ".config/borg/keys/*", ".borg-passphrase", ".restic-pass*", ".config/op/config",
      ],
      .content, "stored passwords"),
    SecretRule(
      "vault", .vaultPassword,
      [
        ".vault-token", ".vault_pass*", ".vault-pass*", "vault_pass*", ".ansible_vault*",
        "vault-password*",
      ],
      .content, "password or token of a vault"),
    SecretRule(
      "password-file", .configuredPassword,
      [
        "*.passwd", "*.passphrase", "*.password", "passwords.txt", "password.txt", "*.secret",
        "*.secrets", "secrets.yml", "secrets.yaml", ".env", "*.token", ".secrets",
      ],
      .content, "file that is named as one of passwords"),
  ]

  private static let others = [
    SecretRule(
      "history", .shellHistory,
      [
        ".bash_history", ".zsh_history", ".sh_history", ".ksh_history", ".history", ".zhistory",
        ".mysql_history", ".psql_history", ".python_history", ".sqlite_history", ".lesshst",
        ".rediscli_history", ".node_repl_history", "fish_history", ".viminfo",
      ], .content, "what people typed, passwords among it"),
    SecretRule(
      "random-seed", .identity, ["systemd/random-seed", "lib/random-seed", "urandom/random-seed"],
      .content, "the same random numbers on every node"),
    SecretRule(
      "machine-id", .identity, ["etc/machine-id", "dbus/machine-id"], .emptied,
      "the same identity on every node"),
  ]
}

// The table of paths that hold secrets. docs/secrets.md prints it. A test compares the two, and another test
// plants a file for every rule.
//
// 1. A pattern matches the end of a path, in any directory: chroots, statelite copies and sources of
//    synclists hold the same files. `*` matches any text within a component; a final `/**` matches all below
//    a directory.
// 2. The check of a rule decides whether a file with such a path holds a secret.
// 3. A scrubbed export leaves a file out, or blanks only the bytes of the secret.

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

/// How a file whose path matches a rule is examined and scrubbed.
public enum SecretCheck: Sendable {
  /// Any content is secret: the file is left out.
  case content
  /// Any content except public keys and certificates is secret: the file is left out.
  case unlessPublic
  /// Content with one of these texts is secret: the file is left out.
  case contentWith([String])
  /// A keystore or a DER key is secret: the file is left out.
  case keyFormat
  /// Lines of fields that are separated by colons. "*" replaces the hash in the second field.
  case accounts
  /// Passwords on lines of kickstart, preseed and AutoYaST files are blanked.
  case installer
  /// Values of these names are blanked: NAME=VALUE, NAME: VALUE, "NAME": "VALUE", <NAME>VALUE<.
  case values([String])
  /// The rest of a line that starts with one of these words is blanked.
  case directives([String])
  /// The file stays, empty.
  case emptied

  /// The treatment in a scrubbed export, as docs/secrets.md prints it.
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
  /// All rules, in the order of the documentation.
  public static let table: [SecretRule] = accounts + keys + services + credentials + others

  private static func backups(_ name: String) -> [String] {
    [name, name + "-", name + "~", name + ".*", name + "_*", "." + name + ".*", name + "+"]
  }

  private static func inEtc(_ names: [String]) -> [String] { names.map { "etc/" + $0 } }

  private static let accounts = [
    SecretRule(
      "shadow", .passwordHash,
      inEtc(backups("shadow") + backups("gshadow") + backups("passwd") + backups("group")),
      .accounts, "password hash; a locked one can be cracked as well"),
    SecretRule(
      "opasswd", .passwordHash, ["etc/security/opasswd*"], .content, "hashes of earlier passwords"),
    SecretRule(
      "smbpasswd", .sambaSecrets, ["smbpasswd", "smbpasswd.*"], .content, "password hashes"),
    SecretRule(
      "kickstart", .kickstartPassword,
      [
        "anaconda-ks.cfg", "original-ks.cfg", "initial-setup-ks.cfg", "*.ks", "ks.cfg", "*.tmpl",
        "preseed.cfg", "*.preseed", "preseed/*", "autoinst.xml", "*.autoyast", "autoinst*.xml",
      ], .installer, "password for an unattended installation"),
    SecretRule(
      "grub-user", .bootLoaderPassword, ["grub*/user.cfg", "grub*/grub.cfg", "grub/menu.lst"],
      .values(["GRUB2_PASSWORD"]), "boot loader password hash"),
    SecretRule(
      "grub-legacy", .bootLoaderPassword, ["grub/menu.lst", "grub/grub.conf", "etc/lilo.conf"],
      .directives(["password"]), "boot loader password"),
  ]

  private static let keys = [
    SecretRule(
      "ssh-host-key", .sshHostKey,
      [
        "ssh/ssh_host_*_key", "ssh/ssh_host_key", "hostkeys/ssh_host_*_key",
        "hostkeys/ssh_host_key",
      ],
      .unlessPublic, "SSH host private key"),
    SecretRule(
      "ssh-host-key-copy", .sshHostKey, ["ssh/ssh_host_*_key.*", "ssh_host_*_key"], .unlessPublic,
      "copy of an SSH host private key"),
    SecretRule(
      "ssh-user-key", .sshUserKey, [".ssh/id_*", ".ssh/identity", "_ssh/id_*", ".ssh/*_rsa"],
      .unlessPublic, "user's private SSH key"),
    SecretRule(
      "tls-private", .privateKey,
      ["pki/tls/private/**", "etc/ssl/private/**", "private_keys/**", "etc/letsencrypt/keys/**"],
      .unlessPublic, "TLS service key"),
    SecretRule(
      "acme-account", .privateKey, ["private_key.json"], .content, "ACME account key"),
    SecretRule(
      "key-format", .keystore,
      [
        "*.p12", "*.pfx", "*.jks", "*.jceks", "*.keystore", "*.bks", "*.kdb", "*.kdbx", "*.der",
        "*.pk8", "*.p8", "*.key", "*.pem", "*.ppk",
      ], .keyFormat, "keystore, or private key in a binary format"),
    SecretRule(
      "nss-database", .keystore, ["key3.db", "key4.db"], .content, "database of private keys"),
    SecretRule(
      "softhsm", .keystore, ["softhsm/tokens/**"], .content, "token of a software key store"),
    SecretRule(
      "gnupg", .pgpKey,
      ["secring.gpg", "private-keys-v1.d/*", "trustdb.gpg.secret", "secring.pgp"], .content,
      "GnuPG private key"),
    SecretRule("munge", .mungeKey, ["munge/*.key", "munge.key"], .content, "munge key"),
    SecretRule(
      "keytab", .kerberosKeytab, ["*.keytab", "krb5.keytab*", "keytab"], .content,
      "Kerberos principal keys"),
    SecretRule(
      "kdc", .kerberosDatabase,
      ["krb5kdc/principal*", "krb5kdc/.k5*", "krb5kdc/stash*", ".k5.*", "krb5kdc/*.dump"], .content,
      "KDC database or master key"),
    SecretRule(
      "kerberos-ticket", .kerberosTicket, ["tmp/krb5cc*", "krb5cc_*"], .content,
      "user's Kerberos tickets"),
    SecretRule(
      "wireguard", .wireguardKey,
      ["wireguard/*.conf", "systemd/network/*.netdev", "*.nmconnection"],
      .values(["PrivateKey", "PresharedKey", "private-key", "preshared-key"]), "tunnel key"),
    SecretRule(
      "wireguard-key", .wireguardKey,
      ["wireguard/*.key", "wireguard/privatekey*", "wireguard/*psk*"],
      .content, "tunnel key"),
    SecretRule(
      "vpn", .vpnSecret,
      [
        "ipsec.secrets", "ipsec.d/*.secrets", "chap-secrets", "pap-secrets", "srp-secrets",
        "tinc/*/*.priv", "openvpn/*.key", "openvpn/*auth*.txt",
        "openvpn/*/*.key", "openvpn/*pass*", "racoon/psk.txt", "vpnc/*.conf",
      ], .content, "VPN secret"),
    SecretRule(
      "swanctl", .vpnSecret, ["swanctl/swanctl.conf", "swanctl/conf.d/*.conf"], .values(["secret"]),
      "VPN secret"),
    SecretRule(
      "disk-key", .diskKey,
      ["cryptsetup-keys.d/*", "etc/luks/*", "etc/luks-keys/*", "luks*.key", "crypto_keyfile*"],
      .content, "disk encryption key"),
    SecretRule(
      "system-credential", .systemCredential,
      [
        "systemd/credential.secret", "credstore/*", "credstore.encrypted/*",
        "NetworkManager/secret_key", "sss/secrets/*", "custodia/*.keys",
      ], .content, "key that encrypts other secrets of the machine"),
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
      ]), "network password"),
    SecretRule(
      "wpa", .networkPassword,
      ["wpa_supplicant*.conf", "hostapd*.conf", "iwd/*.psk", "iwd/*.8021x", "netplan/*.yaml"],
      .values([
        "psk", "password", "wpa_passphrase", "wpa_psk", "sae_password", "private_key_passwd",
        "Passphrase", "PreSharedKey", "EAP-Password", "wep_key0", "auth_server_shared_secret",
      ]), "network password"),
    SecretRule(
      "ldap-conf", .ldapPassword,
      [
        "nslcd.conf", "ldap.conf", "pam_ldap.conf", "libnss-ldap.conf", "slapd.conf",
        "nss_ldap.conf", "sudo-ldap.conf",
      ], .directives(["bindpw", "rootbindpw", "rootpw", "bindpwfile_secret"]),
      "LDAP bind password"),
    SecretRule(
      "sssd", .ldapPassword, ["sssd.conf", "sssd/conf.d/*", "autofs_ldap_auth.conf"],
      .values(["ldap_default_authtok", "secret", "ldap_sasl_authtok", "proxy_password"]),
      "LDAP bind password"),
    SecretRule(
      "ldap-secret", .ldapPassword, ["ldap.secret", "libnss-ldap.secret", "pam_ldap.secret"],
      .content, "LDAP bind password"),
    SecretRule(
      "slapd", .ldapPassword, ["slapd.d/**"], .values(["olcRootPW", "olcDbBindPW"]),
      "directory server password"),
    SecretRule(
      "sss-cache", .cachedCredentials, ["sss/db/*.ldb", "sss/db/ccache_*", "cache/nscd/*"],
      .content, "cached accounts and hashes"),
    SecretRule(
      "slurm-conf", .slurmKey, ["slurmdbd.conf", "slurm.conf", "slurmrestd.conf"],
      .values(["StoragePass", "AccountingStoragePass", "ArchivePass", "JobCompPass"]),
      "slurm database password"),
    SecretRule(
      "slurm-key", .slurmKey,
      ["jwt_hs256.key", "slurm/*.key", "slurm.key", "slurm*/*.jwks", "StateSaveLocation/*.key"],
      .content, "slurm key"),
    SecretRule(
      "cluster-key", .clusterKey,
      [
        "corosync/authkey", "pacemaker/authkey", "booth/*.key", "cluster/fence_xvm.key",
        "heartbeat/authkeys", "pcsd/*.key", "drbd.d/*.secret", "ha.d/authkeys", ".erlang.cookie",
        "keepalived/*secret*", "pbs_server_key", "gmond.secret", "lsf.sudoers.key",
      ], .content, "cluster key"),
    SecretRule(
      "cluster-conf", .clusterKey, ["cluster.conf", "keepalived.conf", "drbd.d/*.res"],
      .values(["passwd", "auth_pass", "shared-secret", "password"]), "cluster password"),
    SecretRule(
      "bmc", .bmcPassword,
      [
        "freeipmi/*.conf", "ipmi*.conf", "ipmitool.conf", "ipmidetect.conf", "powerman.conf",
        "redfish*.conf", "bmc*.conf", "conserver.cf", "ipmi_*", "ipmi/*",
      ], .values(["password", "passwd", "k_g", "IPMI_PASSWORD", "bmc_password", "ipmipass"]),
      "BMC password"),
    SecretRule(
      "bmc-directive", .bmcPassword, ["freeipmi/*.conf", "ipmi*.conf", "ipmi/*", "bmc*.conf"],
      .directives(["password", "passwd", "k_g"]), "BMC password"),
    SecretRule(
      "conserver", .bmcPassword, ["conserver.passwd", ".ipmipass", "ipmipasswd", "bmc.password"],
      .content, "console password"),
    SecretRule(
      "rsync", .rsyncPassword,
      ["rsyncd.secrets", "*rsync*.secrets", "rsync*.pass*", ".rsync_pass*"],
      .content, "rsync passwords"),
    SecretRule(
      "samba", .sambaSecrets,
      [
        "secrets.tdb", "passdb.tdb", "samba/private/**", "secrets.ldb", "sam.ldb",
        ".smbcredentials", "smbcredentials", "cifs*.cred*", "samba/*cred*", "*.smbcred*",
      ], .content, "Samba or CIFS mount secrets"),
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
      ]), "SNMP community or passphrase"),
    SecretRule(
      "dns", .dnsKey,
      [
        "rndc.key", "rndc.conf", "bind/*.key", "named*.key", "named.conf*", "dhcpd*.conf", "*.tsig",
        "ddns*.key",
      ],
      .directives(["secret"]), "name server key"),
    SecretRule(
      "dnssec", .dnsKey, ["K*.private"], .content, "DNS zone private key"),
    SecretRule(
      "mail", .mailPassword,
      [
        "sasl_passwd*", "passwd.client", ".fetchmailrc", "fetchmailrc", ".msmtprc", "msmtprc",
        "dovecot/users", "dovecot/passwd*", "sasldb2", "smtp_auth*", ".mailrc.auth",
      ], .content, "mail server password"),
    SecretRule(
      "ssmtp", .mailPassword, ["ssmtp.conf"], .values(["AuthPass"]), "mail server password"),
    SecretRule(
      "web", .webPassword, [".htpasswd*", "htpasswd*", ".htdigest*", "htdigest*"], .content,
      "web server password hashes"),
    SecretRule(
      "monitoring", .configuredPassword,
      ["zabbix*.psk", "zabbix/*.psk", "telegraf.conf", "grafana.ini", "icinga*.pwd"], .content,
      "monitoring key or password"),
    SecretRule(
      "storage", .storageKey,
      [
        "ceph/*.keyring", "ceph/*.secret", "ceph/*secret*", "*.keyring.secret", "beegfs/conn*auth*",
        "conn.auth", "connauthfile", "mmfs/ssl/**", "mmsdrfs", "glusterfs/*.secret", "lustre/*.key",
        "iscsi/secrets*", "lnet*.key", "minio/*.env",
      ], .content, "storage system key"),
    SecretRule(
      "iscsi", .storageKey,
      ["iscsid.conf", "iscsi/nodes/**", "iscsi/send_targets/**", "ietd.conf"],
      .values([
        "node.session.auth.password", "node.session.auth.password_in",
        "discovery.sendtargets.auth.password", "discovery.sendtargets.auth.password_in",
      ]), "iSCSI CHAP password"),
  ]

  private static let credentials = [
    SecretRule(
      "netrc", .netrc, [".netrc", "_netrc", "netrc", ".authinfo"], .content, "host passwords"),
    SecretRule(
      "database-file", .databasePassword,
      [".pgpass", "pgpass.conf", ".mylogin.cnf", ".pg_service.conf", ".dbshell", ".odbc.ini"],
      .content, "database password"),
    SecretRule(
      "database-conf", .databasePassword,
      [".my.cnf", "my.cnf", "debian.cnf", "mysql/**", "my.cnf.d/*", "mongod.conf", "redis*.conf"],
      .values(["password", "requirepass", "masterauth", "MYSQL_PWD"]), "database password"),
    SecretRule(
      "redis", .databasePassword, ["redis*.conf", "redis/*.conf"],
      .directives(["requirepass", "masterauth"]), "database password"),
    SecretRule(
      "aws", .cloudCredentials,
      [
        ".aws/credentials", ".aws/cli/cache/*", ".boto", ".s3cfg", "passwd-s3fs", ".passwd-s3fs",
        "rclone.conf", ".oci/config", ".config/doctl/config.yaml", ".mc/config.json",
      ],
      .content, "cloud credentials"),
    SecretRule(
      "gcloud", .cloudCredentials,
      [
        "gcloud/credentials.db", "gcloud/access_tokens.db", "gcloud/legacy_credentials/**",
        "application_default_credentials.json",
      ], .content, "cloud credentials"),
    SecretRule(
      "azure", .cloudCredentials,
      [
        ".azure/accessTokens.json", ".azure/msal_token_cache*", ".azure/service_principal_entries*",
        "clouds.yaml", "openrc", "*openrc.sh",
      ], .content, "cloud credentials"),
    SecretRule(
      "cloud-init", .cloudInitData,
      [
        "cloud/instance/user-data*", "cloud/instances/*/user-data*", "cloud/instances/*/obj.pkl",
        "cloud/instances/*/cloud-config.txt", "cloud/instances/*/vendor-data*",
        "cloud/instance/vendor-data*", "cloud/seed/**", "nocloud/user-data",
        "nocloud-net/user-data",
      ], .content, "cloud-init data, which holds passwords"),
    SecretRule(
      "cloud-init-conf", .cloudInitData,
      ["cloud.cfg", "cloud.cfg.d/*", "user-data", "user-data.*"],
      .values(["passwd", "password", "hashed_passwd", "plain_text_passwd", "hashed-password"]),
      "cloud-init password"),
    SecretRule(
      "docker", .registryCredentials,
      [
        ".docker/config.json", ".dockercfg", "containers/auth.json", "kubelet/config.json",
        ".dockerconfigjson",
      ],
      .values(["auth", "identitytoken", "registrytoken", "password"]), "registry password"),
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
      ]), "package index password"),
    SecretRule(
      "kubeconfig", .kubeconfig,
      [
        ".kube/config", "kubernetes/*.conf", "*.kubeconfig", "kubeconfig",
        "k3s.yaml",
      ],
      .values(["token", "client-key-data", "password", "id-token", "refresh-token"]),
      "Kubernetes credentials"),
    SecretRule(
      "kubernetes-token", .kubeconfig,
      [
        "k3s/server/token", "k3s/server/node-token", "rke2/server/token", "serviceaccount/token",
        "known_tokens.csv", "basic_auth.csv",
      ],
      .content, "Kubernetes token"),
    SecretRule(
      "git", .gitCredentials, [".git-credentials", "git/credentials", ".gitcookies"], .content,
      "git passwords"),
    SecretRule(
      "repository", .repositoryPassword,
      [
        "yum.repos.d/*", "yum.conf", "dnf.conf", "apt.conf", "apt.conf.d/*", "pip.conf", ".pip/*",
        "zypp/repos.d/*", "sysconfig/rhn/up2date", "rhsm.conf", "environment", "sysconfig/proxy",
      ],
      .values([
        "password", "proxy_password", "proxyPassword", "PROXY_PASSWORD", "sslclientkeypassword",
      ]), "repository password"),
    SecretRule(
      "apt-auth", .repositoryPassword,
      [
        "apt/auth.conf", "apt/auth.conf.d/*", "zypp/credentials.d/*", "zypp/credentials.cat",
        "SCCcredentials", "rhn/systemid", "NCCcredentials",
      ],
      .content, "repository password"),
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
      .content, "one-time password seed"),
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
      .content, "vault password or token"),
    SecretRule(
      "password-file", .configuredPassword,
      [
        "*.passwd", "*.passphrase", "*.password", "passwords.txt", "password.txt", "*.secret",
        "*.secrets", "secrets.yml", "secrets.yaml", ".env", "*.token", ".secrets",
      ],
      .content, "file whose name suggests passwords"),
  ]

  private static let others = [
    SecretRule(
      "history", .shellHistory,
      [
        ".bash_history", ".zsh_history", ".sh_history", ".ksh_history", ".history", ".zhistory",
        ".mysql_history", ".psql_history", ".python_history", ".sqlite_history", ".lesshst",
        ".rediscli_history", ".node_repl_history", "fish_history", ".viminfo",
      ], .content, "typed commands, which may hold passwords"),
    SecretRule(
      "random-seed", .identity, ["systemd/random-seed", "lib/random-seed", "urandom/random-seed"],
      .content, "the same random numbers on every node"),
    SecretRule(
      "machine-id", .identity, ["etc/machine-id", "dbus/machine-id"], .emptied,
      "the same identity on every node"),
  ]
}

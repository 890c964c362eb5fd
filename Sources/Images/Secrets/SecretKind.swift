// The kinds of secrets, and the text that a scrubbed export prints for each. The codes are stable: JSON and
// tests use them.

/// The kind of a secret.
public enum SecretKind: String, Sendable, CaseIterable, Comparable {
  case passwordHash = "password-hash"
  case kickstartPassword = "kickstart-password"
  case bootLoaderPassword = "boot-loader-password"
  case sshHostKey = "ssh-host-key"
  case sshUserKey = "ssh-user-key"
  case privateKey = "private-key"
  case keystore = "keystore"
  case pgpKey = "pgp-key"
  case ageKey = "age-key"
  case mungeKey = "munge-key"
  case kerberosKeytab = "kerberos-keytab"
  case kerberosDatabase = "kerberos-database"
  case kerberosTicket = "kerberos-ticket"
  case wireguardKey = "wireguard-key"
  case vpnSecret = "vpn-secret"
  case networkPassword = "network-password"
  case netrc = "netrc"
  case databasePassword = "database-password"
  case cloudCredentials = "cloud-credentials"
  case cloudInitData = "cloud-init-data"
  case registryCredentials = "registry-credentials"
  case kubeconfig = "kubeconfig"
  case gitCredentials = "git-credentials"
  case repositoryPassword = "repository-password"
  case ldapPassword = "ldap-password"
  case cachedCredentials = "cached-credentials"
  case slurmKey = "slurm-key"
  case clusterKey = "cluster-key"
  case bmcPassword = "bmc-password"
  case rsyncPassword = "rsync-password"
  case sambaSecrets = "samba-secrets"
  case snmpCommunity = "snmp-community"
  case dnsKey = "dns-key"
  case mailPassword = "mail-password"
  case webPassword = "web-password"
  case diskKey = "disk-key"
  case storageKey = "storage-key"
  case otpSecret = "otp-secret"
  case keyring = "keyring"
  case vaultPassword = "vault-password"
  case systemCredential = "system-credential"
  case xcatCredentials = "xcat-credentials"
  case token = "token"
  case urlPassword = "url-password"
  case configuredPassword = "configured-password"
  case shellHistory = "shell-history"
  /// Not a secret, but unique to one machine.
  case identity = "identity"

  /// The name of the kind in plain words, in the singular.
  public var noun: String { rawValue.replacing("-", with: " ") }

  /// Returns how nodes get the secret that a scrubbed image lacks; nil if they do not need it.
  /// - Parameter isOfDirectory: the image is a directory, which xCAT does not know.
  public func delivery(isOfDirectory: Bool) -> String? {
    (isOfDirectory ? deliveryWithoutXCAT : nil) ?? delivery
  }

  /// Where xCAT would deliver it. How nodes get it where xCAT delivers it; nil if they do not need it.
  private var deliveryWithoutXCAT: String? {
    switch self {
    case .passwordHash: "account passwords: from the site, or set at the first boot"
    case .sshHostKey: "SSH host keys: created at boot by sshd-keygen"
    case .sshUserKey: "users' SSH keys: from the site"
    case .mungeKey: "the munge key: one key for the whole cluster, from the site"
    case .slurmKey: "slurm keys and passwords: from the site"
    case .xcatCredentials: "xCAT credentials: from its management node"
    default: nil
    }
  }

  /// How nodes get it where xCAT delivers it; nil if they do not need it.
  private var delivery: String? {
    switch self {
    case .passwordHash:
      "account passwords: from xCAT's passwd table at the next packimage, or from a synclist"
    case .sshHostKey:
      "SSH host keys: created at boot by sshd-keygen, or by xCAT's postscript remoteshell"
    case .sshUserKey: "users' SSH keys: from xCAT's postscript remoteshell, or from a synclist"
    case .mungeKey: "the munge key: one key for the whole cluster, from a synclist or a postscript"
    case .kerberosKeytab, .kerberosDatabase: "Kerberos keys: each node's own keytab, from the KDC"
    case .privateKey, .keystore: "service keys and keystores: from the site"
    case .slurmKey: "slurm keys and passwords: from a synclist or a postscript"
    case .clusterKey: "cluster service keys: one key for the whole cluster, from the site"
    case .storageKey: "storage system keys: from the site"
    case .diskKey: "disk encryption keys: from the site"
    case .wireguardKey, .vpnSecret, .networkPassword:
      "network keys and passwords: from the site"
    case .ldapPassword: "LDAP bind passwords: from the site"
    case .xcatCredentials: "xCAT credentials: from its management node (xCAT's postscripts)"
    case .bmcPassword: "BMC passwords: from the site"
    case .identity: "machine-id: created by systemd at boot"
    case .kickstartPassword, .bootLoaderPassword, .pgpKey, .ageKey, .kerberosTicket, .netrc,
      .databasePassword, .cloudCredentials, .cloudInitData, .registryCredentials, .kubeconfig,
      .gitCredentials, .repositoryPassword, .cachedCredentials, .rsyncPassword, .sambaSecrets,
      .snmpCommunity, .dnsKey, .mailPassword, .webPassword, .otpSecret, .keyring, .vaultPassword,
      .systemCredential, .token, .urlPassword, .configuredPassword, .shellHistory:
      nil
    }
  }

  public static func < (a: SecretKind, b: SecretKind) -> Bool { a.rawValue < b.rawValue }
}

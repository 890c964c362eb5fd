// The kinds of secrets that are named, and what a scrubbed export says of each. Codes are stable: JSON and
// tests use them.

/// What a secret is.
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
  /// Not secret, but one machine's alone.
  case identity = "identity"

  /// The plain words for it, in the singular.
  public var noun: String { rawValue.replacing("-", with: " ") }

  /// How the nodes get what a scrubbed image lacks; nil where they do without.
  /// - Parameter hasXCAT: the image is an osimage, whose nodes xCAT looks after.
  public func delivery(hasXCAT: Bool) -> String? {
    (hasXCAT ? nil : plainDelivery) ?? delivery
  }

  /// Of an image that xCAT knows nothing of, where the words for osimages name xCAT's ways.
  private var plainDelivery: String? {
    switch self {
    case .passwordHash:
      "passwords of accounts: from the site, after the image is unpacked or at boot"
    case .sshHostKey: "SSH host keys: made at boot by sshd-keygen, or by 'ssh-keygen -A'"
    case .sshUserKey: "SSH keys of users: from the site"
    case .mungeKey: "the munge key: one key for the whole cluster, from the site"
    case .slurmKey: "slurm's keys and passwords: from the site"
    default: nil
    }
  }

  /// Of an osimage.
  private var delivery: String? {
    switch self {
    case .passwordHash:
      "passwords of accounts: from xCAT's passwd table at the next packimage, or from a synclist"
    case .sshHostKey:
      "SSH host keys: made at boot by sshd-keygen, or by xCAT's postscript remoteshell"
    case .sshUserKey: "SSH keys of users: from xCAT's postscript remoteshell, or from a synclist"
    case .mungeKey: "the munge key: one key for the whole cluster, from a synclist or a postscript"
    case .kerberosKeytab, .kerberosDatabase: "Kerberos keys: each node's own keytab, from the KDC"
    case .privateKey, .keystore: "private keys and keystores of services: from the site"
    case .slurmKey: "slurm's keys and passwords: from a synclist or a postscript"
    case .clusterKey: "keys of cluster services: one key for the whole cluster, from the site"
    case .storageKey: "keys of storage systems: from the site"
    case .diskKey: "keys of encrypted disks: from the site"
    case .wireguardKey, .vpnSecret, .networkPassword:
      "keys and passwords of networks: from the site"
    case .ldapPassword: "bind passwords of LDAP: from the site"
    case .xcatCredentials: "credentials of xCAT: from its management node (xCAT's postscripts)"
    case .bmcPassword: "passwords of BMCs: from the site"
    case .identity: "machine-id: made by systemd at boot"
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

// The packages of one root tree.

/// The tool that keeps the database, and its form.
public enum DatabaseKind: String, Sendable {
  case dpkg
  /// `rpmdb.sqlite`: Fedora 33, EL 9, and later.
  case rpmSQLite = "rpm-sqlite"
  /// `Packages.db`: SUSE.
  case rpmNDB = "rpm-ndb"
  /// `Packages`, a Berkeley DB hash: EL 8 and earlier.
  case rpmBerkeley = "rpm-bdb"
}

/// An installed package.
public struct Package: Hashable, Sendable {
  /// The name as the tool prints it: "openssl", or "libc6:amd64" where dpkg includes the architecture.
  public let name: String
  /// The version as the tool prints it: "3.0.17-1", "2:9.0-1"; for rpm "epoch:version-release".
  public let version: String
  /// The architecture; empty if the database has none.
  public let architecture: String
  /// The state of the installation.
  public let state: State

  /// The progress of an installation (dpkg(1), "package states").
  public enum State: String, Sendable {
    case installed
    case halfInstalled = "half-installed"
    case unpacked
    case halfConfigured = "half-configured"
  }

  /// Creates a package.
  public init(name: String, version: String, architecture: String, state: State = .installed) {
    self.name = name
    self.version = version
    self.architecture = architecture
    self.state = state
  }
}

/// The packages of a root tree.
public struct PackageSet: Sendable {
  /// The tool and the form of the database.
  public let kind: DatabaseKind
  /// The packages, sorted by name, then in the order of the database. A name may occur more than once
  /// (kernels).
  public let packages: [Package]
  /// Removed packages whose configuration files still exist (dpkg's state "config-files").
  public let configurationOnly: [Package]
  /// The parts of the database that could not be read, one sentence each.
  public let remarks: [String]

  init(
    kind: DatabaseKind, packages: [Package], configurationOnly: [Package] = [],
    remarks: [String] = []
  ) {
    self.kind = kind
    self.packages = packages
    self.configurationOnly = configurationOnly
    self.remarks = remarks
  }
}

/// The ownership of a path by a package.
public struct PackageOwnership: Hashable, Sendable {
  /// The owner.
  public let package: Package
  /// Whether it is a configuration file, which the administrator may have changed.
  public let isConfiguration: Bool
  /// The content that the package shipped; nil if the database does not record it.
  public let shipped: ShippedDigest?
}

/// The digest of a file's content in a package database.
public enum ShippedDigest: Hashable, Sendable {
  case md5([UInt8])
  case sha256([UInt8])
}

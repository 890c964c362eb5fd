// rpm's database in its three forms: each is a collection of headers, in a file under one of three
// directories.

import Platform

/// The location and form of an rpm database.
struct RPMDatabase: Sendable {
  enum Form: Sendable, CaseIterable {
    case sqlite, ndb, berkeley

    var fileName: String {
      switch self {
      case .sqlite: "rpmdb.sqlite"
      case .ndb: "Packages.db"
      case .berkeley: "Packages"
      }
    }

    var kind: DatabaseKind {
      switch self {
      case .sqlite: .rpmSQLite
      case .ndb: .rpmNDB
      case .berkeley: .rpmBerkeley
      }
    }
  }
  let form: Form
  let path: [UInt8]

  /// rpm's own directory is one of these; on some systems the first is a link to the second. OSTree
  /// systems have the last.
  private static let directories = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"]
  /// The size limit. A database is held in memory while it is read; those of real systems are under 200 MiB.
  static let limitBytes = 512 << 20

  /// Reads the database.
  /// - Returns: nil if no form exists. After a conversion the old form may remain next to the new one:
  ///   the newer form counts.
  static func read(_ tree: some RootTree) throws -> (RPMDatabase, [Package])? {
    var empty: (RPMDatabase, [Package])?
    for form in Form.allCases {
      for directory in directories {
        let path = Array("\(directory)/\(form.fileName)".utf8)
        let database = RPMDatabase(form: form, path: path)
        var packages: [Package] = []
        let isThere = try database.forEachHeader(tree) { header throws(MalformedDataError) in
          packages.append(try header.package())
        }
        guard isThere else { continue }
        packages.sort {
          ($0.name, $0.architecture, $0.version) < ($1.name, $1.architecture, $1.version)
        }
        if !packages.isEmpty { return (database, packages) }
        empty = empty ?? (database, packages)
      }
    }
    return empty
  }

  func collectOwners(_ tree: some RootTree, _ collector: inout OwnerCollector) throws {
    _ = try forEachHeader(tree) { header throws(MalformedDataError) in
      let package = try header.package()
      if collector.ignored.contains(package) { return }
      try header.forEachFile { path, isConfiguration, digest in
        guard let treePath = collector.requestedPath(path) else { return }
        collector.add(
          treePath,
          PackageOwnership(package: package, isConfiguration: isConfiguration, shipped: digest))
      }
    }
  }

  /// Calls `body` with each header; returns false if the file does not exist.
  private func forEachHeader(
    _ tree: some RootTree, _ body: (RPMHeader) throws(MalformedDataError) -> Void
  ) throws -> Bool {
    guard var bytes = try tree.file(path, limitBytes: RPMDatabase.limitBytes) else { return false }
    do {
      switch form {
      case .sqlite:
        try refuseHotJournal(tree)
        let log = try tree.file(path + Array("-wal".utf8), limitBytes: RPMDatabase.limitBytes)
        try WriteAheadLog.replay(log ?? [], over: &bytes)
        try RPMSQLite.forEachHeader(bytes) { try body(RPMHeader($0)) }
      case .ndb:
        try bytes.withUnsafeBytes { buffer in
          try RPMNDB.forEachHeader(ByteView(buffer)) { view throws(MalformedDataError) in
            try body(RPMHeader(view))
          }
        }
      case .berkeley:
        try bytes.withUnsafeBytes { buffer in
          try RPMBerkeley.forEachHeader(ByteView(buffer)) { view throws(MalformedDataError) in
            try body(RPMHeader(view))
          }
        }
      }
    } catch let error as MalformedDataError {
      throw PackagesError.damaged(path, error.reason)
    }
    return true
  }

  /// Refuses a database with the rollback journal of an interrupted transaction: its pages were
  /// overwritten, and the journal has their previous content (sqlite.org/fileformat2.html, section 3).
  private func refuseHotJournal(_ tree: some RootTree) throws {
    let journal = path + Array("-journal".utf8)
    guard let bytes = try tree.file(journal, limitBytes: RPMDatabase.limitBytes),
      bytes.starts(with: [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7])
    else { return }
    throw PackagesError(
      "package database \(printable(path))",
      "has an interrupted transaction of rpm: its rollback journal \(printable(journal)) is still there",
      hint:
        "Run 'rpm -qa' once inside the tree, which rolls the transaction back, and take a snapshot")
  }
}

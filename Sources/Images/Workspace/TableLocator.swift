// Locates xCAT's tables. It searches where xCAT searches, in the same order, below `--root`
// (docs/xcat-contract.md#where-tables-are; Table.pm, get_xcatcfg).
//
// A symbolic link of the directory or of a table resolves below `--root` or not at all. So a change of a
// copied node whose /etc/xcat is a link never reaches this machine's tables.

import Platform
import XCAT

/// Locates the tables that define images.
struct TableLocator: Collaborator {
  let context: Context

  /// Returns all tables that define images.
  /// - Throws: `ImageError`: `notFound` if the directory does not exist; `tablesInvalid` for another kind
  ///   of database below a staging root.
  func tables() throws -> ImageTables {
    let base: (any TableBackend)? =
      switch try tableSite() {
      case .files(let files): files
      case .database(let kind):
        CommandTableBackend(
          context.fileSystem, database: kind, environment: context.options.environment)
      case .none: nil
      }
    // Opening the store refuses one of an untrusted owner before its tables are read. It creates none.
    let store = try context.storeIfPresent()
    if let files = base as? SQLiteTableBackend, let store, files.isForbidden {
      let isFirst = context.reporter.isFirstTime("tables \(files.location)")
      if isFirst {
        context.reporter.warn(
          "only root can read xCAT's tables in \(files.location): "
            + "definitions are taken from the latest snapshots")
      }
      return ImageTables(
        base: RecordedTables(store: store, location: files.location), own: ownTables)
    }
    return ImageTables(base: base ?? ownTables, own: ownTables)
  }

  /// Returns whether this management node has xCAT, or the options name its tables.
  func hasXCAT() throws -> Bool {
    if case .none = try tableSite() { false } else { true }
  }

  /// Returns the tables for a reader that takes no lock and never waits; nil if they are not in files.
  /// - Parameter hasStore: whether there is a trusted store, whose own tables may be read.
  func unlockedTables(hasStore: Bool) throws -> ImageTables? {
    let own = tableFilesOfStore(context.fileSystem).unlocked
    switch try tableSite() {
    case .files(let files): return ImageTables(base: files.unlocked, own: own)
    case .database: return nil
    case .none: return hasStore ? ImageTables(base: own, own: own) : nil
    }
  }

  /// The tables in the store.
  private var ownTables: SQLiteTableBackend {
    // With the store's file system, which lets a group read the files if `init --group` allowed it.
    tableFilesOfStore((try? context.storeIfPresent()?.layout.fileSystem) ?? context.fileSystem)
  }

  private func tableFilesOfStore(_ fileSystem: any FileSystem) -> SQLiteTableBackend {
    SQLiteTableBackend(
      fileSystem, directory: context.storePath + Array("/xcat".utf8), mayCreate: true)
  }

  /// The location of the site's tables.
  private enum Site {
    case none
    case files(SQLiteTableBackend)
    case database(String)
  }

  /// Returns the location of the site's tables: the directory of `--xcat-dir`; else the location in XCATCFG
  /// or `/etc/xcat/cfgloc`; else `/opt/xcat/cfg` or `/etc/xcat`, whichever exists first.
  private func tableSite() throws -> Site {
    if let directory = context.options.xcatDirectory {
      let path = Array(absolute(directory).utf8)
      guard try isDirectory(path) else {
        throw ImageError(
          .notFound, "directory \(directory)", "does not exist",
          hint: "Name the directory of xCAT's table files with --xcat-dir")
      }
      return .files(SQLiteTableBackend(context.fileSystem, directory: path, mayCreate: true))
    }
    switch try configuration() {
    case .directory(let directory, let source):
      return .files(
        try files(
          in: below(directory), named: directory,
          hint: "\(source) names it; correct \(source), or name another directory with --xcat-dir"))
    case .database(let kind, let source):
      guard isWholeSystem else {
        throw ImageError(
          .tablesInvalid, source,
          "puts xCAT's tables in a \(kind) database, which only a running xCAT can reach",
          hint: "Work without --root on the management node, or copy the definitions into table "
            + "files (tabdump, 'imgstore define --csv') and name their directory with --xcat-dir")
      }
      return .database(kind)
    case .none:
      break
    }
    for directory in ["/opt/xcat/cfg", "/etc/xcat"] {
      if let path = try below(directory), try isDirectory(path) {
        return .files(tableFiles(in: path))
      }
    }
    return .none
  }

  private enum Configuration {
    case none
    case directory(String, source: String)
    case database(String, source: String)
  }

  private var isWholeSystem: Bool { context.rootPath == [0x2f] }

  /// Reads xCAT's configuration. XCATCFG describes this machine, so it is ignored below a staging root.
  private func configuration() throws -> Configuration {
    if isWholeSystem, let text = context.options.environment["XCATCFG"], !text.isEmpty {
      return try parse(text, source: "XCATCFG")
    }
    guard let name = try below("/etc/xcat/cfgloc") else { return .none }
    let bytes: [UInt8]
    do throws(SystemError) {
      bytes = try context.fileSystem.readSmallFile(at: context.fileSystem.workingDirectory, name)
    } catch {
      if error.isAbsent { return .none }
      throw error
    }
    let line = bytes.prefix { $0 != 0x0a && $0 != 0x0d }
    return try parse(String(decoding: line, as: UTF8.self), source: printable(name))
  }

  /// Parses a location: "SQLite:/directory", a directory alone, or "mysql:dbname=…|user|password".
  private func parse(_ text: String, source: String) throws -> Configuration {
    guard !text.isEmpty else { return .none }
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 1 || parts[0] == "SQLite" else {
      return .database(printable(parts[0].utf8), source: source)
    }
    let directory = String((parts.last ?? "").prefix { $0 != "|" })
    guard directory.hasPrefix("/") else {
      throw ImageError(
        .tablesInvalid, source,
        "names the directory of xCAT's tables as '\(printable(directory.utf8))', which is not an "
          + "absolute path",
        hint: "Correct it, or name the directory with --xcat-dir")
    }
    return .directory(directory, source: source)
  }

  /// Returns the path by which this process reaches a path of the management node. Links are followed below
  /// the root.
  /// - Returns: nil if nothing exists there.
  private func below(_ path: String) throws(SystemError) -> [UInt8]? {
    let fullPath = absolute(path)
    guard !isWholeSystem else { return Array(fullPath.utf8) }
    guard let clean = AbsolutePath(fullPath) else { return nil }
    do throws(SystemError) {
      return context.rootPath + (try context.resolver.locate(clean, followLast: true)).path.bytes
    } catch {
      if error.isAbsent || error.code == .loop { return nil }
      throw error
    }
  }

  private func tableFiles(in path: [UInt8]) -> SQLiteTableBackend {
    guard !isWholeSystem, path.starts(with: context.rootPath),
      let directory = AbsolutePath(Array(path.dropFirst(context.rootPath.count)))
    else { return SQLiteTableBackend(context.fileSystem, directory: path, mayCreate: true) }
    let (resolver, root) = (context.resolver, context.rootPath)
    return SQLiteTableBackend(context.fileSystem, directory: path, mayCreate: true) {
      name throws(SystemError) in
      root + (try resolver.locate(directory.appending(name), followLast: true)).path.bytes
    }
  }

  private func isDirectory(_ path: [UInt8]) throws(SystemError) -> Bool {
    try context.fileSystem.statIfPresent(
      at: context.fileSystem.workingDirectory, path, followLink: true)?.kind == .directory
  }

  private func files(
    in path: [UInt8]?, named name: String, hint: String
  ) throws -> SQLiteTableBackend {
    guard let path, try isDirectory(path) else {
      throw ImageError(.notFound, "directory \(name)", "does not exist", hint: hint)
    }
    return tableFiles(in: path)
  }
}

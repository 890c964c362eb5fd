// The data of the management node that packing adds to a tree: site values, the root password, postscripts,
// and files of synclists.

import Platform
import Store
import XCAT

/// The management node's data for packing.
struct PackEnvironment {
  let resolver: PathResolver
  let installDirectory: AbsolutePath
  /// The directory of xCAT itself (`XCATROOT`).
  let xcatRoot: AbsolutePath
  let image: String
  let definition: ImageDefinition
  /// Returns a value of xCAT's site table.
  let site: (String) throws -> String?
  /// The row of xCAT's passwd table for root's own password.
  let rootPassword: [String: String]?
  let fileView: FileProvider

  /// The maximum size in bytes of the management node's files in memory while packing.
  static let maxHeldBytes: UInt64 = 128 << 20

  var fileSystem: any FileSystem { resolver.fileSystem }

  /// Returns the content of a file; nil if it does not exist.
  func read(_ path: AbsolutePath) throws -> [UInt8]? {
    try PackEnvironment.unlessAbsent { () throws(SystemError) in
      let resolved = try resolver.resolve(path)
      return try fileSystem.readSmallFile(
        at: resolved.directory.raw, resolved.name, limitBytes: Int(EditableTree.maxTextBytes))
    }
  }

  /// Returns a file of xCAT for netboot images: from the directory of this image's distribution, or from one
  /// of `others`.
  func shared(_ name: String, orOf others: [String]) throws -> [UInt8]? {
    let base = xcatRoot.appending("share/xcat/netboot")
    var directories = others
    var version = definition.osVersion.hasPrefix("leap15") ? "sles" : definition.osVersion
    while !version.isEmpty, try fileView.kind(base.appending(version)) != .directory {
      version.removeLast()
    }
    if !version.isEmpty { directories.insert(version, at: 0) }
    for directory in directories {
      if let bytes = try read(base.appending(directory).appending(name)) { return bytes }
    }
    return nil
  }

  /// Returns the result of `body`; nil if it throws because a file does not exist. Other errors are passed
  /// on.
  static func unlessAbsent<R>(
    _ body: () throws(SystemError) -> R
  ) throws(SystemError) -> R? {
    do {
      return try body()
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }
}

/// Describes the management node to pack edits.
struct PackEnvironments: Collaborator {
  let context: Context

  /// Returns the data of this management node for packing an image.
  func environment(_ image: ImageName, _ definition: ImageDefinition) throws -> PackEnvironment {
    let tables = try context.tables()
    // XCATROOT describes this machine, so it is ignored below a staging root.
    let named =
      context.rootPath == [0x2f]
      ? context.options.environment["XCATROOT"].flatMap { AbsolutePath($0) } : nil
    return PackEnvironment(
      resolver: context.resolver, installDirectory: try context.installDirectory(tables),
      xcatRoot: named ?? AbsolutePath(components: [Array("opt".utf8), Array("xcat".utf8)]),
      image: image.text, definition: definition, site: tables.site,
      rootPassword: try tables.rows("passwd", where: (column: "key", value: "system"))
        .first { $0["username"] == "root" }, fileView: ImageCapturer(context).fileView)
  }
}

// What of the management node goes into a packed image, beside its tree: site values, the root
// password, postscripts, files of synclists.

import Ingest
import Platform
import Store
import XCAT

/// The management node, as packing sees it.
struct PackEnvironment {
  let resolver: PathResolver
  let installDirectory: AbsolutePath
  /// Where xCAT itself is installed.
  let xcatRoot: AbsolutePath
  let image: String
  let definition: ImageDefinition
  /// A value of xCAT's site table.
  let site: (String) throws -> String?
  /// The row of xCAT's passwd table for root's own password.
  let rootPassword: [String: String]?
  let fileView: FileProvider

  /// Bytes of the management node's files, held in memory while packing.
  static let maxHeldBytes: UInt64 = 128 << 20

  var fileSystem: any FileSystem { resolver.fileSystem }

  /// The content of a file; nil where there is none.
  func read(_ path: AbsolutePath) throws -> [UInt8]? {
    try PackEnvironment.unlessAbsent { () throws(SystemError) in
      let place = try resolver.resolve(path)
      return try fileSystem.readSmallFile(
        at: place.directory.raw, place.name, limitBytes: Int(EditableTree.maxTextBytes))
    }
  }

  /// A file of xCAT's own, under the folder of this image's distribution or one of `others`.
  func shared(_ name: String, orOf others: [String]) throws -> [UInt8]? {
    let base = xcatRoot.appending("share/xcat/netboot")
    var folders = others
    var version = definition.osVersion.hasPrefix("leap15") ? "sles" : definition.osVersion
    while !version.isEmpty, try fileView.kind(base.appending(version)) != .directory {
      version.removeLast()
    }
    if !version.isEmpty { folders.insert(version, at: 0) }
    for folder in folders {
      if let bytes = try read(base.appending(folder).appending(name)) { return bytes }
    }
    return nil
  }

  /// What `body` finds; nil where nothing is. Any other failure is one.
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

extension Workspace {
  func packSite(_ image: ImageName, _ definition: ImageDefinition) throws -> PackEnvironment {
    let tables = try tables()
    // Below a staging root this machine's XCATROOT says nothing.
    let named =
      rootPath == [0x2f] ? options.environment["XCATROOT"].flatMap { AbsolutePath($0) } : nil
    return PackEnvironment(
      resolver: resolver, installDirectory: try installDirectory(tables),
      xcatRoot: named ?? AbsolutePath(components: [Array("opt".utf8), Array("xcat".utf8)]),
      image: image.text, definition: definition, site: tables.site,
      rootPassword: try tables.rows("passwd", where: (column: "key", value: "system"))
        .first { $0["username"] == "root" }, fileView: fileView)
  }
}

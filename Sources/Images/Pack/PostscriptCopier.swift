// Copies the site's postscripts into a root tree: to /xcatpost, and the script that runs them.

import Platform
import Render
import Store

/// Copies the postscripts of the site into a root tree.
enum PostscriptCopier {
  /// Copies the directory as `cp -r postscripts/*` does, so names with a leading dot are left out at the top.
  /// - Parameter withScript: also copies xcatdsklspost to /opt/xcat, as packimage does.
  /// - Returns: remarks for the administrator.
  static func copy(
    into tree: inout EditableTree, _ site: PackEnvironment, withScript: Bool = true
  ) throws -> [String] {
    let postscripts = site.installDirectory.appending("postscripts")
    let source = try PackEnvironment.unlessAbsent { () throws(SystemError) in
      let resolved = try site.resolver.resolve(postscripts)
      return try site.fileSystem.openDirectory(at: resolved.directory.raw, resolved.name)
    }
    guard let directory = source else {
      try tree.change { $0.remove("xcatpost") }
      return ["\(postscripts.text) does not exist: the packed image has no xcatpost"]
    }
    var copier = Copier(site: site)
    copier.edits.put("xcatpost", .directory(mode: 0o755))
    for name in try site.fileSystem.names(of: directory.raw).sorted(by: precedes)
    where name.first != 0x2e {
      try copier.copy(directory, name, to: RelativePath("xcatpost").appending(name))
    }
    if !withScript {
      // genimage has copied it.
    } else if let script = try site.read(postscripts.appending("xcatdsklspost")) {
      copier.edits.put("opt/xcat/xcatdsklspost", .file(script, mode: 0o755))
    } else {
      copier.remarks.append("Could not find the script \(postscripts.text)/xcatdsklspost.")
    }
    let edits = copier.edits
    try tree.change { $0 = edits }
    return copier.remarks
  }

  private struct Copier {
    let site: PackEnvironment
    var edits = TreeEdits()
    var remarks: [String] = []
    private var remainingBytes = PackEnvironment.maxHeldBytes

    init(site: PackEnvironment) { self.site = site }

    mutating func copy(_ directory: Descriptor, _ name: [UInt8], to target: RelativePath) throws {
      guard target.components.count < 64 else {
        throw ImageError("postscripts", "have directories that are nested too deeply")
      }
      let fileSystem = site.fileSystem
      let stat = try fileSystem.stat(at: directory.raw, name, followLink: false)
      switch stat.kind {
      case .file:
        guard stat.size <= remainingBytes else {
          throw ImageError(
            "directory \(site.installDirectory.text)/postscripts", "holds more than 128 MiB",
            hint: "Move files that nodes do not need out of it")
        }
        let bytes = try fileSystem.readSmallFile(
          at: directory.raw, name, limitBytes: Int(PackEnvironment.maxHeldBytes))
        remainingBytes -= min(remainingBytes, UInt64(bytes.count))
        edits.put(target, .file(bytes, mode: stat.mode & 0o755))
      case .symlink:
        edits.put(target, .symlink(target: try fileSystem.readLink(at: directory.raw, name)))
      case .directory:
        edits.put(target, .directory(mode: stat.mode & 0o755))
        let child = try fileSystem.openDirectory(at: directory.raw, name)
        for entry in try fileSystem.names(of: child.raw).sorted(by: precedes) {
          try copy(child, entry, to: target.appending(entry))
        }
      default:
        remarks.append("\(printable(name)) in postscripts is a \(stat.kind.noun): left out")
      }
    }
  }
}

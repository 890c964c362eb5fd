// The data of the management node that packing adds to a root tree, as a fingerprint.

import Platform
import Store
import XCAT

/// The management node's data for a packed image.
struct NodeData {
  let site: PackEnvironment

  /// Adds rows, files and attributes of files to a key.
  /// - Throws: errors of reading them.
  func add(to hash: inout KeyHash) throws {
    for key in ["timezone", "secureroot"] { hash.add(key, Array((try site.site(key) ?? "").utf8)) }
    for (column, value) in (site.rootPassword ?? [:]).sorted(by: { $0.key < $1.key }) {
      hash.add("passwd \(column)", Array(value.utf8))
    }
    hash.add(
      "install.netboot", try site.shared("dracut_033/install.netboot", orOf: ["rh"]) ?? [])
    var count = 0
    try add(site.installDirectory.appending("postscripts"), &count, &hash)
    for list in ImageFiles.paths(of: .synclists, site.definition) {
      guard let text = try site.read(list) else {
        hash.add("no list", list.bytes)
        continue
      }
      hash.add("list", text)
      for copy in try Syncfiles.copies(text, site).copies {
        for source in copy.sources { try add(source.path, &count, &hash) }
      }
    }
  }

  /// Adds the attributes of an entry and of all entries below it. Links are followed, as for synclists.
  private func add(_ path: AbsolutePath, _ count: inout Int, _ hash: inout KeyHash) throws {
    count += 1
    guard count <= Syncfiles.maxFiles, path.components.count < 256 else { return }
    guard let stat = try stat(path) else { return hash.add("absent", path.bytes) }
    hash.add(
      "\(stat.kind) \(stat.mode) \(stat.uid) \(stat.gid) \(stat.size) \(stat.inode) "
        + "\(stat.modified.seconds).\(stat.modified.nanoseconds) "
        + "\(stat.changed.seconds).\(stat.changed.nanoseconds)", path.bytes)
    guard stat.kind == .directory else { return }
    for name in try site.fileView.list(path).sorted(by: precedes) {
      try add(path.appending(name), &count, &hash)
    }
  }

  private func stat(_ path: AbsolutePath) throws -> FileStat? {
    try PackEnvironment.unlessAbsent { () throws(SystemError) in
      let resolved = try site.resolver.resolve(path)
      return try site.fileSystem.statIfPresent(at: resolved.directory.raw, resolved.name)
    } ?? nil
  }
}

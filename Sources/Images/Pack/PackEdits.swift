// The changes that packing makes in a root tree: steps 2 to 9 of docs/xcat-contract.md#packimage-steps. They
// are edits of an `EditableTree`, so the live tree does not change.
//
// 1. Values that xCAT takes from a random source or the clock are derived from the snapshot. The same
//    snapshot, postscripts and tables give the same tree.
// 2. The edits are idempotent: a tree with these changes gives the same packed image.
// 3. An edit that cannot be made is reported. No edit is made partially.

import Codec
import Platform
import Store

/// Makes the edits for one image.
struct PackEdits {
  let site: PackEnvironment
  private(set) var tree: EditableTree
  /// Include patterns to add to the exlist.
  private(set) var includes: [[UInt8]] = []
  /// Remarks for the administrator.
  private(set) var remarks: [String] = []

  init(_ tree: EditableTree, _ site: PackEnvironment) {
    self.tree = tree
    self.site = site
  }

  /// Makes all edits of packimage.
  /// - Parameters:
  ///   - created: the time of the snapshot with the tree.
  ///   - storage: for the files of synclists; nil leaves them out.
  mutating func makeAll(created: Timestamp, syncfiles storage: SyncfileStorage?) throws {
    let original = tree.top
    remarks += try Statelite.undo(&tree)
    try restoreBootScripts()
    remarks += try PostscriptCopier.copy(into: &tree, site)
    try setTimezone()
    remarks += try RootPassword.set(in: &tree, site, salt: original.ids)
    if let storage { remarks += try Syncfiles.copy(into: &tree, site, storage) }
    try tree.rebuildHardLinkGroups()
    try addImageInfo(created)
    try tree.preserveUnchangedTimes()
  }

  // MARK: Files of the image

  /// Writes opt/xcat/xcatinfo. Its UUID is a hash of the image's name and the tree, its time that of the
  /// snapshot. A file with the right name and UUID stays.
  mutating func addImageInfo(_ created: Timestamp) throws {
    let path: RelativePath = "opt/xcat/xcatinfo"
    let before = try tree.text(path)
    // The hash covers the tree with this file empty, so a tree that has the file keeps its UUID.
    try tree.change { $0.put(path, .file([], mode: 0o644)) }
    let name = "IMAGENAME='\(site.image)'\nIMAGEUUID='\(imageUUID())'\n"
    let new = "\(name)TIMESTAMP='\(PackEdits.date(created))'\n"
    let isSame = before?.starts(with: Array(name.utf8)) ?? false
    let text = isSame ? before ?? [] : Array(new.utf8)
    try tree.change { $0.put(path, .file(text, mode: 0o644)) }
  }

  private func imageUUID() -> String {
    let seed = Array("imgstore image uuid 1\n\(site.image)\n".utf8)
    let digits = Array(SHA256.digest(of: seed + (tree.top.tree.map(\.bytes) ?? [])).hex)
    return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
      .joined(separator: "-")
  }

  /// Formats a time as date(1) does in UTC: "Mon Nov 23 05:42:52 UTC 2026".
  private static func date(_ time: Timestamp) -> String {
    utcTime(time.seconds, "%a %b %e %H:%M:%S UTC %Y")
  }

  /// Replaces the boot scripts that a statelite run left by those for netboot.
  private mutating func restoreBootScripts() throws {
    if try tree.find("usr/share/dracut") != nil,
      let backup = try tree.find("etc/rc.sysinit.backup")
    {
      try tree.change { $0.put("etc/rc.sysinit", .stored(backup)) }
    }
    let path: RelativePath = "usr/lib/dracut/modules.d/97xcat/install"
    guard let script = try tree.find(path), script.kind == .file else { return }
    if let bytes = try site.shared("dracut_033/install.netboot", orOf: ["rh"]) {
      try tree.change { $0.put(path, .file(bytes, mode: script.mode)) }
    } else if let backup = try tree.find("usr/lib/dracut/modules.d/97xcat/install.netboot") {
      try tree.change { $0.put(path, .stored(backup)) }
    }
  }

  private mutating func setTimezone() throws {
    guard let zone = try site.site("timezone"), !zone.isEmpty else { return }
    guard let name = RelativePath(written: "usr/share/zoneinfo/\(zone)".utf8),
      let file = try tree.resolve(name.bytes), file.entry != nil
    else {
      remarks.append("Unable to set timezone to '\(zone)', check this is a valid timezone")
      return
    }
    try tree.change {
      $0.put(
        "etc/localtime", .symlink(target: Array("../usr/share/zoneinfo/\(zone)".utf8)))
    }
    // The packed image gets the zone file and the target of its links even if the exlist excludes them.
    for path in [name, file.path] {
      let pattern = Array("./".utf8) + path.bytes
      if !includes.contains(pattern) { includes.append(pattern) }
    }
  }
}

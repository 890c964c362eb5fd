// The changes that liteimg makes in a root tree (docs/xcat-contract.md#liteimg). They are edits of a view of
// the stored tree; Lite.swift applies the result to the live one.

import Platform
import Store
import XCAT

/// An edited root tree, with the changes of liteimg.
struct LiteEdits {
  private let rows: [LiteFile]
  var tree: EditableTree
  private(set) var remarks: [String] = []
  private let site: PackEnvironment

  init(_ tree: EditableTree, _ site: PackEnvironment, _ rows: [LiteFile]) {
    self.rows = rows
    self.site = site
    self.tree = tree
  }

  /// Removes the statelite layout.
  /// - Throws: `ImageError` (`notFound`) if the tree does not have it.
  mutating func undo() throws {
    guard try tree.find(Statelite.saved) != nil else {
      throw ImageError(
        .notFound, "image \(site.image)",
        "has a root tree that is not in statelite form, so there is nothing to undo")
    }
    remarks += try Statelite.undo(&tree)
  }

  /// Makes all changes of liteimg, in its order.
  /// - Parameter storage: for the files of synclists; nil leaves them out.
  mutating func makeAll(syncfiles storage: SyncfileStorage?) throws {
    let original = tree.top
    remarks += try Statelite.undo(&tree)
    remarks += try PostscriptCopier.copy(into: &tree, site, withScript: false)
    try makeRootReadOnly()
    remarks += try RootPassword.set(in: &tree, site, salt: original.ids)
    if let storage { remarks += try Syncfiles.copy(into: &tree, site, storage) }
    try removeLeftovers()
    remarks += try Statelite.apply(rows, image: site.image, to: &tree)
    try addBootScript()
  }

  /// Adds opt/xcat/xcatinfo, which names the image on its nodes.
  mutating func addImageInfo(_ created: Timestamp) throws {
    var info = PackEdits(tree, site)
    try info.addImageInfo(created)
    tree = info.tree
  }

  /// Changes etc/fstab so that the root of this image is mounted read-only.
  private mutating func makeRootReadOnly() throws {
    guard let fstab = try tree.find("etc/fstab"), let text = try tree.text("etc/fstab") else {
      return
    }
    let name = Array("\(site.definition.profile)_\(site.definition.architecture)".utf8)
    let lines = text.split(separator: 0x0a, omittingEmptySubsequences: false).map { line in
      line.starts(with: name) ? LiteEdits.readOnly(Array(line)) : Array(line)
    }
    let new = Array(lines.joined(separator: [0x0a]))
    if new != text { try tree.change { $0.put("etc/fstab", .fileLike(fstab, new)) } }
  }

  /// Returns a line with its first word "rw" replaced by "ro".
  private static func readOnly(_ line: [UInt8]) -> [UInt8] {
    func isWord(_ at: Int) -> Bool {
      guard line.indices.contains(at) else { return false }
      let byte = line[at]
      return (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
        || (0x61...0x7a).contains(byte) || byte == 0x5f
    }
    guard
      let at = line.indices.first(where: {
        line[$0...].starts(with: Array("rw".utf8)) && !isWord($0 - 1) && !isWord($0 + 2)
      })
    else { return line }
    return line[..<at] + Array("ro".utf8) + line[(at + 2)...]
  }

  /// Removes the files that dracut left in the tree's tmp.
  private mutating func removeLeftovers() throws {
    let names = try tree.children("tmp").filter {
      $0.kind != .directory && $0.name.starts(with: Array("dracut.".utf8))
    }.map(\.name)
    try tree.change { edits in
      for name in names { edits.remove(RelativePath("tmp").appending(name)) }
    }
  }

  /// Adds etc/init.d/statelite, which runs on a node before all other scripts.
  private mutating func addBootScript() throws {
    let name = isOldPower ? "rc.statelite.ppc.redhat" : "rc.statelite"
    let path = site.xcatRoot.appending("share/xcat/netboot/add-on/statelite/\(name)")
    guard let script = try site.read(path) else {
      remarks.append("\(path.text) is missing, so etc/init.d/statelite is left out")
      return
    }
    try tree.change { $0.put("etc/init.d/statelite", .file(script, mode: 0o755)) }
  }

  /// Whether the image needs the old script: RHEL 5, and RHEL 6.1 to 6.4 on ppc64.
  private var isOldPower: Bool {
    let version = site.definition.osVersion
    guard version.hasPrefix("rh") else { return false }
    let number = version.dropFirst(2).drop { $0.isLetter }
    if number.hasPrefix("5") { return true }
    return ["6.1", "6.2", "6.3", "6.4", "61", "62", "63", "64"].contains(String(number))
      && site.definition.architecture == "ppc64"
  }
}

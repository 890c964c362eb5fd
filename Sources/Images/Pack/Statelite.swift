// Statelite's layout of a root tree (statelite.pm, `liteMe`, and back): what nodes may write to is moved
// to /.default, and a link to /.statelite/tmpfs stands in its place, which leads to /.default until
// the node mounts something of its own there.
//
//     etc/ntp.conf ─▶ ../.statelite/tmpfs/etc/ntp.conf ─▶ ../../../.default/etc/ntp.conf
//
// 1. `undo` of `apply` is the tree as it was, but for empty files and folders that a row asked for.
// 2. Applying undoes the last time first: the result depends on the original and the rows alone. xCAT
//    instead compares the rows, and loses originals below directories that are copied again.
// 3. A path that a row names is changed itself; what links on the way lead to is not.

import Platform
import Render
import Store
import XCAT

enum Statelite {
  static let saved = ".statelite/litefile.save"
  private static let links: TreePath = [Array(".statelite".utf8), Array("tmpfs".utf8)]
  private static let originals: TreePath = [Array(".default".utf8)]

  // MARK: The rows of the last time

  /// The rows that the tree was made with; empty where it is not in statelite form.
  static func savedRows(_ tree: EditableTree) throws -> [LiteFile] {
    guard let text = try tree.text(saved) else {
      guard try tree.find(saved) == nil else {
        throw ImageError(
          saved, "is no small file",
          advice: "It belongs to liteimg: remove it, or generate the tree anew")
      }
      return []
    }
    return text.split(separator: 0x0a).compactMap { line in
      // "IMAGE: OPTION        FILE".
      let words = line.split(separator: 0x20)
      guard words.count == 3, let option = String(validating: words[1], as: UTF8.self),
        let file = String(validating: words[2], as: UTF8.self), file.hasPrefix("/")
      else { return nil }
      return LiteFile(file: file, options: option)
    }
  }

  /// litefile.save, as `ilitefile` prints rows and liteimg keeps them.
  static func text(of rows: [LiteFile], image: String) -> [UInt8] {
    Array(
      rows.map { row in
        let blanks = String(repeating: " ", count: max(0, 13 - row.option.utf8.count))
        return "\(image): \(row.option)\(blanks) \(row.file)\n"
      }.joined().utf8)
  }

  // MARK: Back

  /// Takes the layout back, where the tree has it.
  /// - Returns: what is worth knowing.
  static func undo(_ tree: inout EditableTree) throws -> [String] {
    guard try tree.find(saved) != nil else { return [] }
    var remarks: [String] = []
    let rows = try savedRows(tree)
    for row in rows {
      let path = treePath(row.file)
      let original = try tree.find(originals + path)
      if row.option.hasPrefix("link"), try isLink(path, in: tree) {
        if original == nil {
          remarks.append("/.default\(row.file) is gone: an empty one takes its place")
        }
        try tree.change {
          $0.put(path, original.map { .stored($0) } ?? empty(row))
        }
      }
    }
    try tree.change { edits in
      for row in rows {
        edits.remove(links + treePath(row.file))
        edits.remove(originals + treePath(row.file))
      }
      edits.remove(treePath(saved))
      edits.remove(treePath("etc/init.d/statelite"))
    }
    for top in [".statelite", ".default"] where try isHollow(treePath(top), in: tree) {
      try tree.change { $0.remove(treePath(top)) }
    }
    return remarks
  }

  /// A link of liteimg's is there.
  private static func isLink(_ path: TreePath, in tree: EditableTree) throws -> Bool {
    guard case .symlink(let target) = try tree.find(path)?.content else { return false }
    return target.firstRange(of: Array(".statelite/tmpfs".utf8)) != nil
  }

  /// A directory with nothing but directories in it.
  private static func isHollow(_ path: TreePath, in tree: EditableTree) throws -> Bool {
    guard try tree.find(path)?.kind == .directory else { return false }
    return try tree.children(path).allSatisfy { try isHollow(path + [$0.name], in: tree) }
  }

  private static func empty(_ row: LiteFile) -> OverlayNode {
    row.file.hasSuffix("/") ? .directory(mode: 0o755) : .file([], mode: 0o644)
  }

  // MARK: There

  /// Brings a tree into statelite form.
  /// - Parameter rows: checked by `LiteOptions`; by file, so that directories come before what is in
  ///   them.
  /// - Returns: what is worth knowing.
  static func apply(
    _ rows: [LiteFile], image: String, to tree: inout EditableTree
  ) throws -> [String] {
    var remarks = try undo(&tree)
    try tree.change { $0.put(links, .directory(mode: 0o755)) }
    var copies: UInt64 = 0
    for row in rows {
      if row.option.contains("link") {
        remarks += try link(row, in: &tree)
      } else {
        copies += 1
        try copy(row, number: copies, in: &tree)
      }
    }
    try tree.change { $0.put(treePath(saved), .file(text(of: rows, image: image), mode: 0o644)) }
    return remarks
  }

  private static func link(_ row: LiteFile, in tree: inout EditableTree) throws -> [String] {
    let path = treePath(row.file)
    // Below a linked directory: it has been moved, and needs only to be there.
    guard let place = try tree.resolve(path, followLast: false) else { return [tooManyLinks(row)] }
    if place.path.starts(with: originals) {
      if place.entry == nil {
        try tree.change { $0.put(place.path, empty(row)) }
      }
      return []
    }
    guard place.path == path else {
      return ["\(row.file) lies behind a link, at /\(printable(joined(place.path))): left as it is"]
    }
    if case .symlink(let target) = place.entry?.content {
      // The kernel's own list of mounts, on systems where it is one.
      if row.file == "/etc/mtab", target == Array("/proc/self/mounts".utf8) { return [] }
    }
    let original: OverlayNode
    switch place.entry?.kind {
    case .symlink:
      // Moved, a relative link would lead elsewhere: what it leads to is kept.
      let real = try tree.resolve(path)?.entry
      original =
        real.map { $0.kind == .file || $0.kind == .directory ? .stored($0) : empty(row) }
        ?? empty(row)
    case .some: original = place.entry.map { .stored($0) } ?? empty(row)
    case .none: original = empty(row)
    }
    let up = Array(repeatElement("..", count: path.count - 1))
    let toTop = up.isEmpty ? "." : up.joined(separator: "/")
    let name = joined(path)
    try tree.change { edits in
      edits.put(originals + path, original)
      edits.put(
        links + path, .symlink(target: Array("../../\(toTop)/.default/".utf8) + name))
      edits.put(path, .symlink(target: Array("\(toTop)/.statelite/tmpfs/".utf8) + name))
    }
    return []
  }

  private static func copy(
    _ row: LiteFile, number: UInt64, in tree: inout EditableTree
  ) throws {
    let path = treePath(row.file)
    if try tree.resolve(path)?.entry == nil { try tree.change { $0.put(path, empty(row)) } }
    guard let entry = try tree.find(path) else { return }
    try tree.change { $0.put(originals + path, .copied(entry, number: number)) }
  }

  private static func joined(_ path: TreePath) -> [UInt8] {
    Array(path.joined(separator: [0x2f]))
  }

  private static func tooManyLinks(_ row: LiteFile) -> String {
    "\(row.file): too many links on the way: left as it is"
  }
}

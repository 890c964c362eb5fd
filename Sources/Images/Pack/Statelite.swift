// The statelite layout of a root tree: creates and undoes it (docs/xcat-contract.md#liteimg; statelite.pm,
// `liteMe`). Files that nodes may write are moved to /.default. A link to /.statelite/tmpfs replaces each of
// them. It leads to /.default until the node mounts its own file system there.
//
//     etc/ntp.conf ─▶ ../.statelite/tmpfs/etc/ntp.conf ─▶ ../../../.default/etc/ntp.conf
//
// 1. `undo` after `apply` restores the tree, except that empty files and directories that a row created stay.
// 2. `apply` undoes an earlier layout first, so the result depends only on the original tree and the rows.
//    xCAT compares the rows instead, and loses originals below directories that are copied again.
// 3. Only the path that a row names is changed, never the target of a link on the way to it.

import Platform
import Render
import XCAT

/// The statelite layout of a root tree.
enum Statelite {
  /// The file with the rows of the layout.
  static let saved: RelativePath = ".statelite/litefile.save"
  private static let links: RelativePath = ".statelite/tmpfs"
  private static let originals: RelativePath = ".default"

  // MARK: Saved rows

  /// Returns the rows with which the layout was created; none if the tree does not have the layout.
  /// - Throws: `ImageError` if the file is not a small file.
  static func savedRows(_ tree: EditableTree) throws -> [LiteFile] {
    guard let text = try tree.text(saved) else {
      guard try tree.find(saved) == nil else {
        throw ImageError(
          .definitionInvalid,
          saved.text, "is not a small file",
          hint: "It belongs to liteimg: remove it, or generate the tree again")
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

  /// Returns the content of litefile.save, in the format of `ilitefile` and liteimg.
  static func text(of rows: [LiteFile], image: String) -> [UInt8] {
    Array(
      rows.map { row in
        let blanks = String(repeating: " ", count: max(0, 13 - row.option.utf8.count))
        return "\(image): \(row.option)\(blanks) \(row.file)\n"
      }.joined().utf8)
  }

  // MARK: Undo

  /// Undoes the layout, if the tree has it.
  /// - Returns: remarks for the administrator.
  static func undo(_ tree: inout EditableTree) throws -> [String] {
    guard try tree.find(saved) != nil else { return [] }
    var remarks: [String] = []
    let rows = try savedRows(tree)
    for row in rows {
      guard let path = row.path else { continue }
      let original = try tree.find(originals.appending(path))
      if row.option.hasPrefix("link"), try isLink(path, in: tree) {
        if original == nil {
          remarks.append("/.default\(row.file) is missing: an empty one replaces it")
        }
        try tree.change {
          $0.put(path, original.map { .stored($0) } ?? empty(row))
        }
      }
    }
    try tree.change { edits in
      for path in rows.compactMap(\.path) {
        edits.remove(links.appending(path))
        edits.remove(originals.appending(path))
      }
      edits.remove(saved)
      edits.remove("etc/init.d/statelite")
    }
    for top: RelativePath in [".statelite", ".default"] where try isHollow(top, in: tree) {
      try tree.change { $0.remove(top) }
    }
    return remarks
  }

  /// Returns whether a path is a link of liteimg.
  private static func isLink(_ path: RelativePath, in tree: EditableTree) throws -> Bool {
    guard case .symlink(let target) = try tree.find(path)?.content else { return false }
    return target.firstRange(of: Array(".statelite/tmpfs".utf8)) != nil
  }

  /// Returns whether a path is a directory with only directories in it, at any depth.
  private static func isHollow(_ path: RelativePath, in tree: EditableTree) throws -> Bool {
    guard try tree.find(path)?.kind == .directory else { return false }
    return try tree.children(path).allSatisfy { try isHollow(path.appending($0.name), in: tree) }
  }

  private static func empty(_ row: LiteFile) -> OverlayNode {
    row.file.hasSuffix("/") ? .directory(mode: 0o755) : .file([], mode: 0o644)
  }

  // MARK: Apply

  /// Creates the layout.
  /// - Parameter rows: the rows, checked by `LiteOptions`. They are sorted by file, so that a directory comes
  ///   before its entries.
  /// - Returns: remarks for the administrator.
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
    try tree.change { $0.put(saved, .file(text(of: rows, image: image), mode: 0o644)) }
    return remarks
  }

  private static func link(_ row: LiteFile, in tree: inout EditableTree) throws -> [String] {
    guard let path = row.path else { return [] }
    guard let resolved = try tree.resolve(path.bytes, followLast: false) else {
      return [tooManyLinks(row)]
    }
    // A path below a linked directory has been moved with it. It only has to exist.
    if resolved.path.isInside(originals) {
      if resolved.entry == nil {
        try tree.change { $0.put(resolved.path, empty(row)) }
      }
      return []
    }
    guard resolved.path == path else {
      return [
        "\(row.file) lies behind a link, at /\(resolved.path.text): "
          + "it was not changed"
      ]
    }
    if case .symlink(let target) = resolved.entry?.content {
      // A link to the kernel's list of mounts stays.
      if row.file == "/etc/mtab", target == Array("/proc/self/mounts".utf8) { return [] }
    }
    let original: OverlayNode
    switch resolved.entry?.kind {
    case .symlink:
      // A moved relative link would lead elsewhere: its target is saved instead.
      let real = try tree.resolve(path.bytes)?.entry
      original =
        real.map { $0.kind == .file || $0.kind == .directory ? .stored($0) : empty(row) }
        ?? empty(row)
    case .some: original = resolved.entry.map { .stored($0) } ?? empty(row)
    case .none: original = empty(row)
    }
    let up = Array(repeatElement("..", count: path.components.count - 1))
    let toTop = up.isEmpty ? "." : up.joined(separator: "/")
    try tree.change { edits in
      edits.put(originals.appending(path), original)
      edits.put(
        links.appending(path),
        .symlink(target: Array("../../\(toTop)/.default/".utf8) + path.bytes))
      edits.put(path, .symlink(target: Array("\(toTop)/.statelite/tmpfs/".utf8) + path.bytes))
    }
    return []
  }

  private static func copy(
    _ row: LiteFile, number: UInt64, in tree: inout EditableTree
  ) throws {
    guard let path = row.path else { return }
    if try tree.resolve(path.bytes)?.entry == nil { try tree.change { $0.put(path, empty(row)) } }
    guard let entry = try tree.find(path) else { return }
    try tree.change { $0.put(originals.appending(path), .copied(entry, number: number)) }
  }

  private static func tooManyLinks(_ row: LiteFile) -> String {
    "\(row.file) is behind too many links: it was not changed"
  }
}

extension LiteFile {
  /// The path of the file in the root tree; nil if no entry can have it.
  fileprivate var path: RelativePath? { RelativePath(written: file.utf8) }
}

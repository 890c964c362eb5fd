// A stored root tree with pending edits. Packing and liteimg edit this tree. They change the live tree only
// if the request says so.
//
// 1. Lookups see the edited tree, so a later step sees the edits of the earlier ones.
// 2. A link in the tree never leads out of it: an absolute target begins at the top, and ".." stops there. At
//    most 40 links are followed.

import Platform
import Render
import Store

/// A tree and its edits.
public struct EditableTree {
  /// The maximum size of a file that `text` reads.
  static let maxTextBytes: UInt64 = 16 << 20

  /// The stored objects and those of the edits.
  let view: OverlayTree
  /// The top of the edited tree.
  private(set) var top: Entry
  private let original: Entry

  /// Creates a tree without edits.
  init(_ top: Entry, in view: OverlayTree) {
    self.top = top
    original = top
    self.view = view
  }

  /// Applies the edits of `body` in one pass.
  public mutating func change(_ body: (inout TreeEdits) -> Void) throws {
    var edits = TreeEdits()
    body(&edits)
    top = try view.apply(edits, to: top)
  }

  /// Numbers the hard-link groups as a capture of this tree would.
  mutating func rebuildHardLinkGroups() throws { top = try view.regrouped(top) }

  /// Completes the edits: entries that equal the original ones get their original times.
  mutating func preserveUnchangedTimes() throws {
    top = try view.keepingTimes(of: original, in: top)
  }

  /// Returns the entry at a path; nil if it does not exist. No link is followed.
  public func find(_ path: RelativePath) throws -> Entry? { try view.find(path, in: top) }

  /// Returns the entries of a directory; none if it is not a directory.
  func children(_ path: RelativePath) throws -> [Entry] {
    guard let ids = try find(path)?.ids else { return [] }
    return try Tree.entries(ids, from: view)
  }

  /// Resolves a path, and follows links.
  /// - Parameters:
  ///   - path: the path as it is written; ".." of the top is the top.
  ///   - followLast: whether a link as the last component is followed.
  /// - Returns: the path without links, and its entry, or nil as the entry if it does not exist. Nil after
  ///   more than 40 links.
  func resolve(
    _ path: some Collection<UInt8>, followLast: Bool = true
  ) throws -> (path: RelativePath, entry: Entry?)? {
    try view.resolve(
      writtenComponents(path), below: top, followLast: followLast, allowsMissing: true)
  }

  /// Returns the bytes of a file of at most `maxTextBytes`; nil if the path is absent, another kind or
  /// larger.
  public func text(_ path: RelativePath) throws -> [UInt8]? {
    guard case .file(let blob, let size) = try find(path)?.content,
      size <= EditableTree.maxTextBytes
    else { return nil }
    var text: [UInt8] = []
    try view.read(blob, sizeBytes: size) { text += $0 }
    return text
  }
}

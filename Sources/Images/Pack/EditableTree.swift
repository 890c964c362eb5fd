// A root tree under way: the stored one, with what was changed in it so far. What packing and liteimg
// do to a tree is done here first, and nowhere else unless it is asked for.
//
// 1. Paths are looked up in the tree as it is by now, so that a later step sees the earlier ones.
// 2. A link in the tree leads to somewhere in the tree: an absolute target begins at its top, and
//    ".." ends there. At most 40 are followed.

import Platform
import Render
import Store

/// A path below a tree's top, as components.
typealias TreePath = [[UInt8]]

/// "etc/shadow" or "/etc/shadow/" as components.
func treePath(_ text: String) -> TreePath { treePath(Array(text.utf8)) }

func treePath(_ bytes: [UInt8]) -> TreePath {
  bytes.split(separator: 0x2f).map(Array.init).filter { $0 != [0x2e] }
}

/// The tree, and what was changed in it.
struct EditableTree {
  static let maxTextBytes: UInt64 = 16 << 20

  let view: OverlayTree
  private(set) var top: Entry
  private let original: Entry

  init(_ top: Entry, in view: OverlayTree) {
    self.top = top
    original = top
    self.view = view
  }

  /// Makes the changes of `body`, all at once.
  mutating func change(_ body: (inout TreeEdits) -> Void) throws {
    var edits = TreeEdits()
    body(&edits)
    top = try view.apply(edits, to: top)
  }

  /// Names hard-link groups as they would be in a capture of this tree.
  mutating func regroup() throws { top = try view.regrouped(top) }

  /// Ends the work: what is now as it was at the beginning gets its old times.
  mutating func settle() throws { top = try view.keepingTimes(of: original, in: top) }

  /// The entry at a path; no link is followed.
  func find(_ path: TreePath) throws -> Entry? { try view.find(path, in: top) }

  func find(_ text: String) throws -> Entry? { try find(treePath(text)) }

  /// The entries of a directory; none where no directory is.
  func children(_ path: TreePath) throws -> [Entry] {
    guard let ids = try find(path)?.ids else { return [] }
    return try Tree.entries(ids, from: view)
  }

  /// Where a path leads, links followed, and what is there.
  /// - Returns: nil for more than 40 links.
  func resolve(
    _ path: TreePath, followLast: Bool = true
  ) throws -> (path: TreePath, entry: Entry?)? {
    var here: TreePath = []
    var entry: Entry? = top
    var todo = Array(path.reversed())
    var hops = 0
    while let name = todo.popLast() {
      if name == [0x2e] { continue }
      if name == [0x2e, 0x2e] {
        here = Array(here.dropLast())
        entry = try find(here)
        continue
      }
      let next = try entry.flatMap { try view.find([name], in: $0) }
      if case .symlink(let target) = next?.content, followLast || !todo.isEmpty {
        hops += 1
        guard hops <= 40 else { return nil }
        if target.first == 0x2f {
          here = []
          entry = top
        }
        todo += treePath(target).reversed()
        continue
      }
      here.append(name)
      entry = next
    }
    return (here, entry)
  }

  /// The bytes of a small file; nil where there is none, or what is there is no small file.
  func text(_ path: String) throws -> [UInt8]? {
    guard case .file(let blob, let size) = try find(path)?.content,
      size <= EditableTree.maxTextBytes
    else { return nil }
    var text: [UInt8] = []
    try view.read(blob, sizeBytes: size) { text += $0 }
    return text
  }
}

// The edits of a tree: entries to add, replace or remove.

import Platform
import Store

/// A new entry.
public enum OverlayNode: Sendable {
  /// A file with this content.
  case file([UInt8], mode: UInt16)
  /// A symbolic link.
  case symlink(target: [UInt8])
  /// A file with the attributes of another and new content.
  case fileLike(Entry, [UInt8])
  /// A directory that contains only the entries of other edits.
  case directory(mode: UInt16)
  /// A directory with the attributes of an entry, otherwise like `directory`.
  case emptied(Entry)
  /// An entry of the stored tree at another path.
  case stored(Entry)
  /// An entry of the stored tree with another time. All other edits keep the times of entries that stay
  /// equal.
  case touched(Entry, Timestamp)
  /// A copy of an entry of the stored tree. Hard links among its files stay links. None links to
  /// the original or to a copy with another number.
  case copied(Entry, number: UInt64)
}

/// The edits of a tree. Later edits override earlier ones.
public struct TreeEdits: Sendable {
  enum Action: Sendable {
    case keep
    case remove
    case put(OverlayNode)
  }
  struct Node: Sendable {
    var action = Action.keep
    var children: [[UInt8]: Node] = [:]

    /// Whether an edit here or below sets a time.
    var setsTime: Bool {
      if case .put(.touched) = action { return true }
      return children.values.contains { $0.setsTime }
    }

    /// Whether an edit adds an entry below, which requires the directory to exist.
    var puts: Bool {
      children.values.contains { child in
        if case .put = child.action { true } else { child.puts }
      }
    }
  }
  var top = Node()

  /// Creates an empty set of edits.
  public init() {}

  /// Whether there are no edits.
  public var isEmpty: Bool { top.children.isEmpty }

  /// Removes an entry and everything below it.
  public mutating func remove(_ path: RelativePath) { set(path, .remove) }

  /// Adds or replaces an entry. Missing parent directories get mode 0755, and replace entries of other kinds.
  public mutating func put(_ path: RelativePath, _ node: OverlayNode) { set(path, .put(node)) }

  private mutating func set(_ path: RelativePath, _ action: Action) {
    if path.isTop { return }
    func descend(_ node: inout Node, _ rest: ArraySlice<[UInt8]>) {
      guard let name = rest.first else {
        node = Node(action: action)
        return
      }
      descend(&node.children[name, default: Node()], rest.dropFirst())
    }
    descend(&top, path.components[...])
  }
}

// Decides the contents of an image from the trees alone, before any content is read.
//
// 1. The nodes are in the order of a walk in which all entries of a directory are adjacent and
//    precede their descendants. Children have greater indices than their directory.
// 2. Inode numbers ascend in this order, from 1. Links to one inode share the number of the first.
// 3. A content is stored once, however many files have it.
// 4. Nothing recurses, so the depth of a tree does not affect the stack.

import Codec
import Platform
import Store

/// An entry of an image.
struct SquashfsNode: Sendable {
  let entry: Entry
  /// The index of the directory's node. The root is its own parent.
  let parent: Int
  var children: Range<Int> = 0..<0
  var isKept: Bool
  /// The node whose inode this one has: itself, except for further hard links.
  var original: Int
  var inode: UInt32 = 0
  /// The number of names of this inode. For a directory, the format's count: 2 plus one per subdirectory.
  var links: UInt32 = 1
  /// The index of its content; nil for empty files and other kinds.
  var content: Int?
}

/// The plan of an image.
struct SquashfsPlan: Sendable {
  fileprivate(set) var nodes: [SquashfsNode] = []
  fileprivate(set) var contents: [SquashfsContent] = []
  fileprivate(set) var inodes: UInt32 = 0
  fileprivate(set) var problems: [SquashfsProblem] = []

  /// Returns the path of a node, relative to the root.
  func path(of node: Int) -> [UInt8] {
    var names: [[UInt8]] = []
    var at = node
    while at != 0 {
      names.append(nodes[at].entry.name)
      at = nodes[at].parent
    }
    return Array(names.reversed().joined(separator: [0x2f]))
  }

  mutating func addProblem(_ node: Int, _ what: String) {
    problems.append(SquashfsProblem(path: path(of: node), what: what))
  }
}

/// Creates plans.
struct SquashfsPlanner {
  typealias Filter = (_ path: [UInt8], _ entry: Entry) throws -> SquashfsSelection

  private let source: OverlayTree
  private let blockBytes: Int
  private let filter: Filter?
  private var plan = SquashfsPlan()

  init(_ source: OverlayTree, blockBytes: Int, filter: Filter?) {
    self.source = source
    self.blockBytes = blockBytes
    self.filter = filter
  }

  /// Returns the plan of a tree.
  /// - Throws: `StoreError` if trees cannot be read; `RenderError` if the format cannot represent the tree.
  consuming func plan(_ root: Entry) throws -> SquashfsPlan {
    guard root.kind == .directory, let ids = root.ids else {
      throw RenderError(
        "squashfs image", "cannot have a \(root.kind.noun) without entries as its root",
        hint: "Name a directory of the snapshot that could be read")
    }
    plan.nodes.append(SquashfsNode(entry: root, parent: 0, isKept: true, original: 0))
    try walk(ids)
    keepNeeded()
    try number()
    return plan
  }

  // MARK: Walking

  private mutating func walk(_ root: Tree.IDs) throws {
    var waiting: [(node: Int, ids: Tree.IDs)] = [(0, root)]
    while let (node, ids) = waiting.popLast() {
      let first = plan.nodes.count
      let path = filter == nil ? [] : plan.path(of: node)
      for entry in try Tree.entries(ids, from: source) {
        let selection = try filter?(path.isEmpty ? entry.name : path + [0x2f] + entry.name, entry)
        if selection == .drop { continue }
        let isNeededOnly = selection == .keepIfNeeded && entry.kind == .directory
        plan.nodes.append(
          SquashfsNode(
            entry: entry, parent: node, isKept: !isNeededOnly, original: plan.nodes.count))
      }
      plan.nodes[node].children = first..<plan.nodes.count
      // Push in reverse, so that the first directory is popped first and the order of names is kept.
      for child in (first..<plan.nodes.count).reversed() {
        if let ids = plan.nodes[child].entry.ids { waiting.append((child, ids)) }
      }
    }
  }

  private mutating func keepNeeded() {
    for node in plan.nodes.indices.reversed() where plan.nodes[node].isKept {
      plan.nodes[plan.nodes[node].parent].isKept = true
    }
  }

  // MARK: Numbering

  private mutating func number() throws {
    var groups: [UInt64: Int] = [:]
    var contents: [Digest: Int] = [:]
    for node in plan.nodes.indices where plan.nodes[node].isKept {
      let entry = plan.nodes[node].entry
      if entry.content.isMissing {
        plan.addProblem(node, "this \(entry.kind.noun) could not be read for the snapshot")
        guard entry.kind == .directory else {
          plan.nodes[node].isKept = false
          continue
        }
      }
      if entry.kind != .directory, entry.linkGroup != 0 {
        if let first = groups[entry.linkGroup] {
          plan.nodes[node].original = first
          plan.nodes[node].inode = plan.nodes[first].inode
          plan.nodes[first].links += 1
          continue
        }
        groups[entry.linkGroup] = node
      }
      guard plan.inodes < UInt32.max - 1 else {
        throw RenderError("squashfs image", "has more inodes than the format can number")
      }
      plan.inodes += 1
      plan.nodes[node].inode = plan.inodes
      if entry.kind == .directory {
        plan.nodes[node].links = 2
        if node != 0 { plan.nodes[plan.nodes[node].parent].links += 1 }
      }
      try check(node, entry)
      if case .file(let blob, let size) = entry.content, size > 0 {
        if let known = contents[blob] {
          plan.nodes[node].content = known
        } else {
          contents[blob] = plan.contents.count
          plan.nodes[node].content = plan.contents.count
          plan.contents.append(
            SquashfsContent(
              blob: blob, sizeBytes: size, holes: try entry.holes.map(holes),
              blockBytes: blockBytes))
        }
      }
    }
  }

  private func holes(_ id: Digest) throws -> HoleMap {
    let bytes = try source.object(.holes, id)
    do throws(CodecError) { return try HoleMap.decode(bytes) } catch {
      throw StoreError(
        .damaged, "hole map \(id)", "is damaged: \(error)",
        hint: "Run 'imgstore verify --deep' to see which snapshots are affected")
    }
  }

  private mutating func check(_ node: Int, _ entry: Entry) throws {
    if entry.modified.seconds < 0 || entry.modified.seconds > Int64(UInt32.max) {
      plan.addProblem(node, "its time is outside the years 1970 to 2106")
    }
    switch entry.content {
    case .symlink(let target) where target.isEmpty || target.count >= 4096:
      throw RenderError(
        printable(plan.path(of: node)),
        "is a symbolic link of \(target.count) bytes; Linux supports 1 to 4095")
    case .device(_, let number) where number.major > 0xfff || number.minor > 0xfffff:
      throw RenderError(
        printable(plan.path(of: node)),
        "is device \(number.major):\(number.minor); squashfs supports numbers up to 4095:1048575")
    // Linux supports 2 TiB in blocks of 128 KiB; the block list of a larger file would exhaust memory.
    case .file(_, let size) where size / UInt64(blockBytes) > 1 << 24:
      throw RenderError(
        printable(plan.path(of: node)),
        "has \(size) bytes, which is too large for blocks of \(blockBytes)",
        hint: "Leave the file out, or choose larger blocks (up to 1 MiB)")
    default: break
    }
  }
}

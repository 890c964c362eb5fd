// Applies the members of layers, in order, to one tree (OCI image specification, "Image Layer Filesystem
// Changeset").
//
// 1. Names are untrusted. A leading '/' counts as the top of the tree, as all programs read it. Names with
//    '..', with a component that no file system holds, and below a whiteout are refused.
// 2. A member below a symbolic link of the tree goes where the link leads, and a link never leads out of the
//    tree: '..' ends at the top, and an absolute target begins there. So a member goes where it would go in a
//    root directory that contains the tree. At most 40 links are followed for a name (path_resolution(7)).
// 3. A whiteout removes an entry of earlier layers only, at any place in its layer. So does an opaque
//    whiteout, for all entries of a directory.
// 4. A directory that occurs again gets new attributes and keeps its entries. Any other member replaces an
//    entry of its name. Another name of a replaced file keeps the old content.
// 5. Memory: about 500 bytes per entry. `ArchiveTreeLimits` bounds entries, names, and members of all layers.

import Archive
import Codec
import Platform
import Store

/// An entry of the tree.
final class LayerNode {
  var entry: ScannedEntry
  /// The entries of a directory; nil for other entries.
  var children: [[UInt8]: LayerNode]?
  /// The last layer with this entry or with an entry below it.
  var layer: Int
  /// The last layer in which an opaque whiteout applied to the directory.
  var opaqueLayer = 0

  init(_ entry: ScannedEntry, layer: Int) {
    self.entry = entry
    self.layer = layer
    if entry.stat.kind == .directory { children = [:] }
  }

  var isDirectory: Bool { children != nil }
}

/// Merges layers.
struct LayerTree: MemberTree {
  private static let maxLinks = 40
  /// The maximum number of components that one name may need, links included.
  private static let maxSteps = 10_000
  private static let prefix = Array(".wh.".utf8)
  private static let opaque = Array(".wh..wh..opq".utf8)
  private static let reserved = Array(".wh..wh.".utf8)

  private let limits: ArchiveTreeLimits
  /// Whether names that begin with ".wh." remove entries. Otherwise they are names like others.
  private let hasWhiteouts: Bool
  private let top: LayerNode
  private var layer = 0
  private var memberCount = 0
  private var entryCount = 0
  private var nameBytes = 0
  private var lastInode: UInt64 = 0

  /// Creates an empty tree, whose top has mode 0755 and belongs to root.
  init(limits: ArchiveTreeLimits, hasWhiteouts: Bool) {
    self.limits = limits
    self.hasWhiteouts = hasWhiteouts
    top = LayerNode(LayerTree.directory([]), layer: 0)
  }

  /// Begins the next layer.
  mutating func beginLayer() { layer += 1 }

  // MARK: Members

  func expectNew(_ path: [UInt8]) throws(BundleError) { _ = try components(of: path) }

  mutating func addMember(
    _ path: [UInt8], _ entry: ScannedEntry
  ) throws(BundleError) -> UInt64? {
    try countMember(path)
    let parts = try components(of: path)
    guard let name = parts.last else {
      guard entry.stat.kind == .directory else {
        throw refusal(path, "is the top of the tree, but not a directory")
      }
      top.entry.stat = entry.stat
      top.entry.stat.inode = 0
      top.entry.xattrs = entry.xattrs
      return 0
    }
    let directory = try openDirectory(parts.dropLast(), path)
    lastInode += 1
    return try put(name, entry, inode: lastInode, in: directory, path)
  }

  mutating func addLink(
    _ path: [UInt8], to target: [UInt8]
  ) throws(BundleError) -> Digest? {
    try countMember(path)
    guard let node = try find(try components(of: target), target) else {
      throw refusal(
        path, "is a hard link to \(printable(target.prefix(255))), which does not exist before it")
    }
    guard !node.isDirectory else {
      throw refusal(path, "is a hard link to the directory \(printable(target.prefix(255)))")
    }
    guard let name = try components(of: path).last else {
      throw refusal(path, "is the top of the tree, but not a directory")
    }
    let directory = try openDirectory(try components(of: path).dropLast(), path)
    // A link to itself changes nothing.
    if directory.children?[name] === node {
      node.layer = layer
    } else {
      node.entry.stat.links = 2
      _ = try put(name, node.entry, inode: node.entry.stat.inode, in: directory, path)
    }
    if case .file(let blob) = node.entry.content { return blob }
    return nil
  }

  mutating func takeWhiteout(_ path: [UInt8]) throws(BundleError) -> Bool {
    guard hasWhiteouts else { return false }
    let parts = try components(of: path)
    if parts.dropLast().contains(where: { $0.starts(with: LayerTree.reserved) }) {
      // Directories in which aufs keeps its own files.
      return true
    }
    guard !parts.dropLast().contains(where: { $0.starts(with: LayerTree.prefix) }) else {
      throw refusal(path, "lies below a whiteout")
    }
    guard let name = parts.last, name.starts(with: LayerTree.prefix) else { return false }
    try countMember(path)
    let isOpaque = name == LayerTree.opaque
    if name.starts(with: LayerTree.reserved), !isOpaque { return true }
    let victim = Array(name.dropFirst(LayerTree.prefix.count))
    guard isOpaque || FileName(victim) != nil else {
      throw refusal(path, "is a whiteout of no name")
    }
    guard let directory = try walk(parts.dropLast(), path, { _, _ in nil })?.last else {
      return true
    }
    if isOpaque {
      removeEarlier(in: directory)
    } else if let node = directory.children?[victim] {
      if node.layer < layer {
        remove(victim, from: directory)
      } else if node.isDirectory {
        removeEarlier(in: node)
      }
    }
    return true
  }

  func forEachEntry(_ body: (inout ScannedEntry) -> Void) {
    var pending = [top]
    while let node = pending.popLast() {
      body(&node.entry)
      if let children = node.children { pending += children.values }
    }
  }

  // MARK: The end

  /// Completes the tree and releases the nodes.
  /// - Returns: the entry of the top, and all its directories.
  mutating func finish() -> (top: ScannedEntry, directories: [ScannedDirectory]) {
    var directories: [ScannedDirectory] = []
    let collection = ScannedDirectory(name: [], parent: nil, cached: nil)
    directories.append(collection)
    func convert(_ node: LayerNode, _ parent: ScannedDirectory) -> ScannedEntry {
      var entry = node.entry
      guard let children = node.children else { return entry }
      let directory = ScannedDirectory(name: entry.name, parent: parent, cached: nil)
      directories.append(directory)
      directory.entries.reserveCapacity(children.count)
      for (_, child) in children.sorted(by: { precedes($0.key, $1.key) }) {
        directory.entries.append(convert(child, directory))
      }
      node.children = [:]
      entry.content = .directory(directory)
      return entry
    }
    return (convert(top, collection), directories)
  }

  // MARK: Changes

  /// Puts an entry into a directory, in the place of another of that name.
  private mutating func put(
    _ name: [UInt8], _ new: ScannedEntry, inode: UInt64, in directory: LayerNode, _ path: [UInt8]
  ) throws(BundleError) -> UInt64 {
    var entry = ScannedEntry(name: name, stat: new.stat, content: new.content)
    entry.xattrs = new.xattrs
    entry.holes = new.holes
    entry.stat.inode = inode
    if let node = directory.children?[name] {
      if node.isDirectory, new.stat.kind == .directory {
        node.entry = entry
        node.layer = layer
        return inode
      }
      remove(name, from: directory)
    }
    try countEntry(entry, path)
    directory.children?[name] = LayerNode(entry, layer: layer)
    return inode
  }

  private mutating func remove(_ name: [UInt8], from directory: LayerNode) {
    guard let node = directory.children?.removeValue(forKey: name) else { return }
    var pending = [node]
    while let node = pending.popLast() {
      entryCount -= 1
      nameBytes -= LayerTree.nameBytes(of: node.entry)
      guard let children = node.children else { continue }
      pending += children.values
      // A deep chain of directories must not be released by recursion.
      node.children = [:]
    }
  }

  /// Removes the entries of earlier layers from a directory, at any depth.
  private mutating func removeEarlier(in directory: LayerNode) {
    var pending = [directory]
    while let node = pending.popLast() {
      // All entries are of this layer then.
      if node.opaqueLayer == layer { continue }
      node.opaqueLayer = layer
      for (name, child) in node.children ?? [:] {
        if child.layer < layer {
          remove(name, from: node)
        } else if child.isDirectory {
          pending.append(child)
        }
      }
    }
  }

  // MARK: Places

  /// Returns the directory of a path, following links. Missing directories are created.
  private mutating func openDirectory(
    _ parts: ArraySlice<[UInt8]>, _ path: [UInt8]
  ) throws(BundleError) -> LayerNode {
    var created: [LayerNode] = []
    guard
      let chain = try walk(
        parts, path,
        { name, directory in
          let node = LayerNode(LayerTree.directory(name), layer: 0)
          created.append(node)
          directory.children?[name] = node
          return node
        })
    else { throw refusal(path, "lies below an entry that is not a directory") }
    for node in created {
      lastInode += 1
      node.entry.stat.inode = lastInode
      try countEntry(node.entry, path)
    }
    for node in chain { node.layer = layer }
    guard chain.count < Walker.maxDepth else {
      throw refusal(path, "is nested deeper than \(Walker.maxDepth) directories")
    }
    return chain[chain.count - 1]
  }

  /// Returns the entry with a path, following links in its directories; nil if it does not exist.
  private func find(
    _ parts: some BidirectionalCollection<[UInt8]>, _ path: [UInt8]
  ) throws(BundleError) -> LayerNode? {
    guard let name = parts.last else { return top }
    return try walk(parts.dropLast(), path, { _, _ in nil })?.last?.children?[name]
  }

  /// Follows a path of directories.
  /// - Parameter make: returns the node for a name that does not exist; nil to end the walk.
  /// - Returns: the directories from the top to the last one; nil if one is missing or not a directory.
  private func walk(
    _ parts: some BidirectionalCollection<[UInt8]>, _ path: [UInt8],
    _ make: ([UInt8], LayerNode) -> LayerNode?
  ) throws(BundleError) -> [LayerNode]? {
    var chain = [top]
    var pending = Array(parts.reversed())
    var links = 0
    var steps = 0
    while let name = pending.popLast() {
      steps += 1
      guard steps <= LayerTree.maxSteps else { throw refusal(path, "needs too many links") }
      if name.isEmpty || name == [0x2e] { continue }
      if name == [0x2e, 0x2e] {
        if chain.count > 1 { chain.removeLast() }
        continue
      }
      let directory = chain[chain.count - 1]
      guard FileName(name) != nil, chain.count < Walker.maxDepth else {
        throw refusal(path, "lies below a link whose target no file system holds")
      }
      guard let node = directory.children?[name] ?? make(name, directory) else { return nil }
      if case .symlink(let target) = node.entry.content {
        links += 1
        guard links <= LayerTree.maxLinks else {
          throw refusal(path, "lies below too many symbolic links")
        }
        if target.first == 0x2f { chain = [top] }
        pending += target.split(separator: 0x2f).reversed().map { Array($0) }
      } else if node.isDirectory {
        chain.append(node)
      } else {
        return nil
      }
    }
    return chain
  }

  /// Returns the components of a member's name; none for the top.
  private func components(of path: [UInt8]) throws(BundleError) -> [[UInt8]] {
    var parts: [[UInt8]] = []
    for part in path.split(separator: 0x2f) where !part.elementsEqual([0x2e]) {
      let part = Array(part)
      guard part != [0x2e, 0x2e] else { throw refusal(path, "leads out of the tree with '..'") }
      guard FileName(part) != nil else {
        throw refusal(path, "has a name component that exceeds 255 bytes or contains a NUL")
      }
      parts.append(part)
    }
    return parts
  }

  // MARK: Limits

  private static func directory(_ name: [UInt8]) -> ScannedEntry {
    let stat = FileStat(
      kind: .directory, mode: 0o755, uid: 0, gid: 0,
      modified: Timestamp(seconds: 0, nanoseconds: 0))
    return ScannedEntry(name: name, stat: stat, content: .node)
  }

  private static func nameBytes(of entry: ScannedEntry) -> Int {
    if case .symlink(let target) = entry.content { return entry.name.count + target.count }
    return entry.name.count
  }

  private mutating func countMember(_ path: [UInt8]) throws(BundleError) {
    memberCount += 1
    guard memberCount <= limits.maxMembers else {
      throw refusal(path, "exceeds the limit of \(limits.maxMembers) members in all layers")
    }
  }

  private mutating func countEntry(
    _ entry: ScannedEntry, _ path: [UInt8]
  ) throws(BundleError) {
    entryCount += 1
    nameBytes += LayerTree.nameBytes(of: entry)
    guard entryCount <= limits.maxEntries else {
      throw refusal(path, "exceeds the limit of \(limits.maxEntries) entries")
    }
    guard nameBytes <= limits.maxNameBytes else {
      throw refusal(path, "exceeds the limit of \(limits.maxNameBytes) bytes for all names")
    }
  }

  private func refusal(_ path: [UInt8], _ reason: String) -> BundleError {
    BundleError(
      "member \(printable(path.prefix(255)))\(path.count > 255 ? "…" : "")", reason,
      hint: "Nothing was imported; do not trust this image")
  }
}

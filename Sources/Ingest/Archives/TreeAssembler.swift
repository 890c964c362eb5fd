// Assembles the members of an archive, in any order, into a tree.
//
// 1. Names are untrusted. Each name is split and checked before anything is created from it. An archive is
//    rejected if a name leads out of the tree, occurs twice, or is below an entry that is not a directory.
// 2. Directories without a member get mode 0755, owner root and time 0. A later or repeated member
//    sets their attributes.
// 3. Memory: about 400 bytes per entry. `ArchiveTreeLimits` bounds the number of entries and the
//    bytes of names.

import Archive
import Codec
import Platform
import Store

/// The maximum size of an archive; larger ones are rejected.
public struct ArchiveTreeLimits: Sendable {
  /// The maximum number of entries: members, and directories that occur only in members' names.
  public var maxEntries = 5_000_000
  /// The maximum number of bytes of all names and link targets.
  public var maxNameBytes = 512 << 20
  /// The maximum number of members of all layers of an image. Later members may replace earlier ones.
  public var maxMembers = 20_000_000
  /// Creates the default limits.
  public init() {}
}

/// Assembles a tree from members.
struct TreeAssembler {
  /// The position of an entry in the tree.
  struct Position {
    let directory: ScannedDirectory
    let index: Int
  }

  /// The names of one inode in a cpio archive, which stores the content with one of them.
  private struct LinkGroup {
    var positions: [Position]
    var blob: (id: Digest, sizeBytes: UInt64)?
    var modified: Timestamp
  }

  private let top: [UInt8]
  private let limits: ArchiveTreeLimits
  /// The parent of the top, like the collection of components in a capture.
  private let collection = ScannedDirectory(name: [], parent: nil, cached: nil)
  private var names: [ObjectIdentifier: [[UInt8]: Int]] = [:]
  private var directories: [ScannedDirectory] = []
  private var groups: [CpioInode: LinkGroup] = [:]
  private var entryCount = 0
  private var nameBytes = 0

  /// Creates an empty tree.
  /// - Parameter top: the directory that contains all members.
  init(top: [UInt8], limits: ArchiveTreeLimits) {
    self.top = top
    self.limits = limits
    directories = [collection]
  }

  // MARK: Members

  /// Adds a member with the content of `entry`, whose name is ignored.
  /// - Returns: the member's position; nil for the parent of the top ("."), which is not in the tree.
  mutating func add(_ path: [UInt8], _ entry: ScannedEntry) throws(BundleError) -> Position? {
    try count(path.count, path)
    if case .symlink(let target) = entry.content { try count(target.count, path) }
    guard let parts = try components(of: path, isDirectory: entry.stat.kind == .directory) else {
      return nil
    }
    var directory = collection
    for part in parts.dropLast() { directory = try enter(directory, part, path) }
    guard let name = parts.last else { return nil }
    if let index = names[ObjectIdentifier(directory)]?[name] {
      guard entry.stat.kind == .directory, case .directory = directory.entries[index].content else {
        throw refusal(path, "occurs twice in the archive")
      }
      let inode = directory.entries[index].stat.inode
      directory.entries[index].stat = entry.stat
      directory.entries[index].stat.inode = inode
      directory.entries[index].xattrs = entry.xattrs
      return Position(directory: directory, index: index)
    }
    return try insert(name, entry, directory, path)
  }

  /// Makes the checks of `add` before the content of a member is read.
  func expectNew(_ path: [UInt8]) throws(BundleError) {
    guard let parts = try components(of: path, isDirectory: false) else { return }
    if find(parts) != nil { throw refusal(path, "occurs twice in the archive") }
  }

  /// Adds a tar archive's hard link: another name of an earlier member.
  /// - Returns: the content of that member, if it is a file.
  mutating func addLink(_ path: [UInt8], to target: [UInt8]) throws(BundleError) -> Digest? {
    try count(target.count, path)
    guard let parts = try components(of: target, isDirectory: false), let found = find(parts) else {
      throw refusal(
        path,
        "is a hard link to \(printable(target)), which is not an earlier member of the archive")
    }
    var entry = found.directory.entries[found.index]
    guard entry.stat.kind != .directory else {
      throw refusal(path, "is a hard link to the directory \(printable(target))")
    }
    found.directory.entries[found.index].stat.links = 2
    entry.stat.links = 2
    _ = try add(path, entry)
    if case .file(let blob) = entry.content { return blob }
    return nil
  }

  /// Calls `body` with each entry, which it may change in place.
  func forEachEntry(_ body: (inout ScannedEntry) -> Void) {
    for directory in directories {
      for index in directory.entries.indices { body(&directory.entries[index]) }
    }
  }

  /// Adds a name of a cpio archive's inode that has several names.
  /// - Parameter blob: the content that the archive stores with this name, if any.
  mutating func addLinked(
    _ path: [UInt8], _ entry: ScannedEntry, _ inode: CpioInode,
    blob: (id: Digest, sizeBytes: UInt64)?
  ) throws(BundleError) {
    guard let position = try add(path, entry) else { return }
    guard var group = groups.removeValue(forKey: inode) else {
      groups[inode] = LinkGroup(positions: [position], blob: blob, modified: entry.stat.modified)
      return
    }
    if let first = group.positions.first?.entry {
      guard first.isSameInode(as: entry) else {
        throw refusal(
          path, "is a hard link to \(printable(first.name)) with different attributes")
      }
      position.directory.entries[position.index].stat.inode = first.stat.inode
    }
    group.positions.append(position)
    if let blob {
      if let known = group.blob, known.id != blob.id {
        throw refusal(
          path, "is a hard link whose content differs from an earlier name of its inode")
      }
      group.blob = blob
      group.modified = entry.stat.modified
    }
    groups[inode] = group
  }

  // MARK: The end

  /// Completes the tree: sorts all entries in byte order and gives every link its content.
  /// - Returns: the entry of the top directory.
  mutating func finish() throws(BundleError) -> ScannedEntry {
    for group in groups.values {
      for position in group.positions {
        position.directory.entries[position.index].stat.links = 2
        position.directory.entries[position.index].stat.modified = group.modified
        guard case .unread = position.entry.content else { continue }
        let blob = group.blob ?? (emptyBlob, 0)
        position.directory.entries[position.index].content = .file(blob: blob.id)
        position.directory.entries[position.index].stat.size = blob.sizeBytes
      }
    }
    groups = [:]
    names = [:]
    for directory in directories { directory.entries.sort { precedes($0.name, $1.name) } }
    guard let entry = collection.entries.first else {
      throw BundleError(
        "the archive", "has no member in the directory \(printable(top))/",
        hint: "Check that it is an archive of a root tree")
    }
    return entry
  }

  /// Releases the tree after it was encoded.
  func dismantle() { for directory in directories { directory.releaseChildren() } }

  // MARK: Places

  private func find(_ parts: [[UInt8]]) -> Position? {
    var directory = collection
    for part in parts.dropLast() {
      guard let index = names[ObjectIdentifier(directory)]?[part],
        case .directory(let next) = directory.entries[index].content
      else { return nil }
      directory = next
    }
    guard let name = parts.last, let index = names[ObjectIdentifier(directory)]?[name] else {
      return nil
    }
    return Position(directory: directory, index: index)
  }

  private mutating func enter(
    _ directory: ScannedDirectory, _ name: [UInt8], _ path: [UInt8]
  ) throws(BundleError) -> ScannedDirectory {
    if let index = names[ObjectIdentifier(directory)]?[name] {
      guard case .directory(let next) = directory.entries[index].content else {
        throw refusal(
          path,
          "lies below \(printable(name)), which is a \(directory.entries[index].stat.kind.noun)")
      }
      return next
    }
    let stat = FileStat(
      kind: .directory, mode: 0o755, uid: 0, gid: 0,
      modified: Timestamp(seconds: 0, nanoseconds: 0))
    let entry = ScannedEntry(name: name, stat: stat, content: .node)
    let position = try insert(name, entry, directory, path)
    guard case .directory(let next) = position.entry.content else {
      preconditionFailure("the directory was just inserted")
    }
    return next
  }

  private mutating func insert(
    _ name: [UInt8], _ entry: ScannedEntry, _ directory: ScannedDirectory, _ path: [UInt8]
  ) throws(BundleError) -> Position {
    entryCount += 1
    guard entryCount <= limits.maxEntries else {
      throw refusal(path, "exceeds the limit of \(limits.maxEntries) members")
    }
    var stat = entry.stat
    if stat.links == 1 { stat.inode = UInt64(entryCount) }
    var content = entry.content
    if stat.kind == .directory {
      let child = ScannedDirectory(name: name, parent: directory, cached: nil)
      directories.append(child)
      content = .directory(child)
    }
    var newEntry = ScannedEntry(name: name, stat: stat, content: content)
    newEntry.xattrs = entry.xattrs
    newEntry.holes = entry.holes
    directory.entries.append(newEntry)
    names[ObjectIdentifier(directory), default: [:]][name] = directory.entries.count - 1
    return Position(directory: directory, index: directory.entries.count - 1)
  }

  // MARK: Names

  /// Returns the components of a name, starting with the top, or nil for "." itself.
  private func components(
    of path: [UInt8], isDirectory: Bool
  ) throws(BundleError) -> [[UInt8]]? {
    var rest = path[...]
    if rest.first == 0x2f { throw refusal(path, "has an absolute name") }
    while rest.starts(with: [0x2e, 0x2f]) { rest = rest.dropFirst(2) }
    if isDirectory, rest.last == 0x2f { rest = rest.dropLast() }
    if isDirectory, rest.isEmpty ? !path.isEmpty : Array(rest) == [0x2e] { return nil }
    let parts = rest.split(separator: 0x2f, omittingEmptySubsequences: false).map { Array($0) }
    for part in parts where FileName(part) == nil {
      switch part {
      case [0x2e, 0x2e]: throw refusal(path, "leads out of the tree with '..'")
      case []: throw refusal(path, "has an empty component in its name")
      case [0x2e]: throw refusal(path, "has a '.' component in its name")
      default:
        throw refusal(path, "has a name component that exceeds 255 bytes or contains a NUL")
      }
    }
    guard parts.first == top else {
      throw refusal(path, "is outside the directory \(printable(top))/")
    }
    // The limit equals that of a capture.
    guard parts.count < Walker.maxDepth else {
      throw refusal(path, "is nested deeper than \(Walker.maxDepth) directories")
    }
    guard parts.count > 1 || isDirectory else {
      throw refusal(path, "is the top of the tree but not a directory")
    }
    return parts
  }

  private mutating func count(_ bytes: Int, _ path: [UInt8]) throws(BundleError) {
    nameBytes += bytes
    guard nameBytes <= limits.maxNameBytes else {
      throw refusal(
        path, "exceeds the limit of \(limits.maxNameBytes) bytes for all names of the archive")
    }
  }

  private func refusal(_ path: [UInt8], _ reason: String) -> BundleError {
    BundleError(
      "member \(printable(path.prefix(255)))\(path.count > 255 ? "…" : "")", reason,
      hint: "Nothing was imported; do not trust this archive")
  }
}

extension TreeAssembler.Position {
  var entry: ScannedEntry { directory.entries[index] }
}

extension ScannedEntry {
  /// Returns whether the attributes can belong to one inode. The content may differ, because cpio
  /// stores it with one name only.
  fileprivate func isSameInode(as other: ScannedEntry) -> Bool {
    guard stat.kind == other.stat.kind, stat.mode == other.stat.mode,
      stat.uid == other.stat.uid, stat.gid == other.stat.gid, stat.node == other.stat.node
    else { return false }
    if case .symlink(let a) = content, case .symlink(let b) = other.content { return a == b }
    return true
  }
}

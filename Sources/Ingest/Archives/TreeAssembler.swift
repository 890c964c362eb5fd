// The members of an archive become a tree, in whatever order they come.
//
// 1. The names are hostile. Each is taken apart and checked before anything is made of it; what
//    leads out of the tree, stands twice or lies below what is no directory refuses the archive.
// 2. Directories that the archive does not name get mode 0755, owner root, time 0; one that comes
//    later, or again, sets its attributes.
// 3. Memory: about 400 bytes an entry, and no more entries and bytes of names than the limits say.

import Archive
import Codec
import Platform
import Store

/// How much an archive may hold before it is refused.
public struct ArchiveTreeLimits: Sendable {
  /// Members, and directories that stand in members' names only.
  public var maxEntries = 5_000_000
  /// Names and link targets together.
  public var maxNameBytes = 512 << 20
  public init() {}
}

/// Puts members in their places.
struct TreeAssembler {
  /// Where an entry is.
  struct Place {
    let directory: ScannedDirectory
    let index: Int
  }

  /// Names of one inode, as a cpio archive has them: the content stands with one of them.
  private struct LinkGroup {
    var places: [Place]
    var blob: (id: Digest, sizeBytes: UInt64)?
    var modified: Timestamp
  }

  private let top: [UInt8]
  private let limits: ArchiveTreeLimits
  /// Holds the top alone, as the collection of a capture's pieces holds a piece.
  private let collection = ScannedDirectory(name: [], parent: nil, cached: nil)
  private var names: [ObjectIdentifier: [[UInt8]: Int]] = [:]
  private var directories: [ScannedDirectory] = []
  private var groups: [CpioInode: LinkGroup] = [:]
  private var entryCount = 0
  private var nameBytes = 0

  /// - Parameter top: the folder that all members lie in.
  init(top: [UInt8], limits: ArchiveTreeLimits) {
    self.top = top
    self.limits = limits
    directories = [collection]
  }

  // MARK: Members

  /// Puts a member in its place; its content is what `entry` says, and its name is not used.
  /// - Returns: its place; nil for the folder that the top lies in ("."), which is not in the tree.
  mutating func add(_ path: [UInt8], _ entry: ScannedEntry) throws(BundleError) -> Place? {
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
        throw refusal(path, "stands twice in the archive")
      }
      let inode = directory.entries[index].stat.inode
      directory.entries[index].stat = entry.stat
      directory.entries[index].stat.inode = inode
      directory.entries[index].xattrs = entry.xattrs
      return Place(directory: directory, index: index)
    }
    return try insert(name, entry, directory, path)
  }

  /// The checks that `add` would make, before a member's content is read.
  func expectNew(_ path: [UInt8]) throws(BundleError) {
    guard let parts = try components(of: path, isDirectory: false) else { return }
    if find(parts) != nil { throw refusal(path, "stands twice in the archive") }
  }

  /// Puts a tar archive's hard link in its place: another name of an earlier member.
  /// - Returns: the content of that member, if it is a file.
  mutating func addLink(_ path: [UInt8], to target: [UInt8]) throws(BundleError) -> Digest? {
    try count(target.count, path)
    guard let parts = try components(of: target, isDirectory: false), let found = find(parts) else {
      throw refusal(
        path, "is a hard link to \(printable(target)), which is no earlier member of the archive")
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

  /// Adds a name of a cpio archive's inode that has several.
  /// - Parameter blob: what stands with this name; nil for nothing.
  mutating func addLinked(
    _ path: [UInt8], _ entry: ScannedEntry, _ inode: CpioInode,
    blob: (id: Digest, sizeBytes: UInt64)?
  ) throws(BundleError) {
    guard let place = try add(path, entry) else { return }
    guard var group = groups.removeValue(forKey: inode) else {
      groups[inode] = LinkGroup(places: [place], blob: blob, modified: entry.stat.modified)
      return
    }
    if let first = group.places.first?.entry {
      guard first.isSameInode(as: entry) else {
        throw refusal(
          path, "is a hard link of \(printable(first.name)) with other attributes than that")
      }
      place.directory.entries[place.index].stat.inode = first.stat.inode
    }
    group.places.append(place)
    if let blob {
      if let known = group.blob, known.id != blob.id {
        throw refusal(path, "is a hard link with other content than an earlier name of its inode")
      }
      group.blob = blob
      group.modified = entry.stat.modified
    }
    groups[inode] = group
  }

  // MARK: The end

  /// The tree: all entries in byte order, every link with its content.
  /// - Returns: the top directory's own entry.
  mutating func finish() throws(BundleError) -> ScannedEntry {
    for group in groups.values {
      for place in group.places {
        place.directory.entries[place.index].stat.links = 2
        place.directory.entries[place.index].stat.modified = group.modified
        guard case .unread = place.entry.content else { continue }
        let blob = group.blob ?? (emptyBlob, 0)
        place.directory.entries[place.index].content = .file(blob: blob.id)
        place.directory.entries[place.index].stat.size = blob.sizeBytes
      }
    }
    groups = [:]
    names = [:]
    for directory in directories { directory.entries.sort { precedes($0.name, $1.name) } }
    guard let entry = collection.entries.first else {
      throw BundleError(
        "the archive", "holds nothing of the folder \(printable(top))/",
        advice: "Check that it is an archive of a root tree")
    }
    return entry
  }

  /// Takes the tree apart, once it has been encoded.
  func dismantle() { for directory in directories { directory.releaseChildren() } }

  // MARK: Places

  private func find(_ parts: [[UInt8]]) -> Place? {
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
    return Place(directory: directory, index: index)
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
    let place = try insert(name, entry, directory, path)
    guard case .directory(let next) = place.entry.content else {
      preconditionFailure("a directory was just put there")
    }
    return next
  }

  private mutating func insert(
    _ name: [UInt8], _ entry: ScannedEntry, _ directory: ScannedDirectory, _ path: [UInt8]
  ) throws(BundleError) -> Place {
    entryCount += 1
    guard entryCount <= limits.maxEntries else {
      throw refusal(path, "is one too many: the archive has more than \(limits.maxEntries) members")
    }
    var stat = entry.stat
    if stat.links == 1 { stat.inode = UInt64(entryCount) }
    var content = entry.content
    if stat.kind == .directory {
      let child = ScannedDirectory(name: name, parent: directory, cached: nil)
      directories.append(child)
      content = .directory(child)
    }
    var made = ScannedEntry(name: name, stat: stat, content: content)
    made.xattrs = entry.xattrs
    made.holes = entry.holes
    directory.entries.append(made)
    names[ObjectIdentifier(directory), default: [:]][name] = directory.entries.count - 1
    return Place(directory: directory, index: directory.entries.count - 1)
  }

  // MARK: Names

  /// A name's parts, the top first; nil for "." itself.
  private func components(
    of path: [UInt8], isDirectory: Bool
  ) throws(BundleError) -> [[UInt8]]? {
    var rest = path[...]
    if rest.first == 0x2f { throw refusal(path, "has an absolute name") }
    while rest.starts(with: [0x2e, 0x2f]) { rest = rest.dropFirst(2) }
    if isDirectory, rest.last == 0x2f { rest = rest.dropLast() }
    if isDirectory, rest.isEmpty ? !path.isEmpty : Array(rest) == [0x2e] { return nil }
    let parts = rest.split(separator: 0x2f, omittingEmptySubsequences: false).map { Array($0) }
    for part in parts where !isValidName(part) {
      switch part {
      case [0x2e, 0x2e]: throw refusal(path, "leads out of the tree with '..'")
      case []: throw refusal(path, "has an empty part in its name")
      case [0x2e]: throw refusal(path, "has a '.' in its name")
      default:
        throw refusal(path, "has a part of more than 255 bytes, or with a NUL, in its name")
      }
    }
    guard parts.first == top else {
      throw refusal(path, "lies outside the folder \(printable(top))/")
    }
    // As deep as the walk goes.
    guard parts.count < Walker.maxDepth else {
      throw refusal(path, "lies deeper than \(Walker.maxDepth) directories")
    }
    guard parts.count > 1 || isDirectory else {
      throw refusal(path, "must be a directory: it is the top of the tree")
    }
    return parts
  }

  private mutating func count(_ bytes: Int, _ path: [UInt8]) throws(BundleError) {
    nameBytes += bytes
    guard nameBytes <= limits.maxNameBytes else {
      throw refusal(
        path, "brings the archive's names to more than \(limits.maxNameBytes) bytes together")
    }
  }

  private func refusal(_ path: [UInt8], _ finding: String) -> BundleError {
    BundleError(
      "member \(printable(path.prefix(255)))\(path.count > 255 ? "…" : "")", finding,
      advice: "Nothing was imported; do not trust this archive")
  }
}

extension TreeAssembler.Place {
  var entry: ScannedEntry { directory.entries[index] }
}

extension ScannedEntry {
  /// The attributes are those of one inode; where the content stands is another matter.
  fileprivate func isSameInode(as other: ScannedEntry) -> Bool {
    guard stat.kind == other.stat.kind, stat.mode == other.stat.mode,
      stat.uid == other.stat.uid, stat.gid == other.stat.gid, stat.node == other.stat.node
    else { return false }
    if case .symlink(let a) = content, case .symlink(let b) = other.content { return a == b }
    return true
  }
}

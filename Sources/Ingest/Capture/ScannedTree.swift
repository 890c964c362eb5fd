// Ingest converts live trees to objects. Each stage has its own file:
//
//     Walker ──▶ ScannedTree ──▶ ContentReader ──▶ TreeBuilder ──▶ trees, times
//        ▲ StatCache (unchanged files)                 └──▶ StatCache of the next capture
//
// This file contains the tree as the walk saw it. It takes about 200 bytes per entry and is the
// only part of Ingest that grows with the image. Content passes through buffers of fixed size.

import Codec
import Platform
import Store

/// The state of an entry's content.
enum ScannedContent {
  /// A file that must be read.
  case unread
  /// A component that disappeared before it could be read.
  case vanished
  case file(blob: Digest)
  case directory(ScannedDirectory)
  /// A mount point, or a snapshot of a subvolume. It counts as empty.
  case excludedDirectory
  /// An entry that could not be examined or read. Possibly only its kind is known.
  case unreadable
  case symlink([UInt8])
  /// A device, fifo or socket, which has only attributes.
  case node

  /// Whether the content need not be read.
  var isKnown: Bool { if case .unread = self { false } else { true } }
}

/// An entry as the walk saw it.
struct ScannedEntry {
  let name: [UInt8]
  var stat: FileStat
  var content: ScannedContent
  var xattrs: Digest?
  var holes: Digest?
  var flags: InodeFlags = []
  var linkGroup: UInt64 = 0
  /// Whether something is mounted on the entry, which was read from below the mount.
  var isCovered = false
  /// Whether the stat cache is valid for content and attributes.
  var isCached = false

  init(name: [UInt8], stat: FileStat, content: ScannedContent) {
    self.name = name
    self.stat = stat
    self.content = content
  }

  /// Creates an entry of which only the kind is known.
  init(unreadable name: [UInt8], kind: FileKind, device: UInt64) {
    let never = Timestamp(seconds: 0, nanoseconds: 0)
    self.init(
      name: name,
      stat: FileStat(device: device, kind: kind, mode: 0, uid: 0, gid: 0, modified: never),
      content: .unreadable)
  }
}

/// Properties of a whole tree, determined once at its root.
final class TreeProperties: Sendable {
  let boundary: MountBoundary
  /// Whether the file system is btrfs, which has subvolumes and a flag that `statx` does not report.
  let isBtrfs: Bool
  /// Whether inode flags must be read by ioctl, file by file.
  let needsFlagRequest: Bool
  /// The excluded paths; nil for none.
  let excludes: ExcludeLists?

  /// Determines the properties of a tree.
  /// - Parameters:
  ///   - root: the attributes of the tree's root.
  ///   - directory: the root, open.
  init(
    of root: FileStat, _ directory: Descriptor, excludes: ExcludeLists? = nil,
    on fileSystem: any FileSystem
  ) {
    self.excludes = excludes
    boundary = MountBoundary(of: root, directory, on: fileSystem)
    isBtrfs = TreeProperties.isBtrfs(directory, fileSystem)
    needsFlagRequest =
      isBtrfs || !root.reportsFlags && (try? fileSystem.inodeFlags(directory.raw)) != nil
  }

  static func isBtrfs(_ file: Descriptor, _ fileSystem: any FileSystem) -> Bool {
    fileSystem.fileSystemType(file.raw) == 0x9123_683e
  }
}

/// A directory as the walk saw it. The thread that walks it writes it; later another single thread does.
final class ScannedDirectory: @unchecked Sendable {  // written by one thread at a time
  /// The parent; nil for the collection of components.
  let parent: ScannedDirectory?
  let name: [UInt8]
  let depth: Int
  var entries: [ScannedEntry] = []
  /// The directory's record in the stat cache.
  let cached: StatCache.Directory?
  let device: UInt64
  /// The properties of the component's tree; nil for the collection of components.
  let properties: TreeProperties?
  /// Whether the names could not be read.
  var isUnreadable = false
  /// The time that replaces the directory's own, which excluded entries change (`TreeExcludes`).
  var recordedTime: Timestamp?
  /// The directory's ids in the store, after the trees are built.
  var ids: Tree.IDs?
  /// Whether every entry matches the cache and none is missing. Such a directory does not change
  /// after the walk.
  private(set) var matchesCache = false
  private var cachedSummary: Summary?

  /// A summary of a directory's entries.
  struct Summary {
    var fileBytes: UInt64 = 0
    /// Whether an entry other than a directory has several names.
    var hasLinks = false
    /// The subdirectories, in byte order.
    var directories: [ScannedDirectory] = []

    /// Adds an entry.
    mutating func add(_ stat: FileStat, _ content: ScannedContent) {
      if case .directory(let child) = content { directories.append(child) }
      // The sum is informational: the sizes of sparse files may overflow it.
      if stat.kind == .file { fileBytes &+= stat.size }
      if stat.kind != .directory, stat.links > 1 { hasLinks = true }
    }
  }

  var summary: Summary {
    if let cachedSummary { return cachedSummary }
    var summary = Summary()
    forEachEntry { summary.add($0.pointee.stat, $0.pointee.content) }
    cachedSummary = summary
    return summary
  }

  /// Marks the walk of the directory as complete.
  func complete(_ summary: Summary, matchesCache: Bool) {
    cachedSummary = summary
    self.matchesCache = matchesCache
  }

  /// Releases the entries. Directories refer to their parents, so they would keep each other alive.
  func releaseChildren() {
    entries = []
    cachedSummary = nil
  }

  /// Discards the summary, because entries vanished or were read with another size or link count
  /// than the walk saw.
  func invalidateSummary() { cachedSummary = nil }

  /// Visits the entries in place: a copy of one takes a quarter of a kilobyte and four reference counts.
  func forEachEntry(_ body: (UnsafePointer<ScannedEntry>) throws -> Void) rethrows {
    try entries.withUnsafeBufferPointer { entries in
      guard let first = entries.baseAddress else { return }
      for i in entries.indices { try body(first + i) }
    }
  }

  init(
    name: [UInt8], parent: ScannedDirectory?, cached: StatCache.Directory?, device: UInt64 = 0,
    properties: TreeProperties? = nil
  ) {
    self.device = device
    self.properties = properties ?? parent?.properties
    self.name = name
    self.parent = parent
    self.cached = cached
    depth = (parent?.depth ?? -1) + 1
  }

  /// The path in the directory's component.
  var relativePath: RelativePath { parent == nil ? .top : address.path }

  /// The address in the image.
  var address: ImagePath { parent?.address(of: name) ?? ImagePath(component: name) }

  /// Returns the address of an entry. The entries of the collection of components have the paths of these as
  /// names.
  func address(of entry: [UInt8]) -> ImagePath {
    guard parent != nil else { return ImagePath(component: entry) }
    var names = [entry]
    var directory = self
    while let parent = directory.parent, parent.parent != nil {
      names.append(directory.name)
      directory = parent
    }
    return ImagePath(component: directory.name, path: RelativePath(components: names.reversed()))
  }
}

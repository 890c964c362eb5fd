// Ingest: from live trees to objects. The stages, each in its own file:
//
//     Walker ──▶ LiveTree ──▶ ContentReader ──▶ TreeBuilder ──▶ trees, times, entries
//        ▲ StatCache (what need not be read)              └──▶ StatCache of the next time
//
// This file: the tree as the walk found it. About 200 bytes an entry, and the only thing here that
// grows with the image; content passes through in bounded buffers.

import Codec
import Platform
import Store

/// What is known of an entry's content.
enum ScannedContent {
  /// A file to be read.
  case unread
  /// A piece that disappeared before it could be read.
  case vanished
  case file(blob: Digest)
  case directory(ScannedDirectory)
  /// Something is mounted on the directory, or it is a snapshot of a subvolume: it counts as empty.
  case excludedDirectory
  /// It could not be examined or read. What is known of it may be its kind only.
  case unreadable
  case symlink([UInt8])
  /// A device, fifo or socket: the attributes are all there is.
  case node
}

/// An entry as the walk found it.
struct ScannedEntry {
  let name: [UInt8]
  var stat: FileStat
  var content: ScannedContent
  var xattrs: Digest?
  var holes: Digest?
  var flags: InodeFlags = []
  var linkGroup: UInt64 = 0
  /// Something is mounted on it: it was found below that.
  var isCovered = false
  /// The stat cache vouches for content and attributes.
  var isCached = false

  init(name: [UInt8], stat: FileStat, content: ScannedContent) {
    self.name = name
    self.stat = stat
    self.content = content
  }

  /// An entry of which only the kind is known.
  init(unreadable name: [UInt8], kind: FileKind, device: UInt64) {
    let never = Timestamp(seconds: 0, nanoseconds: 0)
    self.init(
      name: name,
      stat: FileStat(device: device, kind: kind, mode: 0, uid: 0, gid: 0, modified: never),
      content: .unreadable)
  }
}

/// What holds for a whole tree: asked once, at its root.
final class TreeTraits: Sendable {
  let boundary: MountBoundary
  /// A btrfs: it has subvolumes, and a flag that `statx` does not report.
  let isBtrfs: Bool
  /// The inode flags must be asked for by ioctl, file by file.
  let needsFlagRequest: Bool
  /// What is left out; nil where nothing is.
  let excludes: ExcludeLists?

  /// - Parameter root: what `stat` says of the tree's root, which is open as `directory`.
  init(
    of root: FileStat, _ directory: Descriptor, excludes: ExcludeLists? = nil,
    on fileSystem: any FileSystem
  ) {
    self.excludes = excludes
    boundary = MountBoundary(of: root, directory, on: fileSystem)
    isBtrfs = TreeTraits.isBtrfs(directory, fileSystem)
    needsFlagRequest =
      isBtrfs || !root.reportsFlags && (try? fileSystem.inodeFlags(directory.raw)) != nil
  }

  static func isBtrfs(_ file: Descriptor, _ fileSystem: any FileSystem) -> Bool {
    fileSystem.fileSystemType(file.raw) == 0x9123_683e
  }
}

/// A directory as the walk found it. Written by the thread that walks it, later by one thread.
final class ScannedDirectory: @unchecked Sendable {  // see the line above
  /// Where it is; nil for the collection of pieces.
  let parent: ScannedDirectory?
  let name: [UInt8]
  let depth: Int
  var entries: [ScannedEntry] = []
  /// What the stat cache has of it.
  let cached: StatCache.Directory?
  let device: UInt64
  /// What holds for all directories of the piece; nil for the collection of pieces.
  let traits: TreeTraits?
  /// The names could not be read.
  var isUnreadable = false
  /// The time that counts in place of its own, which excluded entries change (`TreeExcludes`).
  var recordedTime: Timestamp?
  /// What it is in the store, once the trees are built.
  var ids: Tree.IDs?
  /// Every entry is as the cache has it and none is missing: nothing changes there after the walk.
  private(set) var matchesCache = false
  private var cachedSummary: Summary?

  /// What a directory's entries are together.
  struct Summary {
    var fileBytes: UInt64 = 0
    /// Some entry, not a directory, has other names.
    var hasLinks = false
    /// The directories, in byte order.
    var directories: [ScannedDirectory] = []

    /// Adds an entry, by what of it counts.
    mutating func add(_ stat: FileStat, _ content: ScannedContent) {
      if case .directory(let child) = content { directories.append(child) }
      // A sum for people: sparse files may claim more bytes than a word counts.
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

  /// The walk has found all there is.
  func complete(_ summary: Summary, matchesCache: Bool) {
    cachedSummary = summary
    self.matchesCache = matchesCache
  }

  /// Forgets what is in it: directories know what they are in, too, and would keep one another for good.
  func releaseChildren() {
    entries = []
    cachedSummary = nil
  }

  /// Entries have gone, or been read with another size or number of links than the walk saw.
  func invalidateSummary() { cachedSummary = nil }

  /// Visits the entries where they are: a copy of one is a quarter of a kilobyte, and four counts.
  func forEachEntry(_ body: (UnsafePointer<ScannedEntry>) throws -> Void) rethrows {
    try entries.withUnsafeBufferPointer { entries in
      guard let first = entries.baseAddress else { return }
      for i in entries.indices { try body(first + i) }
    }
  }

  init(
    name: [UInt8], parent: ScannedDirectory?, cached: StatCache.Directory?, device: UInt64 = 0,
    traits: TreeTraits? = nil
  ) {
    self.device = device
    self.traits = traits ?? parent?.traits
    self.name = name
    self.parent = parent
    self.cached = cached
    depth = (parent?.depth ?? -1) + 1
  }

  /// The path below the piece that the directory belongs to; empty for the piece itself.
  var relativePath: [UInt8] {
    guard let parent, parent.parent != nil else { return [] }
    let above = parent.relativePath
    return above.isEmpty ? name : above + [0x2f] + name
  }

  func path(of entry: [UInt8]) -> [UInt8] {
    let here = relativePath
    return here.isEmpty ? entry : here + [0x2f] + entry
  }

  /// The absolute path, for messages and notes.
  func absolutePath(of entry: [UInt8]) -> [UInt8] {
    guard parent != nil else { return entry }
    return absolutePath + [0x2f] + entry
  }

  private var absolutePath: [UInt8] { parent?.absolutePath(of: name) ?? [] }
}

// Walks trees: reads names and attributes on several threads, relative to open directories.
//
// 1. No symbolic link is followed and no path is concatenated, so a renamed directory cannot divert the walk.
// 2. Mount points inside a component are not entered; each is noted. `MountBoundary` decides. A
//    file that something is mounted on is recorded as it is below the mount, or as unreadable if
//    that is not accessible.
// 3. An entry that cannot be examined or read stays in the tree as unreadable, with a note. Only an
//    entry that no longer has a name is absent.
// 4. Directories wait on a stack, unopened, each with its open parent. About (threads × depth) of
//    them are open at once.
// 5. Notes are bounded: the first `maxNotes`, with paths of at most 4 KiB, and a last one that
//    counts the rest.
// 6. The store's directory is never part of a tree, whatever its name: device and inode identify
//    it. Files that an unfinished change left behind are not part of a tree either.
// 7. Exhausted descriptors or memory end the walk, because they reveal nothing about an entry.
// 8. An entry that a pattern excludes is noted and not examined further.

import Codec
import Platform
import Store

/// Walks components into scanned directories.
final class Walker: Sendable {
  static let maxDepth = 2000
  static let maxNotes = 1000

  struct Pending {
    let directory: ScannedDirectory
    /// The directory's location. It is opened only when its turn comes, so that few are open at once.
    let location: ResolvedPath
  }

  /// A directory whose entries are examined.
  struct OpenedDirectory {
    let scanned: ScannedDirectory
    var descriptor: Descriptor
    let mounts: MountBoundary.Entries
  }

  /// The entries of a directory in the stat cache, for names in ascending order.
  private struct CachedEntries {
    private var cursor: StatCache.Cursor?
    private var next: StatCache.Entry?
    private var isSkipped = false

    init(_ directory: StatCache.Directory?) {
      cursor = directory?.cursor()
      next = cursor?.next()
    }

    /// Whether the directory could be read, and each entry was taken.
    var isMatched: Bool { cursor?.isAtEnd == true && !isSkipped && next == nil }

    /// Returns the entry of a name.
    mutating func take(_ name: [UInt8]) -> StatCache.Entry? {
      while let entry = next {
        let order = compareNames(entry.name, name)
        if order > 0 { return nil }
        next = cursor?.next()
        if order == 0 { return entry }
        isSkipped = true
      }
      return nil
    }
  }

  let fileSystem: any FileSystem
  let progress: Progress
  /// The store's directory.
  private let store: FileIdentity?
  private let capturedLeftovers: [UInt8]?
  let collected = Monitor(Findings())

  /// The results of the walk other than the tree.
  struct Findings {
    var notes: [Snapshot.Note] = []
    /// The number of problems without a note.
    var leftOut = 0
    /// Directories whose own time is replaced.
    var directoriesWithExcludes: [ScannedDirectory] = []
    /// The attribute sets of the entries, by id.
    var xattrSets: [Digest: [UInt8]] = [:]
  }

  /// Creates a walker.
  /// - Parameter store: the store's directory; nil if there is none.
  init(
    _ fileSystem: any FileSystem, store: FileIdentity?, capturedLeftovers: [UInt8]? = nil,
    progress: Progress
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.capturedLeftovers = capturedLeftovers
    self.progress = progress
  }

  var findings: Findings { collected.withLock { $0 } }

  /// Walks everything below each of `roots`, directories with their open descriptors.
  func walk(_ roots: [(ScannedDirectory, Descriptor)], threads: Int) throws {
    let roots = roots.map {
      Pending(directory: $0.0, location: ResolvedPath(directory: $0.1, name: [0x2e]))
    }
    try WorkStack().run(roots, threads: threads) { try self.list($0) }
  }

  func note(_ kind: Snapshot.Note.Kind, _ path: [UInt8], _ detail: String) {
    collected.withLock { collected in
      // Other notes are few, and they determine the paths that a change leaves alone.
      guard collected.notes.count < Walker.maxNotes || kind != .unreadable else {
        collected.leftOut += 1
        return
      }
      collected.notes.append(Snapshot.Note(kind, path: Array(path.prefix(4096)), detail: detail))
    }
  }

  // MARK: One directory

  /// Reads the entries of a directory.
  /// - Returns: its subdirectories.
  /// - Throws: `SystemError` if descriptors or memory are exhausted.
  private func list(_ pending: Pending) throws(SystemError) -> [Pending] {
    let directory = pending.directory
    var children: [Pending] = []
    guard let (descriptor, names) = try open(pending), let properties = directory.properties
    else { return [] }
    let mounts = properties.boundary.entries(of: directory.relativePath)
    let here = OpenedDirectory(scanned: directory, descriptor: descriptor, mounts: mounts)
    var hasExcludes = properties.excludes?.nameEntries(of: directory.relativePath) ?? false
    var cache = CachedEntries(directory.cached)
    var matchesCache = directory.cached != nil
    var kinds: [[UInt8]: FileKind]?
    var absent: [[UInt8]] = []
    // An entry takes a quarter of a kilobyte, so it is created in place, and packed with the others at the
    // end.
    var entries: [ScannedEntry] = []
    entries.reserveCapacity(names.count)
    for name in names {
      let match = cache.take(name)
      do throws(SystemError) {
        let stat = try fileSystem.stat(at: descriptor.raw, name, followLink: false)
        if isImgstoreEntry(name, stat, directory) {
          if match != nil { matchesCache = false }
          continue
        }
        if let excludes = properties.excludes, isExcluded(name, stat, directory, excludes) {
          if match != nil { matchesCache = false }
          hasExcludes = true
          continue
        }
        if stat.kind != .directory, mounts.isMounted(name, stat) {
          entries.append(try examineCovered(name, here, &kinds, &children))
        } else {
          try examine(name, stat, match, here, &children, &entries)
        }
      } catch {
        if error.isExhaustion { throw error }
        matchesCache = false
        if error.isAbsent {
          absent.append(name)
          continue
        }
        entries.append(try unexamined(name, error, here, &kinds))
      }
      let last = entries.count - 1
      if !entries[last].isCached { matchesCache = false }
    }
    if hasExcludes { collected.withLock { $0.directoriesWithExcludes.append(directory) } }
    directory.entries = entries
    if !absent.isEmpty { try keepDamaged(absent, directory, descriptor) }
    directory.complete(matchesCache: matchesCache && cache.isMatched)
    progress.add(items: UInt64(names.count))
    return children
  }

  /// Opens a directory and lists its names in byte order; marks it as unreadable and returns nil if that
  /// fails.
  private func open(
    _ pending: Pending
  ) throws(SystemError) -> (descriptor: Descriptor, names: [[UInt8]])? {
    do {
      let descriptor = try fileSystem.openDirectory(
        at: pending.location.directory.raw, pending.location.name)
      return (descriptor, try fileSystem.names(of: descriptor.raw).sorted(by: precedes))
    } catch {
      if error.isExhaustion { throw error }
      markUnreadable(pending.directory, "\(error.code)")
      return nil
    }
  }

  /// Returns whether a pattern excludes the entry, and notes it.
  private func isExcluded(
    _ name: [UInt8], _ stat: FileStat, _ directory: ScannedDirectory, _ excludes: ExcludeLists
  ) -> Bool {
    let path = directory.address(of: name).path
    guard let pattern = excludes.match(path, isDirectory: stat.kind == .directory) else {
      return false
    }
    note(.excluded, directory.address(of: name).bytes, pattern.text)
    return true
  }

  /// Returns whether the entry belongs to imgstore and is not part of the tree, and notes it.
  private func isImgstoreEntry(
    _ name: [UInt8], _ stat: FileStat, _ directory: ScannedDirectory
  ) -> Bool {
    let isStore = stat.kind == .directory && store == FileIdentity(stat)
    guard let detail = isStore ? "the store" : leftover(name) else { return false }
    note(.ownFiles, directory.address(of: name).bytes, detail)
    return true
  }

  private func leftover(_ name: [UInt8]) -> String? {
    if let capturedLeftovers, name.starts(with: capturedLeftovers) { return nil }
    return Leftovers.detail(of: name)
  }

  /// Handles names without an entry. Names that have gone since the directory was read are ignored. Names
  /// that the directory still lists belong to a damaged directory, and become unreadable entries.
  private func keepDamaged(
    _ absent: [[UInt8]], _ directory: ScannedDirectory, _ descriptor: Descriptor
  ) throws(SystemError) {
    let listed = try listKinds(descriptor)
    var isAdded = false
    for name in absent {
      guard let kind = listed[name],
        (try? fileSystem.stat(at: descriptor.raw, name, followLink: false)) == nil
      else { continue }
      note(.unreadable, directory.address(of: name).bytes, "\(SystemError.Code.notFound)")
      directory.entries.append(
        ScannedEntry(unreadable: name, kind: kind, device: directory.device))
      isAdded = true
    }
    if isAdded { directory.entries.sort { precedes($0.name, $1.name) } }
  }
}

// The walk: names and attributes of a tree, by several threads, relative to open directories.
//
// 1. No symbolic link is followed and no path is put together: a renamed directory cannot lead
//    the walk astray.
// 2. Mount points below a piece are not entered; each is noted. `MountBoundary` decides. A file that
//    something is mounted on is kept as it is below that, or as unreadable where nobody can look there.
// 3. An entry that cannot be examined or read stays in the tree as unreadable, and is noted. Only an
//    entry that no longer has a name is absent.
// 4. Directories wait in a stack, unopened, each with its open parent: about (threads × depth) of
//    them are open at once.
// 5. Notes are bounded: the first `maxNotes`, with paths of at most 4 KiB, and a last one that
//    counts the rest.
// 6. The store's folder is no part of a tree, whatever its name: it is known by device and inode. Nor
//    are the files that an unfinished change leaves behind.
// 8. What a pattern excludes is noted, and not looked at any further.
// 7. A lack of descriptors or memory ends the walk: it says nothing about an entry.

import Codec
import Platform
import Store

/// Walks pieces into live directories.
final class Walker: Sendable {
  static let maxDepth = 2000
  static let maxNotes = 1000

  struct Pending {
    let directory: ScannedDirectory
    /// Where it is: opened when its turn comes, so that few are open at once.
    let place: ResolvedPath
  }

  let fileSystem: any FileSystem
  let progress: Progress
  /// The store's folder.
  private let store: FileIdentity?
  private let capturedLeftovers: [UInt8]?
  let found = Monitor(Findings())

  /// What the walk found beside the tree.
  struct Findings {
    var notes: [Snapshot.Note] = []
    /// Problems that are counted only.
    var leftOut = 0
    /// Directories whose own time does not count.
    var directoriesWithExcludes: [ScannedDirectory] = []
    /// Attribute sets seen, by id.
    var xattrSets: [Digest: [UInt8]] = [:]
  }

  /// - Parameter store: the store's folder; nil where there is none.
  init(
    _ fileSystem: any FileSystem, store: FileIdentity?, capturedLeftovers: [UInt8]? = nil,
    progress: Progress
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.capturedLeftovers = capturedLeftovers
    self.progress = progress
  }

  var findings: Findings { found.withLock { $0 } }

  /// Walks everything below `directory`, which is open as `descriptor`.
  func walk(_ roots: [(ScannedDirectory, Descriptor)], threads: Int) throws {
    let roots = roots.map {
      Pending(directory: $0.0, place: ResolvedPath(directory: $0.1, name: [0x2e]))
    }
    try WorkStack().run(roots, threads: threads) { try self.list($0) }
  }

  func note(_ kind: Snapshot.Note.Kind, _ path: [UInt8], _ detail: String) {
    found.withLock { found in
      // All but the unreadable entries are few, and what a change leaves alone depends on them.
      guard found.notes.count < Walker.maxNotes || kind != .unreadable else {
        found.leftOut += 1
        return
      }
      found.notes.append(Snapshot.Note(kind, path: Array(path.prefix(4096)), detail: detail))
    }
  }

  // MARK: One directory

  /// Reads a directory's entries; returns its subdirectories.
  /// - Throws: `SystemError` where descriptors or memory are lacking.
  private func list(_ pending: Pending) throws(SystemError) -> [Pending] {
    let directory = pending.directory
    var children: [Pending] = []
    let descriptor: Descriptor
    let names: [[UInt8]]
    do {
      descriptor = try fileSystem.openDirectory(
        at: pending.place.directory.raw, pending.place.name)
      names = try fileSystem.names(of: descriptor.raw).sorted(by: precedes)
    } catch {
      if error.isExhaustion { throw error }
      markUnreadable(directory, "\(error.code)")
      return []
    }
    guard let traits = directory.traits else { return [] }
    let mounts = traits.boundary.entries(of: directory.relativePath)
    var hasExcludes = traits.excludes?.nameEntries(of: directory.relativePath) ?? false
    var cache = directory.cached?.cursor()
    var cachedEntry = cache?.next()
    var isSame = directory.cached != nil
    var summary = ScannedDirectory.Summary()
    var kinds: [[UInt8]: FileKind]?
    var absent: [[UInt8]] = []
    // An entry is a quarter of a kilobyte: it is made in its place.
    var entries: [ScannedEntry] = []
    entries.reserveCapacity(names.count)
    for name in names {
      var match: StatCache.Entry?
      while let next = cachedEntry?.name {
        let order = compareNames(next, name)
        if order > 0 { break }
        if order == 0 { match = cachedEntry.take() }
        cachedEntry = cache?.next()
        if order == 0 { break }
        isSame = false
      }
      do throws(SystemError) {
        let stat = try fileSystem.stat(at: descriptor.raw, name, followLink: false)
        if isOwn(name, stat, directory) {
          if match != nil { isSame = false }
          continue
        }
        if let excludes = traits.excludes, isExcluded(name, stat, directory, excludes) {
          if match != nil { isSame = false }
          hasExcludes = true
          continue
        }
        if stat.kind != .directory, mounts.isMounted(name, stat) {
          entries.append(
            try examineCovered(name, directory, descriptor, mounts, &kinds, &children))
        } else {
          try examine(name, stat, match, directory, descriptor, mounts, &children, &entries)
        }
      } catch {
        if error.isExhaustion { throw error }
        isSame = false
        if error.isAbsent {
          absent.append(name)
          continue
        }
        entries.append(try unexamined(name, error, directory, descriptor, &kinds))
      }
      let last = entries.count - 1
      if !entries[last].isCached { isSame = false }
      summary.add(entries[last].stat, entries[last].content)
    }
    if hasExcludes { found.withLock { $0.directoriesWithExcludes.append(directory) } }
    directory.entries = entries
    if !absent.isEmpty { try keepDamaged(absent, directory, descriptor) }
    directory.complete(summary, matchesCache: isSame && cachedEntry == nil)
    progress.add(items: UInt64(names.count))
    return children
  }

  /// A pattern says that the entry is no part of the tree, and the notes say so.
  private func isExcluded(
    _ name: [UInt8], _ stat: FileStat, _ directory: ScannedDirectory, _ excludes: ExcludeLists
  ) -> Bool {
    let path = directory.path(of: name)
    guard let pattern = excludes.match(path, isDirectory: stat.kind == .directory) else {
      return false
    }
    note(.excluded, directory.absolutePath(of: name), pattern.text)
    return true
  }

  /// The entry is imgstore's and no part of the tree, and the notes say so.
  private func isOwn(
    _ name: [UInt8], _ stat: FileStat, _ directory: ScannedDirectory
  ) -> Bool {
    let isStore = stat.kind == .directory && store == FileIdentity(stat)
    guard let detail = isStore ? "the store" : leftover(name) else { return false }
    note(.ownFiles, directory.absolutePath(of: name), detail)
    return true
  }

  private func leftover(_ name: [UInt8]) -> String? {
    if let capturedLeftovers, name.starts(with: capturedLeftovers) { return nil }
    return Leftovers.detail(of: name)
  }

  /// Names under which nothing was found have gone since the directory was read: as if they had never
  /// been. Those that it still has belong to a damaged directory, and stay as unreadable entries.
  private func keepDamaged(
    _ absent: [[UInt8]], _ directory: ScannedDirectory, _ descriptor: Descriptor
  ) throws(SystemError) {
    let listed = try listKinds(descriptor)
    var isAdded = false
    for name in absent {
      guard let kind = listed[name],
        (try? fileSystem.stat(at: descriptor.raw, name, followLink: false)) == nil
      else { continue }
      note(.unreadable, directory.absolutePath(of: name), "\(SystemError.Code.notFound)")
      directory.entries.append(
        ScannedEntry(unreadable: name, kind: kind, device: directory.device))
      isAdded = true
    }
    if isAdded { directory.entries.sort { precedes($0.name, $1.name) } }
  }
}

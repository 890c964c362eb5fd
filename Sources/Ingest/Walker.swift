// The walk: names and attributes of a tree, by several threads, relative to open directories.
//
// 1. No symbolic link is followed and no path is put together: a renamed directory cannot lead
//    the walk astray.
// 2. Mount points below a piece are not entered; each is noted.
// 3. What cannot be read is noted and stands in the tree as unreadable.
// 4. Directories wait in a stack, unopened, each with its open parent: about (threads × depth) of
//    them are open at once.
// 5. Notes are bounded: the first `maxNotes`, with paths of at most 4 KiB, and a last one that
//    counts the rest.

import Codec
import Platform
import Store

/// Walks pieces into live directories.
final class Walker: Sendable {
  static let maxDepth = 2000
  static let maxNotes = 1000

  private struct Pending {
    let directory: LiveDirectory
    /// Where it is: opened when its turn comes, so that few are open at once.
    let place: ResolvedPath
  }

  private struct Work {
    var stack: [Pending] = []
    var active = 0
  }

  private let fileSystem: any FileSystem
  private let progress: Progress
  private let work = Monitor(Work())
  private let found = Monitor(Findings())

  /// What the walk found beside the tree.
  struct Findings {
    var notes: [Snapshot.Note] = []
    /// Problems that are counted only.
    var leftOut = 0
    /// Attribute sets seen, by id.
    var xattrSets: [Digest: [UInt8]] = [:]
  }

  init(_ fileSystem: any FileSystem, progress: Progress) {
    self.fileSystem = fileSystem
    self.progress = progress
  }

  var findings: Findings { found.withLock { $0 } }

  /// Walks everything below `directory`, which is open as `descriptor`.
  func walk(_ roots: [(LiveDirectory, Descriptor)], threads: Int) throws {
    work.update { work in
      work.stack = roots.reversed().map {
        Pending(directory: $0.0, place: ResolvedPath(directory: $0.1, name: [0x2e]))
      }
    }
    try runThreads(threads) { _ in
      while let next = self.take() {
        let children = self.list(next)
        self.work.update { work in
          work.stack += children.reversed()
          work.active -= 1
        }
      }
    }
  }

  private func take() -> Pending? {
    work.wait { work -> Pending?? in
      if let next = work.stack.popLast() {
        work.active += 1
        return .some(next)
      }
      return work.active == 0 ? .some(nil) : nil
    }
  }

  private func note(_ kind: Snapshot.Note.Kind, _ path: [UInt8], _ detail: String) {
    found.withLock { found in
      // Mount points are few, and what is left alone depends on them: they are all kept.
      guard found.notes.count < Walker.maxNotes || kind == .mountPoint else {
        found.leftOut += 1
        return
      }
      found.notes.append(Snapshot.Note(kind, path: Array(path.prefix(4096)), detail: detail))
    }
  }

  // MARK: One directory

  /// Reads a directory's entries; returns its subdirectories.
  private func list(_ pending: Pending) -> [Pending] {
    let directory = pending.directory
    var children: [Pending] = []
    let descriptor: Descriptor
    let names: [[UInt8]]
    do {
      descriptor = try fileSystem.openDirectory(
        at: pending.place.directory.raw, pending.place.name)
      names = try fileSystem.names(of: descriptor.raw).sorted(by: precedes)
    } catch {
      markUnreadable(directory, "\(error.code)")
      return []
    }
    let device = directory.device
    var cache = directory.cached?.cursor()
    var cachedEntry = cache?.next()
    var isSame = directory.cached != nil
    var summary = LiveDirectory.Summary()
    directory.entries.reserveCapacity(names.count)
    for name in names {
      var match: StatCache.Entry?
      while let candidate = cachedEntry {
        let order = compareNames(candidate.name, name)
        if order > 0 { break }
        cachedEntry = cache?.next()
        if order == 0 {
          match = candidate
          break
        }
        isSame = false
      }
      do {
        let stat = try fileSystem.stat(at: descriptor.raw, name, followLink: false)
        if stat.isMountRoot || stat.device != device, stat.kind != .directory {
          // A file mounted on a file: what it hides is the image's, and cannot be seen.
          note(.mountPoint, directory.absolutePath(of: name), "not read")
          isSame = false
          continue
        }
        guard
          let entry = examine(name, stat, match, directory, descriptor, device, &children)
        else {
          isSame = false
          continue
        }
        if !entry.isCached { isSame = false }
        summary.add(entry.stat, entry.content)
        directory.entries.append(entry)
      } catch {
        isSame = false
        // Gone since the names were read: as if it had never been.
        if error.isAbsent { continue }
        note(.unreadable, directory.absolutePath(of: name), "\(error.code)")
      }
    }
    directory.complete(summary, matchesCache: isSame && cachedEntry == nil)
    progress.add(items: UInt64(names.count))
    return children
  }

  /// What there is to know of an entry; what cannot be read of it makes it unreadable, not absent.
  ///
  /// - Returns: nil for a symbolic link whose target cannot be read: a tree cannot hold it, and its
  ///   note keeps a revert away from the path.
  private func examine(
    _ name: [UInt8], _ stat: FileStat, _ match: StatCache.Entry?, _ directory: LiveDirectory,
    _ descriptor: Descriptor, _ device: UInt64, _ children: inout [Pending]
  ) -> LiveEntry? {
    var entry = LiveEntry(name: name, stat: stat, content: .node)
    do throws(SystemError) {
      try fill(&entry, match, directory, descriptor, device, &children)
    } catch {
      note(.unreadable, directory.absolutePath(of: name), "\(error.code)")
      entry.isCached = false
      switch (stat.kind, entry.content) {
      case (.file, _), (.directory, _): entry.content = .unreadable
      case (.symlink, .node): return nil
      default: break
      }
    }
    return entry
  }

  private func fill(
    _ entry: inout LiveEntry, _ match: StatCache.Entry?, _ directory: LiveDirectory,
    _ descriptor: Descriptor, _ device: UInt64, _ children: inout [Pending]
  ) throws(SystemError) {
    let stat = entry.stat
    // First what must not fail: a link without its target would be another link.
    if stat.kind == .symlink {
      entry.content = .symlink(try fileSystem.readLink(at: descriptor.raw, entry.name))
    }
    let isVouched = match?.vouches(for: stat) ?? false
    if isVouched, let match {
      entry.isCached = true
      entry.xattrs = match.xattrs
      entry.holes = match.holes
    } else {
      entry.xattrs = try readXattrs(descriptor, entry.name)
    }
    switch stat.kind {
    case .file:
      if isVouched, let blob = match?.blob {
        entry.content = .file(blob: blob)
      } else {
        entry.isCached = false
        entry.content = stat.size == 0 ? .file(blob: emptyBlob) : .unread
      }
    case .directory:
      if stat.device != device || stat.isMountRoot {
        note(.mountPoint, directory.absolutePath(of: entry.name), "not crossed")
        entry.content = .mountedDirectory
        entry.isCached = false
        return
      }
      let child = LiveDirectory(
        name: entry.name, parent: directory,
        cached: match?.kind == .directory ? match?.directory : nil)
      entry.content = .directory(child)
      if child.depth < Walker.maxDepth {
        children.append(
          Pending(
            directory: child, place: ResolvedPath(directory: descriptor, name: entry.name)))
      } else {
        markUnreadable(child, "nested deeper than \(Walker.maxDepth) directories")
      }
    case .symlink, .characterDevice, .blockDevice, .fifo, .socket: break
    }
  }

  private func markUnreadable(_ directory: LiveDirectory, _ why: String) {
    directory.isUnreadable = true
    note(.unreadable, directory.parent?.absolutePath(of: directory.name) ?? directory.name, why)
  }

  // MARK: Extended attributes

  func readXattrs(_ directory: Descriptor, _ name: [UInt8]) throws(SystemError) -> Digest? {
    let names: [[UInt8]]
    do {
      names = try fileSystem.xattrNames(at: directory.raw, name)
    } catch {
      // A file of mode 0000 hides its user attributes from its owner, as its content.
      if error.code == .accessDenied || error.code == .notPermitted { return nil }
      throw error
    }
    if names.isEmpty { return nil }
    var attributes: [XattrSet.Attribute] = []
    for attribute in names {
      if let value = try fileSystem.xattr(at: directory.raw, name, name: attribute) {
        attributes.append(.init(name: attribute, value: value))
      }
    }
    if attributes.isEmpty { return nil }
    let bytes = XattrSet(attributes).encode()
    let id = SHA256.digest(of: bytes)
    found.withLock { $0.xattrSets[id] = bytes }
    return id
  }
}

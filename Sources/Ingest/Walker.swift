// The walk: names and attributes of a tree, by several threads, relative to open directories.
//
// 1. No symbolic link is followed and no path is put together: a renamed directory cannot lead
//    the walk astray.
// 2. Mount points below a piece are not entered; each is noted.
// 3. What cannot be read is noted and stands in the tree as unreadable.
// 4. Directories wait in a stack, so that about (threads × depth) of them are open at once.

import Codec
import Platform
import Store

/// Walks pieces into live directories.
final class Walker: Sendable {
  static let maxDepth = 2000

  private struct Pending {
    let directory: LiveDirectory
    /// Holds the directory itself, open.
    let descriptor: Descriptor
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
      work.stack = roots.reversed().map { Pending(directory: $0.0, descriptor: $0.1) }
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
    found.withLock { $0.notes.append(Snapshot.Note(kind, path: path, detail: detail)) }
  }

  // MARK: One directory

  /// Reads a directory's entries; returns its subdirectories, open.
  private func list(_ pending: Pending) -> [Pending] {
    let directory = pending.directory
    var children: [Pending] = []
    let names: [[UInt8]]
    do {
      names = try fileSystem.names(of: pending.descriptor.raw).sorted(by: precedes)
    } catch {
      markUnreadable(directory, "\(error.code)")
      return []
    }
    let device = directory.device
    var cache = directory.cached?.cursor()
    var cachedEntry = cache?.next()
    var isSame = directory.cached != nil
    directory.entries.reserveCapacity(names.count)
    for name in names {
      while let candidate = cachedEntry, candidate.name.precedes(name) {
        isSame = false
        cachedEntry = cache?.next()
      }
      var match: StatCache.Entry?
      if let candidate = cachedEntry, candidate.name.elementsEqual(name) {
        match = candidate
        cachedEntry = cache?.next()
      }
      do {
        let stat = try fileSystem.stat(at: pending.descriptor.raw, name, followLink: false)
        let entry = try examine(
          name, stat, match, directory, pending.descriptor, device, &children)
        if !entry.isCached { isSame = false }
        directory.entries.append(entry)
      } catch {
        isSame = false
        // Gone since the names were read: as if it had never been.
        if error.isAbsent { continue }
        note(.unreadable, directory.absolutePath(of: name), "\(error.code)")
      }
    }
    directory.matchesCache = isSame && cachedEntry == nil
    progress.add(items: UInt64(names.count))
    return children
  }

  private func examine(
    _ name: [UInt8], _ stat: FileStat, _ match: StatCache.Entry?, _ directory: LiveDirectory,
    _ descriptor: Descriptor, _ device: UInt64, _ children: inout [Pending]
  ) throws(SystemError) -> LiveEntry {
    var entry = LiveEntry(name: name, stat: stat, content: .node)
    let isVouched = match?.vouches(for: stat) ?? false
    if isVouched, let match {
      entry.isCached = true
      entry.xattrs = match.xattrs
      entry.holes = match.holes
    } else {
      entry.xattrs = try readXattrs(descriptor, name)
    }
    switch stat.kind {
    case .file:
      if isVouched, let blob = match?.blob {
        entry.content = .file(blob: blob)
      } else {
        entry.isCached = false
        entry.content = stat.size == 0 ? .file(blob: emptyBlob) : .unread
      }
    case .symlink:
      entry.content = .symlink(try fileSystem.readLink(at: descriptor.raw, name))
    case .directory:
      if stat.device != device || stat.isMountRoot {
        note(.mountPoint, directory.absolutePath(of: name), "not crossed")
        entry.content = .mountedDirectory
        entry.isCached = false
      } else {
        let child = LiveDirectory(
          name: name, parent: directory, cached: match?.kind == .directory ? match?.directory : nil)
        entry.content =
          try open(child, descriptor).map {
            children.append($0)
            return .directory(child)
          } ?? .unreadable
        if case .unreadable = entry.content { entry.isCached = false }
      }
    case .characterDevice, .blockDevice, .fifo, .socket: break
    }
    return entry
  }

  private func open(_ child: LiveDirectory, _ parent: Descriptor) throws(SystemError) -> Pending? {
    guard child.depth < Walker.maxDepth else {
      note(
        .unreadable, child.parent?.absolutePath(of: child.name) ?? child.name,
        "nested deeper than \(Walker.maxDepth) directories")
      return nil
    }
    do {
      let descriptor = try fileSystem.openDirectory(at: parent.raw, child.name)
      return Pending(directory: child, descriptor: descriptor)
    } catch {
      if error.isAbsent { throw error }
      note(
        .unreadable, child.parent?.absolutePath(of: child.name) ?? child.name, "\(error.code)")
      return nil
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

extension UnsafeRawBufferPointer {
  /// Byte order, as `Store.precedes`.
  fileprivate func precedes(_ other: [UInt8]) -> Bool { lexicographicallyPrecedes(other) }
}

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
// 7. A lack of descriptors or memory ends the walk: it says nothing about an entry.

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
    var hasFailed = false
  }

  private let fileSystem: any FileSystem
  private let progress: Progress
  /// The store's folder.
  private let store: FileIdentity?
  private let capturedLeftovers: [UInt8]?
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
  func walk(_ roots: [(LiveDirectory, Descriptor)], threads: Int) throws {
    work.update { work in
      work.stack = roots.reversed().map {
        Pending(directory: $0.0, place: ResolvedPath(directory: $0.1, name: [0x2e]))
      }
    }
    try runThreads(threads) { _ in
      while let next = self.take() {
        let children: [Pending]
        do {
          children = try self.list(next)
        } catch {
          self.work.update { $0.hasFailed = true }
          throw error
        }
        self.work.update { work in
          work.stack += children.reversed()
          work.active -= 1
        }
      }
    }
  }

  private func take() -> Pending? {
    work.wait { work -> Pending?? in
      if work.hasFailed { return .some(nil) }
      if let next = work.stack.popLast() {
        work.active += 1
        return .some(next)
      }
      return work.active == 0 ? .some(nil) : nil
    }
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
    var cache = directory.cached?.cursor()
    var cachedEntry = cache?.next()
    var isSame = directory.cached != nil
    var summary = LiveDirectory.Summary()
    var kinds: [[UInt8]: FileKind]?
    var absent: [[UInt8]] = []
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
      let entry: LiveEntry
      do throws(SystemError) {
        let stat = try fileSystem.stat(at: descriptor.raw, name, followLink: false)
        if isExcluded(name, stat, directory) {
          if match != nil { isSame = false }
          continue
        }
        entry =
          stat.kind != .directory && mounts.isMounted(name, stat)
          ? try examineCovered(name, directory, descriptor, mounts, &kinds, &children)
          : try examine(name, stat, match, directory, descriptor, mounts, &children)
      } catch {
        if error.isExhaustion { throw error }
        isSame = false
        if error.isAbsent {
          absent.append(name)
          continue
        }
        entry = try unexamined(name, error, directory, descriptor, &kinds)
      }
      if !entry.isCached { isSame = false }
      summary.add(entry.stat, entry.content)
      directory.entries.append(entry)
    }
    if !absent.isEmpty { try keepDamaged(absent, directory, descriptor) }
    directory.complete(summary, matchesCache: isSame && cachedEntry == nil)
    progress.add(items: UInt64(names.count))
    return children
  }

  /// The entry is no part of the tree, and the notes say so.
  private func isExcluded(
    _ name: [UInt8], _ stat: FileStat, _ directory: LiveDirectory
  ) -> Bool {
    guard stat.kind == .directory, let store, store == FileIdentity(stat) else {
      return isLeftover(name, directory)
    }
    note(.ownFiles, directory.absolutePath(of: name), "the store")
    return true
  }

  /// A file that something is mounted on, as it is below that.
  private func examineCovered(
    _ name: [UInt8], _ directory: LiveDirectory, _ descriptor: Descriptor,
    _ mounts: MountBoundary.Entries, _ kinds: inout [[UInt8]: FileKind]?,
    _ children: inout [Pending]
  ) throws(SystemError) -> LiveEntry {
    note(.mountPoint, directory.absolutePath(of: name), "not read")
    guard let below = try fileSystem.openUncovered(descriptor) else {
      if kinds == nil { kinds = try listKinds(descriptor) }
      note(.unreadable, directory.absolutePath(of: name), "something is mounted on it")
      return LiveEntry(unreadable: name, kind: kinds?[name] ?? .file, device: directory.device)
    }
    let stat = try fileSystem.stat(at: below.raw, name, followLink: false)
    var entry = try examine(name, stat, nil, directory, below, mounts, &children)
    entry.isCovered = true
    return entry
  }

  private static let changePrefix = Array(".imgstore-".utf8)
  private static let outputSuffix = Array(".imgstore-part".utf8)
  private static let tokenBytes = 16

  /// A name that only unfinished work gives: of a change `.imgstore-TOKEN`, and what it adds; of a file
  /// that is being written `.NAME.TOKEN.imgstore-part`. A token has 16 hexadecimal digits.
  private func isLeftover(_ name: [UInt8], _ directory: LiveDirectory) -> Bool {
    guard name.first == 0x2e else { return false }
    if let capturedLeftovers, name.starts(with: capturedLeftovers) { return false }
    let token: ArraySlice<UInt8>
    let detail: String
    if name.starts(with: Walker.changePrefix) {
      token = name.dropFirst(Walker.changePrefix.count).prefix(Walker.tokenBytes)
      detail = "left over by an unfinished change"
    } else if name.suffix(Walker.outputSuffix.count) == Walker.outputSuffix[...] {
      token = name.dropLast(Walker.outputSuffix.count).suffix(Walker.tokenBytes)
      detail = "a file that is, or was, being written"
    } else {
      return false
    }
    guard token.count == Walker.tokenBytes,
      token.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
    else { return false }
    note(.ownFiles, directory.absolutePath(of: name), detail)
    return true
  }

  /// The entry of a name whose `stat` failed: unreadable, of the kind that the directory says.
  private func unexamined(
    _ name: [UInt8], _ error: SystemError, _ directory: LiveDirectory, _ descriptor: Descriptor,
    _ kinds: inout [[UInt8]: FileKind]?
  ) throws(SystemError) -> LiveEntry {
    if kinds == nil { kinds = try listKinds(descriptor) }
    note(.unreadable, directory.absolutePath(of: name), "\(error.code)")
    return LiveEntry(unreadable: name, kind: kinds?[name] ?? .file, device: directory.device)
  }

  private func listKinds(_ descriptor: Descriptor) throws(SystemError) -> [[UInt8]: FileKind] {
    do {
      return try fileSystem.kinds(of: descriptor.raw)
    } catch {
      if error.isExhaustion { throw error }
      return [:]
    }
  }

  /// Names under which nothing was found have gone since the directory was read: as if they had never
  /// been. Those that it still has belong to a damaged directory, and stay as unreadable entries.
  private func keepDamaged(
    _ absent: [[UInt8]], _ directory: LiveDirectory, _ descriptor: Descriptor
  ) throws(SystemError) {
    let listed = try listKinds(descriptor)
    var isAdded = false
    for name in absent {
      guard let kind = listed[name],
        (try? fileSystem.stat(at: descriptor.raw, name, followLink: false)) == nil
      else { continue }
      note(.unreadable, directory.absolutePath(of: name), "\(SystemError.Code.notFound)")
      directory.entries.append(
        LiveEntry(unreadable: name, kind: kind, device: directory.device))
      isAdded = true
    }
    if isAdded { directory.entries.sort { precedes($0.name, $1.name) } }
  }

  /// What there is to know of an entry; what cannot be read of it makes it unreadable, not absent.
  private func examine(
    _ name: [UInt8], _ stat: FileStat, _ match: StatCache.Entry?, _ directory: LiveDirectory,
    _ descriptor: Descriptor, _ mounts: MountBoundary.Entries, _ children: inout [Pending]
  ) throws(SystemError) -> LiveEntry {
    var entry = LiveEntry(name: name, stat: stat, content: .node)
    do throws(SystemError) {
      try fill(&entry, match, directory, descriptor, mounts, &children)
    } catch {
      if error.isExhaustion || error.isAbsent { throw error }
      note(.unreadable, directory.absolutePath(of: name), "\(error.code)")
      entry.isCached = false
      switch (stat.kind, entry.content) {
      case (.file, _), (.directory, _), (.symlink, .node): entry.content = .unreadable
      default: break
      }
    }
    return entry
  }

  private func fill(
    _ entry: inout LiveEntry, _ match: StatCache.Entry?, _ directory: LiveDirectory,
    _ descriptor: Descriptor, _ mounts: MountBoundary.Entries, _ children: inout [Pending]
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
      entry.flags = match.flags
    } else {
      entry.xattrs = try readXattrs(descriptor, entry.name)
      entry.flags = stat.flags
    }
    switch stat.kind {
    case .file:
      if isVouched, let blob = match?.blob {
        entry.content = .file(blob: blob)
      } else {
        entry.isCached = false
        entry.content = stat.size == 0 ? .file(blob: emptyBlob) : .unread
        if stat.size == 0, directory.traits?.needsFlagRequest == true {
          entry.flags = try requestFlags(descriptor, entry.name, stat)
        }
      }
    case .directory:
      try fillDirectory(&entry, match, directory, descriptor, mounts, isVouched, &children)
    case .symlink, .characterDevice, .blockDevice, .fifo, .socket: entry.flags = []
    }
  }

  private func fillDirectory(
    _ entry: inout LiveEntry, _ match: StatCache.Entry?, _ directory: LiveDirectory,
    _ descriptor: Descriptor, _ mounts: MountBoundary.Entries, _ isVouched: Bool,
    _ children: inout [Pending]
  ) throws(SystemError) {
    let stat = entry.stat
    func exclude(_ kind: Snapshot.Note.Kind, _ detail: String) {
      note(kind, directory.absolutePath(of: entry.name), detail)
      entry.content = .excludedDirectory
      entry.isCached = false
    }
    if mounts.isMounted(entry.name, stat) { return exclude(.mountPoint, "not crossed") }
    if !isVouched, directory.traits?.needsFlagRequest == true {
      entry.flags = try requestFlags(descriptor, entry.name, stat)
    }
    if stat.device != directory.device, stat.inode == TreeTraits.subvolumeInode,
      directory.traits?.isBtrfs == true
    {
      let subvolume = try fileSystem.openDirectory(at: descriptor.raw, entry.name)
      // A tree that holds its own snapshots (snapper's .snapshots) would be kept many times over.
      if fileSystem.isReadOnlySnapshot(subvolume.raw) {
        return exclude(.subvolumeSnapshot, "not read")
      }
      note(.subvolume, directory.absolutePath(of: entry.name), "")
    }
    let child = LiveDirectory(
      name: entry.name, parent: directory,
      cached: match?.kind == .directory ? match?.directory : nil, device: stat.device)
    entry.content = .directory(child)
    if child.depth < Walker.maxDepth {
      children.append(
        Pending(directory: child, place: ResolvedPath(directory: descriptor, name: entry.name)))
    } else {
      markUnreadable(child, "nested deeper than \(Walker.maxDepth) directories")
    }
  }

  /// The flags of a file or directory whose `stat` does not report them all.
  func requestFlags(
    _ directory: Descriptor, _ name: [UInt8], _ stat: FileStat
  ) throws(SystemError) -> InodeFlags {
    let file: Descriptor
    do {
      file = try fileSystem.openFile(at: directory.raw, name, [.read, .noFollow, .nonBlocking])
    } catch {
      // Reading the content will say so.
      if error.code == .accessDenied { return stat.flags }
      throw error
    }
    return requestFlags(file, stat)
  }

  func requestFlags(_ file: Descriptor, _ stat: FileStat) -> InodeFlags {
    guard let flags = try? fileSystem.inodeFlags(file.raw) else { return stat.flags }
    return stat.reportsFlags ? stat.flags.union(flags.intersection(.noCopyOnWrite)) : flags
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

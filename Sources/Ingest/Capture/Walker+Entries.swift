// The part of the walk that examines one entry: kind, attributes, flags and link target.
// `ContentReader` reads contents later.
//
// An entry that cannot be examined or read is recorded as unreadable, not as absent.

import Codec
import Platform
import Store

extension Walker {
  /// Returns the entry of a name whose `stat` failed: unreadable, with the kind that the directory reports.
  func unexamined(
    _ name: [UInt8], _ error: SystemError, _ here: OpenedDirectory,
    _ kinds: inout [[UInt8]: FileKind]?
  ) throws(SystemError) -> ScannedEntry {
    if kinds == nil { kinds = try listKinds(here.descriptor) }
    note(.unreadable, here.scanned.address(of: name).bytes, "\(error.code)")
    return ScannedEntry(unreadable: name, kind: kinds?[name] ?? .file, device: here.scanned.device)
  }

  func listKinds(_ descriptor: Descriptor) throws(SystemError) -> [[UInt8]: FileKind] {
    do {
      return try fileSystem.kinds(of: descriptor.raw)
    } catch {
      if error.isExhaustion { throw error }
      return [:]
    }
  }

  /// Returns the entry of a file that something is mounted on, as it is below the mount.
  func examineCovered(
    _ name: [UInt8], _ here: OpenedDirectory, _ kinds: inout [[UInt8]: FileKind]?,
    _ children: inout [Pending]
  ) throws(SystemError) -> ScannedEntry {
    let directory = here.scanned
    note(.mountPoint, directory.address(of: name).bytes, "not read")
    guard let below = try fileSystem.openUncovered(here.descriptor) else {
      if kinds == nil { kinds = try listKinds(here.descriptor) }
      note(.unreadable, directory.address(of: name).bytes, "something is mounted on it")
      return ScannedEntry(unreadable: name, kind: kinds?[name] ?? .file, device: directory.device)
    }
    let stat = try fileSystem.stat(at: below.raw, name, followLink: false)
    var entries: [ScannedEntry] = []
    var uncovered = here
    uncovered.descriptor = below
    try examine(name, stat, nil, uncovered, &children, &entries)
    entries[0].isCovered = true
    return entries[0]
  }

  /// Adds an entry with its attributes. Attributes that cannot be read make the entry unreadable, not absent.
  /// - Throws: `SystemError` if descriptors or memory are exhausted, or the entry vanished; nothing
  ///   is added then.
  func examine(
    _ name: [UInt8], _ stat: FileStat, _ match: StatCache.Entry?, _ here: OpenedDirectory,
    _ children: inout [Pending], _ entries: inout [ScannedEntry]
  ) throws(SystemError) {
    entries.append(ScannedEntry(name: name, stat: stat, content: .node))
    let last = entries.count - 1
    do throws(SystemError) {
      try fill(&entries[last], match, here, &children)
    } catch {
      if error.isExhaustion || error.isAbsent {
        entries.removeLast()
        throw error
      }
      note(.unreadable, here.scanned.address(of: name).bytes, "\(error.code)")
      entries[last].isCached = false
      switch (stat.kind, entries[last].content) {
      case (.file, _), (.directory, _), (.symlink, .node): entries[last].content = .unreadable
      default: break
      }
    }
  }

  private func fill(
    _ entry: inout ScannedEntry, _ match: StatCache.Entry?, _ here: OpenedDirectory,
    _ children: inout [Pending]
  ) throws(SystemError) {
    let (stat, directory, descriptor) = (entry.stat, here.scanned, here.descriptor)
    // Read the target first: a link without its target would be a different link.
    if stat.kind == .symlink {
      entry.content = .symlink(try fileSystem.readLink(at: descriptor.raw, entry.name))
    }
    var isUpToDate = match?.isUpToDate(with: stat) ?? false
    if case .symlink(let target) = entry.content, match?.hasTarget(target) == false {
      isUpToDate = false
    }
    if isUpToDate, let match {
      entry.isCached = true
      entry.xattrs = match.xattrs
      entry.flags = match.flags
    } else {
      entry.xattrs = try readXattrs(descriptor, entry.name)
      entry.flags = stat.flags
    }
    switch stat.kind {
    case .file:
      if let match, let blob = match.blob, match.confirmsContent(of: stat) {
        entry.content = .file(blob: blob)
        entry.holes = match.holes
      } else {
        entry.isCached = false
        entry.content = stat.size == 0 ? .file(blob: emptyBlob) : .unread
      }
      // `ContentReader` requests the flags of the files that it reads.
      if !entry.isCached, entry.content.isKnown, directory.properties?.needsFlagRequest == true {
        entry.flags = try requestFlags(descriptor, entry.name, stat)
      }
    case .directory:
      try fillDirectory(&entry, match, here, isUpToDate, &children)
    case .symlink, .characterDevice, .blockDevice, .fifo, .socket: entry.flags = []
    }
  }

  private func fillDirectory(
    _ entry: inout ScannedEntry, _ match: StatCache.Entry?, _ here: OpenedDirectory,
    _ isUpToDate: Bool, _ children: inout [Pending]
  ) throws(SystemError) {
    let (stat, directory, descriptor) = (entry.stat, here.scanned, here.descriptor)
    func exclude(_ kind: Snapshot.Note.Kind, _ detail: String) {
      note(kind, directory.address(of: entry.name).bytes, detail)
      entry.content = .excludedDirectory
      entry.isCached = false
    }
    if here.mounts.isMounted(entry.name, stat) { return exclude(.mountPoint, "not crossed") }
    if !isUpToDate, directory.properties?.needsFlagRequest == true {
      entry.flags = try requestFlags(descriptor, entry.name, stat)
    }
    if stat.device != directory.device, stat.inode == Volume.btrfsSubvolumeInode,
      directory.properties?.isBtrfs == true
    {
      let subvolume = try fileSystem.openDirectory(at: descriptor.raw, entry.name)
      // A tree that contains its own snapshots (snapper's .snapshots) would be stored many times over.
      if fileSystem.isReadOnlySnapshot(subvolume.raw) {
        return exclude(.subvolumeSnapshot, "not read")
      }
      note(.subvolume, directory.address(of: entry.name).bytes, "")
    }
    let child = ScannedDirectory(
      name: entry.name, parent: directory,
      cached: match?.kind == .directory ? match?.directory : nil, device: stat.device)
    entry.content = .directory(child)
    if child.depth < Walker.maxDepth {
      children.append(
        Pending(directory: child, location: ResolvedPath(directory: descriptor, name: entry.name)))
    } else {
      markUnreadable(child, "nested deeper than \(Walker.maxDepth) directories")
    }
  }

  /// Returns the flags of a file or directory whose `stat` does not report all of them.
  func requestFlags(
    _ directory: Descriptor, _ name: [UInt8], _ stat: FileStat
  ) throws(SystemError) -> InodeFlags {
    let file: Descriptor
    do {
      file = try fileSystem.openFile(at: directory.raw, name, [.read, .noFollow, .nonBlocking])
    } catch {
      // Reading the content reports this error.
      if error.code == .accessDenied { return stat.flags }
      throw error
    }
    return fileSystem.inodeFlags(of: file.raw, stat)
  }

  func markUnreadable(_ directory: ScannedDirectory, _ reason: String) {
    directory.isUnreadable = true
    note(.unreadable, directory.address.bytes, reason)
  }

  // MARK: Extended attributes

  func readXattrs(_ directory: Descriptor, _ name: [UInt8]) throws(SystemError) -> Digest? {
    let names: [[UInt8]]
    do {
      names = try fileSystem.xattrNames(at: directory.raw, name)
    } catch {
      // A file of mode 0000 hides its user attributes from its owner, like its content.
      if error.code == .accessDenied || error.code == .notPermitted { return nil }
      throw error
    }
    if names.isEmpty { return nil }
    var attributes: [XattrSet.Attribute] = []
    for attribute in names {
      guard let value = try fileSystem.xattr(at: directory.raw, name, name: attribute) else {
        continue
      }
      let attribute = XattrSet.Attribute(name: attribute, value: value)
      if !attribute.isDerived { attributes.append(attribute) }
    }
    if attributes.isEmpty { return nil }
    let bytes = XattrSet(attributes).encode()
    let id = SHA256.digest(of: bytes)
    collected.withLock { $0.xattrSets[id] = bytes }
    return id
  }
}

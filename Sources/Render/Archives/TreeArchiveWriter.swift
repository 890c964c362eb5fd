// A stored tree as a cpio or tar stream: what `find rootimg | cpio -H newc -o` and `tar c rootimg`
// would write of the tree, straight from the store.
//
// 1. The same tree gives the same bytes: parents before children, names in byte order, inodes
//    numbered from 1 as they come.
// 2. Nothing is dropped silently. What the form cannot hold at all refuses the tree before the first
//    byte is written; what it holds less well is counted.
// 3. Memory: the entries of one directory a level, the names of hard-linked inodes, one frame.

import Archive
import Platform
import Store

/// What was written, and what the form had no place for.
public struct TreeArchiveCounts: Sendable, Equatable {
  /// Members written, the top included.
  public var members: UInt64 = 0
  /// Bytes of files written, each inode counted once.
  public var contentBytes: UInt64 = 0
  /// Sockets, which belong to a running program and are left out.
  public var skippedSockets = 0
  /// Entries whose extended attributes (capabilities, labels, lists) cpio does not keep.
  public var droppedXattrs = 0
  /// Those among them that are executables with capabilities (ping, for one).
  public var droppedCapabilities = 0
  /// Entries from before 1970 or after 2106, which get the nearest second that cpio can tell.
  public var clampedTimes = 0
  /// Sparse files, written with their holes as zeros.
  public var filledSparseFiles = 0
  /// Paths below the top of what the snapshot could not read: left out.
  public var missing: [[UInt8]] = []

  public init() {}
}

/// Writes trees.
public struct TreeArchiveWriter {
  /// The form of the archive.
  public enum Form: Sendable {
    /// cpio "newc": seconds, no extended attributes, files of less than 4 GiB.
    case cpio
    /// tar in GNU form, with pax headers for extended attributes and nanoseconds.
    case tar
  }

  private let store: ObjectStore
  private let progress: Progress

  public init(_ store: ObjectStore, progress: Progress) {
    self.store = store
    self.progress = progress
  }

  /// Writes the tree of `top`.
  /// - Parameters:
  ///   - prefix: the name that `top` has in the archive: "rootimg", or "." for none.
  ///   - keeping: whether an entry goes in, by its path relative to the top. It is asked of every
  ///     entry but the top, also below directories that stay out; nil keeps all. It is asked twice
  ///     and must say the same.
  /// - Returns: what was written and what was not.
  /// - Throws: `StoreError`: `refused`, before anything is written, for a file of 4 GiB or more in
  ///   cpio and for a name that is too long; `missing`, `damaged`; and what the sink throws.
  public func write(
    _ top: Entry, prefix: [UInt8], as form: Form, keeping: ((_ path: [UInt8]) -> Bool)? = nil,
    to sink: @escaping ByteSink
  ) throws -> TreeArchiveCounts {
    guard top.ids != nil else {
      throw StoreError(
        .refused, "the tree \(printable(prefix))", "is a \(top.kind.noun) that cannot be archived")
    }
    let survey = try survey(top, prefix, form, keeping)
    progress.begin("archiving", totalBytes: survey.contentBytes)
    var counts = TreeArchiveCounts()
    counts.missing = survey.missing
    switch form {
    case .cpio:
      let cpio = CpioTreeWriter(CpioWriter(sink), survey.links)
      try walk(top, prefix, keeping) { entry, path, subdirectories in
        try cpio.write(entry, path, subdirectories, &counts) { try copy(entry, to: $0) }
      }
      try cpio.archive.finish()
    case .tar:
      let tar = TarTreeWriter(TarWriter(sink))
      try walk(top, prefix, keeping) { entry, path, _ in
        let xattrs = try xattrs(of: entry)
        try tar.write(entry, path, xattrs, &counts) { try copy(entry, to: $0) }
      }
      try tar.archive.finish()
    }
    return counts
  }

  // MARK: Before the first byte

  private struct Survey {
    /// How many names of each hard-linked inode go in.
    var links: [UInt64: UInt32] = [:]
    var contentBytes: UInt64 = 0
    var missing: [[UInt8]] = []
  }

  private func survey(
    _ top: Entry, _ prefix: [UInt8], _ form: Form, _ keeping: (([UInt8]) -> Bool)?
  ) throws -> Survey {
    progress.begin("listing")
    var survey = Survey()
    let note = { survey.missing.append($0) }
    try walk(top, prefix, keeping, missing: note) { entry, path, _ in
      try expectFits(entry, path, form)
      progress.add(items: 1)
      if entry.linkGroup != 0 {
        let known = survey.links[entry.linkGroup, default: 0]
        survey.links[entry.linkGroup] = known &+ 1
        if known > 0 { return }
      }
      survey.contentBytes &+= entry.sizeBytes
    }
    return survey
  }

  private func expectFits(_ entry: Entry, _ path: [UInt8], _ form: Form) throws(StoreError) {
    let object = "\(entry.kind.noun) \(printable(path))"
    guard path.count <= CpioForm.maxNameBytes else {
      throw StoreError(
        .refused, object, "has a path of \(path.count) bytes, too long to be unpacked (4095)",
        advice: "Exclude the path")
    }
    guard form == .tar || entry.sizeBytes <= CpioForm.maxFileBytes else {
      throw StoreError(
        .refused, object,
        "has \(entry.sizeBytes) bytes, and a cpio archive holds files of less than 4 GiB",
        advice: "Exclude it, or write a tar archive")
    }
  }

  // MARK: Walking

  /// Calls `body` for the top and every entry that is kept, parents before children; `missing` for those
  /// that the snapshot could not read.
  private func walk(
    _ top: Entry, _ prefix: [UInt8], _ keeping: (([UInt8]) -> Bool)?,
    missing: (_ path: [UInt8]) -> Void = { _ in },
    _ body: (_ entry: Entry, _ path: [UInt8], _ subdirectories: Int) throws -> Void
  ) throws {
    func visit(_ entry: Entry, _ relative: [UInt8]) throws {
      let children = try entry.ids.map { try Tree.entries($0, from: store) } ?? []
      if relative.isEmpty || keeping?(relative) ?? true {
        if entry.content.isMissing { return missing(relative) }
        let path = relative.isEmpty ? prefix : prefix + [0x2f] + relative
        try body(entry, path, children.count { $0.kind == .directory })
      }
      for child in children {
        try visit(child, relative.isEmpty ? child.name : relative + [0x2f] + child.name)
      }
    }
    try visit(top, [])
  }

  // MARK: Objects

  private func copy(_ entry: Entry, to write: (UnsafeRawBufferPointer) throws -> Void) throws {
    guard case .file(let blob, let size) = entry.content else { return }
    try store.read(blob, sizeBytes: size) { _, bytes in
      try write(bytes)
      progress.add(bytes: UInt64(bytes.count))
    }
    progress.add(items: 1)
  }

  private func xattrs(of entry: Entry) throws -> [TarMember.Xattr] {
    guard let id = entry.xattrs else { return [] }
    let bytes = try store.object(.xattrs, id)
    do {
      return try XattrSet.decode(bytes).attributes.map { .init(name: $0.name, value: $0.value) }
    } catch {
      throw StoreError(
        .damaged, "attribute set \(id.hex)", "\(error)",
        advice: "Run 'imgstore verify --deep' to see which snapshots are affected")
    }
  }
}

// MARK: - Forms

/// Entries as cpio members. Links of an inode: all but the last have no bytes.
private final class CpioTreeWriter {
  let archive: CpioWriter
  private let links: [UInt64: UInt32]
  private var inodes: [UInt64: (number: UInt32, left: UInt32)] = [:]
  private var lastInode: UInt32 = 0

  init(_ archive: CpioWriter, _ links: [UInt64: UInt32]) {
    self.archive = archive
    self.links = links
  }

  func write(
    _ entry: Entry, _ path: [UInt8], _ subdirectories: Int, _ counts: inout TreeArchiveCounts,
    content: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    let kind: CpioKind
    switch entry.content {
    case .file, .unreadableFile: kind = .file
    case .directory, .unreadableDirectory: kind = .directory
    case .unreadableNode: return
    case .symlink(let target): kind = .symlink(target: target)
    case .device(true, let node): kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node): kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: kind = .fifo
    case .socket:
      counts.skippedSockets += 1
      return
    }
    let seconds = UInt32(clamping: entry.modified.seconds)
    if Int64(seconds) != entry.modified.seconds { counts.clampedTimes += 1 }
    if entry.xattrs != nil { counts.droppedXattrs += 1 }
    let (inode, isLast) = nextInode(entry)
    let size = kind == .file && isLast ? entry.sizeBytes : 0
    let linkCount =
      kind == .directory ? UInt32(clamping: 2 + subdirectories) : links[entry.linkGroup] ?? 1
    try archive.begin(
      CpioMember(
        path: path, kind: kind, mode: entry.mode, uid: entry.uid, gid: entry.gid,
        inode: CpioInode(number: inode), links: linkCount, modifiedSeconds: seconds,
        sizeBytes: size))
    if size > 0 { try content(archive.write) }
    counts.members += 1
    counts.contentBytes &+= size
    if isLast, entry.holes != nil { counts.filledSparseFiles += 1 }
  }

  /// The entry's inode, and whether this is its last name.
  private func nextInode(_ entry: Entry) -> (UInt32, isLast: Bool) {
    if entry.linkGroup != 0, let (number, left) = inodes[entry.linkGroup] {
      inodes[entry.linkGroup] = left > 1 ? (number, left - 1) : nil
      return (number, left <= 1)
    }
    lastInode &+= 1
    let others = (links[entry.linkGroup] ?? 1) - 1
    if others > 0 { inodes[entry.linkGroup] = (lastInode, others) }
    return (lastInode, others == 0)
  }
}

/// Entries as tar members. Links of an inode: all but the first name the first.
private final class TarTreeWriter {
  let archive: TarWriter
  private var firstNames: [UInt64: [UInt8]] = [:]

  init(_ archive: TarWriter) { self.archive = archive }

  func write(
    _ entry: Entry, _ path: [UInt8], _ xattrs: [TarMember.Xattr],
    _ counts: inout TreeArchiveCounts,
    content: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    var member = TarMember(
      path: path, kind: .file, mode: entry.mode, uid: entry.uid, gid: entry.gid,
      modifiedSeconds: entry.modified.seconds, modifiedNanoseconds: entry.modified.nanoseconds,
      xattrs: xattrs)
    switch entry.content {
    case .file(_, let size): member.sizeBytes = size
    case .unreadableFile, .unreadableNode: break
    case .directory, .unreadableDirectory:
      member.kind = .directory
      member.path.append(0x2f)
    case .symlink(let target): member.kind = .symlink(target: target)
    case .device(true, let node):
      member.kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node):
      member.kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: member.kind = .fifo
    case .socket:
      counts.skippedSockets += 1
      return
    }
    if entry.linkGroup != 0 {
      if let first = firstNames[entry.linkGroup] {
        member.kind = .hardLink(target: first)
        member.sizeBytes = 0
        member.xattrs = []
      } else {
        firstNames[entry.linkGroup] = path
      }
    }
    try archive.begin(member)
    if member.sizeBytes > 0 { try content(archive.write) }
    counts.members += 1
    counts.contentBytes &+= member.sizeBytes
    if member.kind == .file, entry.holes != nil { counts.filledSparseFiles += 1 }
  }
}

// Writes a stored tree as a cpio or tar stream directly from the store. The order is that of `find
// rootimg | cpio -H newc -o` and `tar c rootimg`.
//
// 1. Equal trees give equal bytes: parents before children, names in byte order, inodes numbered
//    from 1 in this order.
// 2. Nothing is dropped silently. A tree that the format cannot represent is refused before the
//    first byte. Entries that it represents only in part are counted.
// 3. Memory: the entries of one directory per level, the names of hard-linked inodes, one frame.

import Archive
import Platform
import Store

/// Counts of written members, and of properties that the format cannot represent.
public struct TreeArchiveCounts: Sendable, Equatable {
  /// The number of members, including the top.
  public var members: UInt64 = 0
  /// The total size of written files, with each inode counted once.
  public var contentBytes: UInt64 = 0
  /// The number of omitted sockets, which belong to a running program.
  public var skippedSockets = 0
  /// The number of entries whose extended attributes (capabilities, labels, lists) cpio does not
  /// store.
  public var droppedXattrs = 0
  /// The number of these that are executables with capabilities, such as ping.
  public var droppedCapabilities = 0
  /// The number of entries from before 1970 or after 2106, which get the nearest time that cpio can
  /// represent.
  public var clampedTimes = 0
  /// The number of sparse files, whose holes are written as zeros.
  public var filledSparseFiles = 0
  /// The omitted paths, relative to the top, that the snapshot could not read.
  public var missing: [[UInt8]] = []

  /// Creates zero counts.
  public init() {}
}

/// Writes trees as archives.
public struct TreeArchiveWriter {
  /// The format of the archive.
  public enum Form: Sendable {
    /// cpio "newc": times in seconds, no extended attributes, files smaller than 4 GiB.
    case cpio
    /// tar in GNU format, with pax headers for extended attributes and nanoseconds.
    case tar
  }

  private let store: ObjectStore
  private let progress: Progress

  /// Creates a writer for trees of a store.
  public init(_ store: ObjectStore, progress: Progress) {
    self.store = store
    self.progress = progress
  }

  /// Writes the tree of `top`.
  /// - Parameters:
  ///   - top: the tree's top directory.
  ///   - prefix: the name of `top` in the archive: "rootimg", or "." for none.
  ///   - form: the archive format.
  ///   - keeping: returns whether an entry is included, for its path relative to the top. It is
  ///     called for every entry but the top, also below excluded directories; nil includes all. It
  ///     is called twice per entry and must return the same.
  ///   - sink: receives the archive.
  /// - Returns: the counts of written and omitted entries.
  /// - Throws: `StoreError`: `refused`, before anything is written, for a file of 4 GiB or more in
  ///   cpio and for a name that is too long; `missing`; `damaged`. The errors of `sink`.
  public func write(
    _ top: Entry, prefix: [UInt8], as form: Form, keeping: ((_ path: [UInt8]) -> Bool)? = nil,
    to sink: @escaping ByteSink
  ) throws -> TreeArchiveCounts {
    guard top.ids != nil else {
      throw StoreError(
        .refused, "the tree \(printable(prefix))", "is a \(top.kind.noun) that cannot be archived",
        code: .unsupported)
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

  private struct Summary {
    /// The number of archived names of each hard-linked inode.
    var links: [UInt64: UInt32] = [:]
    var contentBytes: UInt64 = 0
    var missing: [[UInt8]] = []
  }

  private func survey(
    _ top: Entry, _ prefix: [UInt8], _ form: Form, _ keeping: (([UInt8]) -> Bool)?
  ) throws -> Summary {
    progress.begin("listing")
    var survey = Summary()
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
    guard path.count <= CpioFormat.maxNameBytes else {
      throw StoreError(
        .refused, object, "has a path of \(path.count) bytes; unpacking allows at most 4095",
        hint: "Exclude the path", code: .unsupported)
    }
    guard form == .tar || entry.sizeBytes <= CpioFormat.maxFileBytes else {
      throw StoreError(
        .refused, object,
        "has \(entry.sizeBytes) bytes, but files in a cpio archive must be smaller than 4 GiB",
        hint: "Exclude it, or write a tar archive", code: .unsupported)
    }
  }

  // MARK: Walking

  /// Calls `body` for the top and every included entry, parents before children, and `missing` for
  /// entries that the snapshot could not read.
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
        .damaged, "attribute set \(id.hex)", "is damaged: \(error)",
        hint: "Run 'imgstore verify --deep' to see which snapshots are affected")
    }
  }
}

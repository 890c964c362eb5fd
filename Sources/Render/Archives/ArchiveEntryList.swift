// Lists a tree as the entries of a cpio or tar stream. Framing is produced first, and content only
// later if no cached segment has it. The order is that of `find . | cpio -H newc -o` and `tar c .`.
//
// 1. Equal trees give equal entries: parents before children, names in byte order.
// 2. A header depends only on its own entry and, for hard links, on its group. There are no running
//    numbers, so a new file changes no header but its own.
// 3. A tree that the format cannot represent is refused before the first entry. Entries that it represents
//    only in part are counted. Entries that the snapshot could not read are omitted and listed.
// 4. Memory: the list of all entries, about 250 bytes each.

import Archive
import Codec
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
  /// The number of entries whose extended attributes (capabilities, labels, lists) cpio does not store.
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

/// Lists a tree and frames its entries.
public struct ArchiveEntryList {
  /// The format of the archive.
  public enum Form: Sendable {
    /// cpio "newc": times in seconds, no extended attributes, files smaller than 4 GiB.
    case cpio
    /// tar in GNU format, with pax headers for extended attributes and nanoseconds.
    case tar
  }

  private struct ListedEntry {
    let entry: Entry
    /// The path relative to the top; empty for the top itself.
    let path: [UInt8]
  }

  private let view: OverlayTree
  private let form: Form
  /// The name of the top in the archive; find prints "." for its starting point.
  private let name: [UInt8]
  private var listed: [ListedEntry] = []
  /// The number of archived names of each hard-linked inode.
  private var links: [UInt64: UInt32] = [:]
  /// The total size of all files, with each inode counted once.
  public private(set) var contentBytes: UInt64 = 0
  private var missing: [[UInt8]] = []

  /// Lists a tree.
  /// - Parameters:
  ///   - top: the tree's top directory.
  ///   - view: contains the tree.
  ///   - form: the archive format.
  ///   - name: the name of the top, with which all paths start: "rootimg", or "." for the members
  ///     of `find .`. In a tar, it may be empty: then paths have no prefix.
  ///   - keeping: returns whether an entry is included, for its path as find prints it: ".",
  ///     "./usr". It is called for every entry, also below excluded directories.
  /// - Throws: `StoreError`: `refused` for a file of 4 GiB or more in cpio and for a path that is
  ///   too long; `missing`; `damaged`.
  public init(
    _ top: Entry, from view: OverlayTree, as form: Form,
    named name: [UInt8] = [0x2e],
    keeping: (_ path: [UInt8]) -> Bool
  ) throws {
    self.view = view
    self.form = form
    self.name = name
    try list(top, [], keeping)
  }

  private mutating func list(
    _ entry: Entry, _ path: [UInt8], _ keeping: ([UInt8]) -> Bool
  ) throws {
    if keeping(path.isEmpty ? [0x2e] : [0x2e, 0x2f] + path) {
      if entry.content.isMissing {
        missing.append(path)
        return
      }
      try expectFits(entry, path)
      if entry.linkGroup == 0 || links[entry.linkGroup] == nil { contentBytes &+= entry.sizeBytes }
      if entry.linkGroup != 0 { links[entry.linkGroup, default: 0] += 1 }
      listed.append(ListedEntry(entry: entry, path: path))
    }
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: view) {
      try list(child, path.isEmpty ? child.name : path + [0x2f] + child.name, keeping)
    }
  }

  private func expectFits(_ entry: Entry, _ path: [UInt8]) throws(StoreError) {
    var object: String { "\(entry.kind.noun) \(printable(path))" }
    let maxBytes = CpioFormat.maxNameBytes - 1 - name.count
    guard path.count <= maxBytes else {
      throw StoreError(
        .refused, object, "has a path of \(path.count) bytes; unpacking allows at most \(maxBytes)",
        hint: "Exclude the path", code: .unsupported)
    }
    guard form == .tar || entry.sizeBytes <= CpioFormat.maxFileBytes else {
      throw StoreError(
        .refused, object,
        "has \(entry.sizeBytes) bytes, but files in a cpio archive must be smaller than 4 GiB",
        hint: "Exclude it, or pack with --method tar", code: .unsupported)
    }
  }

  /// Calls `body` with every entry, in order.
  /// - Returns: the end of the archive, and the counts of members.
  /// - Throws: `StoreError`; the errors of `body`.
  public func forEach(
    _ body: (ArchiveEntry) throws -> Void
  ) throws -> (trailer: [UInt8], counts: TreeArchiveCounts) {
    var counts = TreeArchiveCounts()
    counts.missing = missing
    var totalBytes: UInt64 = 0
    var cpio = CpioHeaderEncoder(links)
    var tar = TarHeaderEncoder()
    var capable: [Digest: Bool] = [:]
    for item in listed {
      if item.entry.kind == .socket {
        counts.skippedSockets += 1
        continue
      }
      let encoded: EncodedHeader
      switch form {
      case .cpio:
        encoded = try cpio.encode(item.entry, cpioName(item.path), &counts)
        if let id = item.entry.xattrs {
          let has = try capable[id] ?? hasCapability(item.entry)
          capable[id] = has
          if has { counts.droppedCapabilities += 1 }
        }
      case .tar:
        encoded = try tar.encode(item.entry, tarName(item.path), try xattrs(of: item.entry))
      }
      let content = encoded.hasContent ? self.content(of: item.entry) : .none
      let entry = ArchiveEntry(
        path: item.path, header: encoded.header, content: content,
        paddingBytes: form == .cpio
          ? CpioMember.paddingBytes(after: content.sizeBytes)
          : TarMember.paddingBytes(after: content.sizeBytes))
      counts.members += 1
      counts.contentBytes &+= content.sizeBytes
      if encoded.hasContent, item.entry.holes != nil { counts.filledSparseFiles += 1 }
      totalBytes += entry.sizeBytes
      try body(entry)
    }
    let end =
      form == .cpio ? CpioMember.end(after: totalBytes) : TarMember.end(after: totalBytes)
    return (end, counts)
  }

  /// Returns a path as `find .` and `find rootimg` print it.
  private func cpioName(_ path: [UInt8]) -> [UInt8] {
    if path.isEmpty { return name }
    return name == [0x2e] ? path : name + [0x2f] + path
  }

  private func tarName(_ path: [UInt8]) -> [UInt8] {
    if name.isEmpty { return path.isEmpty ? [0x2e] : path }
    return path.isEmpty ? name : name + [0x2f] + path
  }

  private static let capability = Array("security.capability".utf8)

  private func hasCapability(_ entry: Entry) throws -> Bool {
    try xattrs(of: entry).contains { $0.name == ArchiveEntryList.capability }
  }

  private func content(of entry: Entry) -> ArchiveEntryContent {
    guard case .file(let blob, let size) = entry.content, size > 0 else { return .none }
    return .blob(blob, sizeBytes: size)
  }

  private func xattrs(of entry: Entry) throws -> [TarMember.Xattr] {
    guard let id = entry.xattrs else { return [] }
    let bytes = try view.object(.xattrs, id)
    do {
      return try XattrSet.decode(bytes).attributes.map { .init(name: $0.name, value: $0.value) }
    } catch {
      throw StoreError(
        .damaged, "attribute set \(id.hex)", "is damaged: \(error)",
        hint: "Run 'imgstore verify --deep' to see which snapshots are affected")
    }
  }
}

// A tree as the entries of a cpio or tar stream: framing now, content later, and only where no
// cached segment has it. What `find . | cpio -H newc -o` and `tar c .` would write.
//
// 1. The same tree gives the same entries: parents before children, names in byte order.
// 2. A header depends on its own entry (and, for hard links, on its group) alone: nothing is
//    numbered along the way, so that a new file changes no header but its own.
// 3. What the form cannot hold refuses the tree before the first entry; what it holds less well is
//    counted. What the snapshot could not read is left out and listed.
// 4. Memory: the list of all entries, about 250 bytes each.

import Archive
import Codec
import Platform
import Store

/// Lists a tree and frames its entries.
public struct ArchiveEntryList {
  private struct Listed {
    let entry: Entry
    /// Relative to the top; empty for the top itself.
    let path: [UInt8]
  }

  private let view: OverlayTree
  private let form: TreeArchiveWriter.Form
  /// What the top is called in the archive; "." is find's name of where it stands.
  private let name: [UInt8]
  private var listed: [Listed] = []
  /// How many names of each hard-linked inode go in.
  private var links: [UInt64: UInt32] = [:]
  /// Bytes of files, each inode counted once.
  public private(set) var contentBytes: UInt64 = 0
  private var missing: [[UInt8]] = []

  /// Lists the tree.
  /// - Parameters:
  ///   - name: what the top is called in the archive, and all paths begin with: "rootimg", or "."
  ///     for the members of `find .`.
  ///   - keeping: whether an entry goes in, by its path as find writes it: ".", "./usr". It is asked
  ///     of every entry, also below directories that stay out.
  /// - Throws: `StoreError`: `refused` for a file of 4 GiB or more in cpio and a path that is too long,
  ///   `missing`, `damaged`.
  public init(
    _ top: Entry, from view: OverlayTree, as form: TreeArchiveWriter.Form,
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
      listed.append(Listed(entry: entry, path: path))
    }
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: view) {
      try list(child, path.isEmpty ? child.name : path + [0x2f] + child.name, keeping)
    }
  }

  private func expectFits(_ entry: Entry, _ path: [UInt8]) throws(StoreError) {
    var object: String { "\(entry.kind.noun) \(printable(path))" }
    let most = CpioForm.maxNameBytes - 1 - name.count
    guard path.count <= most else {
      throw StoreError(
        .refused, object, "has a path of \(path.count) bytes, too long to be unpacked (\(most))",
        advice: "Exclude the path")
    }
    guard form == .tar || entry.sizeBytes <= CpioForm.maxFileBytes else {
      throw StoreError(
        .refused, object,
        "has \(entry.sizeBytes) bytes, and a cpio archive holds files of less than 4 GiB",
        advice: "Exclude it, or pack with --method tar")
    }
  }

  /// Calls `body` with every entry, in order.
  /// - Returns: the archive's end, and what was written.
  public func forEach(
    _ body: (ArchiveEntry) throws -> Void
  ) throws -> (trailer: [UInt8], counts: TreeArchiveCounts) {
    var counts = TreeArchiveCounts()
    counts.missing = missing
    var totalBytes: UInt64 = 0
    var cpio = CpioFraming(links)
    var tar = TarFraming()
    var capable: [Digest: Bool] = [:]
    for item in listed {
      if item.entry.kind == .socket {
        counts.skippedSockets += 1
        continue
      }
      let framed: FramedEntry
      switch form {
      case .cpio:
        framed = try cpio.frame(item.entry, cpioName(item.path), &counts)
        if let id = item.entry.xattrs {
          let has = try capable[id] ?? hasCapability(item.entry)
          capable[id] = has
          if has { counts.droppedCapabilities += 1 }
        }
      case .tar:
        framed = try tar.frame(item.entry, tarName(item.path), try xattrs(of: item.entry))
      }
      let content = framed.hasContent ? self.content(of: item.entry) : .none
      let unit: UInt64 = form == .cpio ? 4 : 512
      let size = content.sizeBytes + UInt64(framed.tailBytes)
      let entry = ArchiveEntry(
        path: item.path, header: framed.header, content: content,
        paddingBytes: Int((unit - size % unit) % unit))
      counts.members += 1
      counts.contentBytes &+= content.sizeBytes
      if framed.hasContent, item.entry.holes != nil { counts.filledSparseFiles += 1 }
      totalBytes += entry.sizeBytes
      try body(entry)
    }
    let end =
      form == .cpio ? CpioFraming.end(after: totalBytes) : TarEnd.bytes(after: totalBytes)
    return (end, counts)
  }

  /// As `find .` and `find rootimg` print it.
  private func cpioName(_ path: [UInt8]) -> [UInt8] {
    if path.isEmpty { return name }
    return name == [0x2e] ? path : name + [0x2f] + path
  }

  private func tarName(_ path: [UInt8]) -> [UInt8] {
    path.isEmpty ? name : name + [0x2f] + path
  }

  private static let capability = Array("security.capability".utf8)

  private func hasCapability(_ entry: Entry) throws -> Bool {
    try xattrs(of: entry).contains { $0.name == ArchiveEntryList.capability }
  }

  private func content(of entry: Entry) -> EntryContent {
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
        .damaged, "attribute set \(id.hex)", "\(error)",
        advice: "Run 'imgstore verify --deep' to see which snapshots are affected")
    }
  }
}

/// A header, and whether the entry's content follows it.
private struct FramedEntry {
  let header: [UInt8]
  let hasContent: Bool
  /// Bytes at the header's end that count as content: a link's target in cpio.
  var tailBytes = 0
}

/// Entries as cpio members. Links of an inode: all but the last have no bytes.
private struct CpioFraming {
  private let links: [UInt64: UInt32]
  private var left: [UInt64: UInt32]
  private var inodes: [UInt64: UInt32] = [:]
  private var taken: Set<UInt32> = []

  init(_ links: [UInt64: UInt32]) {
    self.links = links
    left = links
  }

  mutating func frame(
    _ entry: Entry, _ path: [UInt8], _ counts: inout TreeArchiveCounts
  ) throws -> FramedEntry {
    let kind: CpioKind
    var tail = 0
    switch entry.content {
    case .directory, .unreadableDirectory: kind = .directory
    case .symlink(let target): (kind, tail) = (.symlink(target: target), target.count)
    case .device(true, let node): kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node): kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: kind = .fifo
    case .file, .unreadableFile, .unreadableNode, .socket: kind = .file
    }
    let seconds = UInt32(clamping: entry.modified.seconds)
    if Int64(seconds) != entry.modified.seconds { counts.clampedTimes += 1 }
    if entry.xattrs != nil { counts.droppedXattrs += 1 }
    let count = links[entry.linkGroup] ?? 1
    let rest = (left[entry.linkGroup] ?? 1) - 1
    if entry.linkGroup != 0 { left[entry.linkGroup] = rest }
    let hasContent = kind == .file && rest == 0
    var header: [UInt8] = []
    header.reserveCapacity(128 + path.count + tail)
    try CpioWriter { header += $0 }.begin(
      CpioMember(
        path: path, kind: kind, mode: entry.mode, uid: entry.uid,
        gid: entry.gid, inode: CpioInode(number: count > 1 ? inode(entry.linkGroup) : 0),
        links: count, modifiedSeconds: seconds, sizeBytes: hasContent ? entry.sizeBytes : 0))
    return FramedEntry(header: header, hasContent: hasContent, tailBytes: tail)
  }

  /// A number of the group's own, taken from its name; only hard links need one.
  private mutating func inode(_ group: UInt64) -> UInt32 {
    if let known = inodes[group] { return known }
    var number = UInt32(truncatingIfNeeded: group ^ group >> 32) | 1
    while !taken.insert(number).inserted { number &+= 2 }
    inodes[group] = number
    return number
  }

  /// The end mark, filled up to a block of 512 bytes.
  static func end(after totalBytes: UInt64) -> [UInt8] {
    var mark: [UInt8] = []
    // A writer that wrote nothing ends with the mark and its own filling.
    try? CpioWriter { mark += $0 }.finish()
    let markBytes = 124
    let rest = (512 - (totalBytes + UInt64(markBytes)) % 512) % 512
    return mark.prefix(markBytes) + [UInt8](repeating: 0, count: Int(rest))
  }
}

/// Entries as tar members. Links of an inode: all but the first name the first.
private struct TarFraming {
  private var firstNames: [UInt64: [UInt8]] = [:]

  mutating func frame(
    _ entry: Entry, _ name: [UInt8], _ xattrs: [TarMember.Xattr]
  ) throws -> FramedEntry {
    var member = TarMember(
      path: name, kind: .file, mode: entry.mode, uid: entry.uid, gid: entry.gid,
      modifiedSeconds: entry.modified.seconds, modifiedNanoseconds: entry.modified.nanoseconds,
      xattrs: xattrs)
    switch entry.content {
    case .file(_, let size): member.sizeBytes = size
    case .unreadableFile, .unreadableNode, .socket: break
    case .directory, .unreadableDirectory:
      member.kind = .directory
      member.path.append(0x2f)
    case .symlink(let target): member.kind = .symlink(target: target)
    case .device(true, let node):
      member.kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node):
      member.kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: member.kind = .fifo
    }
    if entry.linkGroup != 0 {
      if let first = firstNames[entry.linkGroup] {
        member.kind = .hardLink(target: first)
        member.sizeBytes = 0
        member.xattrs = []
      } else {
        firstNames[entry.linkGroup] = name
      }
    }
    var header: [UInt8] = []
    try TarWriter { header += $0 }.begin(member)
    return FramedEntry(header: header, hasContent: member.kind == .file)
  }
}

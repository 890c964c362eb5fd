// A whole root tree from a cpio or tar archive into the store, read once, as a stream.
//
// 1. The archive is hostile: `TreeAssembler` says what refuses it. Nothing outside the store is
//    written here.
// 2. Nothing is dropped silently: an archive that is cut off, even between two members, or that has
//    anything behind its end mark is refused; what is not read is counted.
// 3. The tree is the one that a capture of the unpacked archive would give, its holes excepted:
//    archives of these forms have none.

import Archive
import Codec
import Platform
import Store

/// A tree from an archive, in the store.
public struct ArchiveTree: Sendable {
  /// The top directory; its name is empty.
  public let entry: Entry
  /// Entries in the tree, the top included.
  public let entryCount: UInt64
  /// The sizes of all files, each name of a hard link counted.
  public let contentBytes: UInt64
  /// Members whose access control list stands in the archive as text, which is not read.
  public let droppedACLs: Int
}

/// Reads archives of root trees into a session.
public struct ArchiveTreeReader: Sendable {
  private let progress: Progress
  private let limits: ArchiveTreeLimits

  public init(progress: Progress, limits: ArchiveTreeLimits = ArchiveTreeLimits()) {
    self.progress = progress
    self.limits = limits
  }

  /// Reads an archive to its end.
  /// - Parameters:
  ///   - source: the plain stream: cpio (newc, crc) or tar, told apart by its first bytes.
  ///   - top: the folder that all members lie in: "rootimg". Its own member gives the top's
  ///     attributes.
  /// - Throws: `BundleError`, `StoreError`, and what the source throws.
  public func read(
    _ source: @escaping ByteSource, worker: SessionWorker, top: [UInt8]
  ) throws -> ArchiveTree {
    var reading = Reading(
      worker: worker, progress: progress, tree: TreeAssembler(top: top, limits: limits))
    defer { reading.tree.dismantle() }
    do {
      let (format, source) = try ArchiveFormat.recognise(source)
      switch format {
      case .cpio: try reading.read(CpioReader(source))
      case .tar: try reading.read(TarReader(source), source)
      }
    } catch let error as ArchiveError {
      throw BundleError(
        error.member.isEmpty ? "the archive" : "member \(printable(error.member.prefix(255)))",
        error.finding,
        advice: "Nothing was imported; fetch the archive again and compare its checksum")
    }
    let topEntry = try reading.tree.finish()
    guard case .directory(let directory) = topEntry.content else {
      throw BundleError("the archive", "holds no directory \(printable(top))/")
    }
    var builder = TreeBuilder { try worker.add($0.kind, $0.id, $0.bytes) }
    let ids = try builder.build(directory)
    return ArchiveTree(
      entry: builder.entry(topEntry, ids, name: []), entryCount: builder.entryCount + 1,
      contentBytes: builder.contentBytes, droppedACLs: reading.droppedACLs)
  }
}

/// One archive being read.
private struct Reading: ~Copyable {
  let worker: SessionWorker
  let progress: Progress
  var tree: TreeAssembler
  var blobs = BlobIngester()
  var droppedACLs = 0

  init(worker: SessionWorker, progress: Progress, tree: TreeAssembler) {
    self.worker = worker
    self.progress = progress
    self.tree = tree
  }

  // MARK: cpio

  mutating func read(_ cpio: CpioReader) throws {
    while let member = try cpio.next() {
      var entry = LiveEntry(name: [], stat: FileStat(member), content: .node)
      let isLinked = member.links > 1 && member.kind != .directory
      var blob: (id: Digest, sizeBytes: UInt64)?
      switch member.kind {
      case .symlink(let target): entry.content = .symlink(target)
      case .file:
        try tree.expectNew(member.path)
        if member.sizeBytes > 0 || !isLinked {
          blob = try ingest(member.path, member.sizeBytes) { try cpio.read($0) }
        }
        entry.content = isLinked ? .unread : .file(blob: blob?.id ?? emptyBlob)
      default: break
      }
      if isLinked {
        try tree.addLinked(member.path, entry, member.inode, blob: blob)
      } else {
        _ = try tree.add(member.path, entry)
      }
      progress.add(items: 1)
    }
  }

  // MARK: tar

  mutating func read(_ tar: TarReader, _ source: @escaping ByteSource) throws {
    while let member = try tar.next() {
      progress.add(items: 1)
      if member.hasTextACL { droppedACLs += 1 }
      if case .hardLink(let target) = member.kind {
        try tree.addLink(member.path, to: target)
        continue
      }
      guard let stat = FileStat(member) else { continue }
      var entry = LiveEntry(name: [], stat: stat, content: .node)
      entry.xattrs = try store(member.xattrs)
      switch member.kind {
      case .symlink(let target): entry.content = .symlink(target)
      case .file:
        try tree.expectNew(member.path)
        let blob = try ingest(member.path, member.sizeBytes) { try tar.read($0) }
        entry.content = .file(blob: blob.id)
      default: break
      }
      _ = try tree.add(member.path, entry)
    }
    guard tar.hasEndMark else {
      throw ArchiveError("the archive is cut off: it ends without the end mark, a block of zeros")
    }
    guard try hasOnlyZerosLeft(source) else {
      throw ArchiveError("something follows the archive's end mark: more than one archive?")
    }
  }

  private func store(_ xattrs: [TarMember.Xattr]) throws -> Digest? {
    if xattrs.isEmpty { return nil }
    let bytes = XattrSet(xattrs.map { .init(name: $0.name, value: $0.value) }).encode()
    let id = SHA256.digest(of: bytes)
    try worker.add(.xattrs, id, bytes)
    return id
  }

  // MARK: Content

  private mutating func ingest(
    _ path: [UInt8], _ sizeBytes: UInt64, _ read: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    let progress = progress
    let blob = try blobs.ingest(worker) { target in
      let n = try read(target)
      progress.add(bytes: UInt64(n))
      return n
    }
    guard blob.sizeBytes == sizeBytes else {
      throw ArchiveError(member: path, "it ends too early")
    }
    return blob
  }
}

extension FileStat {
  fileprivate init(_ member: CpioMember) {
    let (kind, node): (FileKind, DeviceNumber) =
      switch member.kind {
      case .file: (.file, .none)
      case .directory: (.directory, .none)
      case .symlink: (.symlink, .none)
      case .characterDevice(let major, let minor):
        (.characterDevice, DeviceNumber(major: major, minor: minor))
      case .blockDevice(let major, let minor):
        (.blockDevice, DeviceNumber(major: major, minor: minor))
      case .fifo: (.fifo, .none)
      case .socket: (.socket, .none)
      }
    self.init(
      kind: kind, mode: member.mode, uid: member.uid, gid: member.gid, size: member.sizeBytes,
      node: node, modified: Timestamp(seconds: Int64(member.modifiedSeconds), nanoseconds: 0))
  }

  /// Nil for a hard link, which has no attributes of its own.
  fileprivate init?(_ member: TarMember) {
    let (kind, node): (FileKind, DeviceNumber)
    switch member.kind {
    case .file: (kind, node) = (.file, .none)
    case .directory: (kind, node) = (.directory, .none)
    case .symlink: (kind, node) = (.symlink, .none)
    case .characterDevice(let major, let minor):
      (kind, node) = (.characterDevice, DeviceNumber(major: major, minor: minor))
    case .blockDevice(let major, let minor):
      (kind, node) = (.blockDevice, DeviceNumber(major: major, minor: minor))
    case .fifo: (kind, node) = (.fifo, .none)
    case .hardLink: return nil
    }
    self.init(
      kind: kind, mode: member.mode, uid: member.uid, gid: member.gid, size: member.sizeBytes,
      node: node,
      modified: Timestamp(
        seconds: member.modifiedSeconds, nanoseconds: member.modifiedNanoseconds))
  }
}

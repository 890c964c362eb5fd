// Records the attributes that the last snapshot of an image saw, so that unchanged files are not read again.
//
// 1. An entry is valid only while device, inode, size, mtime, ctime and link count are unchanged.
//    An equal ctime also implies equal mode, owner, extended attributes and inode flags.
// 2. Git's racy rule: if an entry changed so recently before the scan that another change could
//    produce the same times, it is recorded as untrusted.
// 3. After the removal of other names of a file, its record has the new ctime and link count, and confirms the
//    content only: attributes are read again. A write changes mtime, but a change of attributes within the
//    same tick of the clock would not show in ctime.
// 4. The cache names its base snapshot, from which all its content is reachable. Without that
//    snapshot, or one with the same components, the cache is useless.
// 5. The cache is a file in cache/. Its ends and each directory have a checksum. Any doubt about a directory
//    means that nothing in it is known.
// 6. Directories are read one at a time, when the walk comes to them. A new cache replaces the file by
//    another, so an open cache does not change.
//
// Layout: "IMGSTAT" 4, or 5 if it has records as in 3 | snapshot id 32 | directories, children before parents
// | root offset u64 | root length u64 | CRC-32 of the first 40 bytes and the root's place. A directory:
// device u64 | number of entries u32 | records (EntryRecord.swift) | CRC-32 of these.

import Codec
import Platform
import Store

/// The stat cache of one image, open.
public final class StatCache: Sendable {
  static let magic: [UInt8] = Array("IMGSTAT".utf8)
  static let plainVersion: UInt8 = 4
  /// The version of a cache with records that confirm contents only.
  static let versionWithUntrustedAttributes: UInt8 = 5
  static let headBytes = 40
  static let tailBytes = 20
  /// The bytes of a directory besides its records.
  static let frameBytes = 16

  private let fileSystem: any FileSystem
  private let file: Descriptor
  private let sizeBytes: UInt64
  /// The snapshot from which all content of the cache is reachable.
  public let base: Digest
  /// Whether the cache has records that confirm contents only.
  let hasUntrustedAttributes: Bool
  private let rootOffset: UInt64
  private let rootBytes: UInt64

  var root: Directory {
    Directory(cache: self, offset: rootOffset, lengthBytes: rootBytes, ids: nil)
  }

  /// Opens the cache, or returns nil if there is none or it is invalid.
  public static func load(_ layout: Layout, key: Digest) -> StatCache? {
    load(layout.fileSystem, at: layout.cache, layout.objectCacheName(key))
  }

  /// Loads a cache from a file outside the store, or returns nil if there is none or it is invalid.
  public static func load(
    _ fileSystem: any FileSystem, at directory: Descriptor, _ name: [UInt8]
  ) -> StatCache? {
    guard
      let file = try? fileSystem.openFile(
        at: directory.raw, name, [.read, .noFollow, .nonBlocking]),
      let stat = try? fileSystem.stat(file.raw), stat.kind == .file,
      stat.size >= UInt64(headBytes + tailBytes)
    else { return nil }
    return StatCache(fileSystem, file, sizeBytes: stat.size)
  }

  private init?(_ fileSystem: any FileSystem, _ file: Descriptor, sizeBytes: UInt64) {
    (self.fileSystem, self.file, self.sizeBytes) = (fileSystem, file, sizeBytes)
    var ends = [UInt8](repeating: 0, count: StatCache.headBytes + StatCache.tailBytes)
    let isRead = ends.withUnsafeMutableBytes { ends in
      let head = UnsafeMutableRawBufferPointer(rebasing: ends[..<StatCache.headBytes])
      let tail = UnsafeMutableRawBufferPointer(rebasing: ends[StatCache.headBytes...])
      return (try? fileSystem.readFully(file.raw, at: 0, into: head)) == head.count
        && (try? fileSystem.readFully(
          file.raw, at: sizeBytes - UInt64(StatCache.tailBytes), into: tail)) == tail.count
    }
    let fields = ends.withUnsafeBytes { ends in
      (
        Digest(reading: UnsafeRawBufferPointer(rebasing: ends[8..<StatCache.headBytes])),
        UInt64(littleEndian: ends.loadUnaligned(fromByteOffset: 40, as: UInt64.self)),
        UInt64(littleEndian: ends.loadUnaligned(fromByteOffset: 48, as: UInt64.self)),
        UInt32(littleEndian: ends.loadUnaligned(fromByteOffset: 56, as: UInt32.self))
      )
    }
    guard isRead, ends.starts(with: StatCache.magic),
      StatCache.plainVersion...StatCache.versionWithUntrustedAttributes ~= ends[7],
      let base = fields.0, CRC32.of(Array(ends.dropLast(4))) == fields.3
    else { return nil }
    self.base = base
    hasUntrustedAttributes = ends[7] == StatCache.versionWithUntrustedAttributes
    (rootOffset, rootBytes) = (fields.1, fields.2)
  }

  /// Returns whether all content of the cache is reachable from these components. They can then
  /// replace the base if that has been forgotten.
  public func isCovered(by components: [Snapshot.Component]) -> Bool {
    guard let records = root.records() else { return false }
    var cursor = Cursor(records)
    while let cached = cursor.next() {
      guard let entry = components.first(where: { $0.path.elementsEqual(cached.name) })?.entry,
        cached.hasContent(of: entry)
      else { return false }
    }
    return true
  }

  /// Reads the records of a directory; nil if they cannot be read or are damaged.
  private func records(_ offset: UInt64, _ lengthBytes: UInt64) -> Records? {
    let limit = sizeBytes - UInt64(StatCache.tailBytes)
    guard lengthBytes >= UInt64(StatCache.frameBytes), offset >= UInt64(StatCache.headBytes),
      offset <= limit, lengthBytes <= limit - offset, let count = Int(exactly: lengthBytes)
    else { return nil }
    let (fileSystem, file) = (fileSystem, file)
    return Records(self, byteCount: count) {
      (try? fileSystem.readFully(file.raw, at: offset, into: $0)) == $0.count
    }
  }

  /// Returns whether the cache has a component with the content of this one.
  public func describes(_ component: Snapshot.Component) -> Bool {
    entry(at: component.path)?.hasContent(of: component.entry) ?? false
  }

  /// Returns whether a component of the cache is the file or directory with these attributes. An inode that
  /// was used again, or that was copied to another file system, is another one.
  public func isRecord(of stat: FileStat, at path: [UInt8]) -> Bool {
    entry(at: path)?.isRecord(of: stat) ?? false
  }

  private func entry(at path: [UInt8]) -> Entry? {
    guard var cursor = root.cursor() else { return nil }
    while let cached = cursor.next() {
      if cached.name.elementsEqual(path) { return cached }
    }
    return nil
  }

  // MARK: Records

  /// A directory in the cache.
  struct Directory: Sendable {
    fileprivate let cache: StatCache
    fileprivate let offset: UInt64
    fileprivate let lengthBytes: UInt64
    /// The directory's ids, which its parent's record contains; nil for the collection of components.
    let ids: Tree.IDs?

    /// Reads the records; nil if they cannot be read or are damaged.
    func records() -> Records? { cache.records(offset, lengthBytes) }

    /// Returns the entries in the byte order of their names; none if they are damaged.
    func cursor() -> Cursor? { records().map(Cursor.init) }
  }

  /// The records of one directory.
  final class Records: @unchecked Sendable {  // immutable once created
    fileprivate let cache: StatCache
    private let buffer: UnsafeMutableRawBufferPointer
    let defaults: EntryRecord.Defaults
    let count: Int

    /// Reads the records with `read`; nil if that fails or the checksum does not match.
    fileprivate init?(
      _ cache: StatCache, byteCount: Int, _ read: (UnsafeMutableRawBufferPointer) -> Bool
    ) {
      self.cache = cache
      buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
      let isRead = read(buffer)
      let body = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer).dropLast(4))
      let crc = buffer.loadUnaligned(fromByteOffset: body.count, as: UInt32.self)
      defaults = EntryRecord.Defaults(
        device: UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: 0, as: UInt64.self)))
      count = Int(
        UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
      guard isRead, CRC32.of(body) == UInt32(littleEndian: crc) else { return nil }
    }

    deinit { buffer.deallocate() }

    /// The records, without what is around them.
    var bytes: UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(rebasing: buffer[12..<buffer.count - 4])
    }
  }

  /// An entry in the cache. Valid as long as its cursor.
  struct Entry {
    fileprivate let records: Records
    let view: EntryView

    var name: UnsafeRawBufferPointer { view.name }
    var kind: FileKind { view.kind }
    /// The blob of a file.
    var blob: Digest? { view.blob }
    var ids: Tree.IDs? { view.child?.ids }
    var xattrs: Digest? { view.xattrs }
    var holes: Digest? { view.holes }
    var flags: InodeFlags { view.entryFlags }
    var directory: Directory? {
      view.child.map {
        Directory(cache: records.cache, offset: $0.offset, lengthBytes: $0.lengthBytes, ids: $0.ids)
      }
    }

    /// Returns whether the record is of the inode with these attributes.
    func isRecord(of stat: FileStat) -> Bool {
      defer { withExtendedLifetime(records) {} }
      return view.device(records.defaults) == stat.device && view.inode == stat.inode
    }

    /// Returns whether the record has the content of an entry of a snapshot.
    func hasContent(of entry: Store.Entry) -> Bool {
      defer { withExtendedLifetime(records) {} }
      return ids == entry.ids && blob == entry.blob && xattrs == entry.xattrs
        && holes == entry.holes
        && flags == entry.flags
    }

    /// Returns whether the record confirms content and attributes.
    func isUpToDate(with stat: FileStat) -> Bool {
      confirmsContent(of: stat) && !view.flags.contains(.untrustedAttributes)
        // An equal ctime implies these, so a difference is a reason for doubt.
        && view.mode == stat.mode && view.uid == stat.uid && view.gid == stat.gid
        && view.statFlags == stat.flags && view.node == stat.node
        && view.state == EntryRecord.State(of: kind)
    }

    /// Returns whether a symbolic link has this target.
    func hasTarget(_ target: [UInt8]) -> Bool { view.target.elementsEqual(target) }

    /// Returns whether invariant 1 of this file holds.
    func confirmsContent(of stat: FileStat) -> Bool {
      view.flags.contains(.trusted) && kind == stat.kind && view.inode == stat.inode
        && view.device(records.defaults) == stat.device
        && view.modified == stat.modified && view.changed == stat.changed
        && (kind == .directory || view.size == stat.size && view.links == stat.links)
    }
  }

  /// Iterates over a directory's entries.
  struct Cursor {
    private let records: Records
    private var offset = 0
    private var left: Int

    fileprivate init(_ records: Records) {
      self.records = records
      left = records.count
    }

    /// Whether all entries were returned.
    var isAtEnd: Bool { left == 0 && offset == records.bytes.count }

    mutating func next() -> Entry? {
      guard left > 0, let view = EntryView(records.bytes, at: offset) else { return nil }
      left -= 1
      offset += view.lengthBytes
      return Entry(records: records, view: view)
    }
  }
}

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
// 5. The cache is a file in cache/ with a checksum. Any doubt about it means an empty cache.
//
// Layout: "IMGSTAT" 2, or 3 if it has records as in 3 | snapshot id 32 | directory records, children before parents | root offset
// u64 | CRC-32 of all preceding bytes.

import Codec
import Platform
import Store

/// The stat cache of one image, loaded.
public final class StatCache: @unchecked Sendable {  // immutable once loaded
  static let magic: [UInt8] = Array("IMGSTAT".utf8)
  static let plainVersion: UInt8 = 2
  /// The version of a cache with records that confirm contents only.
  static let versionWithUntrustedAttributes: UInt8 = 3

  private let bytes: UnsafeRawBufferPointer
  /// The snapshot from which all content of the cache is reachable.
  public let base: Digest
  private let rootOffset: Int

  private init(_ bytes: UnsafeRawBufferPointer, base: Digest, rootOffset: Int) {
    self.bytes = bytes
    self.base = base
    self.rootOffset = rootOffset
  }

  deinit { bytes.deallocate() }

  /// Whether the cache has records that confirm contents only.
  var hasUntrustedAttributes: Bool { bytes[7] == StatCache.versionWithUntrustedAttributes }

  var root: Directory { Directory(cache: self, offset: rootOffset, ids: nil) }

  /// Loads the cache, or returns nil if there is none or it is invalid.
  public static func load(_ layout: Layout, key: Digest) -> StatCache? {
    let fileSystem = layout.fileSystem
    guard
      let file = try? fileSystem.openFile(
        at: layout.cache.raw, layout.objectCacheName(key), [.read, .noFollow, .nonBlocking]),
      let stat = try? fileSystem.stat(file.raw), stat.kind == .file
    else { return nil }
    let size = stat.size
    guard size >= 52, size < 4 << 30 else { return nil }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(size), alignment: 16)
    let bytes = UnsafeRawBufferPointer(buffer)
    var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - 12)...]))
    guard let base = bytes.baseAddress,
      (try? fileSystem.readFully(file.raw, at: 0, into: buffer)) == buffer.count,
      bytes.prefix(7).elementsEqual(magic),
      plainVersion...versionWithUntrustedAttributes ~= bytes[7], let offset = try? reader.word64(),
      let crc = try? reader.word32(), offset < UInt64(bytes.count - 12),
      CRC32.of(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 4)])) == crc
    else {
      buffer.deallocate()
      return nil
    }
    return StatCache(bytes, base: Digest(loading: base + 8), rootOffset: Int(offset))
  }

  /// Returns whether all content of the cache is reachable from these components. They can then
  /// replace the base if that has been forgotten.
  public func isCovered(by components: [Snapshot.Component]) -> Bool {
    var cursor = root.cursor()
    while let cached = cursor.next() {
      guard let entry = components.first(where: { $0.path.elementsEqual(cached.name) })?.entry,
        cached.ids == entry.ids, cached.blob == entry.blob, cached.xattrs == entry.xattrs,
        cached.holes == entry.holes, cached.flags == entry.flags
      else { return false }
    }
    return true
  }

  // MARK: Records

  /// A directory in the cache.
  struct Directory: @unchecked Sendable {  // the cache is immutable
    fileprivate let cache: StatCache
    fileprivate let offset: Int
    /// The directory's ids, which its parent's record contains; nil for the collection of components.
    fileprivate(set) var ids: Tree.IDs?

    /// Returns the entries in the byte order of their names.
    func cursor() -> Cursor { Cursor(cache, offset) }
  }

  /// An entry in the cache.
  struct Entry {
    let name: UnsafeRawBufferPointer
    let kind: FileKind
    let isTrusted: Bool
    /// Whether the record confirms the content only (invariant 3).
    let hasUntrustedAttributes: Bool
    let inode: UInt64
    let size: UInt64
    let modified: Timestamp
    let changed: Timestamp
    let links: UInt32
    let device: UInt64
    /// The blob of a file.
    let blob: Digest?
    let ids: Tree.IDs?
    let xattrs: Digest?
    let holes: Digest?
    let flags: InodeFlags
    let linkGroup: UInt64
    let directory: Directory?

    /// Returns whether the record confirms content and attributes.
    func isUpToDate(with stat: FileStat) -> Bool {
      confirmsContent(of: stat) && !hasUntrustedAttributes
    }

    /// Returns whether invariant 1 of this file holds.
    func confirmsContent(of stat: FileStat) -> Bool {
      isTrusted && kind == stat.kind && inode == stat.inode && device == stat.device
        && modified == stat.modified && changed == stat.changed
        && (kind == .directory || size == stat.size && links == stat.links)
    }
  }

  /// Iterates over a directory's entries.
  struct Cursor {
    private let cache: StatCache
    private var reader: ByteReader
    private let device: UInt64
    private var left: Int

    fileprivate init(_ cache: StatCache, _ offset: Int) {
      self.cache = cache
      reader = ByteReader(UnsafeRawBufferPointer(rebasing: cache.bytes[offset...]))
      device = (try? reader.word64()) ?? 0
      left = (try? reader.word32()).map(Int.init) ?? 0
    }

    mutating func next() -> Entry? {
      guard left > 0 else { return nil }
      left -= 1
      return try? read()
    }

    private mutating func read() throws(CodecError) -> Entry {
      let nameLength = Int(try reader.word32())
      guard nameLength <= reader.remaining else { throw .truncated }
      let start = reader.offset
      let base = reader.buffer
      try reader.skip(nameLength)
      let name = UnsafeRawBufferPointer(rebasing: base[start..<start + nameLength])
      guard let kind = FileKind(rawValue: try reader.byte()) else { throw .corrupt("kind") }
      let flags = try reader.byte()
      let inode = try reader.word64()
      let size = try reader.word64()
      let modified = Timestamp(
        seconds: Int64(bitPattern: try reader.word64()), nanoseconds: try reader.word32())
      let changed = Timestamp(
        seconds: Int64(bitPattern: try reader.word64()), nanoseconds: try reader.word32())
      let links = try reader.word32()
      var blob: Digest?
      var ids: Tree.IDs?
      var directory: Directory?
      if flags & Flag.content != 0 {
        if kind == .directory {
          ids = Tree.IDs(tree: try reader.digest(), times: try reader.digest())
          directory = Directory(
            cache: cache, offset: Int(try reader.limited(UInt64(cache.bytes.count - 12))), ids: ids)
        } else {
          blob = try reader.digest()
        }
      }
      let xattrs = flags & Flag.xattrs != 0 ? try reader.digest() : nil
      let holes = flags & Flag.holes != 0 ? try reader.digest() : nil
      let linkGroup = flags & Flag.linked != 0 ? try reader.word64() : 0
      let inodeFlags = flags & Flag.inodeFlags != 0 ? try reader.byte() : 0
      let ownDevice = flags & Flag.otherDevice != 0 ? try reader.word64() : device
      return Entry(
        name: name, kind: kind, isTrusted: flags & Flag.trusted != 0,
        hasUntrustedAttributes: flags & Flag.untrustedAttributes != 0, inode: inode, size: size,
        modified: modified, changed: changed, links: links, device: ownDevice, blob: blob,
        ids: ids, xattrs: xattrs, holes: holes, flags: InodeFlags(rawValue: inodeFlags),
        linkGroup: linkGroup, directory: directory)
    }
  }

  enum Flag {
    static let trusted: UInt8 = 1
    static let content: UInt8 = 2
    static let xattrs: UInt8 = 4
    static let holes: UInt8 = 8
    static let linked: UInt8 = 16
    static let inodeFlags: UInt8 = 32
    /// The entry's device differs from that of the directory's first entry.
    static let otherDevice: UInt8 = 64
    static let untrustedAttributes: UInt8 = 128
  }
}

extension ByteReader {
  fileprivate mutating func limited(_ limit: UInt64) throws(CodecError) -> UInt64 {
    let value = try word64()
    guard value < limit else { throw .corrupt("an offset is outside") }
    return value
  }
}

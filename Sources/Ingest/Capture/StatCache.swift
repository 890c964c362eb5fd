// What the last snapshot of an image saw, so that an unchanged file is not read again.
//
// 1. An entry is vouched for only while device, inode, size, mtime, ctime and link count are the
//    same. An equal ctime also means equal mode, owner, extended attributes and inode flags.
// 2. Git's racy rule: an entry that changed so shortly before it was looked at that another
//    change could have left the same times is written down as not trusted.
// 3. The cache names the snapshot it was made with: everything it vouches for is reachable from
//    it. Without that snapshot, or one with the same pieces, the cache is worth nothing.
// 4. It is a file under cache/ with a checksum; any doubt about it means an empty cache.
//
// Layout: "IMGSTAT" 2 | snapshot id 32 | directory records, children before parents
// | root offset u64 | CRC-32 of all before.

import Codec
import Platform
import Store

/// The cache of one image, loaded.
public final class StatCache: @unchecked Sendable {  // immutable once loaded
  static let magic: [UInt8] = Array("IMGSTAT".utf8) + [2]

  private let bytes: UnsafeRawBufferPointer
  /// The snapshot that everything in the cache is reachable from.
  public let base: Digest
  private let rootOffset: Int

  private init(_ bytes: UnsafeRawBufferPointer, base: Digest, rootOffset: Int) {
    self.bytes = bytes
    self.base = base
    self.rootOffset = rootOffset
  }

  deinit { bytes.deallocate() }

  var root: Directory { Directory(cache: self, offset: rootOffset, ids: nil) }

  /// Loads the cache; nil where there is none, or none that can be believed.
  public static func load(_ layout: Layout, key: Digest) -> StatCache? {
    let fileSystem = layout.fileSystem
    guard
      let file = try? fileSystem.openFile(
        at: layout.cache.raw, layout.statCacheName(key), [.read, .noFollow, .nonBlocking]),
      let stat = try? fileSystem.stat(file.raw), stat.kind == .file
    else { return nil }
    let size = stat.size
    guard size >= 52, size < 4 << 30 else { return nil }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(size), alignment: 16)
    let bytes = UnsafeRawBufferPointer(buffer)
    var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - 12)...]))
    guard let base = bytes.baseAddress,
      (try? fileSystem.readFully(file.raw, at: 0, into: buffer)) == buffer.count,
      bytes.prefix(8).elementsEqual(magic), let offset = try? reader.word64(),
      let crc = try? reader.word32(), offset < UInt64(bytes.count - 12),
      CRC32.of(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 4)])) == crc
    else {
      buffer.deallocate()
      return nil
    }
    return StatCache(bytes, base: Digest(loading: base + 8), rootOffset: Int(offset))
  }

  /// Everything that the cache vouches for is reachable from these pieces: as good as its base, where
  /// that has been forgotten.
  public func isCovered(by pieces: [Snapshot.Component]) -> Bool {
    var cursor = root.cursor()
    while let cached = cursor.next() {
      guard let entry = pieces.first(where: { $0.path.elementsEqual(cached.name) })?.entry,
        cached.ids == entry.ids, cached.blob == entry.blob, cached.xattrs == entry.xattrs,
        cached.holes == entry.holes, cached.flags == entry.flags
      else { return false }
    }
    return true
  }

  // MARK: Records

  /// A directory as the cache has it.
  struct Directory: @unchecked Sendable {  // the cache is immutable
    fileprivate let cache: StatCache
    fileprivate let offset: Int
    /// The directory's ids, where its parent has them; the collection of pieces has none.
    fileprivate(set) var ids: Tree.IDs?

    /// The entries in byte order of their names.
    func cursor() -> Cursor { Cursor(cache, offset) }
  }

  /// An entry as the cache has it.
  struct Entry {
    let name: UnsafeRawBufferPointer
    let kind: FileKind
    let isTrusted: Bool
    let inode: UInt64
    let size: UInt64
    let modified: Timestamp
    let changed: Timestamp
    let links: UInt32
    let device: UInt64
    /// A file's blob.
    let blob: Digest?
    let ids: Tree.IDs?
    let xattrs: Digest?
    let holes: Digest?
    let flags: InodeFlags
    let linkGroup: UInt64
    let directory: Directory?

    /// The rule of line 1 above.
    func isUpToDate(with stat: FileStat) -> Bool {
      isTrusted && kind == stat.kind && inode == stat.inode && device == stat.device
        && modified == stat.modified && changed == stat.changed
        && (kind == .directory || size == stat.size && links == stat.links)
    }
  }

  /// Walks a directory's entries once.
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
        name: name, kind: kind, isTrusted: flags & Flag.trusted != 0, inode: inode, size: size,
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
    /// The entry is of another device than the first one of its directory.
    static let otherDevice: UInt8 = 64
  }
}

extension ByteReader {
  fileprivate mutating func limited(_ limit: UInt64) throws(CodecError) -> UInt64 {
    let value = try word64()
    guard value < limit else { throw .corrupt("an offset is outside") }
    return value
  }
}

// MARK: - Writing

extension StatCache {
  /// A granule of file times: changes closer together may carry the same time. Kernels stamp at
  /// their tick (up to 10 ms); a file system without nanoseconds stamps whole seconds (FAT: two).
  static func granuleNanoseconds(_ time: Timestamp) -> Int64 {
    time.nanoseconds == 0 ? 2_000_000_000 : 20_000_000
  }

  /// Writes the records of a tree, children first.
  struct Writer {
    private var writer = ByteWriter()
    /// When the walk began: what changed after that, or just before, is not trusted.
    private let scanStart: Timestamp

    init(base: Digest, scanStart: Timestamp) {
      self.scanStart = scanStart
      writer.raw(StatCache.magic)
      writer.digest(base)
    }

    /// Makes room for so many entries at once: what grows is copied, page by fresh page.
    mutating func reserve(entries count: Int) { writer.reserve(count * 110 + 4096) }

    mutating func add(_ directory: ScannedDirectory) -> UInt64 {
      var offsets: [UInt64] = []
      for child in directory.summary.directories { offsets.append(add(child)) }
      var next = offsets.makeIterator()
      let offset = UInt64(writer.bytes.count)
      let device = directory.entries.first?.stat.device ?? 0
      writer.word64(device)
      writer.word32(UInt32(directory.entries.count))
      directory.forEachEntry { add($0.pointee, device, &next) }
      return offset
    }

    private mutating func add(
      _ entry: borrowing ScannedEntry, _ device: UInt64,
      _ offsets: inout IndexingIterator<[UInt64]>
    ) {
      var flags: UInt8 = isSettled(entry.stat) ? Flag.trusted : 0
      var childIDs: Tree.IDs?
      switch entry.content {
      case .file: flags |= Flag.content
      case .directory(let child):
        childIDs = child.ids
        if childIDs != nil { flags |= Flag.content }
      case .unreadable, .excludedDirectory, .unread, .vanished: flags = 0
      case .symlink, .node: break
      }
      if entry.xattrs != nil { flags |= Flag.xattrs }
      if entry.holes != nil { flags |= Flag.holes }
      if entry.linkGroup != 0 { flags |= Flag.linked }
      if !entry.flags.isEmpty { flags |= Flag.inodeFlags }
      if entry.stat.device != device { flags |= Flag.otherDevice }
      writer.word32(UInt32(entry.name.count))
      writer.raw(entry.name)
      addStat(entry.stat, flags)
      switch entry.content {
      case .file(let blob): writer.digest(blob)
      case .directory:
        let offset = offsets.next() ?? 0
        if let childIDs {
          writer.digest(childIDs.tree)
          writer.digest(childIDs.times)
          writer.word64(offset)
        }
      default: break
      }
      if let xattrs = entry.xattrs { writer.digest(xattrs) }
      if let holes = entry.holes { writer.digest(holes) }
      if entry.linkGroup != 0 { writer.word64(entry.linkGroup) }
      if !entry.flags.isEmpty { writer.byte(entry.flags.rawValue) }
      if entry.stat.device != device { writer.word64(entry.stat.device) }
    }

    /// Kind, flags, inode, size, times, links: 46 bytes, put down at once.
    private mutating func addStat(_ stat: FileStat, _ flags: UInt8) {
      withUnsafeTemporaryAllocation(byteCount: 46, alignment: 8) { record in
        func put(_ value: some FixedWidthInteger, _ offset: Int) {
          record.storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
        }
        put(stat.kind.rawValue, 0)
        put(flags, 1)
        put(stat.inode, 2)
        put(stat.size, 10)
        put(stat.modified.seconds, 18)
        put(stat.modified.nanoseconds, 26)
        put(stat.changed.seconds, 30)
        put(stat.changed.nanoseconds, 38)
        put(stat.links, 42)
        writer.raw(UnsafeRawBufferPointer(record))
      }
    }

    /// The last change is so old that any later one must show in the times.
    private func isSettled(_ stat: FileStat) -> Bool {
      for time in [stat.modified, stat.changed] {
        let granule = StatCache.granuleNanoseconds(time)
        let edge = time.plus(nanoseconds: granule)
        if !(edge < scanStart) && time < scanStart.plus(nanoseconds: 3600 * 1_000_000_000) {
          return false
        }
      }
      return true
    }

    /// Ends the file and puts it in its place. A failure loses speed, nothing else.
    mutating func save(_ layout: Layout, key: Digest, root: UInt64) {
      writer.word64(root)
      writer.word32(CRC32.of(writer.bytes))
      let fileSystem = layout.fileSystem
      let name = layout.statCacheName(key)
      let new = name + Array(".new".utf8)
      do throws(SystemError) {
        // Whatever has the name is no one's work: the image's lock is held.
        try? fileSystem.remove(at: layout.cache.raw, new, isDirectory: false)
        let file = try fileSystem.openFile(
          at: layout.cache.raw, new, [.write, .create, .exclusive, .noFollow])
        try fileSystem.write(file.raw, writer.bytes)
        try fileSystem.rename(
          at: layout.cache.raw, new, to: layout.cache.raw, name, exclusively: false)
      } catch {
        try? fileSystem.remove(at: layout.cache.raw, new, isDirectory: false)
      }
    }
  }
}

extension Timestamp {
  func plus(nanoseconds more: Int64) -> Timestamp {
    let total = Int64(nanoseconds) + more
    let carry = total / 1_000_000_000
    return Timestamp(
      seconds: seconds &+ carry, nanoseconds: UInt32(total - carry * 1_000_000_000))
  }
}

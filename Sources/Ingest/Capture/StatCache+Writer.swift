// Writes the stat cache of an image. The layout is described in StatCache.swift.

import Codec
import Glibc
import Platform
import Store

extension StatCache {
  /// Returns the resolution of file times: changes closer together may have the same time. Kernels
  /// use their tick (up to 10 ms). A file system without nanoseconds uses whole seconds (FAT: two).
  static func granuleNanoseconds(_ time: Timestamp) -> Int64 {
    time.nanoseconds == 0 ? 2_000_000_000 : 20_000_000
  }

  /// Waits until changes that were made before this call are older than the resolution of file times. A capture
  /// that begins afterwards can trust the files that they concern.
  public static func waitForNextGranule() { usleep(25_000) }

  /// Writes the records of a tree, children first.
  struct Writer {
    private var writer = ByteWriter()
    /// The start of the walk. Entries that changed after it, or just before, are not trusted.
    private let scanStart: Timestamp
    /// Files that lost other names after the walk.
    private let unlinked: UnlinkedFiles

    init(base: Digest, scanStart: Timestamp, unlinked: UnlinkedFiles) {
      self.scanStart = scanStart
      self.unlinked = unlinked
      writer.raw(StatCache.magic)
      writer.byte(
        unlinked.isEmpty ? StatCache.plainVersion : StatCache.versionWithUntrustedAttributes)
      writer.digest(base)
    }

    /// Reserves memory for a number of entries, because growing copies all bytes.
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
      var flags: UInt8 = isTimestampReliable(entry.stat) ? Flag.trusted : 0
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
      addStat(renewed(entry.stat, &flags), flags)
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

    /// Appends kind, flags, inode, size, times and links: 46 bytes at once.
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

    /// Returns the attributes of an entry after its other names were removed.
    private func renewed(_ stat: FileStat, _ flags: inout UInt8) -> FileStat {
      guard !unlinked.isEmpty, flags & Flag.trusted != 0,
        let removal = unlinked.removal(of: FileIdentity(stat)),
        removal.changedBefore == stat.changed
      else { return stat }
      flags |= Flag.untrustedAttributes
      var stat = stat
      (stat.changed, stat.links) = (removal.changedAfter, removal.links)
      return stat
    }

    /// Returns whether the last change is so old that any later change must show in the times.
    private func isTimestampReliable(_ stat: FileStat) -> Bool {
      for time in [stat.modified, stat.changed] {
        let granule = StatCache.granuleNanoseconds(time)
        let edge = time.plus(nanoseconds: granule)
        if !(edge < scanStart) && time < scanStart.plus(nanoseconds: 3600 * 1_000_000_000) {
          return false
        }
      }
      return true
    }

    /// Completes the file and publishes it. A failure only makes the next capture slower.
    mutating func save(_ layout: Layout, key: Digest, root: UInt64) {
      writer.word64(root)
      writer.word32(CRC32.of(writer.bytes))
      let name = layout.objectCacheName(key)
      // The image's lock is held, so no other process uses the temporary name.
      try? layout.fileSystem.replaceFile(
        at: layout.cache.raw, name, with: writer.bytes, temporary: name + Array(".new".utf8))
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

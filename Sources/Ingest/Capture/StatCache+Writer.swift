// Writes the stat cache of an image. The layout is described in StatCache.swift.
//
// The directories go to the file as they are encoded, so that memory does not grow with the tree.

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
    private static let bufferBytes = 1 << 20

    private let fileSystem: any FileSystem
    private let directory: Descriptor
    private let name: [UInt8]
    private let file: Descriptor
    private let head: [UInt8]
    private var buffer: [UInt8] = []
    /// The offset of the next directory in the file.
    private var offset: UInt64 = 0
    /// The start of the walk. Entries that changed after it, or just before, are not trusted.
    private let scanStart: Timestamp
    /// Files that lost other names after the walk.
    private let unlinked: UnlinkedFiles

    private var temporaryName: [UInt8] { name + Array(".new".utf8) }

    /// Creates the file of a cache.
    init(
      _ fileSystem: any FileSystem, at directory: Descriptor, _ name: [UInt8], base: Digest,
      scanStart: Timestamp, unlinked: UnlinkedFiles
    ) throws(SystemError) {
      self.fileSystem = fileSystem
      self.directory = directory
      self.name = name
      self.scanStart = scanStart
      self.unlinked = unlinked
      // The image's lock is held, so no other process uses the temporary name. A process that was killed may
      // have left the file.
      let temporary = name + Array(".new".utf8)
      try? fileSystem.remove(at: directory.raw, temporary, isDirectory: false)
      file = try fileSystem.openFile(
        at: directory.raw, temporary, [.write, .create, .exclusive, .noFollow])
      var writer = ByteWriter()
      writer.raw(StatCache.magic)
      writer.byte(
        unlinked.isEmpty ? StatCache.plainVersion : StatCache.versionWithUntrustedAttributes)
      writer.digest(base)
      head = writer.bytes
      buffer.reserveCapacity(Writer.bufferBytes + (64 << 10))
      buffer += head
      offset = UInt64(head.count)
    }

    /// Appends a directory and everything below it.
    /// - Returns: the location of its record.
    /// - Throws: `SystemError`; `StoreError` if the directory's entries cannot be read again.
    mutating func add(_ directory: ScannedDirectory) throws -> (offset: UInt64, bytes: UInt64) {
      var locations: [(offset: UInt64, bytes: UInt64)] = []
      let children = directory.summary.directories
      locations.reserveCapacity(children.count)
      for child in children { locations.append(try add(child)) }
      var next = locations.makeIterator()
      var defaults: EntryRecord.Defaults?
      var count: UInt32 = 0
      let start = buffer.count
      buffer += [UInt8](repeating: 0, count: 12)
      try directory.forEachEntry { entry in
        let known = defaults ?? EntryRecord.Defaults(device: entry.stat.device)
        defaults = known
        var child: EntryRecord.Child?
        if case .directory(let below) = entry.content, let location = next.next(),
          let ids = below.ids
        {
          child = EntryRecord.Child(ids: ids, offset: location.offset, lengthBytes: location.bytes)
        }
        add(entry, child, known)
        count += 1
      }
      buffer.withUnsafeMutableBytes { bytes in
        bytes.storeBytes(
          of: (defaults?.device ?? 0).littleEndian, toByteOffset: start, as: UInt64.self)
        bytes.storeBytes(of: count.littleEndian, toByteOffset: start + 8, as: UInt32.self)
      }
      let crc = buffer.withUnsafeBytes { CRC32.of(UnsafeRawBufferPointer(rebasing: $0[start...])) }
      withUnsafeBytes(of: crc.littleEndian) { buffer.append(contentsOf: $0) }
      let location = (offset: offset, bytes: UInt64(buffer.count - start))
      offset += location.bytes
      if buffer.count >= Writer.bufferBytes { try flush() }
      return location
    }

    private mutating func flush() throws(SystemError) {
      try fileSystem.write(file.raw, buffer)
      buffer.removeAll(keepingCapacity: true)
    }

    private mutating func add(
      _ entry: ScannedEntry, _ child: EntryRecord.Child?, _ defaults: EntryRecord.Defaults
    ) {
      var entry = entry
      var flags: EntryRecord.Flags = isTimestampReliable(entry.stat) ? .trusted : []
      switch entry.content {
      case .unreadable, .excludedDirectory, .unread, .vanished: flags = []
      case .file, .directory, .symlink, .node: break
      }
      entry.stat = renewed(entry.stat, &flags)
      // A mount may have another number after the next start of the machine.
      (entry.stat.mountID, entry.stat.isMountRoot) = (nil, false)
      (entry.isCached, entry.isCovered) = (true, false)
      if EntryRecord.append(entry, flags: flags, child: child, defaults, to: &buffer) { return }
      // No known file system has such an entry. It is read again each time.
      entry.content = .unreadable
      _ = EntryRecord.append(entry, defaults, to: &buffer)
    }

    /// Returns the attributes of an entry after its other names were removed.
    private func renewed(_ stat: FileStat, _ flags: inout EntryRecord.Flags) -> FileStat {
      guard !unlinked.isEmpty, flags.contains(.trusted),
        let removal = unlinked.removal(of: FileIdentity(stat)),
        removal.changedBefore == stat.changed
      else { return stat }
      flags.insert(.untrustedAttributes)
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

    /// Completes the file and publishes it.
    /// - Throws: `SystemError`.
    mutating func save(root: (offset: UInt64, bytes: UInt64)) throws(SystemError) {
      var tail = ByteWriter()
      tail.word64(root.offset)
      tail.word64(root.bytes)
      tail.word32(CRC32.of(head + tail.bytes))
      buffer += tail.bytes
      try flush()
      try fileSystem.rename(
        at: directory.raw, temporaryName, to: directory.raw, name, exclusively: false)
    }

    /// Removes the unfinished file.
    func discard() {
      try? fileSystem.remove(at: directory.raw, temporaryName, isDirectory: false)
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

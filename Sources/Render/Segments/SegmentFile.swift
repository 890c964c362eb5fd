// One file of the segment cache: a sequence of records (docs/format.md, "The segment cache").
//
//     "isg1"  length word32  crc word32  0 word32  key 32 bytes  value
//
// The CRC covers the 16 + 32 + length bytes with the CRC field as 0, and so both key and value. A
// scan reads header after header and stops at the first invalid one.

import Codec
import Platform

/// A record that a scan found. Its value is neither read nor verified yet.
struct SegmentRecord {
  let key: Digest
  let offset: UInt64
  let lengthBytes: Int
}

/// An open file of the cache. Reading needs no lock; the cache's lock protects appending.
final class SegmentFile: @unchecked Sendable {  // `endBytes` changes under the cache's lock only
  static let maxBytes = 64 << 20
  private static let headerBytes = 48
  private static let magic: UInt32 = 0x3167_7369

  private let fileSystem: any FileSystem
  private let file: Descriptor
  /// The offset of the next record. Bytes after it are a torn tail.
  private(set) var endBytes: UInt64 = 0

  /// Returns the file's name: 16 hexadecimal digits.
  static func name(_ number: UInt64) -> [UInt8] {
    let digits = Array(String(number, radix: 16).utf8)
    return [UInt8](repeating: 0x30, count: 16 - digits.count) + digits
  }

  init?(reading number: UInt64, _ fileSystem: any FileSystem, _ directory: Descriptor) {
    guard
      let file = try? fileSystem.openFile(
        at: directory.raw, SegmentFile.name(number), [.read, .noFollow, .nonBlocking]),
      let size = try? fileSystem.stat(file.raw).size
    else { return nil }
    self.fileSystem = fileSystem
    self.file = file
    endBytes = size
  }

  /// Opens and locks the file for appending; returns nil if another process has locked it.
  convenience init?(
    appendingTo number: UInt64, _ fileSystem: any FileSystem, _ directory: Descriptor
  ) {
    self.init(locking: number, [.readWrite, .noFollow, .nonBlocking], fileSystem, directory)
  }

  convenience init?(creating number: UInt64, _ fileSystem: any FileSystem, _ directory: Descriptor)
  {
    self.init(locking: number, [.readWrite, .create, .exclusive], fileSystem, directory)
  }

  private init?(
    locking number: UInt64, _ flags: OpenFlags, _ fileSystem: any FileSystem,
    _ directory: Descriptor
  ) {
    guard
      let file = try? fileSystem.openFile(
        at: directory.raw, SegmentFile.name(number), flags, mode: 0o600),
      (try? fileSystem.lock(file.raw, exclusive: true, wait: false)) == true,
      let size = try? fileSystem.stat(file.raw).size
    else { return nil }
    self.fileSystem = fileSystem
    self.file = file
    endBytes = size
  }

  /// Finds the records, and sets `endBytes` to the end of the last complete one.
  func scan() -> [SegmentRecord] {
    var records: [SegmentRecord] = []
    var at: UInt64 = 0
    let header = UnsafeMutableRawBufferPointer.allocate(
      byteCount: SegmentFile.headerBytes, alignment: 8)
    defer { header.deallocate() }
    while at + UInt64(SegmentFile.headerBytes) <= endBytes {
      guard
        (try? fileSystem.readFully(file.raw, at: at, into: header)) == SegmentFile.headerBytes,
        let (key, length, _) = SegmentFile.parse(UnsafeRawBufferPointer(header))
      else { break }
      let next = at + UInt64(SegmentFile.headerBytes) + UInt64(length)
      guard next <= endBytes else { break }
      records.append(SegmentRecord(key: key, offset: at, lengthBytes: length))
      at = next
    }
    endBytes = at
    return records
  }

  /// Truncates the bytes that `scan` could not read, so that appended records can be found.
  func truncateTail() -> Bool {
    (try? fileSystem.truncate(file.raw, to: endBytes)) != nil
  }

  /// Returns the value of the record at `offset` if it is complete and has this key.
  func read(_ key: Digest, at offset: UInt64, lengthBytes: Int) -> [UInt8]? {
    let total = SegmentFile.headerBytes + lengthBytes
    var isGood = false
    let value = [UInt8](unsafeUninitializedCapacity: lengthBytes) { buffer, count in
      withUnsafeTemporaryAllocation(byteCount: SegmentFile.headerBytes, alignment: 8) { header in
        let body = UnsafeMutableRawBufferPointer(buffer)
        guard total > 0,
          (try? fileSystem.readFully(file.raw, at: offset, into: header))
            == SegmentFile.headerBytes,
          let (storedKey, length, crc) = SegmentFile.parse(UnsafeRawBufferPointer(header)),
          storedKey == key, length == lengthBytes,
          (try? fileSystem.readFully(
            file.raw, at: offset + UInt64(SegmentFile.headerBytes),
            into: UnsafeMutableRawBufferPointer(rebasing: body[..<lengthBytes]))) == lengthBytes,
          crc
            == SegmentFile.checksum(
              UnsafeRawBufferPointer(header),
              UnsafeRawBufferPointer(rebasing: body[..<lengthBytes]))
        else { return }
        isGood = true
      }
      count = isGood ? lengthBytes : 0
    }
    return isGood ? value : nil
  }

  /// Appends a record and returns its offset. If the disk refuses, removes the partial record and
  /// returns nil.
  func append(_ key: Digest, _ value: [UInt8]) -> UInt64? {
    var header = ByteWriter()
    header.word32(SegmentFile.magic)
    header.word32(UInt32(value.count))
    header.word32(0)
    header.word32(0)
    header.digest(key)
    var bytes = header.bytes
    let crc = bytes.withUnsafeBytes { header in
      value.withUnsafeBytes { SegmentFile.checksum(header, $0) }
    }
    for i in 0..<4 { bytes[8 + i] = UInt8(truncatingIfNeeded: crc >> (8 * UInt32(i))) }
    let offset = endBytes
    do {
      try bytes.withUnsafeBytes { try fileSystem.write(file.raw, at: offset, $0) }
      try value.withUnsafeBytes {
        try fileSystem.write(file.raw, at: offset + UInt64(bytes.count), $0)
      }
    } catch {
      try? fileSystem.truncate(file.raw, to: offset)
      return nil
    }
    endBytes = offset + UInt64(bytes.count + value.count)
    return offset
  }

  private static func parse(
    _ header: UnsafeRawBufferPointer
  ) -> (key: Digest, lengthBytes: Int, crc: UInt32)? {
    var reader = ByteReader(header)
    guard let magic = try? reader.word32(), magic == SegmentFile.magic,
      let length = try? reader.word32(), length <= UInt32(SegmentFile.maxBytes),
      let crc = try? reader.word32(), let zero = try? reader.word32(), zero == 0,
      let key = try? reader.digest()
    else { return nil }
    return (key, Int(length), crc)
  }

  private static func checksum(
    _ header: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
  ) -> UInt32 {
    var crc = CRC32()
    crc.update(UnsafeRawBufferPointer(rebasing: header[..<8]))
    crc.update([0, 0, 0, 0])
    crc.update(UnsafeRawBufferPointer(rebasing: header[12...]))
    crc.update(value)
    return crc.value
  }
}

extension CRC32 {
  fileprivate mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }
}

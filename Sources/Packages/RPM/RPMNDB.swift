// `Packages.db`, rpm's own "new database" (rpm's lib/backend/ndb/rpmpkg.c): a header, pages of 16-byte
// slots, and blobs in blocks of 16 bytes that the slots point to. All little-endian.
//
// 1. A blob counts only if it is complete: both magics, both lengths, its number, and its Adler-32
//    (RFC 1950).
// 2. All blobs together are never larger than the file: no two may share blocks.

import Codec

enum RPMNDB {
  private static let headerBytes = 32
  private static let slotBytes = 16
  private static let blockBytes = 16
  private static let pageBytes = 4096
  private static let blobHeadBytes = 16
  private static let blobTailBytes = 12

  private static func magic(_ text: StaticString) -> UInt32 {
    text.withUTF8Buffer { $0.reversed().reduce(0) { $0 << 8 | UInt32($1) } }
  }

  static func forEachHeader(
    _ file: ByteView, _ body: (ByteView) throws(MalformedDataError) -> Void
  ) throws(MalformedDataError) {
    // A database that was created and never written to.
    if file.count == 0 { return }
    guard try file.word32(0) == magic("RpmP") else {
      throw MalformedDataError("it is not an ndb database")
    }
    guard try file.word32(4) == 0 else {
      throw MalformedDataError(
        "it is of version \(try file.word32(4)); this program reads version 0")
    }
    let pages = try file.length(12)
    guard pages <= file.count / pageBytes else { throw MalformedDataError("it ends too early") }
    var totalBytes = 0
    for at in stride(from: headerBytes, to: pages * pageBytes, by: slotBytes) {
      guard try file.word32(at) == magic("Slot") else {
        throw MalformedDataError("a slot has no magic")
      }
      let block = try file.length(at + 8)
      if block == 0 { continue }
      let number = try file.word32(at + 4)
      let blocks = try file.length(at + 12)
      guard number != 0, blocks != 0, block >= pages * (pageBytes / blockBytes) else {
        throw MalformedDataError("a slot points into the slots")
      }
      let blob = try blob(file.view(block * blockBytes, blocks * blockBytes), number)
      totalBytes += blocks * blockBytes
      guard totalBytes <= file.count else { throw MalformedDataError("its blobs overlap") }
      try body(blob)
    }
  }

  private static func blob(_ whole: ByteView, _ number: UInt32) throws(MalformedDataError)
    -> ByteView
  {
    let length = try whole.length(12)
    guard try whole.word32(0) == magic("BlbS"), try whole.word32(4) == number,
      length <= whole.count - blobHeadBytes - blobTailBytes
    else { throw MalformedDataError("the head of blob \(number) is wrong") }
    // The tail is at the very end of the last block, after padding of zeros.
    let tail = whole.count - blobTailBytes
    guard try whole.length(tail + 4) == length, try whole.word32(tail + 8) == magic("BlbE") else {
      throw MalformedDataError("the tail of blob \(number) is wrong")
    }
    guard Adler32.of(try whole.view(0, tail).buffer) == (try whole.word32(tail)) else {
      throw MalformedDataError("blob \(number) does not match its checksum")
    }
    return try whole.view(blobHeadBytes, length)
  }
}

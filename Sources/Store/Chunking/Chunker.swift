// FastCDC (Xia et al., USENIX ATC 2016): where a large file is cut into chunks.
//
// 1. A cut depends only on the bytes since the last cut: equal data after an insertion finds its
//    old cuts again.
// 2. Cuts are storage, not identity (design.md, invariant 1): these parameters may change in any
//    release; old chunks stay readable, only deduplication across the change suffers.

import Codec

/// Content-defined cuts with normalised chunking: 64 KiB least, about 256 KiB, 1 MiB most.
public enum Chunker {
  public static let minBytes = 64 << 10
  public static let normalBytes = 256 << 10
  public static let maxBytes = 1 << 20
  /// Files up to this size are one chunk.
  public static let wholeFileBytes = 64 << 10

  /// 256 random words: the first eight bytes, little-endian, of SHA-256("imgstore gear" + byte).
  private static let gear: [UInt64] = (0...255).map { byte in
    let digest = SHA256.digest(of: Array("imgstore gear".utf8) + [UInt8(byte)])
    return digest.bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The length of the first chunk of `data`.
  /// - Parameter data: at least `maxBytes`, unless the file ends with it; not empty.
  public static func firstCut(_ data: UnsafeRawBufferPointer) -> Int {
    let end = min(data.count, maxBytes)
    guard end > minBytes else { return end }
    return gear.withUnsafeBufferPointer { table in
      guard let gear = table.baseAddress, let bytes = data.baseAddress else { return end }
      let normal = min(end, normalBytes)
      var hash: UInt64 = 0
      // Harder to satisfy before the normal size (20 bits), easier after it (16 bits): sizes
      // gather around it. The top bits have seen the last 64 bytes.
      return scan(bytes, minBytes, normal, gear, &hash, shift: 44)
        ?? scan(bytes, normal, end, gear, &hash, shift: 48) ?? end
    }
  }

  /// How far the two lanes of a scan stand apart.
  private static let laneBytes = 16 << 10

  /// The end of the first byte in `from ..< to` after which the hash's top bits are zero.
  ///
  /// Each hash waits for the one before it, so two lanes go side by side: what the hash knows is the
  /// last 64 bytes, from which the second lane takes its start.
  @inline(__always)
  private static func scan(
    _ bytes: UnsafeRawPointer, _ from: Int, _ to: Int, _ gear: UnsafePointer<UInt64>,
    _ hash: inout UInt64, shift: UInt64
  ) -> Int? {
    var i = from
    while to - i >= 2 * laneBytes {
      let middle = i + laneBytes
      var ahead: UInt64 = 0
      for k in (middle - 64)..<middle { roll(bytes, k, gear, &ahead) }
      for _ in 0..<(laneBytes / 2) {
        if let cut = rollTwice(bytes, i, gear, &hash, shift) { return cut }
        if let cut = rollTwice(bytes, i + laneBytes, gear, &ahead, shift) {
          return scanLane(bytes, i + 2, middle, gear, &hash, shift) ?? cut
        }
        i += 2
      }
      (i, hash) = (middle + laneBytes, ahead)
    }
    return scanLane(bytes, i, to, gear, &hash, shift)
  }

  @inline(__always)
  private static func scanLane(
    _ bytes: UnsafeRawPointer, _ from: Int, _ to: Int, _ gear: UnsafePointer<UInt64>,
    _ hash: inout UInt64, _ shift: UInt64
  ) -> Int? {
    var i = from
    while i + 1 < to {
      if let cut = rollTwice(bytes, i, gear, &hash, shift) { return cut }
      i += 2
    }
    if i < to {
      roll(bytes, i, gear, &hash)
      if hash &>> shift == 0 { return i + 1 }
    }
    return nil
  }

  @inline(__always)
  private static func roll(
    _ bytes: UnsafeRawPointer, _ i: Int, _ gear: UnsafePointer<UInt64>, _ hash: inout UInt64
  ) {
    hash = (hash &<< 1) &+ gear[Int(bytes.load(fromByteOffset: i, as: UInt8.self))]
  }

  /// Two bytes on: the end of the first after which the top bits are zero.
  @inline(__always)
  private static func rollTwice(
    _ bytes: UnsafeRawPointer, _ i: Int, _ gear: UnsafePointer<UInt64>, _ hash: inout UInt64,
    _ shift: UInt64
  ) -> Int? {
    let first = gear[Int(bytes.load(fromByteOffset: i, as: UInt8.self))]
    let second = gear[Int(bytes.load(fromByteOffset: i + 1, as: UInt8.self))]
    let one = (hash &<< 1) &+ first
    hash = (hash &<< 2) &+ (first &<< 1) &+ second
    if one &>> shift == 0 { return i + 1 }
    if hash &>> shift == 0 { return i + 2 }
    return nil
  }
}

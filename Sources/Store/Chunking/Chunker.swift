// FastCDC (Xia et al., USENIX ATC 2016): content-defined chunking of large files.
//
// 1. A cut depends only on the bytes since the last cut, so data after an insertion is cut at its old places.
// 2. Cuts affect storage, never ids. `minBytes`, `normalBytes`, `wholeFileBytes` and the gear table may
//    change in any release: old chunks stay readable, and only deduplication across the change suffers.
// 3. `maxBytes` is part of the format (docs/format.md, "Object names"). A file without a cut is one chunk and
//    has no recipe, and readers look for that chunk only up to this size. With a smaller value, readers would
//    report such files of existing stores as missing; with a larger one, older programs would miss new files.

import Codec

/// Cuts content by normalized chunking: at least 64 KiB, about 256 KiB, at most 1 MiB.
public enum Chunker {
  public static let minBytes = 64 << 10
  public static let normalBytes = 256 << 10
  /// The size up to which a blob may be one chunk without a recipe; invariant 3.
  public static let maxBytes = 1 << 20
  /// Files up to this size are one chunk.
  public static let wholeFileBytes = 64 << 10

  /// The gear table, 256 random words: the first eight bytes, little-endian, of SHA-256("imgstore gear" +
  /// byte).
  private static let gear: [UInt64] = (0...255).map { byte in
    let digest = SHA256.digest(of: Array("imgstore gear".utf8) + [UInt8(byte)])
    return digest.bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Returns the length of the first chunk of `data`, in bytes.
  /// - Parameter data: not empty, and at least `maxBytes` long unless the file ends with it.
  public static func firstCut(_ data: UnsafeRawBufferPointer) -> Int {
    let limit = min(data.count, maxBytes)
    guard limit > minBytes else { return limit }
    return gear.withUnsafeBufferPointer { table in
      guard let gear = table.baseAddress, let bytes = data.baseAddress else { return limit }
      let normal = min(limit, normalBytes)
      var hash: UInt64 = 0
      // The condition is harder before the normal size (20 bits) and easier after it (16 bits), so that
      // sizes cluster around it. The top bits depend on the last 64 bytes.
      return scan(bytes, minBytes, normal, gear, &hash, shift: 44)
        ?? scan(bytes, normal, limit, gear, &hash, shift: 48) ?? limit
    }
  }

  /// The distance between the two lanes of a scan.
  private static let laneBytes = 16 << 10

  /// Returns the end of the first byte in `from ..< to` after which the hash's top bits are zero.
  ///
  /// Each hash depends on the one before it, so two lanes run in parallel. The hash depends on the last 64
  /// bytes only; the second lane starts from these.
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

  /// Scans one lane.
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

  /// Advances by two bytes. Returns the end of the first byte after which the top bits are zero.
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

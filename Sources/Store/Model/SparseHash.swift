// The id of a sparse blob (docs/format.md, "Blobs"): a file whose holes are so large that hashing their
// zeros would cost minutes or hours.
//
// 1. It is the SHA-256 of a header, the size, and each block of 4096 bytes that is not all zeros, after
//    its offset. Blocks of zeros take no part, whether they lie in a hole or not.
// 2. So it depends on the content alone: the same bytes have the same sparse id however their holes lie.
// 3. A blob's recipe says which of the two ids it has. A raw id stays what it was.

import Codec
import Platform

/// Computes sparse ids.
public struct SparseHash: ~Copyable {
  /// Files with more bytes in holes have a sparse id.
  public static let minHoleBytes: UInt64 = 64 << 20
  public static let blockBytes = 4096

  private static let header = Array("imgstore sparse\n".utf8)

  private var hash = SHA256()
  private var offset: UInt64 = 0
  /// The bytes of the block that has begun.
  private var block: [UInt8] = []

  public init(sizeBytes: UInt64) {
    block.reserveCapacity(SparseHash.blockBytes)
    hash.update(SparseHash.header)
    update(word: sizeBytes)
  }

  private mutating func update(word: UInt64) {
    withUnsafeBytes(of: word.littleEndian) { hash.update($0) }
  }

  /// Feeds the next bytes of the content.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      if block.isEmpty, rest.count >= SparseHash.blockBytes {
        add(UnsafeRawBufferPointer(rebasing: rest[..<SparseHash.blockBytes]))
        rest = UnsafeRawBufferPointer(rebasing: rest[SparseHash.blockBytes...])
        continue
      }
      let count = min(SparseHash.blockBytes - block.count, rest.count)
      block += rest[..<count]
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      if block.count == SparseHash.blockBytes { endBlock() }
    }
  }

  /// Feeds so many zeros, at no cost for each of them.
  public mutating func update(zeros count: UInt64) {
    var count = count
    if !block.isEmpty {
      let fill = min(count, UInt64(SparseHash.blockBytes - block.count))
      block += repeatElement(0, count: Int(fill))
      count -= fill
      if block.count == SparseHash.blockBytes { endBlock() }
    }
    let whole = count / UInt64(SparseHash.blockBytes) * UInt64(SparseHash.blockBytes)
    offset += whole
    block += repeatElement(0, count: Int(count - whole))
  }

  private mutating func endBlock() {
    let whole = block
    whole.withUnsafeBytes { add($0) }
    block.removeAll(keepingCapacity: true)
  }

  private mutating func add(_ bytes: UnsafeRawBufferPointer) {
    if !isZeros(bytes) {
      update(word: offset)
      hash.update(bytes)
    }
    offset += UInt64(bytes.count)
  }

  /// The id of all that was fed.
  public mutating func finish() -> Digest {
    if !block.isEmpty { endBlock() }
    return hash.finish()
  }
}

/// Whether all bytes are zero.
public func isZeros(_ bytes: UnsafeRawBufferPointer) -> Bool {
  guard let base = bytes.baseAddress, bytes.count > 0 else { return true }
  return bytes[0] == 0 && compareMemory(base, base + 1, bytes.count - 1) == 0
}

/// Chunks of zeros: what the holes of a sparse blob are made of.
public enum ZeroChunk {
  private static let known = Monitor<[Int: Digest]>([:])

  /// The id of a chunk of so many zeros.
  public static func id(lengthBytes: Int) -> Digest {
    if let id = known.withLock({ $0[lengthBytes] }) { return id }
    let id = SHA256.digest(of: [UInt8](repeating: 0, count: lengthBytes))
    known.withLock { $0[lengthBytes] = id }
    return id
  }
}

extension ObjectStore {
  /// The id that the content of a blob has, computed from its parts: of the kind that its recipe says.
  /// - Parameter body: is told how many bytes have been gone through.
  public func computeID(
    of blob: Digest, sizeBytes: UInt64, _ body: (UInt64) -> Void = { _ in }
  ) throws -> Digest {
    let parts = try parts(of: blob, sizeBytes: sizeBytes)
    guard parts.isSparse else {
      var hash = SHA256()
      try read(blob, sizeBytes: sizeBytes) { _, bytes in
        hash.update(bytes)
        body(UInt64(bytes.count))
      }
      return hash.finish()
    }
    var hash = SparseHash(sizeBytes: sizeBytes)
    for part in parts {
      if part.isZeros {
        hash.update(zeros: UInt64(part.lengthBytes))
      } else {
        try read(part) { _, bytes in hash.update(bytes) }
      }
      body(UInt64(part.lengthBytes))
    }
    return hash.finish()
  }

  /// The SHA-256 of a blob's bytes, which is its id but for sparse blobs.
  public func rawDigest(of blob: Digest, sizeBytes: UInt64) throws -> Digest {
    guard sizeBytes > SparseHash.minHoleBytes,
      try parts(of: blob, sizeBytes: sizeBytes).isSparse
    else { return blob }
    var hash = SHA256()
    try read(blob, sizeBytes: sizeBytes) { _, bytes in hash.update(bytes) }
    return hash.finish()
  }
}

extension ObjectStore {
  /// The sparse id of a blob's content, also where its own id is a raw one.
  public func sparseDigest(of blob: Digest, sizeBytes: UInt64) throws -> Digest {
    let parts = try parts(of: blob, sizeBytes: sizeBytes)
    if parts.isSparse { return blob }
    var hash = SparseHash(sizeBytes: sizeBytes)
    try read(blob, sizeBytes: sizeBytes) { _, bytes in hash.update(bytes) }
    return hash.finish()
  }
}

extension Entry {
  /// The blob's id may be a sparse one, which `sha256sum` does not print.
  public var mayHaveSparseID: Bool { holes != nil && sizeBytes > SparseHash.minHoleBytes }
}

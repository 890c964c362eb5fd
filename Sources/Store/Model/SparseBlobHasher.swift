// The id of a sparse blob (docs/format.md, "Object names"): a file whose holes are so large that hashing
// their zeros would take minutes or hours.
//
// 1. The id is the SHA-256 of a header, the size, and each block of 4096 bytes that is not all zeros,
//    preceded by its offset. Blocks of zeros are skipped, whether they are in a hole or not.
// 2. Therefore the id depends on the content alone: equal bytes have equal sparse ids, wherever their holes
//    are.
// 3. A blob's recipe says which of the two ids the blob has. Stored blobs keep their raw ids.

import Codec
import Platform

/// Computes the sparse id of content that is fed to it in order.
public struct SparseBlobHasher: ~Copyable {
  /// Files with more bytes than this in holes have a sparse id.
  public static let minHoleBytes: UInt64 = 64 << 20
  /// The unit in which zeros are skipped.
  public static let blockBytes = 4096

  private static let header = Array("imgstore sparse\n".utf8)

  private var hash = SHA256()
  private var offset: UInt64 = 0
  /// The bytes of the current, incomplete block.
  private var block: [UInt8] = []

  /// Starts the hash of content of `sizeBytes`.
  public init(sizeBytes: UInt64) {
    block.reserveCapacity(SparseBlobHasher.blockBytes)
    hash.update(SparseBlobHasher.header)
    update(word: sizeBytes)
  }

  private mutating func update(word: UInt64) {
    withUnsafeBytes(of: word.littleEndian) { hash.update($0) }
  }

  /// Adds the next bytes of the content.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      if block.isEmpty, rest.count >= SparseBlobHasher.blockBytes {
        add(UnsafeRawBufferPointer(rebasing: rest[..<SparseBlobHasher.blockBytes]))
        rest = UnsafeRawBufferPointer(rebasing: rest[SparseBlobHasher.blockBytes...])
        continue
      }
      let count = min(SparseBlobHasher.blockBytes - block.count, rest.count)
      block += rest[..<count]
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      if block.count == SparseBlobHasher.blockBytes { endBlock() }
    }
  }

  /// Adds `count` zero bytes, in constant time.
  public mutating func update(zeros count: UInt64) {
    var count = count
    if !block.isEmpty {
      let fill = min(count, UInt64(SparseBlobHasher.blockBytes - block.count))
      block += repeatElement(0, count: Int(fill))
      count -= fill
      if block.count == SparseBlobHasher.blockBytes { endBlock() }
    }
    let whole = count / UInt64(SparseBlobHasher.blockBytes) * UInt64(SparseBlobHasher.blockBytes)
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

  /// Returns the id of the content that was added.
  public mutating func finish() -> Digest {
    if !block.isEmpty { endBlock() }
    return hash.finish()
  }
}

/// Returns true if all bytes are zero.
public func isZeros(_ bytes: UnsafeRawBufferPointer) -> Bool {
  guard let base = bytes.baseAddress, bytes.count > 0 else { return true }
  return bytes[0] == 0 && compareMemory(base, base + 1, bytes.count - 1) == 0
}

/// Provides the ids of chunks of zeros, which represent the holes of a sparse blob.
public enum ZeroChunk {
  private static let known = Monitor<[Int: Digest]>([:])

  /// Returns the id of a chunk of `lengthBytes` zeros, computed once for each length.
  public static func id(lengthBytes: Int) -> Digest {
    if let id = known.withLock({ $0[lengthBytes] }) { return id }
    let id = SHA256.digest(of: [UInt8](repeating: 0, count: lengthBytes))
    known.withLock { $0[lengthBytes] = id }
    return id
  }
}

extension ObjectStore {
  /// Reads a blob and returns the id that its content has, of the kind (raw or sparse) that its recipe names.
  /// - Parameter body: receives the number of bytes of each part that was read, for progress.
  /// - Throws: `StoreError` if a part is missing or damaged.
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
    var hash = SparseBlobHasher(sizeBytes: sizeBytes)
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

  /// Returns the SHA-256 of a blob's bytes. It equals the id except for sparse blobs, which are read for it.
  /// - Throws: `StoreError` if a part of a sparse blob is missing or damaged.
  public func rawDigest(of blob: Digest, sizeBytes: UInt64) throws -> Digest {
    guard sizeBytes > SparseBlobHasher.minHoleBytes,
      try parts(of: blob, sizeBytes: sizeBytes).isSparse
    else { return blob }
    var hash = SHA256()
    try read(blob, sizeBytes: sizeBytes) { _, bytes in hash.update(bytes) }
    return hash.finish()
  }
}

extension ObjectStore {
  /// Returns the sparse id of a blob's content, even if the blob itself has a raw id.
  /// - Throws: `StoreError` if a part is missing or damaged.
  public func sparseDigest(of blob: Digest, sizeBytes: UInt64) throws -> Digest {
    let parts = try parts(of: blob, sizeBytes: sizeBytes)
    if parts.isSparse { return blob }
    var hash = SparseBlobHasher(sizeBytes: sizeBytes)
    try read(blob, sizeBytes: sizeBytes) { _, bytes in hash.update(bytes) }
    return hash.finish()
  }
}

extension Entry {
  /// Returns true if the blob may have a sparse id, which differs from the output of `sha256sum`.
  public var mayHaveSparseID: Bool { holes != nil && sizeBytes > SparseBlobHasher.minHoleBytes }
}

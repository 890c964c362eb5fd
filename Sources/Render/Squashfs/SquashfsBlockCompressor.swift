// Compresses blocks on one thread, or takes them from the cache.
//
// The cache's contents by key:
//
//     block     hash of codec and raw bytes      one byte, 1 if compressed, otherwise 0; the bytes
//     run       hash of codec, blob and range    the keys of its blocks, zero for a block of zeros
//     fragment  hash of codec and its tails      like a block
//
// 1. A key covers everything that determines the bytes, so a warm cache does not change an image.
// 2. If runs and fragments are cached, the contents are not even read from the store.

import Codec

/// Blocks in their on-disk format.
struct SquashfsBlocks: Sendable {
  /// The sizes of the blocks with the flag for "not compressed"; 0 for a block of zeros.
  var words: [UInt32] = []
  var bytes: [UInt8] = []
  var zeroBytes: UInt64 = 0
  var cached = 0
  var compressed = 0
  /// The number of raw bytes in blocks that were compressed now.
  var compressedBytes: UInt64 = 0

  fileprivate mutating func append(_ block: [UInt8]) {
    let size = UInt32(block.count - 1)
    words.append(block[0] == 1 ? size : size | Squashfs.blockUncompressed)
    bytes += block[1...]
  }

  /// Adds a block that was compressed now.
  fileprivate mutating func appendCompressed(_ block: [UInt8], of rawBytes: Int) {
    append(block)
    compressed += 1
    compressedBytes += UInt64(rawBytes)
  }
}

/// Produces blocks. Belongs to one thread.
final class SquashfsBlockCompressor {
  private let ranges: BlobRangeReader
  private let compressor: BlockCompressor
  private let cache: (any BlockCache)?
  private let blockBytes: Int
  private let raw: UnsafeMutableRawBufferPointer
  private let packed: UnsafeMutableRawBufferPointer
  private let codecKey: Digest
  private var hash = SHA256()

  init(_ source: OverlayTree, _ options: SquashfsOptions, _ cache: (any BlockCache)?) {
    ranges = BlobRangeReader(source)
    compressor = BlockCompressor(options.codec, maxBytes: options.blockBytes)
    self.cache = cache
    blockBytes = options.blockBytes
    raw = .allocate(byteCount: max(1 << 20, options.blockBytes), alignment: 64)
    packed = .allocate(byteCount: options.blockBytes, alignment: 64)
    codecKey = SHA256.digest(
      of: Array("squashfs 1 \(options.codec.fingerprint) \(options.blockBytes)".utf8))
  }

  deinit {
    raw.deallocate()
    packed.deallocate()
  }

  // MARK: Runs of blocks

  /// Returns the blocks `first ..< first + count` of a content: at most the size of the raw buffer.
  func blocks(_ content: SquashfsContent, first: UInt64, count: Int) throws -> SquashfsBlocks {
    let start = first * UInt64(blockBytes)
    let bytes = Int(content.bytes(first: first, count: count, blockBytes))
    func read() throws {
      try ranges.read(
        content.blob, sizeBytes: content.sizeBytes, from: start,
        into: UnsafeMutableRawBufferPointer(rebasing: raw[..<bytes]))
    }
    guard let cache else {
      try read()
      return try compress(bytes, nil)
    }
    let key = runKey(content.blob, start: start, bytes: bytes)
    if let keys = cache.find(key).flatMap(decodeKeys), keys.count == count {
      return try blocks(keys, bytes, cache, read)
    }
    try read()
    var keys: [UInt8] = []
    let result = try compress(bytes) { keys += $0.bytes }
    cache.put(key, keys)
    return result
  }

  /// Returns the blocks of a run whose keys are known: from the cache, or compressed again if the
  /// cache dropped them.
  private func blocks(
    _ keys: [Digest], _ bytes: Int, _ cache: any BlockCache, _ read: () throws -> Void
  ) throws -> SquashfsBlocks {
    var result = SquashfsBlocks()
    var isRead = false
    for (i, key) in keys.enumerated() {
      let range = i * blockBytes..<min((i + 1) * blockBytes, bytes)
      if key == .zero {
        result.words.append(0)
        result.zeroBytes += UInt64(range.count)
      } else if let block = cache.find(key), isBlock(block, of: range.count) {
        result.append(block)
        result.cached += 1
      } else {
        if !isRead { try read() }
        isRead = true
        let block = try compress(UnsafeRawBufferPointer(rebasing: raw[range]))
        cache.put(key, block)
        result.appendCompressed(block, of: range.count)
      }
    }
    return result
  }

  /// Compresses the first `bytes` bytes of the raw buffer.
  private func compress(_ bytes: Int, _ note: ((Digest) -> Void)?) throws -> SquashfsBlocks {
    var result = SquashfsBlocks()
    for start in stride(from: 0, to: bytes, by: blockBytes) {
      let block = UnsafeRawBufferPointer(
        rebasing: raw[start..<min(start + blockBytes, bytes)])
      if areZero(block) {
        result.words.append(0)
        result.zeroBytes += UInt64(block.count)
        note?(.zero)
        continue
      }
      guard let cache else {
        result.appendCompressed(try compress(block), of: block.count)
        continue
      }
      let key = blockKey(block)
      note?(key)
      if let known = cache.find(key), isBlock(known, of: block.count) {
        result.append(known)
        result.cached += 1
      } else {
        let new = try compress(block)
        cache.put(key, new)
        result.appendCompressed(new, of: block.count)
      }
    }
    return result
  }

  // MARK: Fragments

  /// Returns the block with the tails of `contents`.
  func fragment(_ contents: [SquashfsContent]) throws -> SquashfsBlocks {
    let bytes = contents.reduce(0) { $0 + $1.tailBytes }
    let key = fragmentKey(contents)
    var result = SquashfsBlocks()
    if let block = cache?.find(key), isBlock(block, of: bytes) {
      result.append(block)
      result.cached = 1
      return result
    }
    var at = 0
    for content in contents {
      try ranges.read(
        content.blob, sizeBytes: content.sizeBytes, from: content.tailOffset,
        into: UnsafeMutableRawBufferPointer(rebasing: raw[at..<at + content.tailBytes]))
      at += content.tailBytes
    }
    let block = try compress(UnsafeRawBufferPointer(rebasing: raw[..<bytes]))
    cache?.put(key, block)
    result.appendCompressed(block, of: bytes)
    return result
  }

  // MARK: Single blocks

  /// Returns a byte that tells whether the block is compressed, followed by the block.
  private func compress(_ block: UnsafeRawBufferPointer) throws -> [UInt8] {
    do throws(CodecError) {
      if let count = try compressor.compress(block, into: packed) {
        return [1] + packed[..<count]
      }
    } catch {
      throw RenderError(
        "a squashfs block", "could not be compressed correctly: \(error)",
        hint: "Test the memory and the processor of this machine: one of them is faulty")
    }
    return [0] + block
  }

  /// Returns whether the bytes can be a block of `rawBytes`.
  private func isBlock(_ bytes: [UInt8], of rawBytes: Int) -> Bool {
    guard let kind = bytes.first else { return false }
    return kind == 0 ? bytes.count == rawBytes + 1 : bytes.count > 1 && bytes.count <= rawBytes
  }

  // MARK: Keys

  private func blockKey(_ block: UnsafeRawBufferPointer) -> Digest {
    let content = hash.digest(of: block)
    return key("block", [content])
  }

  private func runKey(_ blob: Digest, start: UInt64, bytes: Int) -> Digest {
    key("run \(start) \(bytes)", [blob])
  }

  private func fragmentKey(_ contents: [SquashfsContent]) -> Digest {
    hash.update(Array("fragment ".utf8) + codecKey.bytes)
    for content in contents {
      var tail = content.blob.bytes
      tail.append64(content.tailOffset)
      tail.append32(UInt32(content.tailBytes))
      hash.update(tail)
    }
    return hash.finish()
  }

  private func key(_ kind: String, _ digests: [Digest]) -> Digest {
    hash.update(Array(kind.utf8) + [0] + codecKey.bytes)
    for digest in digests { hash.update(digest.bytes) }
    return hash.finish()
  }

  private func decodeKeys(_ bytes: [UInt8]) -> [Digest]? {
    guard bytes.count % Digest.byteCount == 0 else { return nil }
    return bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return [] }
      return stride(from: 0, to: bytes.count, by: Digest.byteCount).map {
        Digest(loading: base + $0)
      }
    }
  }
}

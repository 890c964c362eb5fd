// One thread's press: raw bytes to blocks, or blocks out of the cache.
//
// What the cache holds, by key:
//
//     block     hash of codec and raw bytes      a byte, 1 for compressed and 0 for not; the bytes
//     run       hash of codec, blob and range    the keys of its blocks, zero for one of zeros
//     fragment  hash of codec and its tails      as a block
//
// 1. A key says all that the bytes depend on, so a warm cache changes no byte of an image.
// 2. Where runs and fragments are known, the store's contents are not even read.

import Codec
import Store

/// Blocks as they lie on disk.
struct SquashfsBlocks: Sendable {
  /// A block's size with the flag for "not compressed"; 0 for one of zeros.
  var words: [UInt32] = []
  var bytes: [UInt8] = []
  var zeroBytes: UInt64 = 0
  var cached = 0
  var compressed = 0
  /// Raw bytes of the blocks that were compressed.
  var compressedBytes: UInt64 = 0

  fileprivate mutating func append(_ block: [UInt8]) {
    let size = UInt32(block.count - 1)
    words.append(block[0] == 1 ? size : size | Squashfs.blockUncompressed)
    bytes += block[1...]
  }

  /// A block that was compressed now.
  fileprivate mutating func appendPressed(_ block: [UInt8], of rawBytes: Int) {
    append(block)
    compressed += 1
    compressedBytes += UInt64(rawBytes)
  }
}

/// Makes blocks. Belongs to one thread.
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

  /// The blocks `first ..< first + count` of a content: at most a raw buffer full.
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
      return try press(bytes, nil)
    }
    let key = runKey(content.blob, start: start, bytes: bytes)
    if let keys = cache.find(key).flatMap(decodeKeys), keys.count == count {
      return try blocks(keys, bytes, cache, read)
    }
    try read()
    var keys: [UInt8] = []
    let made = try press(bytes) { keys += $0.bytes }
    cache.put(key, keys)
    return made
  }

  /// All blocks of a run whose keys are known: out of the cache, or made anew where it forgot.
  private func blocks(
    _ keys: [Digest], _ bytes: Int, _ cache: any BlockCache, _ read: () throws -> Void
  ) throws -> SquashfsBlocks {
    var made = SquashfsBlocks()
    var isRead = false
    for (i, key) in keys.enumerated() {
      let range = i * blockBytes..<min((i + 1) * blockBytes, bytes)
      if key == .zero {
        made.words.append(0)
        made.zeroBytes += UInt64(range.count)
      } else if let block = cache.find(key), isBlock(block, of: range.count) {
        made.append(block)
        made.cached += 1
      } else {
        if !isRead { try read() }
        isRead = true
        let block = try press(UnsafeRawBufferPointer(rebasing: raw[range]))
        cache.put(key, block)
        made.appendPressed(block, of: range.count)
      }
    }
    return made
  }

  /// Makes blocks of the first `bytes` of the raw buffer.
  private func press(_ bytes: Int, _ note: ((Digest) -> Void)?) throws -> SquashfsBlocks {
    var made = SquashfsBlocks()
    for start in stride(from: 0, to: bytes, by: blockBytes) {
      let block = UnsafeRawBufferPointer(
        rebasing: raw[start..<min(start + blockBytes, bytes)])
      if areZero(block) {
        made.words.append(0)
        made.zeroBytes += UInt64(block.count)
        note?(.zero)
        continue
      }
      guard let cache else {
        made.appendPressed(try press(block), of: block.count)
        continue
      }
      let key = blockKey(block)
      note?(key)
      if let known = cache.find(key), isBlock(known, of: block.count) {
        made.append(known)
        made.cached += 1
      } else {
        let new = try press(block)
        cache.put(key, new)
        made.appendPressed(new, of: block.count)
      }
    }
    return made
  }

  // MARK: Fragments

  /// The block of the tails of `contents`.
  func fragment(_ contents: [SquashfsContent]) throws -> SquashfsBlocks {
    let bytes = contents.reduce(0) { $0 + $1.tailBytes }
    let key = fragmentKey(contents)
    var made = SquashfsBlocks()
    if let block = cache?.find(key), isBlock(block, of: bytes) {
      made.append(block)
      made.cached = 1
      return made
    }
    var at = 0
    for content in contents {
      try ranges.read(
        content.blob, sizeBytes: content.sizeBytes, from: content.tailOffset,
        into: UnsafeMutableRawBufferPointer(rebasing: raw[at..<at + content.tailBytes]))
      at += content.tailBytes
    }
    let block = try press(UnsafeRawBufferPointer(rebasing: raw[..<bytes]))
    cache?.put(key, block)
    made.appendPressed(block, of: bytes)
    return made
  }

  // MARK: Single blocks

  /// A byte that says whether it is compressed, and the block.
  private func press(_ block: UnsafeRawBufferPointer) throws -> [UInt8] {
    do throws(CodecError) {
      if let count = try compressor.compress(block, into: packed) {
        return [1] + packed[..<count]
      }
    } catch {
      throw RenderError(
        "a squashfs block", "did not survive compression: \(error)",
        advice: "The memory or the processor of this machine is faulty: test it before going on")
    }
    return [0] + block
  }

  /// The bytes can be a block of `rawBytes`.
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

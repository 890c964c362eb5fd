// The SHA-256 of the packs that a transfer reads frames from: a place where nobody decodes what arrives, such as a
// bucket, need not have each frame decoded here.
//
// 1. A frame without a base is decoded and compared before its pack gets its name, which is the SHA-256 of the
//    pack. So the frames of a pack that still has this SHA-256 are as sound as they were then. Frames with a base
//    are left out: `repair` copies them although their bases are damaged, and cannot decode them then.
// 2. The bytes that are sent are those that were hashed: the CRC-32 of each frame is computed from the same bytes as
//    the SHA-256 of its pack, and compared with that of the frame in memory. So it does not matter if the file
//    changes between the two reads.
// 3. A pack is read once for a transfer, and only if at least a quarter of it is sent: hashing a pack takes an
//    eighth of the time of decoding its frames and hashing their objects. Nothing is remembered afterwards.

import Codec
import Platform

/// Compares frames with packs that have the SHA-256 that names them. All methods may be called from any thread.
final class PackChecksums: Sendable {
  /// A frame that is sent.
  typealias Frame = (offset: UInt64, sizeBytes: Int)
  /// The checksums of the frames of a pack by their offsets; none for a pack that has another SHA-256.
  private typealias FrameSums = [UInt64: CRC32]

  private struct State {
    var known: [Digest: FrameSums] = [:]
    var running: Set<Digest> = []
  }

  private let packs: PackReader
  private let frames: [Digest: [Frame]]
  private let state = Monitor(State())

  /// The most bytes of a pack that are read for one byte of it that is sent.
  private static let maxReadPerSent: UInt64 = 4

  /// Creates the checksums of one transfer.
  /// - Parameter frames: the frames that are sent from each pack, in the order of their offsets.
  init(_ packs: PackReader, _ frames: [Digest: [Frame]]) {
    (self.packs, self.frames) = (packs, frames)
  }

  /// Returns true if the bytes are those of the frame in its pack, which has the SHA-256 that names it.
  func confirm(_ bytes: [UInt8], at address: FrameAddress) -> Bool {
    guard let sum = sums(of: address.pack)[address.offset] else { return false }
    return CRC32.of(bytes) == sum.value
  }

  private func sums(of pack: Digest) -> FrameSums {
    let known: FrameSums? = state.wait { state -> FrameSums?? in
      if let known = state.known[pack] { return .some(known) }
      guard !state.running.contains(pack) else { return nil }
      state.running.insert(pack)
      return .some(nil)
    }
    if let known { return known }
    let sums = (try? read(pack)) ?? [:]
    state.update { state in
      state.running.remove(pack)
      state.known[pack] = sums
    }
    return sums
  }

  /// Reads a pack to its end.
  /// - Returns: the checksums of its frames that are sent; none if the pack has another SHA-256, or too little of
  ///   it is sent.
  private func read(_ pack: Digest) throws -> FrameSums {
    let frames = frames[pack] ?? []
    let file = try packs.open(pack)
    let fileSystem = packs.layout.fileSystem
    let sizeBytes = try fileSystem.stat(file.raw).size
    let sentBytes = frames.reduce(UInt64(0)) { $0 + UInt64($1.sizeBytes) }
    guard sizeBytes / PackChecksums.maxReadPerSent <= sentBytes else { return [:] }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var hash = SHA256()
    var sums = SequentialSums(frames)
    var offset: UInt64 = 0
    while offset <= sizeBytes {
      let count = try fileSystem.readFully(file.raw, at: offset, into: buffer)
      if count == 0 { break }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      hash.update(bytes)
      sums.add(bytes, at: offset)
      offset += UInt64(count)
    }
    return hash.finish() == pack ? sums.complete : [:]
  }
}

/// The checksums of ranges of a file that is read from its beginning.
private struct SequentialSums {
  private let frames: [PackChecksums.Frame]
  private var next = 0
  private var sum = CRC32()
  /// The checksums of the ranges that were read to their ends.
  private(set) var complete: [UInt64: CRC32] = [:]

  init(_ frames: [PackChecksums.Frame]) { self.frames = frames }

  /// Adds the next bytes of the file.
  mutating func add(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    let end = offset + UInt64(bytes.count)
    while next < frames.count, frames[next].offset < end {
      let frame = frames[next]
      let frameEnd = frame.offset + UInt64(frame.sizeBytes)
      // A damaged index may list frames that overlap: they get no checksum, or a wrong one.
      guard frameEnd > offset else {
        next += 1
        continue
      }
      let from = Int(max(frame.offset, offset) - offset)
      let to = Int(min(frameEnd, end) - offset)
      sum.update(UnsafeRawBufferPointer(rebasing: bytes[from..<to]))
      if frameEnd > end { return }
      complete[frame.offset] = sum
      sum = CRC32()
      next += 1
    }
  }
}

/// The place in a pack of this machine that a frame was read from.
struct FrameOrigin: Sendable {
  let checksums: PackChecksums
  let address: FrameAddress
}

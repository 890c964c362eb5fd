// The SHA-256 of the packs that a transfer reads frames from: a place where nobody decodes what arrives, such as a
// bucket, need not have each frame decoded here.
//
// 1. Every frame is decoded, and its objects are compared with their ids, before its pack gets its name, which
//    is the SHA-256 of the pack. So the frames of a pack that still has this SHA-256 are as sound as they were then.
// 2. A pack is read once for a transfer, and only if most of what is read is sent: hashing a pack takes an
//    eighth of the time of decoding its frames and hashing their objects.
// 3. Nothing is remembered after the transfer: a disk may damage a file at any time.

import Codec
import Platform

/// Compares packs with their names, each once. All methods may be called from any thread.
final class PackChecksums: Sendable {
  private struct State {
    var known: [Digest: Bool] = [:]
    var running: Set<Digest> = []
  }

  private let packs: PackReader
  private let sentBytes: [Digest: UInt64]
  private let state = Monitor(State())

  /// A pack is not read if a smaller share of it is sent.
  private static let leastShare: UInt64 = 4

  /// Creates the checksums of one transfer.
  /// - Parameter sentBytes: the bytes of the frames that are sent from each pack.
  init(_ packs: PackReader, sentBytes: [Digest: UInt64]) {
    (self.packs, self.sentBytes) = (packs, sentBytes)
  }

  /// Returns true if the pack was read to its end and has the SHA-256 that names it.
  func matchesName(_ pack: Digest) -> Bool {
    let known: Bool? = state.wait { state -> Bool?? in
      if let known = state.known[pack] { return .some(known) }
      guard !state.running.contains(pack) else { return nil }
      state.running.insert(pack)
      return .some(nil)
    }
    if let known { return known }
    let matches = (try? digest(of: pack)) == pack
    state.update { state in
      state.running.remove(pack)
      state.known[pack] = matches
    }
    return matches
  }

  /// Returns the SHA-256 of a pack; nil if too little of it is sent.
  private func digest(of pack: Digest) throws -> Digest? {
    let file = try packs.open(pack)
    let fileSystem = packs.layout.fileSystem
    let sizeBytes = try fileSystem.stat(file.raw).size
    guard sizeBytes / PackChecksums.leastShare <= sentBytes[pack] ?? 0 else { return nil }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var hash = SHA256()
    var offset: UInt64 = 0
    while offset <= sizeBytes {
      let count = try fileSystem.readFully(file.raw, at: offset, into: buffer)
      if count == 0 { break }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      offset += UInt64(count)
    }
    return hash.finish()
  }
}

/// The pack of this machine that a frame was read from.
struct FrameOrigin: Sendable {
  let checksums: PackChecksums
  let pack: Digest
}

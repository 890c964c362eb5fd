// Fetches the directories of packs: from `dirs/`, or from the pack itself if no object in `dirs/` has it yet.
//
// 1. An object in `dirs/` is used only if its SHA-256 is its name.
// 2. An object that vanished was merged into another one or belongs to deleted packs: it is skipped, and the
//    packs that still lack a directory are read themselves.
// 3. A pack that vanished meanwhile has no directory: a collector has deleted it.

import Codec
import ObjectStorage
import Platform
import Store

/// Reads directories of packs.
package struct DirectoryFetcher: Sendable {
  let storage: any ObjectStorage
  let requestCount: Int

  package init(storage: any ObjectStorage, requestCount: Int) {
    (self.storage, self.requestCount) = (storage, requestCount)
  }

  /// The bytes of a pack that one request reads. Most frames are smaller, so a request returns several headers.
  private static let windowBytes: UInt64 = 1 << 20
  /// Each request may hold an object of `DirectoryObject.targetBytes` twice.
  private static let maxThreads = 4
  /// The most objects in `dirs/` that are read.
  private static let maxObjects = 1 << 20

  /// Returns the names of the objects in `dirs/` with their sizes.
  func list() throws -> [(digest: Digest, sizeBytes: UInt64)] {
    var result: [(digest: Digest, sizeBytes: UInt64)] = []
    try storage.list(DepotKeys.directories) { page in
      for object in page {
        guard let hex = DepotKeys.rest(of: object.key, after: DepotKeys.directories),
          let digest = Digest(hex: hex), digest.hex == hex
        else { continue }
        result.append((digest, object.sizeBytes))
      }
      guard result.count <= DirectoryFetcher.maxObjects else {
        throw DepotError.damaged("dirs/", of: storage.name, "has more objects than any depot")
      }
      return true
    }
    return result
  }

  /// Reads one object in `dirs/`; nil if it vanished.
  /// - Throws: `remoteDamaged` if its bytes do not have its name, or are not a list of directories.
  func read(_ digest: Digest) throws -> [PackDirectory]? {
    let object = "dirs/\(digest.shortHex)"
    let bytes: [UInt8]
    do {
      bytes = try storage.read(
        DepotKeys.directory(digest), range: nil, limitBytes: DirectoryObject.maxBytes)
    } catch {
      if error.isMissingObject { return nil }
      throw error
    }
    guard SHA256.digest(of: bytes) == digest else {
      throw DepotError.damaged(object, of: storage.name, "has other bytes than its name says")
    }
    return try mapDepotErrors(object, of: storage.name) { () throws(CodecError) in
      try DirectoryObject.decode(bytes)
    }
  }

  /// Reads objects in `dirs/` on several threads, and passes each with its name to `body` on this thread.
  func read(_ digests: [Digest], _ body: (Digest, [PackDirectory]) throws -> Void) throws {
    guard requestCount > 1, digests.count > 1 else {
      for digest in digests { if let result = try read(digest) { try body(digest, result) } }
      return
    }
    let threads = min(requestCount, digests.count, DirectoryFetcher.maxThreads)
    try runInOrder(
      threads: threads, window: threads + 1,
      makeWorker: { { (digest: Digest) in try read(digest) } },
      use: { digest, result in if let result { try body(digest, result) } },
      produce: { submit in for digest in digests { try submit(digest) } })
  }

  /// Reads the directory of a pack from the pack; nil if the pack vanished.
  /// - Throws: `remoteDamaged` if the pack is not a sequence of frames.
  package func readPack(_ pack: DepotPack, sizeBytes: UInt64) throws -> PackDirectory? {
    do {
      return try walk(pack, sizeBytes: sizeBytes)
    } catch let error as CodecError {
      throw DepotError.damaged(pack.shortName, of: storage.name, "is damaged: \(error)")
    } catch {
      if error.isMissingObject { return nil }
      throw error
    }
  }

  private func walk(_ pack: DepotPack, sizeBytes: UInt64) throws -> PackDirectory {
    guard sizeBytes <= PackDirectory.maxPackBytes,
      sizeBytes >= UInt64(PackDirectory.frontBytes)
    else { throw CodecError.corrupt("a pack cannot have \(sizeBytes) bytes") }
    let key = DepotKeys.pack(pack)
    func read(_ start: UInt64, atLeast count: Int) throws -> [UInt8] {
      let end = min(sizeBytes, start + max(UInt64(count), DirectoryFetcher.windowBytes))
      guard end >= start + UInt64(count) else { throw CodecError.truncated }
      return try storage.read(key, range: start..<end, limitBytes: Int(end - start))
    }
    var window = try read(0, atLeast: PackDirectory.frontBytes)
    var windowStart: UInt64 = 0
    guard window.starts(with: PackFormat.headerFront) else {
      throw CodecError.corrupt("it does not start as a pack")
    }
    var offset = UInt64(PackDirectory.frontBytes)
    var headers: [UInt8] = []
    var frameCount = 0
    while offset < sizeBytes {
      /// Returns bytes at `offset`, from the window or with a new request.
      func bytes(_ count: Int) throws -> ArraySlice<UInt8> {
        let windowEnd = windowStart + UInt64(window.count)
        if offset < windowStart || offset + UInt64(count) > windowEnd {
          window = try read(offset, atLeast: count)
          windowStart = offset
        }
        let position = Int(offset - windowStart)
        return window[position..<(position + count)]
      }
      let front = Array(try bytes(FrameHeader.byteCount))
      let lengths = try front.withUnsafeBytes { (front) throws(CodecError) in
        try FrameHeader.parseLengths(front)
      }
      let whole = Array(try bytes(FrameHeader.byteCount + lengths.directoryBytes))
      let header = try whole.withUnsafeBytes { (whole) throws(CodecError) in
        try FrameHeader.parse(whole)
      }
      headers += whole
      frameCount += 1
      offset += UInt64(header.frameBytes)
    }
    guard offset == sizeBytes else { throw CodecError.corrupt("the last frame is cut") }
    return PackDirectory(
      pack: pack, sizeBytes: sizeBytes, headers: headers, frameCount: frameCount)
  }
}

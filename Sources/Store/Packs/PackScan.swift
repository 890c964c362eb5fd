// Scans of a pack's own frame directories: the only source of the index, and of the readable rest of a
// damaged pack.
//
// 1. A strict scan fails at the first unexpected byte. Code that deletes or rewrites packs uses it.
// 2. A tolerant scan continues after damage, at the next frame header with a matching checksum. It serves
//    to read the rest of a pack, and to build the index.
// 3. Neither scan reads payloads. Holes of sparse files are skipped, and only `maxPackBytes` are searched,
//    so no file in packs/ costs more than reading one such pack once.

import Codec
import Platform

/// Lists the frames of one pack and the damage between them.
struct PackScan {
  var pack: FinishedPack
  /// The offsets where the file is not a sequence of frames, with the reasons.
  var damage: [(offset: UInt64, reason: String)] = []
}

extension PackFormat {
  /// The maximum size of a pack. A larger file is not a pack.
  static let maxPackBytes: UInt64 = 1 << 30
}

extension PackReader {
  /// The maximum number of frame magics to try after damage. A file with more of them is not a pack.
  private static let maxCandidates = 1 << 16

  /// Lists the frames of a pack strictly.
  /// - Throws: `damaged` at the first byte that is not part of a frame; `missing`; `system`.
  func scan(_ name: Digest) throws(StoreError) -> FinishedPack {
    let result = try scan(name, isTolerant: false)
    return result.pack
  }

  /// Lists the readable frames and the damage between them. A file that cannot be a pack has no frames.
  /// - Throws: `missing`, `system`.
  func scanReadable(_ name: Digest) throws(StoreError) -> PackScan {
    do throws(StoreError) {
      return try scan(name, isTolerant: true)
    } catch {
      guard error.kind == .damaged else { throw error }
      return PackScan(
        pack: FinishedPack(name: name, sizeBytes: 0, frames: []), damage: [(0, error.reason)])
    }
  }

  private func scan(_ name: Digest, isTolerant: Bool) throws(StoreError) -> PackScan {
    let file = try open(name)
    let sizeBytes = try mapSystemError(
      "pack \(name.shortHex)", try layout.fileSystem.stat(file.raw).size)
    let isOversized = sizeBytes > PackFormat.maxPackBytes
    if isOversized, !isTolerant {
      throw .damaged(
        "pack \(name.shortHex)", "has \(sizeBytes) bytes, more than the limit of a pack")
    }
    var scan = PackScan(pack: FinishedPack(name: name, sizeBytes: sizeBytes, frames: []))
    var frames: [PackedFrame] = []
    var offset = UInt64(PackFormat.headerBytes)
    while offset < PackFormat.maxPackBytes {
      do throws(StoreError) {
        guard let header = try header(file, name, at: offset) else { break }
        frames.append(PackedFrame(header, at: offset))
        offset += UInt64(header.frameBytes)
      } catch {
        guard isTolerant, error.kind == .damaged else { throw error }
        scan.damage.append((offset, error.reason))
        guard let next = try nextFrame(file, name, after: offset) else { break }
        offset = next
      }
    }
    if let last = frames.last, last.offset + UInt64(last.frameBytes) > sizeBytes {
      scan.damage.append((last.offset, "the frame is truncated"))
    }
    if isOversized {
      let reason = "has \(sizeBytes) bytes, more than the limit of a pack"
      scan.damage.append((PackFormat.maxPackBytes, reason))
    }
    scan.pack = FinishedPack(name: name, sizeBytes: sizeBytes, frames: frames)
    return scan
  }

  /// Returns the next offset that holds a frame header with a matching checksum; nil if there is none.
  private func nextFrame(
    _ file: Descriptor, _ name: Digest, after damaged: UInt64
  ) throws(StoreError) -> UInt64? {
    let windowBytes = 1 << 20
    let object = "pack \(name.shortHex)"
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: windowBytes, alignment: 64)
    defer { buffer.deallocate() }
    var start = damaged + 1
    var candidates = 0
    while true {
      let data = try mapSystemError(object, try layout.fileSystem.nextData(file.raw, from: start))
      guard let data else { return nil }
      start = max(start, data)
      if start >= PackFormat.maxPackBytes { return nil }
      let position = start
      let n = try mapSystemError(
        object, try layout.fileSystem.readFully(file.raw, at: position, into: buffer))
      guard n >= FrameHeader.byteCount else { return nil }
      for i in 0...(n - 4)
      where buffer[i] == 0x49 && buffer[i + 1] == 0x4d && buffer[i + 2] == 0x47
        && buffer[i + 3] == 0x46
      {
        candidates += 1
        if candidates > PackReader.maxCandidates { return nil }
        let candidate = start + UInt64(i)
        if let header = try? header(file, name, at: candidate), !header.objects.isEmpty {
          return candidate
        }
      }
      if n < windowBytes { return nil }
      start += UInt64(n - 3)
    }
  }
}

extension PackedFrame {
  init(_ header: FrameHeader, at offset: UInt64) {
    self.init(
      offset: offset, frameBytes: header.frameBytes, rawBytes: header.rawBytes,
      depth: header.base?.depth ?? 0, objects: header.objects.map { ($0.kind, $0.id, $0.length) })
  }
}

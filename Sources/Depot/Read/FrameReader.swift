// Reads and decodes frames of a depot, those with bases too: the chunks of a base come from other frames.
//
// 1. Frames are read in groups. The bases of a group are read together, with few requests, and take at most
//    `maxBaseBytes` of memory; those frames have less depth, and their own bases are read before them. So the
//    groups in memory at one time are at most as many as the depth of the first.
// 2. Each chunk of a base is compared with its id before a frame is decoded with it. If one copy is damaged,
//    another one is read.
// 3. Reading the bases of one group decodes at most `maxWorkBytes`: a hostile depot cannot keep a reader
//    busy.

import Codec
import Platform
import Store

/// Reads frames. Belongs to one thread.
final class FrameReader {
  private let depot: Depot
  private let present: PresentCopies
  private let fetcher: FrameFetcher
  /// The frames that cannot be decoded, and the reasons.
  private(set) var damaged: [FrameLocation: String] = [:]
  /// The bytes that were decoded for the bases of the present group.
  private var workBytes = 0
  /// 0 for the frames that the caller asked for, 1 for their bases, and so on.
  private var level = 0

  /// The most bytes of the bases of a group.
  private static let maxBaseBytes = 16 << 20
  /// The most bytes that are decoded for the bases of one group of frames.
  private static let maxWorkBytes = 16 << 30

  init(_ depot: Depot, _ present: PresentCopies) {
    self.depot = depot
    self.present = present
    fetcher = FrameFetcher(storage: depot.storage, requestCount: depot.options.requestCount)
  }

  /// Calls `body` with each frame and its content, first those without a base.
  /// - Throws: `DamagedFrameError` for one of the frames; `VanishedPackError`; `StorageError`; errors of
  ///   `body`.
  func read(
    _ frames: some Sequence<FrameLocation>,
    _ body: (FrameLocation, RawFrame, DecodedFrame) throws -> Void
  ) throws {
    var plain: [FrameLocation] = []
    var based: [FrameLocation] = []
    for frame in frames {
      if frame.depth > 0 || level > 0, let cached = depot.frames.frame(frame) {
        try body(frame, cached.raw, cached.decoded)
      } else if frame.depth > 0 {
        based.append(frame)
      } else {
        plain.append(frame)
      }
    }
    if !plain.isEmpty {
      try fetcher.fetch(plain) { frame, raw in
        let decoded = try decode(raw, at: frame, prefix: nil)
        if level > 0 { depot.frames.insert(frame, raw, decoded) }
        try body(frame, raw, decoded)
      }
    }
    var group: [(frame: FrameLocation, base: FrameBase)] = []
    var groupBytes = 0
    for frame in based.sorted() {
      guard let base = try present.base(of: frame) else {
        throw DamagedFrameError(frame: frame, reason: "its directory is listed in two ways")
      }
      if !group.isEmpty, groupBytes + base.sizeBytes > FrameReader.maxBaseBytes {
        try readGroup(group, body)
        (group, groupBytes) = ([], 0)
      }
      group.append((frame, base))
      groupBytes += base.sizeBytes
    }
    if !group.isEmpty { try readGroup(group, body) }
  }

  /// Reads frames whose bases fit into memory together.
  private func readGroup(
    _ group: [(frame: FrameLocation, base: FrameBase)],
    _ body: (FrameLocation, RawFrame, DecodedFrame) throws -> Void
  ) throws {
    let chunks = try baseChunks(of: group)
    let bases = Dictionary(group.map { ($0.frame, $0.base) }, uniquingKeysWith: { $1 })
    try fetcher.fetch(group.map(\.frame)) { frame, raw in
      guard let base = raw.header.base, base == bases[frame] else {
        throw DamagedFrameError(frame: frame, reason: "it has another base than its directory")
      }
      let decoded = try decode(raw, at: frame, prefix: FrameReader.prefix(base, chunks))
      depot.frames.insert(frame, raw, decoded)
      try body(frame, raw, decoded)
    }
  }

  /// Decodes frames that are in memory.
  /// - Throws: `DamagedFrameError` for one of the frames; `VanishedPackError`; `StorageError`; errors of
  ///   `body`.
  func decode(
    _ frames: [(location: FrameLocation, raw: RawFrame)], _ body: (DecodedFrame) throws -> Void
  ) throws {
    var rest = frames[...]
    while !rest.isEmpty {
      var group: [(frame: FrameLocation, base: FrameBase)] = []
      var groupBytes = 0
      var raws: [(location: FrameLocation, raw: RawFrame)] = []
      while let next = rest.first, groupBytes < FrameReader.maxBaseBytes {
        rest.removeFirst()
        raws.append(next)
        guard let base = next.raw.header.base else { continue }
        group.append((next.location, base))
        groupBytes += base.sizeBytes
      }
      let chunks = try baseChunks(of: group)
      for (location, raw) in raws {
        let prefix = raw.header.base.map { FrameReader.prefix($0, chunks) }
        try body(decode(raw, at: location, prefix: prefix))
      }
    }
  }

  /// Returns the bytes of the base of a frame that is in memory.
  /// - Throws: `DamagedFrameError` if the base cannot be read; `VanishedPackError`; `StorageError`.
  func prefix(of base: FrameBase, at frame: FrameLocation) throws -> [UInt8] {
    FrameReader.prefix(base, try baseChunks(of: [(frame, base)]))
  }

  private static func prefix(_ base: FrameBase, _ chunks: [Digest: [UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(base.sizeBytes)
    for chunk in base.chunks { bytes += chunks[chunk.id] ?? [] }
    return bytes
  }

  private func decode(
    _ raw: RawFrame, at frame: FrameLocation, prefix: [UInt8]?
  ) throws -> DecodedFrame {
    do throws(CodecError) {
      guard let prefix else {
        guard raw.header.base == nil else { throw .corrupt("it has a base, which is not listed") }
        return try depot.decoder.decode(raw, base: nil)
      }
      return try prefix.withUnsafeBytes { (prefix) throws(CodecError) in
        try depot.decoder.decode(raw, base: prefix)
      }
    } catch { throw DamagedFrameError(frame: frame, reason: "\(error)") }
  }

  // MARK: Bases

  /// Reads the chunks of some bases.
  private func baseChunks(
    of group: [(frame: FrameLocation, base: FrameBase)]
  ) throws -> [Digest: [UInt8]] {
    if level == 0 { workBytes = 0 }
    level += 1
    defer { level -= 1 }
    var chunks: [Digest: [UInt8]] = [:]
    while true {
      let sources = try baseSources(of: group, except: chunks)
      if sources.isEmpty { return chunks }
      do {
        try read(sources.keys) { frame, raw, decoded in
          workBytes += raw.header.rawBytes + raw.bytes.count
          guard workBytes <= FrameReader.maxWorkBytes else {
            throw DamagedFrameError(
              frame: group[0].frame, reason: "it rests on more frames than any reader accepts")
          }
          for chunk in sources[frame] ?? [] {
            chunks[chunk.id] = try bytes(of: chunk, in: decoded, at: frame)
          }
        }
      } catch let error as DamagedFrameError where sources[error.frame] != nil {
        damaged[error.frame] = error.reason
      }
    }
  }

  /// Returns the frames to read, each with its chunks that the bases need and that `chunks` lacks.
  /// - Throws: `DamagedFrameError` for a frame whose base is missing or damaged.
  private func baseSources(
    of group: [(frame: FrameLocation, base: FrameBase)], except chunks: [Digest: [UInt8]]
  ) throws -> [FrameLocation: [ChunkSource]] {
    var sources: [FrameLocation: [ChunkSource]] = [:]
    var requested: [Digest: ObjectLocation] = [:]
    for (frame, base) in group {
      for chunk in base.chunks {
        if let known = chunks[chunk.id] {
          guard known.count == chunk.length else {
            throw missing(chunk, of: frame, "has another length")
          }
          continue
        }
        if let known = requested[chunk.id], known.length == chunk.length,
          known.depth < frame.depth
        {
          continue
        }
        let copy = try present.baseCopy(chunk, belowDepth: frame.depth) {
          damaged[$0.frame] == nil
        }
        guard let copy else {
          let copies = try present.candidates(LocationKey(.chunk, chunk.id))
          let damage = copies.lazy.compactMap { self.damaged[$0.frame] }.first
          throw missing(chunk, of: frame, damage.map { "is damaged: \($0)" } ?? "is in no pack")
        }
        requested[chunk.id] = copy
        sources[copy.frame, default: []].append(
          ChunkSource(id: chunk.id, start: copy.start, length: copy.length))
      }
    }
    return sources
  }

  /// A chunk in a frame.
  private struct ChunkSource {
    let id: Digest
    let start: Int
    let length: Int
  }

  private func missing(
    _ chunk: FrameBase.Chunk, of frame: FrameLocation, _ reason: String
  ) -> DamagedFrameError {
    DamagedFrameError(frame: frame, reason: "it is based on chunk \(chunk.id.hex), which \(reason)")
  }

  private func bytes(
    of chunk: ChunkSource, in decoded: DecodedFrame, at frame: FrameLocation
  ) throws -> [UInt8] {
    guard decoded.header.holds(.chunk, chunk.id, start: chunk.start, length: chunk.length) else {
      throw DamagedFrameError(frame: frame, reason: "the frame has other objects")
    }
    let bytes = decoded.withBytes(start: chunk.start, length: chunk.length) { [UInt8]($0) }
    guard SHA256.digest(of: bytes) == chunk.id else {
      throw DamagedFrameError(
        frame: frame, reason: "chunk \(chunk.id.shortHex) has other bytes than its id says")
    }
    return bytes
  }
}

/// The frames with a base that were decoded last: several chunks of one are often read one after the other.
/// Any thread may call its methods.
final class DecodedFrames: Sendable {
  private struct State {
    var frames: [FrameLocation: (raw: RawFrame, decoded: DecodedFrame)] = [:]
    var order: [FrameLocation] = []
    var heldBytes = 0
  }

  private let state = Monitor(State())
  private static let maxBytes = 16 << 20

  func frame(_ location: FrameLocation) -> (raw: RawFrame, decoded: DecodedFrame)? {
    state.withLock { $0.frames[location] }
  }

  func insert(_ location: FrameLocation, _ raw: RawFrame, _ decoded: DecodedFrame) {
    state.withLock { state in
      guard state.frames.updateValue((raw, decoded), forKey: location) == nil else { return }
      state.order.append(location)
      state.heldBytes += raw.bytes.count + decoded.header.rawBytes
      while state.heldBytes > DecodedFrames.maxBytes, !state.order.isEmpty {
        guard let old = state.frames.removeValue(forKey: state.order.removeFirst()) else {
          continue
        }
        state.heldBytes -= old.raw.bytes.count + old.decoded.header.rawBytes
      }
    }
  }
}

// The frames of a store that contain given objects, for another store.
//
// 1. A frame leaves as it is only if all of its objects are requested. Other objects may belong to other
//    images, and the receiver has not asked for them. The exception are chunks that repeat the bytes of a
//    requested recipe, which `IncomingObjects` leaves in frames.
// 2. The requested objects of the other frames are put into new frames, in their order in the packs. So are
//    those of a frame with a base that the receiver lacks: with another base if it has one (SiblingChunks).
// 3. Other objects than recipes are sent once each, however often they are requested.

import Codec
import Platform

extension ObjectStore {
  /// The objects to take from one frame.
  private struct Selection {
    let frameBytes: Int
    let depth: UInt8
    var objects: [(kind: ObjectKind, id: Digest, start: Int, length: Int)] = []

    /// Returns the objects in their order, without recipes.
    /// - Throws: `StoreError` of kind `index` if the frame has others at their places.
    func listed(in header: FrameHeader) throws(StoreError) -> [FrameHeader.Object] {
      var listed: [FrameHeader.Object] = []
      for object in objects.sorted(by: { $0.start < $1.start }) where object.kind != .recipe {
        guard header.holds(object.kind, object.id, start: object.start, length: object.length)
        else {
          throw StoreError(
            .index, "\(object.kind.noun) \(object.id.shortHex)",
            "is not at the location that the index lists", hint: "Run 'imgstore reindex'")
        }
        listed.append(
          FrameHeader.Object(
            kind: object.kind, id: object.id, start: object.start, length: object.length))
      }
      return listed
    }
  }

  /// Returns the chunks of the bases of the frames that hold the objects, each once.
  /// - Throws: `missing` for an object that the store does not have; `damaged`; `system`.
  public func bases(of names: [ObjectName]) throws -> [Digest] {
    var seen: Set<Digest> = []
    var chunks: [Digest] = []
    for (address, selection) in try selections(names) where selection.depth > 0 {
      for chunk in try index.base(of: address)?.chunks ?? [] where seen.insert(chunk.id).inserted {
        chunks.append(chunk.id)
      }
    }
    return chunks
  }

  /// Calls `body` with frames that together contain the objects, in the order of the packs.
  /// - Parameter bases: chunks that the receiver has. Only frames based on them leave as deltas.
  /// - Throws: `missing` for an object that the store does not have; `damaged`; errors of `body`.
  public func frames(
    holding names: [ObjectName], bases: Set<Digest> = [], _ body: (RawFrame) throws -> Void
  ) throws {
    let selections = try selections(names)
    let repacker = FrameRepacker()
    let substitutes = SubstituteBases(self, known: bases)
    // The recipes come first, so that the receiver can hash blobs while their chunks arrive.
    let recipes = try sendRecipes(names, repacker, body)
    let others = selections.filter { !$0.1.objects.allSatisfy { $0.kind == .recipe } }
    var sentFrames: [Digest: [PackChecksums.Frame]] = [:]
    for (address, selection) in others {
      sentFrames[address.pack, default: []].append((address.offset, selection.frameBytes))
    }
    let checksums = PackChecksums(packs, sentFrames)
    for (address, selection) in others {
      var frame = try packs.rawFrame(address, frameBytes: selection.frameBytes)
      let requested = Set(selection.objects.map { ObjectName(kind: $0.kind, id: $0.id) })
      let isWhole =
        frame.header.objects.allSatisfy {
          requested.contains(ObjectName(kind: $0.kind, id: $0.id))
            || ($0.kind == .chunk && recipes.contains($0.id))
        } && (frame.header.base?.chunks ?? []).allSatisfy { bases.contains($0.id) }
      if isWhole {
        frame.origin = FrameOrigin(checksums: checksums, address: address)
        try body(frame)
        continue
      }
      let decoded = try packs.frame(address, frameBytes: selection.frameBytes)
      var objects = try selection.listed(in: decoded.header)
      if !bases.isEmpty {
        let rebased = try RebasedFrame(decoded.header, objects, substitutes)
        if let frame = try rebased.frame(of: decoded, in: self) {
          try body(frame)
          objects = rebased.others
        }
      }
      for object in objects {
        try decoded.withBytes(start: object.start, length: object.length) {
          try repacker.add(object.kind, object.id, $0, body)
        }
      }
    }
    try repacker.finish(body)
  }

  /// Sends the requested recipes in frames of their own.
  /// - Returns: the ids that chunks with the bytes of these recipes have.
  private func sendRecipes(
    _ names: [ObjectName], _ repacker: FrameRepacker, _ body: (RawFrame) throws -> Void
  ) throws -> Set<Digest> {
    var ids: Set<Digest> = []
    for name in Set(names) where name.kind == .recipe {
      let bytes = try object(.recipe, name.id)
      ids.insert(SHA256.digest(of: bytes))
      try bytes.withUnsafeBytes { try repacker.add(.recipe, name.id, $0, body) }
    }
    try repacker.finish(body)
    return ids
  }

  /// Groups the objects by the frames that contain them.
  private func selections(_ names: [ObjectName]) throws -> [(FrameAddress, Selection)] {
    var selections: [FrameAddress: Selection] = [:]
    var seen: Set<ObjectName> = []
    try withReadTransaction {
      for name in names where seen.insert(name).inserted {
        let location = try location(name.kind, name.id)
        let empty = Selection(frameBytes: location.frameBytes, depth: location.depth)
        selections[location.address, default: empty].objects
          .append((name.kind, name.id, location.start, location.length))
      }
    }
    return selections.sorted {
      ($0.key.pack, $0.key.offset) < ($1.key.pack, $1.key.offset)
    }.map { ($0.key, $0.value) }
  }
}

/// Collects objects in new frames.
public final class FrameRepacker {
  private let builder = FrameBuilder()
  private let encoder = FrameEncoder(StoreTuning())

  /// Creates a repacker without objects.
  public init() {}

  /// Returns the objects of a frame in one frame without a base.
  package static func withoutBase(_ decoded: DecodedFrame) throws -> RawFrame {
    let repacker = FrameRepacker()
    repacker.builder.grow(for: decoded.header.rawBytes)
    for object in decoded.header.objects {
      decoded.withBytes(start: object.start, length: object.length) {
        repacker.builder.add(object.kind, object.id, $0)
      }
    }
    var frame: RawFrame?
    try repacker.finish { frame = $0 }
    guard let frame else { throw StoreError(.damaged, "a frame", "holds no objects") }
    return frame
  }

  /// Returns chunks in one frame with a base.
  /// - Parameter prefix: the bytes of the base.
  package static func frame(
    of chunks: [(id: Digest, bytes: [UInt8])], base: FrameBase, prefix: UnsafeRawBufferPointer
  ) throws -> RawFrame {
    let repacker = FrameRepacker()
    repacker.builder.grow(for: chunks.reduce(0) { $0 + $1.bytes.count })
    var start = 0
    for chunk in base.chunks {
      repacker.builder.addToBase(
        chunk.id, depth: base.depth - 1,
        UnsafeRawBufferPointer(rebasing: prefix[start..<start + chunk.length]))
      start += chunk.length
    }
    for chunk in chunks {
      chunk.bytes.withUnsafeBytes { repacker.builder.add(.chunk, chunk.id, $0) }
    }
    var frame: RawFrame?
    try repacker.finish { frame = $0 }
    guard let frame else { throw StoreError(.damaged, "a frame", "holds no objects") }
    return frame
  }

  /// Adds an object, and passes on a frame that is full.
  /// - Throws: `refused` for an object of more than 16 MiB; errors of `output`.
  public func add(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer,
    _ output: (RawFrame) throws -> Void
  ) throws {
    if !builder.hasCapacity(for: bytes.count) {
      try finish(output)
      guard bytes.count <= Int(FrameHeader.maxRawBytes) else {
        throw StoreError(
          .refused, "\(kind.noun) \(id.shortHex)",
          "has \(bytes.count) bytes, more than the limit of 16 MiB")
      }
      builder.grow(for: bytes.count)
    }
    builder.add(kind, id, bytes)
    if builder.isFull { try finish(output) }
  }

  /// Passes on the last frame.
  /// - Throws: errors of `output`.
  public func finish(_ output: (RawFrame) throws -> Void) throws {
    guard !builder.isEmpty else { return }
    var frame: RawFrame?
    try encoder.encode(builder) { (header, payload, _) throws(StoreError) in
      frame = try mapCodecErrors("a new frame") { () throws(CodecError) in
        try RawFrame(header: header, payload: payload)
      }
    }
    builder.clear()
    if let frame { try output(frame) }
  }
}

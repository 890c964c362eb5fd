// The frames of a depot that contain given objects, for a receiver that has some chunks.
//
// 1. A frame without a base leaves as it is if most of it is requested. A recipe that was not requested must
//    not travel: its parts may be missing at the receiver.
// 2. A frame with a base leaves as it is if all of it is requested and the receiver has the whole base.
// 3. The requested objects of the other frames leave in new frames without a base.

import Codec
import Platform
import Store
import Transfer

/// Sends frames of a depot.
struct SentFrames {
  let source: DepotSource
  /// All objects that the receiver has asked for.
  let requested: Set<ObjectName>
  /// The chunks that frames may be based on.
  let bases: Set<Digest>
  private var depot: Depot { source.depot }

  init(source: DepotSource, requested: Set<ObjectName>, bases: Set<Digest>) {
    (self.source, self.requested, self.bases) = (source, requested, bases)
  }

  /// Passes on frames with some of the requested objects. Packs that vanish are looked for again.
  func send(_ names: Set<ObjectName>, _ body: (RawFrame) throws -> Void) throws {
    let repacker = FrameRepacker()
    var pending = names
    var attempts = 0
    while !pending.isEmpty {
      let (selections, present) = try source.selections(pending)
      let deltas = try deltas(selections, present)
      do {
        let fetcher = FrameFetcher(
          storage: depot.storage, requestCount: depot.options.requestCount)
        let direct = selections.keys.filter { $0.depth == 0 || deltas.contains($0) }
        try fetcher.fetch(direct) { location, frame in
          guard let positions = selections[location] else { return }
          try pass(frame, positions, repacker, body)
          pending.subtract(positions.keys)
        }
        let reader = FrameReader(depot, present)
        try reader.read(selections.keys.filter { $0.depth > 0 && !deltas.contains($0) }) {
          location, _, decoded in
          guard let positions = selections[location] else { return }
          try repack(decoded, positions, repacker, body)
          pending.subtract(positions.keys)
        }
      } catch is VanishedPackError {
        attempts += 1
        guard attempts <= DepotReader.maxAttempts else {
          throw DepotError(
            .busy, source.name, "loses packs to collections faster than they can be read",
            hint: "Run the command again later")
        }
        _ = try depot.refreshListing()
      } catch let error as DamagedFrameError {
        throw DepotError.damaged(
          error.frame.pack.shortName, of: source.name, "is damaged: \(error.reason)")
      }
    }
    try repacker.finish(body)
  }

  /// Returns the bytes of the frames that have to be fetched, those of bases that the receiver lacks
  /// included.
  func measure(_ names: Set<ObjectName>) throws -> UInt64 {
    let (selections, present) = try source.selections(names)
    let deltas = try deltas(selections, present)
    var frames = Set(selections.keys)
    var pending = frames.filter { $0.depth > 0 && !deltas.contains($0) }
    while let frame = pending.popFirst() {
      for chunk in try present.base(of: frame)?.chunks ?? [] {
        guard let copy = try present.baseCopy(chunk, belowDepth: frame.depth) else { continue }
        if frames.insert(copy.frame).inserted, copy.depth > 0 { pending.insert(copy.frame) }
      }
    }
    return frames.reduce(0) { $0 + UInt64($1.frameBytes) }
  }

  /// Returns the frames with a base that leave as they are.
  private func deltas(
    _ selections: DepotSource.Selections, _ present: PresentCopies
  ) throws -> Set<FrameLocation> {
    if bases.isEmpty { return [] }
    var deltas: Set<FrameLocation> = []
    for (frame, positions) in selections where frame.depth > 0 {
      guard let header = try present.header(of: frame), let base = header.base,
        base.chunks.allSatisfy({ bases.contains($0.id) }),
        header.objects.allSatisfy({ positions[ObjectName(kind: $0.kind, id: $0.id)] != nil })
      else { continue }
      deltas.insert(frame)
    }
    return deltas
  }

  /// Passes on a frame as it is, or its requested objects in new frames.
  private func pass(
    _ frame: RawFrame, _ positions: [ObjectName: ObjectLocation], _ repacker: FrameRepacker,
    _ body: (RawFrame) throws -> Void
  ) throws {
    var wantedBytes = 0
    var hasOtherRecipe = false
    var listed: Set<ObjectName> = []
    for object in frame.header.objects {
      let name = ObjectName(kind: object.kind, id: object.id)
      if positions[name] != nil, listed.insert(name).inserted {
        wantedBytes += object.length
      } else if object.kind == .recipe, !requested.contains(name) {
        hasOtherRecipe = true
      }
    }
    guard listed.count == positions.count else { throw otherObjects() }
    if let base = frame.header.base {
      // The directory promised a base that the receiver has.
      guard base.chunks.allSatisfy({ bases.contains($0.id) }) else { throw otherObjects() }
      return try body(frame)
    }
    if !hasOtherRecipe, wantedBytes * 2 >= frame.header.rawBytes { return try body(frame) }
    let decoded = try mapDepotErrors("a frame", of: source.name) { () throws(CodecError) in
      try depot.decoder.decode(frame)
    }
    try repack(decoded, positions, repacker, body)
  }

  private func repack(
    _ decoded: DecodedFrame, _ positions: [ObjectName: ObjectLocation],
    _ repacker: FrameRepacker, _ body: (RawFrame) throws -> Void
  ) throws {
    for (name, position) in positions.sorted(by: { $0.value.start < $1.value.start }) {
      guard
        decoded.header.holds(name.kind, name.id, start: position.start, length: position.length)
      else { throw otherObjects() }
      try decoded.withBytes(start: position.start, length: position.length) {
        try repacker.add(name.kind, name.id, $0, body)
      }
    }
  }

  private func otherObjects() -> DepotError {
    .damaged("a frame", of: source.name, "has other objects than its directory lists")
  }
}

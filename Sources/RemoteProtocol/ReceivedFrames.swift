// Frames that arrived for a question about directories, and that the transfer wants again as data: they are kept
// within a limit, so that trees cross the connection once.

import Codec
import Platform
import Store
import Transfer

/// Frames with verified objects.
final class ReceivedFrames: Sendable {
  private struct State {
    var frames: [RawFrame] = []
    var objects: Set<ObjectName> = []
    var bytes = 0
  }

  private static let maxBytes = 48 << 20
  private let state = Monitor(State())
  private let decoder = FrameDecoder()

  /// Keeps a frame, if there is space for it and it has new objects.
  func keep(_ frame: RawFrame) {
    state.withLock { state in
      guard state.bytes + frame.bytes.count <= ReceivedFrames.maxBytes else { return }
      let names = frame.header.objects.map { ObjectName(kind: $0.kind, id: $0.id) }
      guard names.contains(where: { !state.objects.contains($0) }) else { return }
      state.frames.append(frame)
      state.objects.formUnion(names)
      state.bytes += frame.bytes.count
    }
  }

  /// Returns the names that no kept frame has.
  func missing(_ names: [ObjectName]) -> [ObjectName] {
    state.withLock { state in names.filter { !state.objects.contains($0) } }
  }

  /// Passes on the requested objects of the kept frames, each once: whole frames, or new frames of a part of them.
  /// - Returns: the names that no kept frame has.
  func take(
    _ names: [ObjectName], keepsFrames: Bool = false, _ body: (RawFrame) throws -> Void
  ) throws -> [ObjectName] {
    let (frames, own) = state.withLock { ($0.frames, $0.objects) }
    var requested = Set(names).intersection(own)
    let repacker = FrameRepacker()
    for frame in frames {
      let objects = frame.header.objects.map { ObjectName(kind: $0.kind, id: $0.id) }
      if objects.allSatisfy(requested.contains) {
        try body(frame)
      } else if objects.contains(where: requested.contains) {
        let decoded = try mapCodecErrors("a frame") { () throws(CodecError) in
          try decoder.decode(frame)
        }
        for object in frame.header.objects
        where requested.contains(ObjectName(kind: object.kind, id: object.id)) {
          try decoded.withBytes(start: object.start, length: object.length) {
            try repacker.add(object.kind, object.id, $0, body)
          }
        }
      }
      requested.subtract(objects)
    }
    try repacker.finish(body)
    if !keepsFrames { state.withLock { $0 = State() } }
    return names.filter { !own.contains($0) }
  }
}

/// The objects of one request for frames, crossed out as they arrive.
struct RequestedObjects {
  private var missing: Set<ObjectName>
  /// The chunks that may arrive although they were not requested: they repeat the bytes of requested recipes.
  private var allowedChunks: Int
  /// The recipes that arrive twice: in frames of their own, and with the chunks that stand next to them.
  private var repeatedRecipes: Set<ObjectName>
  private let peer: String

  init(_ names: [ObjectName], peer: String) {
    missing = Set(names)
    allowedChunks = names.count { $0.kind == .recipe }
    repeatedRecipes = missing.filter { $0.kind == .recipe }
    self.peer = peer
  }

  /// Checks the objects of a frame.
  /// - Throws: `remoteDamaged` for objects that were not requested, or arrived before.
  mutating func accept(_ frame: RawFrame) throws(TransferError) {
    var requested = 0
    for object in frame.header.objects {
      let name = ObjectName(kind: object.kind, id: object.id)
      if missing.remove(name) != nil {
        requested += 1
      } else if repeatedRecipes.remove(name) != nil {
        requested += 1
      } else if object.kind == .chunk, allowedChunks > 0 {
        allowedChunks -= 1
      } else {
        throw .damaged(
          peer, "sent the \(object.kind.noun) \(object.id.shortHex), which nobody asked for")
      }
    }
    guard requested > 0 else { throw .damaged(peer, "sent a frame that nobody asked for") }
  }

  /// Checks that everything arrived.
  /// - Throws: `remoteDamaged`.
  func requireAll() throws(TransferError) {
    if let name = missing.first {
      throw .damaged(peer, "did not send the \(name.kind.noun) \(name.id.shortHex)")
    }
  }
}

// The objects that a dry run of `repair` finds in the sources. The survey counts them as present, and lists
// the losses that would remain.
//
// 1. Chunks are recorded by name only. Objects that refer to others are kept with their bytes.
// 2. The bytes are limited. Objects beyond the limit count as lost.

import Codec
import Platform

/// The objects that a repair would restore. Safe to use from several threads.
final class RecoverableObjects: Sendable {
  private static let maxBytes = 256 << 20

  private struct State {
    var objects: [ObjectName: [UInt8]] = [:]
    var keptBytes = 0
  }
  private let state = Monitor(State())

  var count: Int { state.withLock { $0.objects.count } }

  func contains(_ name: ObjectName) -> Bool { state.withLock { $0.objects[name] != nil } }

  /// Returns the bytes of an object other than a chunk; nil if it was not found.
  func bytes(of name: ObjectName) -> [UInt8]? { state.withLock { $0.objects[name] } }

  func note(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer) {
    let size = name.kind == .chunk ? 0 : bytes.count
    state.withLock { state in
      guard state.objects[name] == nil, state.keptBytes + size <= RecoverableObjects.maxBytes else {
        return
      }
      state.keptBytes += size
      state.objects[name] = name.kind == .chunk ? [] : [UInt8](bytes)
    }
  }
}

/// A store, with the objects that a dry run has found.
struct RepairedStoreView: ObjectSource {
  let store: ObjectStore
  let found: RecoverableObjects?

  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    try found?.bytes(of: ObjectName(kind: kind, id: id)) ?? store.object(kind, id)
  }
}

/// The future state of a ref that a repair would change.
enum PlannedRef {
  /// The ref will exist with this content, which the repaired store must contain.
  case snapshot(Snapshot)
  /// The ref will exist, and its source has all of its content.
  case complete
  /// No snapshot of the image will have the number.
  case absent
}

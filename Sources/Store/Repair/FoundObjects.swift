// What a dry run of `repair` finds in the sources: the survey counts it as there, and says what would remain lost.
//
// Chunks are known by their names only. What leads to other objects is kept with its bytes, up to a limit: what is
// found beyond it counts as lost.

import Codec
import Platform

/// Objects that a repair would bring back. Any thread may call it.
final class FoundObjects: Sendable {
  private static let maxBytes = 256 << 20

  private struct State {
    var objects: [ObjectName: [UInt8]] = [:]
    var keptBytes = 0
  }
  private let state = Monitor(State())

  var count: Int { state.withLock { $0.objects.count } }

  func contains(_ name: ObjectName) -> Bool { state.withLock { $0.objects[name] != nil } }

  /// The bytes of an object that is no chunk; nil where it was not found.
  func bytes(of name: ObjectName) -> [UInt8]? { state.withLock { $0.objects[name] } }

  func note(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer) {
    let size = name.kind == .chunk ? 0 : bytes.count
    state.withLock { state in
      guard state.objects[name] == nil, state.keptBytes + size <= FoundObjects.maxBytes else {
        return
      }
      state.keptBytes += size
      state.objects[name] = name.kind == .chunk ? [] : [UInt8](bytes)
    }
  }
}

/// A store with what a dry run has found.
struct StoreWithFound: ObjectSource {
  let store: ObjectStore
  let found: FoundObjects?

  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    try found?.bytes(of: ObjectName(kind: kind, id: id)) ?? store.object(kind, id)
  }
}

/// A ref that a dry run says will be in its place.
enum PlannedRef {
  /// With this content, which the repaired store must have.
  case snapshot(Snapshot)
  /// With content that its source has whole.
  case complete
  /// Never: no snapshot of this image has the number.
  case absent
}

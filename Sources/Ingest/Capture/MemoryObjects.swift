// A live image's trees in memory, over the store: what a comparison or a plan reads beside a
// snapshot.

import Codec
import Platform
import Store

/// Trees of a live image that is not in the store, over what the store has.
public final class MemoryObjects: ObjectSource {
  private let store: ObjectStore
  private let objects = Monitor<[Digest: [UInt8]]>([:])

  public init(over store: ObjectStore) { self.store = store }

  func put(_ id: Digest, _ bytes: [UInt8]) { objects.withLock { $0[id] = bytes } }

  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    if let bytes = objects.withLock({ $0[id] }) { return bytes }
    return try store.object(kind, id)
  }
}

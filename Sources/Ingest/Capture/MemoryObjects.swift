// The trees of a live image in memory, on top of the store. Comparisons and plans read them
// together with a snapshot.

import Codec
import Platform
import Store

/// The trees of a live image that is not in the store, on top of the store's objects.
public final class MemoryObjects: ObjectSource {
  private let store: ObjectStore
  private let objects = Monitor<[Digest: [UInt8]]>([:])

  /// Creates an empty collection on top of `store`.
  public init(over store: ObjectStore) { self.store = store }

  func put(_ id: Digest, _ bytes: [UInt8]) { objects.withLock { $0[id] = bytes } }

  /// Returns an object from memory, or else from the store.
  /// - Throws: `StoreError` if neither has it.
  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    if let bytes = objects.withLock({ $0[id] }) { return bytes }
    return try store.object(kind, id)
  }
}

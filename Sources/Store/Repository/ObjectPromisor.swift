// Objects that the store lacks, for snapshots of a remote that are read in place. As with git's promisor
// remotes, a read of an object that the store does not have asks the remote for it.
//
// 1. Nothing enters the store this way: no ref may depend on a promised object.
// 2. The promisor verifies objects by their ids. A recipe is named by its blob, so the blob is hashed when it is
//    read: in a stream its end fails, and other readers get bytes only after one whole pass.

import Codec
import Platform

/// A source of objects that the store lacks. Any thread may call its methods.
public protocol ObjectPromisor: AnyObject, Sendable {
  /// Returns whether the source has an object.
  func holds(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool
  /// Returns the bytes of an object; nil if the source does not have it.
  func object(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> [UInt8]?
}

/// The promisor of a store, and the blobs whose promised recipes were verified.
final class PromisedObjects: Sendable {
  private struct State {
    var promisor: (any ObjectPromisor)?
    var verified: Set<Digest> = []
  }
  private let state = Monitor(State())

  var promisor: (any ObjectPromisor)? { state.withLock { $0.promisor } }

  func set(_ promisor: any ObjectPromisor) { state.withLock { $0.promisor = promisor } }

  func isVerified(_ blob: Digest) -> Bool { state.withLock { $0.verified.contains(blob) } }

  func noteVerified(_ blob: Digest) { state.withLock { _ = $0.verified.insert(blob) } }
}

extension ObjectStore {
  /// Reads objects that the store lacks from a remote, until the store is closed.
  public func setPromisor(_ promisor: any ObjectPromisor) { promised.set(promisor) }

  /// Returns a promised object; nil if the store has the object itself, or nobody has it.
  func promisedObject(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> [UInt8]? {
    guard let promisor = promised.promisor, try index.location(kind, id) == nil else { return nil }
    return try promisor.object(kind, id)
  }

  /// Returns whether the recipe of a blob is promised and was not verified yet.
  func hasUnverifiedRecipe(_ blob: Digest) throws(StoreError) -> Bool {
    guard promised.promisor != nil, !promised.isVerified(blob) else { return false }
    if try index.location(.chunk, blob) != nil { return false }
    return try index.location(.recipe, blob) == nil
  }

  /// Reads a blob with a promised recipe once, and compares it with its id.
  /// - Throws: `damaged` if it has other bytes; errors of the source.
  func verifyPromised(_ blob: Digest, sizeBytes: UInt64) throws {
    guard try hasUnverifiedRecipe(blob) else { return }
    // The read of the whole blob verifies it.
    try read(blob, sizeBytes: sizeBytes) { _, _ in }
  }

  func damagedPromise(_ blob: Digest) -> StoreError {
    StoreError(
      .damaged, "blob \(blob.shortHex)", "has other bytes at the remote than its id says",
      hint: "Do not use that copy. Run 'imgstore verify --deep' there")
  }
}

// Deduplication: whether an object is stored already, mostly answered without SQLite.
//
// 1. A flat table of 8-byte id prefixes answers "no" with certainty. Only a "yes" is confirmed in the index.
// 2. The table is built once the session has asked so often that it pays. So a small session costs the same
//    in a large store.
// 3. The session's own claims are kept as 128 bits of their ids, for which no collision can be constructed
//    (PrefixTables.swift).

import Codec
import Platform

/// Decides which objects a session must store. All methods may be called from any thread.
final class DedupFilter: Sendable {
  private struct State {
    var table: PrefixSet?
    var asked = 0
    /// The approximate number of objects in the index.
    var objects = 0
    var claimed = Digest128Set()
  }

  /// One query of the index costs about as much as thirty rows of the table.
  private static let rowsPerQuestion = 32

  private let index: Index
  private let allowed: AllowedObjects?
  private let state = Monitor(State())

  /// Creates the filter of a session.
  /// - Parameter allowed: the only objects that the session may store; nil for all.
  init(_ index: Index, allowed: AllowedObjects? = nil) {
    self.index = index
    self.allowed = allowed
  }

  /// The number of objects that callers have claimed.
  var claimedCount: Int { state.withLock { $0.claimed.count } }

  /// Records an object that a repair would store. Does so only in a dry run.
  /// - Returns: false if the session stores objects.
  func noteInDryRun(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer
  ) throws(StoreError) -> Bool {
    guard let allowed, let found = allowed.found else { return false }
    let name = ObjectName(kind: kind, id: id)
    if allowed.names.contains(name) {
      found.note(name, bytes)
    } else if allowed.accepts(kind), try !index.keeps(kind, id) {
      found.note(name, bytes)
    }
    return true
  }

  /// Returns true if an object that the caller must store may get a base. An unusable copy of it may be in a
  /// frame with a base that was removed; a new copy is read instead only if it is less deep
  /// (Index+Bases.swift).
  func mayHaveBase(_ id: Digest) throws(StoreError) -> Bool {
    if allowed != nil { return false }
    return try index.location(.chunk, id) == nil
  }

  /// Claims an object for the caller.
  /// - Returns: true if the caller must store the object. False if a pack that is not doomed contains it,
  ///   or if another caller of this session has claimed it.
  func claim(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    let key = Digest128(kind, id)
    if let allowed {
      if allowed.names.contains(ObjectName(kind: kind, id: id)) {
        return state.withLock { $0.claimed.insert(key) }
      }
      guard allowed.accepts(kind) else { return false }
    }
    return try state.withLock { state throws(StoreError) in
      if state.claimed.contains(key) { return false }
      if state.table == nil {
        // A small session sends fewer queries than the table costs, whose size grows with the store.
        if state.asked == 0 { state.objects = try index.estimatedCount() }
        state.asked += 1
        if state.asked <= 1000 + state.objects / DedupFilter.rowsPerQuestion {
          if try index.keeps(kind, id) { return false }
          state.claimed.insert(key)
          return true
        }
        var table = PrefixSet(capacity: state.objects)
        try index.forEachID { kind, id in table.insert(prefixKey(kind, id)) }
        state.table = table
      }
      if state.table?.contains(prefixKey(kind, id)) == true,
        try index.keeps(kind, id)
      {
        return false
      }
      state.claimed.insert(key)
      return true
    }
  }
}

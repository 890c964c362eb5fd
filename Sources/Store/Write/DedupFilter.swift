// "Do we have it?", asked once per chunk and mostly answered without SQLite.
//
// A flat table of 8-byte id prefixes answers "no" for certain; only a "yes" is confirmed in the
// index. It is made when so many questions have been asked that it would have paid: a small session costs
// the same in a large store.
// What this session has itself claimed is held exactly.

import Codec
import Platform

/// The objects that a session need not store. Any thread may call it.
final class DedupFilter: Sendable {
  private struct State {
    var table: PrefixSet?
    var asked = 0
    /// In the index, roughly.
    var objects = 0
    var claimed: Set<Key> = []
  }

  private struct Key: Hashable {
    let kind: ObjectKind
    let id: Digest
    func hash(into hasher: inout Hasher) { hasher.combine(id) }
  }

  /// A question to the index costs about what thirty rows of the table cost.
  private static let rowsPerQuestion = 32

  private let index: Index
  private let wanted: WantedObjects?
  private let state = Monitor(State())

  /// - Parameter wanted: all that the session may store; nil for everything.
  init(_ index: Index, wanted: WantedObjects? = nil) {
    self.index = index
    self.wanted = wanted
  }

  /// Objects that callers have undertaken to store.
  var claimedCount: Int { state.withLock { $0.claimed.count } }

  /// In a dry run of a repair, notes an object that would be stored.
  /// - Returns: false where objects are stored.
  func noteInDryRun(
    _ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer
  ) throws(StoreError) -> Bool {
    guard let wanted, let found = wanted.found else { return false }
    let name = ObjectName(kind: kind, id: id)
    if wanted.names.contains(name) {
      found.note(name, bytes)
    } else if wanted.takes(kind), try !index.keeps(kind, id) {
      found.note(name, bytes)
    }
    return true
  }

  /// True when the caller must store the object; false when the store has it in a pack that is not
  /// doomed, or another caller of this session has undertaken to store it.
  func claim(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    let key = Key(kind: kind, id: id)
    if let wanted {
      if wanted.names.contains(ObjectName(kind: kind, id: id)) {
        return state.withLock { $0.claimed.insert(key).inserted }
      }
      guard wanted.takes(kind) else { return false }
    }
    return try state.withLock { state throws(StoreError) in
      if state.claimed.contains(key) { return false }
      if state.table == nil {
        // A small session asks less than the table costs, which grows with the store.
        if state.asked == 0 { state.objects = try index.roughCount() }
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

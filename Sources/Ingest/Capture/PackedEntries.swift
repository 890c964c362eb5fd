// The entries of one directory as records: about a hundred bytes for each, and two allocations for all.
// A `ScannedEntry` takes a quarter of a kilobyte and an allocation for its name.

import Platform

/// The records of a directory's entries, in the byte order of the names.
struct PackedEntries: Sendable {
  private(set) var bytes: [UInt8] = []
  private var offsets: [UInt32] = []
  let defaults: EntryRecord.Defaults

  var count: Int { offsets.count }

  /// Packs entries; nil if they do not fit into records.
  init?(_ entries: [ScannedEntry]) {
    defaults = EntryRecord.Defaults(
      device: entries.first?.stat.device ?? 0, mountID: entries.first?.stat.mountID)
    offsets.reserveCapacity(entries.count)
    // An array that grows takes up to twice the memory that it needs.
    let defaults = defaults
    bytes.reserveCapacity(entries.reduce(0) { $0 + EntryRecord.lengthBytes(of: $1, defaults) })
    for i in entries.indices {
      guard let offset = UInt32(exactly: bytes.count) else { return nil }
      offsets.append(offset)
      guard EntryRecord.append(entries[i], defaults, to: &bytes) else { return nil }
    }
  }

  /// Calls `body` with the record of an entry.
  func withView<R>(_ index: Int, _ body: (EntryView) throws -> R) rethrows -> R? {
    try bytes.withUnsafeBufferPointer { buffer in
      guard let view = EntryView(UnsafeRawBufferPointer(buffer), at: Int(offsets[index])) else {
        return nil
      }
      return try body(view)
    }
  }

  /// Replaces an entry if its new record has the size of the old one; false otherwise.
  mutating func replace(_ index: Int, with entry: borrowing ScannedEntry) -> Bool {
    let start = Int(offsets[index])
    let end = index + 1 < offsets.count ? Int(offsets[index + 1]) : bytes.count
    var record: [UInt8] = []
    record.reserveCapacity(end - start)
    guard EntryRecord.append(entry, defaults, to: &record), record.count == end - start else {
      return false
    }
    bytes.replaceSubrange(start..<end, with: record)
    return true
  }
}

/// Calls `body` with each of `count` records that follow each other from the start of `bytes`.
/// - Returns: false if the bytes are not such records.
func forEachRecord(
  in bytes: UnsafeRawBufferPointer, count: Int, _ body: (EntryView) throws -> Void
) rethrows -> Bool {
  var offset = 0
  for _ in 0..<count {
    guard let view = EntryView(bytes, at: offset) else { return false }
    offset += view.lengthBytes
    try body(view)
  }
  return offset == bytes.count
}

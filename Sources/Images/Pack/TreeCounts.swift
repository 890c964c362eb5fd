// Counts the content of a tree.

import Store

/// The numbers of entries and bytes of a tree, its top included. Each name of a hard link counts.
struct TreeCounts {
  private(set) var entries: UInt64 = 0
  private(set) var contentBytes: UInt64 = 0

  init(_ entry: Entry?, in source: any ObjectSource) throws {
    if let entry { try add(entry, source) }
  }

  private mutating func add(_ entry: Entry, _ source: any ObjectSource) throws {
    entries += 1
    contentBytes &+= entry.sizeBytes
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: source) { try add(child, source) }
  }
}

// Counts what a change of trees adds to the numbers of a snapshot.

import Render
import Store

/// Counts how many more entries and bytes one state has than another. Equal directories are not read.
struct TreeGrowth {
  private let view: OverlayTree
  private var moreEntries: Int64 = 0
  private var moreBytes: Int64 = 0

  init(_ view: OverlayTree) { self.view = view }

  func entries(_ count: UInt64) -> UInt64 { TreeGrowth.sum(count, moreEntries) }
  func bytes(_ count: UInt64) -> UInt64 { TreeGrowth.sum(count, moreBytes) }

  private static func sum(_ count: UInt64, _ more: Int64) -> UInt64 {
    UInt64(max(0, Int64(clamping: count) &+ more))
  }

  mutating func add(old: Entry?, new: Entry?) throws {
    if old?.ids?.tree == new?.ids?.tree, old?.content == new?.content { return }
    moreEntries += (new == nil ? 0 : 1) - (old == nil ? 0 : 1)
    moreBytes &+= TreeGrowth.size(new) &- TreeGrowth.size(old)
    let before = try children(old)
    let after = try children(new)
    for name in Set(before.keys).union(after.keys) {
      try add(old: before[name], new: after[name])
    }
  }

  private static func size(_ entry: Entry?) -> Int64 {
    guard case .file(_, let bytes)? = entry?.content else { return 0 }
    return Int64(clamping: bytes)
  }

  private func children(_ entry: Entry?) throws -> [[UInt8]: Entry] {
    guard let ids = entry?.ids else { return [:] }
    return Dictionary(try Tree.entries(ids, from: view).map { ($0.name, $0) }) { $1 }
  }
}

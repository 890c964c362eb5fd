// The answer of the nodes to the last `nodes IMAGE`, for `log`: a file of the store's cache with the number of nodes
// of each snapshot. Any doubt about the file means that nothing is known.

import Codec
import Platform
import Store

/// How many nodes ran which snapshots when they were last asked.
public struct RunningNodes: Sendable, Equatable {
  public let asked: Timestamp
  /// The number of nodes by the number of the snapshot.
  public let counts: [Int: Int]
}

struct RunningSnapshots: Collaborator {
  let context: Context
  private static let title = "imgstore nodes 1"
  private static let maxBytes = 1 << 20

  private func name(_ image: ImageName) -> [UInt8] {
    Array("nodes-\(context.cacheKey(image).shortHex)".utf8)
  }

  /// Keeps a report. A read-only store keeps the old one.
  func save(_ report: NodesReport, _ image: ImageName) {
    guard let layout = try? context.storeIfPresent()?.layout else { return }
    var text = "\(RunningSnapshots.title)\n\(report.asked.seconds)\n"
    for group in report.groups {
      // The latest snapshot with the packed tree stands for all of them.
      guard let match = group.matches.last(where: { $0.exists && $0.snapshot.image == image })
      else { continue }
      text += "\(match.snapshot.number) \(group.nodes.count)\n"
    }
    try? layout.fileSystem.replaceFile(at: layout.cache.raw, name(image), with: Array(text.utf8))
  }

  /// Returns the last report; nil if none is known.
  func load(_ image: ImageName) -> RunningNodes? {
    guard let layout = try? context.storeIfPresent()?.layout,
      let bytes = try? layout.fileSystem.readSmallFile(
        at: layout.cache.raw, name(image), limitBytes: RunningSnapshots.maxBytes)
    else { return nil }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    guard lines.count >= 2, lines[0] == RunningSnapshots.title, let seconds = Int64(lines[1])
    else { return nil }
    var counts: [Int: Int] = [:]
    for line in lines.dropFirst(2) {
      let numbers = line.split(separator: " ").compactMap { Int($0) }
      guard numbers.count == 2, numbers[0] > 0, numbers[1] > 0 else { return nil }
      counts[numbers[0]] =
        (counts[numbers[0]] ?? 0).addingReportingOverflow(numbers[1]).partialValue
    }
    return RunningNodes(asked: Timestamp(seconds: seconds, nanoseconds: 0), counts: counts)
  }
}

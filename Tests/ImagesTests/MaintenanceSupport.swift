// A management node whose clock the test sets, for the tests of schedules, retention and metrics.

import Foundation
import Images
import Platform
import Settings
import TestSupport

/// A node with a clock of its own.
final class ClockedNode: Sendable {
  let node: TestNode
  private let seconds: Monitor<Int64>

  /// Creates a node whose clock shows noon of a day, local time.
  init(_ node: TestNode, year: Int = 2026, month: Int = 3, day: Int = 1, hour: Int = 12) throws {
    self.node = node
    let parts = DateComponents(year: year, month: month, day: day, hour: hour)
    let date = Calendar(identifier: .gregorian).date(from: parts) ?? Date()
    seconds = Monitor(Int64(date.timeIntervalSince1970))
  }

  var now: Int64 { seconds.withLock { $0 } }

  func advance(_ time: Int64) { seconds.withLock { $0 += time } }

  /// Opens a workspace with this clock and a configuration.
  func open(
    _ configuration: String = "[maintain]\noptimize-time = 0\n",
    fileSystem: any FileSystem = KernelFileSystem.shared
  ) throws -> Workspace {
    var options = node.workspace.options
    options.lockWait = .atMost(seconds: 0)
    let (values, errors) = ConfigurationReader.read(Array(configuration.utf8), path: "test.toml")
    if let first = errors.first { throw first }
    options.configuration = values
    let clock = seconds
    options.clock = WallClock { Timestamp(seconds: clock.withLock { $0 }, nanoseconds: 0) }
    return try Workspace(options, fileSystem: fileSystem) { _ in }
  }

  /// The numbers of an image's snapshots with their times, oldest first.
  func history(_ image: String) throws -> [(number: Int, created: Int64)] {
    guard try open().images().first(where: { $0.name == image })?.snapshots ?? 0 > 0 else {
      return []
    }
    return try open().log(image).reversed().map {
      ($0.committed.number, $0.committed.snapshot.created.seconds)
    }
  }
}

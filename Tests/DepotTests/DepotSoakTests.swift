// Real threads and requests at once: a few seconds in each run, minutes with IMGSTORE_SOAK_SECONDS
// (`make test-depot-soak`).

import Depot
import DepotTestSupport
import Foundation
import ObjectStorage
import Platform
import Testing

@Suite(.serialized) struct DepotSoakTests {
  private static let seconds =
    ProcessInfo.processInfo.environment["IMGSTORE_SOAK_SECONDS"].flatMap { Double($0) } ?? 2

  @Test func `writers and collectors at once leave a whole depot in memory`() throws {
    try soak(MemoryObjectStorage(pageSize: 7))
  }

  @Test func `writers and collectors at once leave a whole depot in a directory`() throws {
    let scratch = try Scratch()
    try soak(try DirectoryObjectStorage(path: Array(scratch.path.utf8)))
  }

  private func soak(_ bucket: any ObjectStorage) throws {
    let report = try DepotSoak(bucket, try Shared.universe.get()).run(
      seconds: DepotSoakTests.seconds)
    print("soak of \(bucket.name): \(report)")
    #expect(report.problems == [])
    #expect(report.pushes > 0 && report.collections > 0)
  }
}

// The cache of values that are kept for a few seconds.

import Images
import Platform
import Server
import TestSupport
import Testing

@Suite struct BriefCacheTests {
  @Test func threadsShareOneComputation() throws {
    let cache = BriefCache<Int>()
    let computed = Monitor(0)
    try runThreads(8) { _ in
      let value = try cache.value("a") {
        computed.withLock { $0 += 1 }
        try runThreads(1) { _ in }
        return 7
      }
      #expect(value == 7)
    }
    #expect(computed.withLock { $0 } == 1)
  }

  @Test func errorsAndOldValuesAreNotKept() throws {
    let cache = BriefCache<Int>(seconds: 0, maxCount: 2)
    #expect(throws: TestFailure.self) { try cache.value("a") { throw TestFailure("no") } }
    #expect(try cache.value("a") { 1 } == 1)
    #expect(try cache.value("a") { 2 } == 2)
    for key in ["b", "c", "d", "e"] { #expect(try cache.value(key) { 3 } == 3) }
  }
}

// Plans of recipes: decoding reverses encoding, and invalid bytes never trap.

import Codec
import Recipes
import Store
import TestSupport
import Testing

private func digest(_ n: UInt64) -> Digest { SHA256.digest(of: Array("\(n)".utf8)) }

private func streamPlan() -> StreamPlan {
  let stream = StreamPlan.Stream(
    inner: digest(1), innerBytes: 300_000,
    methods: [
      .pigz(level: 6), .zlib(level: 1, memoryLevel: 9), StreamMethod(.stored, level: 0),
      .gnuGzip(level: 9), .zstd(level: 9, windowLog: 22),
    ],
    runs: [
      .init(
        plain: 0..<131072, encoded: 0..<4000, carry: .none, crc: 77,
        method: 0),
      .init(
        plain: 131072..<300_000, encoded: 4000..<4900,
        carry: .init(bits: 3, value: 5), crc: 78, method: 1),
    ])
  return StreamPlan(
    fingerprints: ["zlib 1.2.13 00ff"],
    spans: [
      .literal([1, 2, 3]), .encoded(stream), .literal(Array(repeating: 9, count: 8)),
      .blob(digest(2), sizeBytes: 100_000),
    ])
}

private func archivePlan(_ random: inout SplitMix64, records: Int) throws -> [UInt8] {
  var writer = ArchivePlanWriter(headerBytes: 16)
  for i in 0..<records {
    let literal = random.bytes(Int(random.next() % 60))
    let size = random.next() % 3 == 0 ? 0 : random.next() % 100_000
    try writer.add(
      literal, content: size == 0 ? nil : (digest(UInt64(i)), size),
      zeroBytes: Int(random.next() % 4))
  }
  return try writer.finish()
}

@Suite struct ReconstructionPlanTests {
  @Test func `a plan of streams decodes to the encoded plan`() throws {
    let plan = streamPlan()
    guard case .streams(let read) = try ReconstructionPlan.decode(plan.encode()) else {
      throw TestFailure("another kind of plan")
    }
    #expect(read == plan)
    #expect(read.sizeBytes == 3 + 4900 + 8 + 100_000)
    #expect(try ReconstructionPlan.streams(read).references().map(\.id) == [digest(1), digest(2)])
  }

  @Test(arguments: seeds)
  func `a plan of an archive lists its contents in order`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let bytes = try archivePlan(&random, records: 5000)
    let references = try ReconstructionPlan.decode(bytes).references()
    #expect(references.count > 2500)
    var at = 0
    for i in 0..<5000 where at < references.count && references[at].id == digest(UInt64(i)) {
      at += 1
    }
    #expect(at == references.count, "seed \(seed)")
  }

  @Test(arguments: seeds)
  func `noise in a plan is refused or decoded, and never traps`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let plans = [streamPlan().encode(), try archivePlan(&random, records: 50)]
    for _ in 0..<4000 {
      var bytes = plans[Int(random.next() % 2)]
      for _ in 0...(random.next() % 3) {
        let at = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 3 {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.removeSubrange(at..<min(bytes.count, at + 1 + Int(random.next() % 9)))
        default: bytes.insert(contentsOf: random.bytes(Int(random.next() % 5)), at: at)
        }
        if bytes.isEmpty { bytes = [2] }
      }
      guard let plan = try? ReconstructionPlan.decode(bytes) else { continue }
      let blob = PlannedBlob(digest(9), plan)
      _ = try? plan.references()
      if blob.partCount > 0 { _ = blob.part(blob.partCount - 1) }
    }
  }

  @Test func `a reconstruction that depends on itself is detected`() throws {
    let directory = try TemporaryDirectory()
    let store = try TreeStore(directory).store
    func blob(_ n: UInt64, over other: UInt64) -> PlannedBlob {
      PlannedBlob(
        digest(n),
        .streams(StreamPlan(fingerprints: [], spans: [.blob(digest(other), sizeBytes: 2 << 20)])))
    }
    #expect(try blob(1, over: 1).dependsOnItself(over: [], in: store))
    #expect(
      try blob(1, over: 2).dependsOnItself(over: [blob(2, over: 3), blob(3, over: 1)], in: store))
    let looped = [blob(2, over: 3), blob(3, over: 2)]
    #expect(try !blob(1, over: 2).dependsOnItself(over: looped, in: store))
  }
}

// Plans of recipes, as damaged or hostile packs may contain them.

import Codec
import Recipes
import Store

/// A plan of streams that is read is written as it was; any plan that is read can be asked for its parts
/// and for what it is over, which is as long as it says.
func fuzzPlan(_ bytes: [UInt8]) {
  _ = try? BlobLayout.decode(bytes)
  guard let plan = try? ReconstructionPlan.decode(bytes) else { return }
  if case .streams(let streams) = plan {
    hold(streams.encode() == bytes, "a plan has one spelling")
  }
  let reconstruction = PlannedBlob(Digest.zero, plan)
  var end: UInt64 = 0
  for index in 0..<min(reconstruction.partCount, 10_000) {
    let part = reconstruction.part(index)
    hold(part.offset == end && part.lengthBytes > 0, "parts follow each other")
    end += UInt64(part.lengthBytes)
  }
  if let references = try? plan.references() {
    hold(references.count <= bytes.count, "a plan names no more than it has room for")
  }
}

enum PlanSeeds {
  static func all() -> [[UInt8]] {
    let digest = SHA256.digest(of: [1])
    let stream = StreamPlan.Stream(
      inner: digest, innerBytes: 200_000,
      methods: [
        .pigz(level: 6), .zlib(level: 9, memoryLevel: 8), StreamMethod(.stored, level: 0),
      ],
      runs: [
        .init(
          plain: 0..<131_072, encoded: 0..<700_000, carry: .none, crc: 1,
          method: 0),
        .init(
          plain: 131_072..<200_000, encoded: 700_000..<730_000,
          carry: .init(bits: 5, value: 17), crc: 2, method: 1),
      ])
    let plan = StreamPlan(
      fingerprints: ["zlib 1.2.13 0123456789abcdef"],
      spans: [.literal([31, 139, 8]), .encoded(stream), .blob(digest, sizeBytes: 3 << 20)])
    var writer = ArchivePlanWriter(headerBytes: 8)
    for i in 0..<20 {
      try? writer.add(
        Array("header \(i) and a name \(i * i)".utf8),
        content: i % 3 == 0 ? nil : (digest, UInt64(i * 1000)), zeroBytes: i % 4)
    }
    let reconstruction = Reconstruction(sizeBytes: 1 << 30, plan: digest, planBytes: 5000)
    return [plan.encode(), (try? writer.finish()) ?? [], reconstruction.encode()]
  }
}

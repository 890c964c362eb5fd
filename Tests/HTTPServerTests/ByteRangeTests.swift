// Ranges of RFC 9110 section 14, by table and at random.

import HTTPServer
import TestSupport
import Testing

struct ByteRangeTests {
  private func ranges(_ text: String, _ size: UInt64 = 1000) -> ByteRanges {
    ByteRanges([text], sizeBytes: size)
  }

  @Test(
    arguments: [
      ("bytes=0-0", 0..<1), ("bytes=0-499", 0..<500), ("bytes=500-999", 500..<1000),
      ("bytes=500-", 500..<1000), ("bytes=-500", 500..<1000), ("bytes=-1", 999..<1000),
      ("bytes=0-", 0..<1000), ("bytes=-1000", 0..<1000), ("bytes=-2000", 0..<1000),
      ("bytes=999-5000", 999..<1000), ("bytes=0-99999999999999999999999", 0..<1000),
      ("BYTES=1-2", 1..<3), ("bytes = 1-2", 1..<3), ("bytes=,1-2,", 1..<3), ("bytes= 1-2 ", 1..<3),
      ("bytes=1-2,5000-6000", 1..<3), ("bytes=00001-00002", 1..<3),
    ] as [(String, Range<UInt64>)])
  func `one satisfiable range is selected`(_ text: String, _ range: Range<UInt64>) {
    #expect(ranges(text) == .ranges([range]))
  }

  @Test(
    arguments: [
      "bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=5000-6000,7000-",
      "bytes=99999999999999999999-",
    ])
  func `ranges outside the content are unsatisfiable`(_ text: String) {
    #expect(ranges(text) == .unsatisfiable)
  }

  @Test(
    arguments: [
      "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=2-1", "bytes=1-2,x", "bytes=1--2",
      "items=0-1",
      "bytes=0x1-2", "bytes=+1-2", "bytes=1 -2", "bytes:0-1", "bytes=1-2-3", "bytes=-1-2",
      "bytes=1", "bytes=,",
      "bytes=٣-٤",
    ])
  func `an invalid field is ignored`(_ text: String) { #expect(ranges(text) == .whole) }

  @Test func `several ranges stay in the order of the request`() {
    #expect(ranges("bytes=500-599, 0-99, -1") == .ranges([500..<600, 0..<100, 999..<1000]))
  }

  @Test func `too many or too many overlapping ranges get the whole content`() {
    let many = "bytes=" + (0..<17).map { "\($0 * 10)-\($0 * 10)" }.joined(separator: ",")
    #expect(ranges(many) == .whole)
    #expect(ranges("bytes=0-,0-") == .whole)
    #expect(ranges("bytes=0-600,100-700") == .whole)
    let endless = "bytes=" + String(repeating: "0-0,", count: 10_000) + "0-0"
    #expect(ranges(endless) == .whole)
    #expect(ranges("bytes=0-1,0-1") == .ranges([0..<2, 0..<2]))
  }

  @Test func `an empty content has no satisfiable range`() {
    for text in ["bytes=0-", "bytes=-5", "bytes=0-0"] { #expect(ranges(text, 0) == .unsatisfiable) }
  }

  @Test func `two fields are ignored`() {
    #expect(ByteRanges(["bytes=0-1", "bytes=2-3"], sizeBytes: 10) == .whole)
    #expect(ByteRanges([], sizeBytes: 10) == .whole)
  }

  @Test(arguments: seeds) func `random fields never select more than the content`(_ seed: UInt64) {
    var random = SplitMix64(seed)
    let parts = [
      "bytes", "=", "-", ",", " ", "0", "1", "9", "500", "18446744073709551615",
      "18446744073709551616", "x", "\t",
    ]
    for _ in 0..<50_000 {
      let sizes: [UInt64] = [0, 1, 10, 1000, .max / 2]
      let size = sizes.randomElement(using: &random) ?? 0
      var text = Bool.random(using: &random) ? "bytes=" : ""
      for _ in 0..<Int.random(in: 0...12, using: &random) {
        text += parts.randomElement(using: &random) ?? ""
      }
      guard case .ranges(let ranges) = ByteRanges([text], sizeBytes: size) else { continue }
      #expect(!ranges.isEmpty && ranges.count <= 16, "\(text)")
      #expect(ranges.allSatisfy { !$0.isEmpty && $0.upperBound <= size }, "\(text)")
      #expect(ranges.reduce(0) { $0 + UInt64($1.count) } <= size, "\(text)")
    }
  }
}

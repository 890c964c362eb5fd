// Differences restore every buffer, and refuse every script that is not one of its base.

import Codec
import TestSupport
import Testing

/// Something like a program: instructions of several bytes, some of which contain addresses.
private struct Program {
  private var instructions: [[UInt8]] = []
  /// The instruction that each address points to.
  private var targets: [Int: Int] = [:]

  init(_ count: Int, _ random: inout SplitMix64) {
    instructions = (0..<count).map { _ in random.bytes(Int.random(in: 2...9, using: &random)) }
    for _ in 0..<count / 4 {
      targets[Int.random(in: 0..<count, using: &random)] = Int.random(in: 0..<count, using: &random)
    }
  }

  /// Adds instructions at one offset. Everything behind it moves.
  mutating func insert(_ count: Int, _ random: inout SplitMix64) {
    let offset = Int.random(in: 0...instructions.count, using: &random)
    instructions.insert(contentsOf: (0..<count).map { _ in random.bytes(5) }, at: offset)
    targets = Dictionary(
      uniqueKeysWithValues: targets.map { from, to in
        (from < offset ? from : from + count, to < offset ? to : to + count)
      })
  }

  /// The bytes of the instructions; those with an address end with it.
  var bytes: [UInt8] {
    var addresses: [Int] = []
    var address = 0
    for (i, instruction) in instructions.enumerated() {
      addresses.append(address)
      address += instruction.count + (targets[i] == nil ? 0 : 4)
    }
    var bytes: [UInt8] = []
    for (i, instruction) in instructions.enumerated() {
      bytes += instruction
      guard let target = targets[i] else { continue }
      let distance = UInt32(truncatingIfNeeded: addresses[target] - addresses[i])
      for shift: UInt32 in [0, 8, 16, 24] {
        bytes.append(UInt8(truncatingIfNeeded: distance >> shift))
      }
    }
    return bytes
  }
}

@Suite struct DifferenceTests {
  private func encode(_ new: [UInt8], base: [UInt8]) -> DifferenceScript? {
    let encoder = DifferenceEncoder()
    return new.withUnsafeBytes { new in base.withUnsafeBytes { encoder.encode(new, base: $0) } }
  }

  private func decode(
    _ script: [UInt8], base: [UInt8], count: Int
  ) throws(CodecError) -> [UInt8] {
    var target = [UInt8](repeating: 0xa5, count: count)
    try target.withUnsafeMutableBytes { (target) throws(CodecError) in
      try script.withUnsafeBytes { (script) throws(CodecError) in
        try base.withUnsafeBytes { (base) throws(CodecError) in
          try DifferenceDecoder.decode(script, base: base, into: target)
        }
      }
    }
    return target
  }

  @Test(arguments: seeds) func `a program at other addresses has few differences`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    var program = Program(40_000, &random)
    let base = program.bytes
    for _ in 0..<5 { program.insert(20, &random) }
    let new = program.bytes
    let script = try #require(encode(new, base: base), "seed \(seed)")
    #expect(try decode(script.bytes, base: base, count: new.count) == new, "seed \(seed)")

    let compressor = ZstdCompressor(level: 2)
    var target = [UInt8](repeating: 0, count: ZstdCompressor.bound(new.count) + 128)
    let (differences, prefix) = try target.withUnsafeMutableBytes { target in
      let differences = try script.bytes.withUnsafeBytes {
        try compressor.compress($0, blockEnds: script.partEnds, into: target)
      }
      let prefix = try new.withUnsafeBytes { new in
        try base.withUnsafeBytes { try compressor.compress(new, prefix: $0, into: target) }
      }
      return (differences, prefix)
    }
    #expect(differences < prefix / 4 * 3, "\(differences) and \(prefix) bytes, seed \(seed)")
  }

  @Test(arguments: seeds) func `every buffer is restored`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let encoder = DifferenceEncoder()
    var scriptCount = 0
    for round in 0..<300 {
      let count = Int.random(
        in: 0..<[40, 400, 30_000].randomElement(using: &random)!, using: &random)
      // Also bytes of which most are equal: matches are everywhere then.
      let mask: UInt8 = [0xff, 0x01, 0x00].randomElement(using: &random)!
      let base = random.bytes(count).map { $0 & mask }
      var new = base
      for _ in 0..<Int.random(in: 0..<20, using: &random) {
        let offset = Int.random(in: 0...new.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
          new.insert(contentsOf: random.bytes(Int.random(in: 1...90, using: &random)), at: offset)
        case 1: new.removeSubrange(offset..<min(new.count, offset + 50))
        case 2: for i in offset..<min(new.count, offset + 6) { new[i] &+= 0x81 }
        default: new += new.prefix(offset).suffix(200)
        }
      }
      let script = new.withUnsafeBytes { new in
        base.withUnsafeBytes { encoder.encode(new, base: $0) }
      }
      guard let script else { continue }
      scriptCount += 1
      #expect(script.bytes.count < new.count)
      #expect(script.partEnds.last == script.bytes.count)
      #expect(script.partEnds == script.partEnds.sorted())
      let restored = try decode(script.bytes, base: base, count: new.count)
      #expect(restored == new, "round \(round), seed \(seed)")
    }
    #expect(scriptCount > 100, "seed \(seed)")
  }

  @Test func `what does not resemble its base has no script`() {
    var random = SplitMix64(7)
    #expect(encode(random.bytes(50_000), base: random.bytes(50_000)) == nil)
    #expect(encode([], base: [1, 2, 3]) == nil)
    #expect(encode([1, 2, 3], base: []) == nil)
  }

  /// A script with copies, changes and literals, its base, and its result.
  private func example(_ seed: UInt64) throws -> (script: [UInt8], base: [UInt8], new: [UInt8]) {
    var random = SplitMix64(seed)
    var program = Program(200, &random)
    let base = program.bytes
    for _ in 0..<3 { program.insert(4, &random) }
    return (try #require(encode(program.bytes, base: base)).bytes, base, program.bytes)
  }

  @Test(arguments: seeds) func `a damaged script, or another base, is refused`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let (script, base, new) = try example(seed)
    #expect(try decode(script, base: base, count: new.count) == new)
    func expectRefusal(_ script: [UInt8], base: [UInt8], count: Int, _ comment: Comment) {
      #expect(throws: CodecError.self, comment) {
        _ = try decode(script, base: base, count: count)
      }
    }
    for i in script.indices {
      expectRefusal(Array(script[..<i]), base: base, count: new.count, "\(i) bytes, seed \(seed)")
      var damaged = script
      damaged[i] ^= 1 << (random.next() % 8)
      // A damaged number in another form can mean the same: then the result is right.
      if let result = try? decode(damaged, base: base, count: new.count) {
        #expect(result == new, "byte \(i), seed \(seed)")
      }
      damaged[i] = [0, 0x7f, 0x80, 0xff].randomElement(using: &random)!
      if let result = try? decode(damaged, base: base, count: new.count) {
        #expect(result == new, "byte \(i), seed \(seed)")
      }
    }
    for count in [0, 1, new.count - 1, new.count + 1] {
      expectRefusal(script, base: base, count: count, "\(count) bytes, seed \(seed)")
    }
    expectRefusal(script + [0], base: base, count: new.count, "seed \(seed)")
    for other in [[], Array(base.dropLast(base.count / 2)), base.map { $0 ^ 1 }] {
      expectRefusal(script, base: other, count: new.count, "another base, seed \(seed)")
    }
  }

  /// Returns a script with these lengths and copies, and the CRC-32 of `count` bytes 0.
  private func script(
    copiesBytes: UInt32? = nil, gapsBytes: UInt32? = nil, changeCount: UInt32 = 0,
    copies: (inout ByteWriter) -> Void = { _ in }, gaps: [UInt8] = [], rest: [UInt8] = [],
    count: Int
  ) -> [UInt8] {
    var encodedCopies = ByteWriter()
    copies(&encodedCopies)
    var writer = ByteWriter()
    writer.word32(copiesBytes ?? UInt32(encodedCopies.bytes.count))
    writer.word32(gapsBytes ?? UInt32(gaps.count))
    writer.word32(changeCount)
    writer.word32([UInt8](repeating: 0, count: count).withUnsafeBytes { CRC32.of($0) })
    writer.raw(encodedCopies.bytes + gaps + rest)
    return writer.bytes
  }

  @Test func `a number at the end of a copy has the bytes that are left`() throws {
    let base: [UInt8] = [1, 2, 0xff, 0xff, 0xff, 6]
    for (width, change, expected) in [
      (1, 1, [0x00]), (1, -2, [0xfd]), (2, 1, [0x00, 0x00]), (2, -256, [0xff, 0xfe]),
      (3, 2, [0x01, 0x00, 0x00]), (3, -65_536, [0xff, 0xff, 0xfe]),
    ] as [(Int, Int32, [UInt8])] {
      let new = [1, 2] + expected
      let zigzag = UInt32(bitPattern: (change << 1) ^ (change >> 31))
      var writer = ByteWriter()
      writer.word32(3)
      writer.word32(1)
      writer.word32(1)
      writer.word32(new.withUnsafeBytes { CRC32.of($0) })
      writer.varint(0)
      writer.varint(2 + width)
      writer.signed(0)
      writer.varint(2)
      writer.word32(zigzag)
      #expect(try decode(writer.bytes, base: base, count: new.count) == new, "\(width) \(change)")
    }
  }

  @Test func `impossible numbers are refused`() throws {
    let base = [UInt8](repeating: 0, count: 100)
    func copy(_ literals: UInt64, _ count: UInt64, _ change: Int64) -> (inout ByteWriter) -> Void {
      {
        $0.varint(literals)
        $0.varint(count)
        $0.signed(change)
      }
    }
    let valid = script(copies: copy(2, 50, 10), rest: [0, 0, 0], count: 53)
    #expect(try decode(valid, base: base, count: 53) == [UInt8](repeating: 0, count: 53))
    for invalid in [
      // Parts that are longer than the script.
      script(copiesBytes: .max, rest: [0], count: 53), script(gapsBytes: .max, count: 53),
      script(changeCount: .max, count: 53),
      script(copiesBytes: .max, gapsBytes: .max, changeCount: .max, count: 53),
      // Copies from before, beyond and far outside the base, and to beyond the target.
      script(copies: copy(2, 50, -3), rest: [0, 0, 0], count: 53),
      script(copies: copy(2, 50, 49), rest: [0, 0, 0], count: 53),
      script(copies: copy(2, 50, .max), rest: [0, 0, 0], count: 53),
      script(copies: copy(2, 50, .min), rest: [0, 0, 0], count: 53),
      script(copies: copy(2, 52, 0), rest: [0, 0], count: 53),
      script(copies: copy(2, .max, 0), rest: [0, 0], count: 53),
      script(copies: copy(0, 101, 0), count: 101),
      // More literals than there are, than there is space for, and than copies leave.
      script(copies: copy(4, 49, 0), rest: [0, 0, 0], count: 53),
      script(copies: copy(.max, 50, 0), rest: [0, 0, 0], count: 53),
      script(copies: copy(2, 50, 10), rest: [0, 0, 0, 0], count: 53),
      script(copies: copy(2, 50, 10), rest: [0, 0], count: 53),
      // Changes without a gap, gaps without a change, and a change behind the last copy.
      script(
        changeCount: 1, copies: copy(2, 50, 10), rest: [0, 0, 0, 0] + [0, 0, 0], count: 53),
      script(copies: copy(2, 50, 10), gaps: [1], rest: [0, 0, 0], count: 53),
      script(
        changeCount: 1, copies: copy(2, 50, 10), gaps: [50], rest: [0, 0, 0, 0] + [0, 0, 0],
        count: 53),
      script(
        changeCount: 1, copies: copy(2, 50, 10), gaps: [0xff, 0xff, 0xff, 0xff, 0x7f],
        rest: [0, 0, 0, 0] + [0, 0, 0], count: 53),
    ] {
      #expect(throws: CodecError.self, "\(invalid)") {
        _ = try decode(invalid, base: base, count: 53)
      }
    }
  }
}

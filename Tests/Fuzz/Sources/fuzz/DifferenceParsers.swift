// Scripts of differences, as frames of damaged packs and strangers' stores contain them.

import Codec

/// The base of all scripts, and the length of what they make.
private let base: [UInt8] = (0..<1000).map { UInt8(truncatingIfNeeded: ($0 &* $0) >> 3) }
private let targetBytes = 1016

/// The first byte tells whether a script follows, or a new version of the base. A script makes what its
/// checksum says or is refused, and writes nothing outside its target. A version is restored from its script.
func fuzzDifferences(_ input: [UInt8]) {
  guard let first = input.first else { return }
  let bytes = Array(input.dropFirst())
  guard first % 2 == 1 else {
    if let result = decode(bytes, count: targetBytes) {
      hold(
        result.withUnsafeBytes { CRC32.of($0) } == checksum(bytes),
        "the checksum is that of the result")
    }
    return
  }
  let script = bytes.withUnsafeBytes { new in
    base.withUnsafeBytes { DifferenceEncoder().encode(new, base: $0) }
  }
  guard let script else { return }
  hold(script.bytes.count < bytes.count, "a script is shorter than what it makes")
  hold(decode(script.bytes, count: bytes.count) == bytes, "a version is restored")
}

/// Returns what the script makes, with 16 bytes before and behind that must stay as they are.
private func decode(_ script: [UInt8], count: Int) -> [UInt8]? {
  var memory = [UInt8](repeating: 0xa5, count: count + 32)
  let isDecoded = memory.withUnsafeMutableBytes { memory in
    script.withUnsafeBytes { script in
      base.withUnsafeBytes { base in
        (try? DifferenceDecoder.decode(
          script, base: base,
          into: UnsafeMutableRawBufferPointer(rebasing: memory[16..<16 + count]))) != nil
      }
    }
  }
  hold(
    (memory[..<16] + memory[(16 + count)...]).allSatisfy { $0 == 0xa5 }, "nothing else is written")
  return isDecoded ? Array(memory[16..<16 + count]) : nil
}

private func checksum(_ script: [UInt8]) -> UInt32 {
  script[12..<16].reversed().reduce(0) { $0 << 8 | UInt32($1) }
}

enum DifferenceSeeds {
  /// Some versions of the base with an insertion, changed numbers and a removal, and their scripts.
  static func all() -> [[UInt8]] {
    (0..<8).flatMap { kind -> [[UInt8]] in
      var new = base
      for i in stride(from: 40, to: 900, by: 60 + 40 * kind) { new[i] &+= UInt8(kind + 1) }
      new.insert(contentsOf: Array("inserted bytes \(kind)".utf8), at: 100 * kind)
      let script = new.withUnsafeBytes { new in
        base.withUnsafeBytes { DifferenceEncoder().encode(new, base: $0)?.bytes }
      }
      return [[1] + new, [0] + (script ?? [])]
    }
  }
}

// The decoding tables of deflate codes (RFC 1951, section 3.2.2).

/// An entry of a decoding table: the length of a code in bits (0 ..< 8), extra bits (8 ..< 13), kind (13 ..<
/// 16) and value (16 ..< 32). Literals are kind 0, so that one comparison recognizes them.
enum DeflateSymbol {
  enum Kind: UInt32 {
    case literal = 0
    case match
    case end
    case subtable
    case invalid
  }

  static let invalid = make(.invalid, 0)

  static func make(_ kind: Kind, _ value: UInt16, _ extra: UInt8 = 0) -> UInt32 {
    UInt32(value) << 16 | kind.rawValue << 13 | UInt32(extra) << 8
  }

  @inline(__always) static func kind(_ entry: UInt32) -> UInt32 { entry &>> 13 & 7 }
  @inline(__always) static func isLiteral(_ entry: UInt32) -> Bool { kind(entry) == 0 }
  @inline(__always) static func isMatch(_ entry: UInt32) -> Bool { kind(entry) == 1 }
  @inline(__always) static func isEnd(_ entry: UInt32) -> Bool { kind(entry) == 2 }
  @inline(__always) static func isSubtable(_ entry: UInt32) -> Bool { kind(entry) == 3 }
  @inline(__always) static func length(_ entry: UInt32) -> Int { Int(entry & 0xff) }
  @inline(__always) static func extraBits(_ entry: UInt32) -> Int { Int(entry &>> 8 & 0x1f) }
  @inline(__always) static func value(_ entry: UInt32) -> Int { Int(entry &>> 16) }
  @inline(__always) static func literal(_ entry: UInt32) -> UInt8 {
    UInt8(truncatingIfNeeded: entry &>> 16)
  }
}

/// Decoding tables of two levels: the first `rootBits` bits of a code select a symbol or a
/// subtable, and the remaining bits select the symbol in the subtable.
enum DeflateCodeTable {
  /// Fills a table from the lengths of a code.
  /// - Throws: `CodecError.corrupt` if the code is over-subscribed, or incomplete with more than
  ///   one symbol. RFC 1951 allows a single distance code.
  static func fill(
    _ table: UnsafeMutablePointer<UInt32>, _ capacity: Int, rootBits: Int, _ lengths: [UInt8],
    _ symbols: [UInt32]
  ) throws(CodecError) {
    var counts = [Int](repeating: 0, count: 16)
    for length in lengths { counts[Int(length)] += 1 }
    counts[0] = 0
    var left = 1
    var used = 0
    for bits in 1...15 {
      left = left * 2 - counts[bits]
      used += counts[bits]
      guard left >= 0 else { throw .corrupt("deflate: a code is over-subscribed") }
    }
    guard left == 0 || used <= 1 else { throw .corrupt("deflate: a code is incomplete") }
    table.update(repeating: DeflateSymbol.invalid, count: 1 << rootBits)

    var next = [Int](repeating: 0, count: 16)
    for bits in 1..<15 { next[bits + 1] = (next[bits] + counts[bits]) << 1 }
    // Sort the symbols by their codes: by length, then by number.
    var order: [[Int]] = Array(repeating: [], count: 16)
    for (symbol, length) in lengths.enumerated() where length > 0 {
      order[Int(length)].append(symbol)
    }
    var end = 1 << rootBits
    var subtable = 0
    var subtableBits = 0
    var subtablePrefix = -1
    for length in 1...15 {
      for symbol in order[length] {
        defer { counts[length] -= 1 }
        let code = reversed(next[length], length)
        next[length] += 1
        if length <= rootBits {
          var i = code
          while i < 1 << rootBits {
            table[i] = symbols[symbol] | UInt32(length)
            i += 1 << length
          }
          continue
        }
        let prefix = code & (1 << rootBits - 1)
        if prefix != subtablePrefix {
          // Size the subtable for the remaining codes that share this prefix.
          subtableBits = length - rootBits
          var free = 1 << subtableBits - counts[length]
          while subtableBits + rootBits < 15, free > 0 {
            subtableBits += 1
            free = free * 2 - counts[subtableBits + rootBits]
          }
          subtable = end
          end += 1 << subtableBits
          guard end <= capacity else { throw .corrupt("deflate: a code needs too large a table") }
          (table + subtable).update(repeating: DeflateSymbol.invalid, count: 1 << subtableBits)
          table[prefix] = DeflateSymbol.make(.subtable, UInt16(subtable)) | UInt32(subtableBits)
          subtablePrefix = prefix
        }
        var i = code >> rootBits
        while i < 1 << subtableBits {
          table[subtable + i] = symbols[symbol] | UInt32(length - rootBits)
          i += 1 << (length - rootBits)
        }
      }
    }
  }

  private static func reversed(_ code: Int, _ length: Int) -> Int {
    var result = 0
    var rest = code
    for _ in 0..<length {
      result = result << 1 | rest & 1
      rest >>= 1
    }
    return result
  }
}

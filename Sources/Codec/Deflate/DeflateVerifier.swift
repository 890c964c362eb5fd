// Proves that a deflate stream (RFC 1951) says what it should, and finds its last block on the way.
//
// The plain bytes are at hand, so nothing is written: a literal must be the byte that stands there,
// and a match must repeat what stands `distance` before. By induction the stream decodes to
// exactly these bytes, whoever made it. The header bit of the last block, which whoever joins
// streams must clear, is found by walking; no index into a deflate stream leads there.
//
// 1. Nothing outside the two buffers is read, whatever the stream holds.
// 2. `verify` returns only for a stream that decodes to the plain bytes and ends inside its buffer.

/// What the walk found.
public struct DeflateStreamInfo: Sendable, Equatable {
  /// Where the header of the last block begins: the bit there says "last".
  public let lastBlockBit: Int
  /// The first bit behind the stream.
  public let endBit: Int
}

/// Walks deflate streams. Belongs to one thread at a time: it owns its decoding tables.
public struct DeflateVerifier: ~Copyable {
  private static let literalBits = 11
  private static let distanceBits = 9
  /// Enough for every complete code of 15 bits over these tables (zlib's `enough.c`), rounded up.
  private static let literalEntries = 4096
  private static let distanceEntries = 2048

  private let literals: UnsafeMutablePointer<UInt32>
  private let distances: UnsafeMutablePointer<UInt32>

  public init() {
    literals = .allocate(capacity: DeflateVerifier.literalEntries)
    literals.initialize(repeating: 0, count: DeflateVerifier.literalEntries)
    distances = .allocate(capacity: DeflateVerifier.distanceEntries)
    distances.initialize(repeating: 0, count: DeflateVerifier.distanceEntries)
  }

  deinit {
    literals.deallocate()
    distances.deallocate()
  }

  /// Bytes that must be readable behind the stream, of any value.
  public static let slackBytes = 8

  /// Walks one stream.
  /// - Parameters:
  ///   - stream: with `slackBytes` more readable bytes behind it.
  ///   - plain: what it must decode to.
  /// - Throws: `CodecError` where it decodes to anything else.
  public mutating func verify(
    _ stream: UnsafeRawBufferPointer, decodesTo plain: UnsafeRawBufferPointer
  ) throws(CodecError) -> DeflateStreamInfo {
    guard let base = stream.baseAddress else { throw .truncated }
    var bits = BitCursor(base: base, countBytes: stream.count)
    var position = 0
    while true {
      let start = bits.position
      bits.refill()
      let isLast = bits.take(1) == 1
      switch bits.take(2) {
      case 0: try proveStored(&bits, plain, &position)
      case 1:
        try setFixedCodes()
        try proveSymbols(&bits, plain, &position)
      case 2:
        try readCodes(&bits)
        try proveSymbols(&bits, plain, &position)
      default: throw .corrupt("deflate: a block is of an unknown type")
      }
      guard bits.position <= stream.count * 8 else { throw .truncated }
      if isLast {
        guard position == plain.count else {
          throw .corrupt("deflate: \(position) bytes come out, not \(plain.count)")
        }
        return DeflateStreamInfo(lastBlockBit: start, endBit: bits.position)
      }
    }
  }

  // MARK: Blocks

  private func proveStored(
    _ bits: inout BitCursor, _ plain: UnsafeRawBufferPointer, _ position: inout Int
  ) throws(CodecError) {
    bits.alignToByte()
    let at = bits.position / 8
    guard at + 4 <= bits.countBytes else { throw .truncated }
    let length = Int(
      UInt16(littleEndian: bits.base.loadUnaligned(fromByteOffset: at, as: UInt16.self)))
    let check = UInt16(
      littleEndian: bits.base.loadUnaligned(fromByteOffset: at + 2, as: UInt16.self))
    guard ~UInt16(length) == check else { throw .corrupt("deflate: a stored length is damaged") }
    guard at + 4 + length <= bits.countBytes else { throw .truncated }
    let stored = UnsafeRawBufferPointer(start: bits.base + at + 4, count: length)
    guard length <= plain.count - position,
      stored.elementsEqual(
        UnsafeRawBufferPointer(rebasing: plain[position..<position + length]))
    else { throw .corrupt("deflate: a stored block holds other bytes") }
    position += length
    bits.move(toByte: at + 4 + length)
  }

  /// The symbols of one block, up to its end.
  private func proveSymbols(
    _ bits: inout BitCursor, _ plain: UnsafeRawBufferPointer, _ position: inout Int
  ) throws(CodecError) {
    guard let bytes = plain.baseAddress ?? UnsafeRawPointer(bitPattern: 1) else { return }
    let count = plain.count
    var at = position
    var cursor = bits
    let literals = literals
    let distances = distances
    while true {
      cursor.refill()
      // 56 bits or more: a literal takes 15 at most, and a length with its distance 48.
      var entry = literals[cursor.peek(DeflateVerifier.literalBits)]
      if Symbol.isLiteral(entry) {
        guard at < count, bytes.load(fromByteOffset: at, as: UInt8.self) == Symbol.literal(entry)
        else { throw .corrupt("deflate: a literal is another byte") }
        at &+= 1
        cursor.drop(Symbol.length(entry))
        entry = literals[cursor.peek(DeflateVerifier.literalBits)]
        if Symbol.isLiteral(entry) {
          guard at < count, bytes.load(fromByteOffset: at, as: UInt8.self) == Symbol.literal(entry)
          else { throw .corrupt("deflate: a literal is another byte") }
          at &+= 1
          cursor.drop(Symbol.length(entry))
          continue
        }
        cursor.refill()
      }
      if Symbol.isSubtable(entry) {
        cursor.drop(DeflateVerifier.literalBits)
        entry = literals[Symbol.value(entry) &+ cursor.peek(Symbol.length(entry))]
        if Symbol.isLiteral(entry) {
          guard at < count, bytes.load(fromByteOffset: at, as: UInt8.self) == Symbol.literal(entry)
          else { throw .corrupt("deflate: a literal is another byte") }
          at &+= 1
          cursor.drop(Symbol.length(entry))
          continue
        }
      }
      guard Symbol.isMatch(entry) else {
        guard Symbol.isEnd(entry) else { throw .corrupt("deflate: a code that is not one") }
        cursor.drop(Symbol.length(entry))
        break
      }
      cursor.drop(Symbol.length(entry))
      let length = Symbol.value(entry) &+ cursor.take(Symbol.extraBits(entry))
      var far = distances[cursor.peek(DeflateVerifier.distanceBits)]
      if Symbol.isSubtable(far) {
        cursor.drop(DeflateVerifier.distanceBits)
        far = distances[Symbol.value(far) &+ cursor.peek(Symbol.length(far))]
      }
      guard Symbol.isMatch(far) else { throw .corrupt("deflate: a distance that is not one") }
      cursor.drop(Symbol.length(far))
      let distance = Symbol.value(far) &+ cursor.take(Symbol.extraBits(far))
      guard distance <= at, length <= count &- at,
        DeflateVerifier.repeats(bytes + at, distance: distance, length: length)
      else { throw .corrupt("deflate: a match repeats other bytes") }
      at &+= length
      // A truncated stream must not walk on through the slack.
      guard cursor.next <= cursor.countBytes &+ DeflateVerifier.slackBytes else { throw .truncated }
    }
    position = at
    bits = cursor
  }

  /// The bytes at `here` are those that stand `distance` before.
  @inline(__always)
  private static func repeats(_ here: UnsafeRawPointer, distance: Int, length: Int) -> Bool {
    let there = here - distance
    var i = 0
    while i &+ 8 <= length {
      guard
        here.loadUnaligned(fromByteOffset: i, as: UInt64.self)
          == there.loadUnaligned(fromByteOffset: i, as: UInt64.self)
      else { return false }
      i &+= 8
    }
    while i < length {
      guard
        here.load(fromByteOffset: i, as: UInt8.self)
          == there.load(fromByteOffset: i, as: UInt8.self)
      else { return false }
      i &+= 1
    }
    return true
  }

  // MARK: Codes

  private static let lengthBases: [UInt16] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
  ]
  private static let lengthExtras: [UInt8] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let distanceBases: [UInt16] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
    3073, 4097, 6145, 8193, 12289, 16385, 24577,
  ]
  private static let codeOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

  /// What each symbol of the literal/length alphabet means.
  private static let literalSymbols: [UInt32] = (0..<288).map { symbol in
    switch symbol {
    case 0..<256: Symbol.make(.literal, UInt16(symbol))
    case 256: Symbol.make(.end, 0)
    case 257..<286: Symbol.make(.match, lengthBases[symbol - 257], lengthExtras[symbol - 257])
    default: Symbol.invalid
    }
  }
  private static let distanceSymbols: [UInt32] = (0..<32).map { symbol in
    symbol < 30
      ? Symbol.make(.match, distanceBases[symbol], UInt8(max(symbol / 2 - 1, 0))) : Symbol.invalid
  }
  private static let plainSymbols: [UInt32] = (0..<19).map { Symbol.make(.match, UInt16($0)) }

  private func setFixedCodes() throws(CodecError) {
    let lengths = (0..<288).map { UInt8($0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8) }
    try fillLiterals(lengths)
    try fillDistances([UInt8](repeating: 5, count: 32))
  }

  private func fillLiterals(_ lengths: [UInt8]) throws(CodecError) {
    try CodeTable.fill(
      literals, DeflateVerifier.literalEntries, rootBits: DeflateVerifier.literalBits, lengths,
      DeflateVerifier.literalSymbols)
  }

  private func fillDistances(_ lengths: [UInt8]) throws(CodecError) {
    try CodeTable.fill(
      distances, DeflateVerifier.distanceEntries, rootBits: DeflateVerifier.distanceBits, lengths,
      DeflateVerifier.distanceSymbols)
  }

  /// The codes of a dynamic block (RFC 1951, section 3.2.7).
  private func readCodes(_ bits: inout BitCursor) throws(CodecError) {
    bits.refill()
    let literalCount = bits.take(5) + 257
    let distanceCount = bits.take(5) + 1
    let codeCount = bits.take(4) + 4
    guard literalCount <= 286, distanceCount <= 30 else {
      throw .corrupt("deflate: a block has too many codes")
    }
    var codeLengths = [UInt8](repeating: 0, count: 19)
    for i in 0..<codeCount {
      bits.refill()
      codeLengths[DeflateVerifier.codeOrder[i]] = UInt8(bits.take(3))
    }
    try CodeTable.fill(
      literals, DeflateVerifier.literalEntries, rootBits: 7, codeLengths,
      DeflateVerifier.plainSymbols)
    let total = literalCount + distanceCount
    var lengths: [UInt8] = []
    lengths.reserveCapacity(total)
    while lengths.count < total {
      bits.refill()
      guard bits.next <= bits.countBytes + DeflateVerifier.slackBytes else { throw .truncated }
      let entry = literals[bits.peek(7)]
      guard Symbol.isMatch(entry) else { throw .corrupt("deflate: a code that is not one") }
      bits.drop(Symbol.length(entry))
      let symbol = Symbol.value(entry)
      if symbol < 16 {
        lengths.append(UInt8(symbol))
        continue
      }
      guard symbol != 16 || !lengths.isEmpty else {
        throw .corrupt("deflate: a repetition of nothing")
      }
      let value: UInt8 = symbol == 16 ? lengths[lengths.count - 1] : 0
      let count =
        switch symbol {
        case 16: bits.take(2) + 3
        case 17: bits.take(3) + 3
        default: bits.take(7) + 11
        }
      guard count <= total - lengths.count else {
        throw .corrupt("deflate: a repetition is too long")
      }
      for _ in 0..<count { lengths.append(value) }
    }
    try fillLiterals(Array(lengths[..<literalCount]))
    try fillDistances(Array(lengths[literalCount...]))
  }
}

/// An entry of a decoding table: a code's length in bits (0 ..< 8), extra bits (8 ..< 13), kind
/// (13 ..< 16) and value (16 ..< 32). Literals are kind 0, so that one comparison knows them.
private enum Symbol {
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

/// Decoding tables of two levels: the first `rootBits` bits of a code find a symbol, or the table
/// that the rest finds it in.
private enum CodeTable {
  /// - Throws: where the lengths are no code: over-subscribed, or incomplete with more than one
  ///   symbol (one alone may be: RFC 1951 allows a single distance code).
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
      guard left >= 0 else { throw .corrupt("deflate: a code has too many short words") }
    }
    guard left == 0 || used <= 1 else { throw .corrupt("deflate: a code is incomplete") }
    table.update(repeating: Symbol.invalid, count: 1 << rootBits)

    var next = [Int](repeating: 0, count: 16)
    for bits in 1..<15 { next[bits + 1] = (next[bits] + counts[bits]) << 1 }
    // Symbols in the order of their codes: by length, then by number.
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
          // As large as the codes that are left and share this prefix need.
          subtableBits = length - rootBits
          var room = 1 << subtableBits - counts[length]
          while subtableBits + rootBits < 15, room > 0 {
            subtableBits += 1
            room = room * 2 - counts[subtableBits + rootBits]
          }
          subtable = end
          end += 1 << subtableBits
          guard end <= capacity else { throw .corrupt("deflate: a code needs too large a table") }
          (table + subtable).update(repeating: Symbol.invalid, count: 1 << subtableBits)
          table[prefix] = Symbol.make(.subtable, UInt16(subtable)) | UInt32(subtableBits)
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

/// Reads bits, the lowest of each byte first. Reading beyond the end yields zeros or slack; the
/// walk compares `position` with the length before it believes.
private struct BitCursor {
  let base: UnsafeRawPointer
  let countBytes: Int
  /// The next byte to load.
  private(set) var next = 0
  private var buffer: UInt64 = 0
  private var held = 0

  init(base: UnsafeRawPointer, countBytes: Int) {
    self.base = base
    self.countBytes = countBytes
  }

  /// The next bit's number.
  var position: Int { next * 8 - held }

  /// Afterwards 56 bits or more are held.
  @inline(__always) mutating func refill() {
    // Up to `slackBytes` behind the end may be read; further on there is nothing to know.
    if next <= countBytes {
      buffer |=
        UInt64(littleEndian: base.loadUnaligned(fromByteOffset: next, as: UInt64.self))
        &<< UInt64(held)
    }
    next &+= (63 &- held) &>> 3
    held |= 56
  }

  @inline(__always) func peek(_ count: Int) -> Int {
    Int(truncatingIfNeeded: buffer & ((1 &<< UInt64(count)) &- 1))
  }

  @inline(__always) mutating func drop(_ count: Int) {
    buffer &>>= UInt64(count)
    held &-= count
  }

  @inline(__always) mutating func take(_ count: Int) -> Int {
    let value = peek(count)
    drop(count)
    return value
  }

  mutating func alignToByte() { drop(held & 7) }

  mutating func move(toByte byte: Int) {
    next = byte
    buffer = 0
    held = 0
  }
}

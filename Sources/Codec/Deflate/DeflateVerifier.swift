// Verifies that a deflate stream (RFC 1951) decodes to given bytes, and finds its last block.
//
// The plain bytes are available, so the verifier writes nothing. A literal must equal the plain byte at its
// position, and a match must equal the plain bytes `distance` before. By induction the stream decodes to
// exactly these bytes, whatever encoder wrote it. To join streams, the header bit of the last block must be
// cleared. Only a full scan finds that bit, because a deflate stream has no index.
//
// 1. Nothing outside the two buffers is read, whatever the stream contains.
// 2. `verify` returns only for a stream that decodes to the plain bytes and ends inside its buffer.

/// Positions in a verified deflate stream.
public struct DeflateStreamInfo: Sendable, Equatable {
  /// The bit that marks the last block, which is the first bit of its header.
  public let lastBlockBit: Int
  /// The first bit after the stream.
  public let endBit: Int
}

/// Verifies deflate streams. Belongs to one thread at a time: it owns its decoding tables.
public struct DeflateVerifier: ~Copyable {
  private static let literalBits = 11
  private static let distanceBits = 9
  /// Enough for every complete code of 15 bits in these tables (zlib's `enough.c`), rounded up.
  private static let literalEntries = 4096
  private static let distanceEntries = 2048

  private let literals: UnsafeMutablePointer<UInt32>
  private let distances: UnsafeMutablePointer<UInt32>

  /// Creates a verifier and allocates its tables.
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

  /// The number of readable bytes, of any value, that must follow the stream.
  public static let slackBytes = 8

  /// Verifies one stream.
  /// - Parameters:
  ///   - stream: the stream, followed by `slackBytes` more readable bytes.
  ///   - plain: the expected decoded bytes.
  /// - Returns: the positions of the last block and of the end.
  /// - Throws: `CodecError.truncated`; `CodecError.corrupt` if the stream is invalid or decodes to
  ///   other bytes.
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
      case 0: try verifyStored(&bits, plain, &position)
      case 1:
        try setFixedCodes()
        try verifySymbols(&bits, plain, &position)
      case 2:
        try readCodes(&bits)
        try verifySymbols(&bits, plain, &position)
      default: throw .corrupt("deflate: a block has an unknown type")
      }
      guard bits.position <= stream.count * 8 else { throw .truncated }
      if isLast {
        guard position == plain.count else {
          throw .corrupt(
            "deflate: the stream decodes to \(position) bytes instead of \(plain.count)")
        }
        return DeflateStreamInfo(lastBlockBit: start, endBit: bits.position)
      }
    }
  }

  // MARK: Blocks

  private func verifyStored(
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
    else { throw .corrupt("deflate: a stored block differs from the plain bytes") }
    position += length
    bits.move(toByte: at + 4 + length)
  }

  /// Verifies the symbols of one block up to its end.
  private func verifySymbols(
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
      // At least 56 bits are buffered: a literal takes up to 15, and a length with its distance 48.
      var entry = literals[cursor.peek(DeflateVerifier.literalBits)]
      if DeflateSymbol.isLiteral(entry) {
        guard at < count,
          bytes.load(fromByteOffset: at, as: UInt8.self) == DeflateSymbol.literal(entry)
        else { throw .corrupt("deflate: a literal differs from the plain byte") }
        at &+= 1
        cursor.drop(DeflateSymbol.length(entry))
        entry = literals[cursor.peek(DeflateVerifier.literalBits)]
        if DeflateSymbol.isLiteral(entry) {
          guard at < count,
            bytes.load(fromByteOffset: at, as: UInt8.self) == DeflateSymbol.literal(entry)
          else { throw .corrupt("deflate: a literal differs from the plain byte") }
          at &+= 1
          cursor.drop(DeflateSymbol.length(entry))
          continue
        }
        cursor.refill()
      }
      if DeflateSymbol.isSubtable(entry) {
        cursor.drop(DeflateVerifier.literalBits)
        entry = literals[DeflateSymbol.value(entry) &+ cursor.peek(DeflateSymbol.length(entry))]
        if DeflateSymbol.isLiteral(entry) {
          guard at < count,
            bytes.load(fromByteOffset: at, as: UInt8.self) == DeflateSymbol.literal(entry)
          else { throw .corrupt("deflate: a literal differs from the plain byte") }
          at &+= 1
          cursor.drop(DeflateSymbol.length(entry))
          continue
        }
      }
      guard DeflateSymbol.isMatch(entry) else {
        guard DeflateSymbol.isEnd(entry) else { throw .corrupt("deflate: an invalid code") }
        cursor.drop(DeflateSymbol.length(entry))
        break
      }
      cursor.drop(DeflateSymbol.length(entry))
      let length = DeflateSymbol.value(entry) &+ cursor.take(DeflateSymbol.extraBits(entry))
      var distanceEntry = distances[cursor.peek(DeflateVerifier.distanceBits)]
      if DeflateSymbol.isSubtable(distanceEntry) {
        cursor.drop(DeflateVerifier.distanceBits)
        distanceEntry =
          distances[
            DeflateSymbol.value(distanceEntry) &+ cursor.peek(DeflateSymbol.length(distanceEntry))]
      }
      guard DeflateSymbol.isMatch(distanceEntry) else {
        throw .corrupt("deflate: an invalid distance")
      }
      cursor.drop(DeflateSymbol.length(distanceEntry))
      let distance =
        DeflateSymbol.value(distanceEntry) &+ cursor.take(DeflateSymbol.extraBits(distanceEntry))
      guard distance <= at, length <= count &- at,
        DeflateVerifier.repeats(bytes + at, distance: distance, length: length)
      else { throw .corrupt("deflate: a match differs from the plain bytes") }
      at &+= length
      // A truncated stream must not continue through the slack bytes.
      guard cursor.next <= cursor.countBytes &+ DeflateVerifier.slackBytes else { throw .truncated }
    }
    position = at
    bits = cursor
  }

  /// Returns whether the bytes at `here` equal those `distance` before.
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

  /// The table entry of each symbol of the literal/length alphabet.
  private static let literalSymbols: [UInt32] = (0..<288).map { symbol in
    switch symbol {
    case 0..<256: DeflateSymbol.make(.literal, UInt16(symbol))
    case 256: DeflateSymbol.make(.end, 0)
    case 257..<286:
      DeflateSymbol.make(.match, lengthBases[symbol - 257], lengthExtras[symbol - 257])
    default: DeflateSymbol.invalid
    }
  }
  private static let distanceSymbols: [UInt32] = (0..<32).map { symbol in
    symbol < 30
      ? DeflateSymbol.make(.match, distanceBases[symbol], UInt8(max(symbol / 2 - 1, 0)))
      : DeflateSymbol.invalid
  }
  private static let plainSymbols: [UInt32] = (0..<19).map {
    DeflateSymbol.make(.match, UInt16($0))
  }

  private func setFixedCodes() throws(CodecError) {
    let lengths = (0..<288).map { UInt8($0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8) }
    try fillLiterals(lengths)
    try fillDistances([UInt8](repeating: 5, count: 32))
  }

  private func fillLiterals(_ lengths: [UInt8]) throws(CodecError) {
    try DeflateCodeTable.fill(
      literals, DeflateVerifier.literalEntries, rootBits: DeflateVerifier.literalBits, lengths,
      DeflateVerifier.literalSymbols)
  }

  private func fillDistances(_ lengths: [UInt8]) throws(CodecError) {
    try DeflateCodeTable.fill(
      distances, DeflateVerifier.distanceEntries, rootBits: DeflateVerifier.distanceBits, lengths,
      DeflateVerifier.distanceSymbols)
  }

  /// Reads the codes of a dynamic block (RFC 1951, section 3.2.7).
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
    try DeflateCodeTable.fill(
      literals, DeflateVerifier.literalEntries, rootBits: 7, codeLengths,
      DeflateVerifier.plainSymbols)
    let total = literalCount + distanceCount
    var lengths: [UInt8] = []
    lengths.reserveCapacity(total)
    while lengths.count < total {
      bits.refill()
      guard bits.next <= bits.countBytes + DeflateVerifier.slackBytes else { throw .truncated }
      let entry = literals[bits.peek(7)]
      guard DeflateSymbol.isMatch(entry) else { throw .corrupt("deflate: an invalid code") }
      bits.drop(DeflateSymbol.length(entry))
      let symbol = DeflateSymbol.value(entry)
      if symbol < 16 {
        lengths.append(UInt8(symbol))
        continue
      }
      guard symbol != 16 || !lengths.isEmpty else {
        throw .corrupt("deflate: a repeat code follows no length")
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

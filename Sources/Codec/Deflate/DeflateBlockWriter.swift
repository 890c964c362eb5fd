// Writes the blocks of a deflate stream as GNU gzip does: collects symbols, chooses between stored, fixed
// and dynamic blocks, and writes the codes (RFC 1951, sections 3.2.3 to 3.2.7).
//
// 1. A block has at most `maxSymbols` symbols. The caller ends the block when `isFull` says so.
// 2. Output is limited to the capacity that the caller gives: after that, bytes are counted out as lost.

/// Collects the symbols of one block and writes it. Belongs to one thread at a time.
final class DeflateBlockWriter {
  /// GNU gzip's LIT_BUFSIZE - 1.
  static let maxSymbols = 0x7fff
  private static let endOfBlock = 256
  private static let extraLengthBits: [Int] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let extraDistanceBits: [Int] = (0..<30).map { max($0 / 2 - 1, 0) }
  /// The order of the lengths of the code for lengths.
  private static let lengthOrder = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
  ]

  private let literals = DeflateHuffmanCode(symbolCount: 286, maxLength: 15)
  private let distances = DeflateHuffmanCode(symbolCount: 30, maxLength: 15)
  private let codeLengths = DeflateHuffmanCode(symbolCount: 19, maxLength: 7)
  /// Each symbol: a literal, or a length minus 3 with its distance in the upper 16 bits.
  private let symbols = UnsafeMutablePointer<UInt32>.allocate(capacity: maxSymbols + 1)
  private let tables = DeflateSymbolTables()
  private(set) var symbolCount = 0
  private(set) var matchCount = 0
  /// The symbols of `codeLengths` for the two other codes of a block, each with its extra bits.
  private var lengthSymbols: [(symbol: Int, extra: UInt32, bits: Int)] = []
  private var output = DeflateBitOutput(UnsafeMutableRawBufferPointer(start: nil, count: 0))

  deinit { symbols.deallocate() }

  /// Starts a stream or a part of one.
  /// - Parameters:
  ///   - target: the memory for the output.
  ///   - carry: the bits of the first byte that precede the output.
  func begin(_ target: UnsafeMutableRawBufferPointer, carry: RunEncoder.Carry) {
    output = DeflateBitOutput(target)
    output.put(UInt32(carry.value), Int(carry.bits))
    clear()
  }

  /// Forgets the symbols of the current block.
  func clear() {
    symbolCount = 0
    matchCount = 0
    literals.clear()
    distances.clear()
  }

  @inline(__always) func add(literal: UInt8) {
    symbols[symbolCount] = UInt32(literal)
    symbolCount += 1
    literals.frequencies[Int(literal)] += 1
  }

  /// Adds a match.
  /// - Parameters:
  ///   - length: 3 to 258.
  ///   - distance: 1 to 32768.
  @inline(__always) func add(length: Int, distance: Int) {
    symbols[symbolCount] = UInt32(truncatingIfNeeded: distance << 16 | (length - 3))
    symbolCount += 1
    matchCount += 1
    literals.frequencies[257 + Int(tables.lengthCode[length - 3])] += 1
    distances.frequencies[tables.code(ofDistance: distance)] += 1
  }

  /// Returns whether the block must end.
  @inline(__always) var isFull: Bool { symbolCount == DeflateBlockWriter.maxSymbols }

  /// Returns GNU gzip's estimate of the size of the block so far, in bytes.
  var estimatedBytes: Int {
    var bits = symbolCount * 8
    for code in 0..<30 {
      bits += Int(distances.frequencies[code]) * (5 + DeflateBlockWriter.extraDistanceBits[code])
    }
    return bits >> 3
  }

  /// Returns the complete bytes of the output, with the bits of an incomplete one.
  func finish() -> Int { output.flush() }

  /// Whether the output was longer than its memory.
  var isOverflown: Bool { output.isOverflown }

  // MARK: Blocks

  /// Writes the block.
  /// - Parameters:
  ///   - plain: the plain bytes of the block, or nil if a stored block is not possible any more.
  ///   - plainBytes: the number of plain bytes.
  ///   - isLast: whether the stream ends with the block.
  func endBlock(plain: UnsafeRawBufferPointer?, plainBytes: Int, isLast: Bool) {
    literals.frequencies[DeflateBlockWriter.endOfBlock] = 1
    literals.build()
    let addedDistances = distances.build()
    collectLengths()
    let addedLengths = codeLengths.build()
    let headerCodes = headerCodeCount
    let fixedBits = self.fixedBits(without: addedDistances)
    let dynamicBits =
      self.dynamicBits(without: addedDistances, addedLengths) + 3 * headerCodes + 14
    let fixedBytes = (fixedBits + 10) >> 3
    let bestBytes = min((dynamicBits + 10) >> 3, fixedBytes)
    let last: UInt32 = isLast ? 1 : 0
    if plainBytes + 4 <= bestBytes, let plain, plainBytes <= 0xffff {
      output.put(last, 3)
      output.align()
      output.put(UInt32(plainBytes), 16)
      output.put(UInt32(~plainBytes & 0xffff), 16)
      output.copy(plain)
    } else if fixedBytes == bestBytes {
      output.put(1 << 1 | last, 3)
      writeSymbols(
        tables.fixedCodes, tables.fixedLengths, tables.fixedDistanceCodes,
        tables.fixedDistanceLengths)
    } else {
      output.put(2 << 1 | last, 3)
      writeHeader(headerCodes)
      writeSymbols(literals.codes, literals.lengths, distances.codes, distances.lengths)
    }
    clear()
    if isLast { output.align() }
  }

  private func fixedBits(without added: [Int]) -> Int {
    var bits = 0
    for symbol in 0..<286 {
      let count = Int(literals.frequencies[symbol])
      if count == 0 { continue }
      bits += count * (Int(tables.fixedLengths[symbol]) + DeflateBlockWriter.extraBits(symbol))
    }
    for code in 0..<30 {
      bits += Int(distances.frequencies[code]) * (5 + DeflateBlockWriter.extraDistanceBits[code])
    }
    return bits - 5 * added.count
  }

  private func dynamicBits(without added: [Int], _ addedLengths: [Int]) -> Int {
    var bits = 0
    for symbol in 0..<286 {
      let count = Int(literals.frequencies[symbol])
      bits += count * (Int(literals.lengths[symbol]) + DeflateBlockWriter.extraBits(symbol))
    }
    for code in 0..<30 {
      bits +=
        Int(distances.frequencies[code])
        * (Int(distances.lengths[code]) + DeflateBlockWriter.extraDistanceBits[code])
    }
    for symbol in 0..<19 {
      let extra = [16: 2, 17: 3, 18: 7][symbol] ?? 0
      bits += Int(codeLengths.frequencies[symbol]) * (Int(codeLengths.lengths[symbol]) + extra)
    }
    return bits - added.count - addedLengths.count
  }

  private static func extraBits(_ symbol: Int) -> Int {
    symbol > endOfBlock ? extraLengthBits[symbol - 257] : 0
  }

  // MARK: The header of a dynamic block

  /// The number of code lengths that the header has.
  private var headerCodeCount: Int {
    var count = 19
    while count > 4, codeLengths.lengths[DeflateBlockWriter.lengthOrder[count - 1]] == 0 {
      count -= 1
    }
    return count
  }

  private func collectLengths() {
    codeLengths.clear()
    lengthSymbols.removeAll(keepingCapacity: true)
    collectLengths(of: literals)
    collectLengths(of: distances)
    for entry in lengthSymbols { codeLengths.frequencies[entry.symbol] += 1 }
  }

  /// Adds the run-length symbols of a code's lengths.
  private func collectLengths(of code: DeflateHuffmanCode) {
    var previous = -1
    var count = 0
    var (most, least) = code.lengths[0] == 0 ? (138, 3) : (7, 4)
    for symbol in 0...code.maxSymbol {
      let length = Int(code.lengths[symbol])
      let next = symbol < code.maxSymbol ? Int(code.lengths[symbol + 1]) : -1
      count += 1
      if count < most, length == next { continue }
      if count < least {
        for _ in 0..<count { lengthSymbols.append((length, 0, 0)) }
      } else if length != 0 {
        if length != previous {
          lengthSymbols.append((length, 0, 0))
          count -= 1
        }
        lengthSymbols.append((16, UInt32(count - 3), 2))
      } else if count <= 10 {
        lengthSymbols.append((17, UInt32(count - 3), 3))
      } else {
        lengthSymbols.append((18, UInt32(count - 11), 7))
      }
      count = 0
      previous = length
      (most, least) = next == 0 ? (138, 3) : length == next ? (6, 3) : (7, 4)
    }
  }

  private func writeHeader(_ headerCodes: Int) {
    output.put(UInt32(literals.maxSymbol + 1 - 257), 5)
    output.put(UInt32(distances.maxSymbol), 5)
    output.put(UInt32(headerCodes - 4), 4)
    for symbol in DeflateBlockWriter.lengthOrder.prefix(headerCodes) {
      output.put(UInt32(codeLengths.lengths[symbol]), 3)
    }
    for entry in lengthSymbols {
      output.put(
        UInt32(codeLengths.codes[entry.symbol]), Int(codeLengths.lengths[entry.symbol]))
      output.put(entry.extra, entry.bits)
    }
  }

  // MARK: Symbols

  private func writeSymbols(
    _ codes: UnsafePointer<UInt16>, _ lengths: UnsafePointer<UInt16>,
    _ distanceCodes: UnsafePointer<UInt16>, _ distanceLengths: UnsafePointer<UInt16>
  ) {
    var output = self.output
    for index in 0..<symbolCount {
      let symbol = symbols[index]
      let value = Int(symbol & 0xffff)
      let distance = Int(symbol >> 16)
      if distance == 0 {
        output.put(UInt32(codes[value]), Int(lengths[value]))
        continue
      }
      let lengthCode = Int(tables.lengthCode[value])
      output.put(UInt32(codes[257 + lengthCode]), Int(lengths[257 + lengthCode]))
      output.put(
        UInt32(value - Int(tables.lengthBase[lengthCode])), Int(tables.lengthExtra[lengthCode]))
      let distanceCode = tables.code(ofDistance: distance)
      output.put(UInt32(distanceCodes[distanceCode]), Int(distanceLengths[distanceCode]))
      output.put(
        UInt32(distance - Int(tables.distanceBase[distanceCode])),
        Int(tables.distanceExtra[distanceCode]))
    }
    let end = DeflateBlockWriter.endOfBlock
    output.put(UInt32(codes[end]), Int(lengths[end]))
    self.output = output
  }
}

// The codes of lengths and distances, and the fixed codes, of deflate (RFC 1951, sections 3.2.5 and 3.2.6).

/// Tables for writing symbols. They never change, so any thread may read them.
final class DeflateSymbolTables {
  let lengthCode = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
  let lengthBase = UnsafeMutablePointer<UInt16>.allocate(capacity: 29)
  let lengthExtra = UnsafeMutablePointer<UInt8>.allocate(capacity: 29)
  /// The code of each distance up to 256, then of each 128th distance.
  private let distanceCode = UnsafeMutablePointer<UInt8>.allocate(capacity: 512)
  let distanceBase = UnsafeMutablePointer<UInt16>.allocate(capacity: 30)
  let distanceExtra = UnsafeMutablePointer<UInt8>.allocate(capacity: 30)
  let fixedCodes = UnsafeMutablePointer<UInt16>.allocate(capacity: 288)
  let fixedLengths = UnsafeMutablePointer<UInt16>.allocate(capacity: 288)
  let fixedDistanceCodes = UnsafeMutablePointer<UInt16>.allocate(capacity: 30)
  let fixedDistanceLengths = UnsafeMutablePointer<UInt16>.allocate(capacity: 30)

  init() {
    var base = 0
    for code in 0..<29 {
      let extra = code < 8 || code == 28 ? 0 : code / 4 - 1
      // Length 258 has a code of its own.
      if code == 28 { base = 255 }
      lengthBase[code] = UInt16(base)
      lengthExtra[code] = UInt8(extra)
      for length in base..<min(base + 1 << extra, 256) { lengthCode[length] = UInt8(code) }
      base += 1 << extra
    }
    base = 0
    distanceCode.initialize(repeating: 0, count: 512)
    for code in 0..<30 {
      let extra = max(code / 2 - 1, 0)
      distanceBase[code] = UInt16(base + 1)
      distanceExtra[code] = UInt8(extra)
      if base < 256 {
        for distance in base..<base + 1 << extra { distanceCode[distance] = UInt8(code) }
      } else {
        for index in base >> 7..<(base + 1 << extra) >> 7 {
          distanceCode[256 + index] = UInt8(code)
        }
      }
      base += 1 << extra
    }
    // RFC 1951, section 3.2.6: the first code of each length.
    for symbol in 0..<288 {
      let (first, start, bits) =
        symbol < 144
        ? (0x30, 0, 8)
        : symbol < 256 ? (0x190, 144, 9) : symbol < 280 ? (0, 256, 7) : (0xc0, 280, 8)
      fixedLengths[symbol] = UInt16(bits)
      fixedCodes[symbol] = DeflateHuffmanCode.reversed(UInt32(first + symbol - start), bits: bits)
    }
    for code in 0..<30 {
      fixedDistanceLengths[code] = 5
      fixedDistanceCodes[code] = DeflateHuffmanCode.reversed(UInt32(code), bits: 5)
    }
  }

  deinit {
    for table in [lengthCode, lengthExtra, distanceCode, distanceExtra] { table.deallocate() }
    for table in [
      lengthBase, distanceBase, fixedCodes, fixedLengths, fixedDistanceCodes, fixedDistanceLengths,
    ] { table.deallocate() }
  }

  @inline(__always) func code(ofDistance distance: Int) -> Int {
    Int(distance <= 256 ? distanceCode[distance - 1] : distanceCode[256 + (distance - 1) >> 7])
  }
}

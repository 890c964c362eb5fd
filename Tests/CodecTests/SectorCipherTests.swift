// AES-XTS against the test vectors of IEEE 1619-2007, annex B.

import Codec
import TestSupport
import Testing

private func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

@Suite struct SectorCipherTests {
  /// The keys of vectors 4 to 9.
  private static let key = bytes(
    "27182818284590452353602874713526" + "31415926535897932384626433832795")

  private func decrypt(_ start: String, number: UInt64) throws -> [UInt8] {
    let cipher = try #require(SectorCipher(key: SectorCipherTests.key))
    var sector = bytes(start)
    sector += [UInt8](repeating: 0, count: SectorCipher.sectorBytes - sector.count)
    try sector.withUnsafeMutableBytes { try cipher.decrypt($0, number: number) }
    return Array(sector[..<32])
  }

  @Test func `the first blocks of vectors 4 and 5 are decrypted`() throws {
    let fourth = "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c"
    #expect(try decrypt(fourth, number: 0) == (0..<32).map { UInt8($0) })
    let fifth = "264d3ca8512194fec312c8c9891f279fefdd608d0c027b60483a3fa811d65ee5"
    #expect(try decrypt(fifth, number: 1) == bytes(fourth))
  }

  @Test(arguments: [0, 16, 31, 33, 48, 63, 65]) func `a key of another length is refused`(
    _ count: Int
  ) {
    #expect(SectorCipher(key: (0..<count).map { UInt8($0) }) == nil)
  }

  @Test func `a key of two equal halves is refused`() {
    #expect(SectorCipher(key: [UInt8](repeating: 7, count: 32)) == nil)
  }
}

// Base64 with the vectors of RFC 4648 section 10, percent-encoding with the rules of RFC 3986, and both with
// all bytes.

import Codec
import Testing

@Suite struct TextEncodingTests {
  /// RFC 4648 section 10.
  private static let vectors = [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ]

  @Test func base64HasTheVectorsOfItsStandard() {
    for (plain, text) in TextEncodingTests.vectors {
      #expect(Base64.encode(Array(plain.utf8)) == text)
      #expect(Base64.decode(text.utf8) == Array(plain.utf8))
      let bare = text.prefix { $0 != "=" }
      #expect(Base64.decode(bare.utf8, padding: .optional) == Array(plain.utf8))
      #expect(Base64.decode(text.utf8, padding: .optional) == Array(plain.utf8))
      #expect((Base64.decode(bare.utf8) == nil) == (bare != text))
    }
  }

  @Test func base64DecodesWhatItEncodes() {
    let all = Array(UInt8.min...UInt8.max)
    for count in 0...all.count {
      #expect(Base64.decode(Base64.encode(Array(all[..<count])).utf8) == Array(all[..<count]))
    }
    #expect(Base64.encode([0xfb, 0xff, 0xbf]) == "+/+/")
  }

  @Test(arguments: [
    "Z", "Zg", "Zg=", "Zg===", "=", "====", "Zm9v====", "Zm9vY", "Zm=v", "Zg==Zg==", "Zm9v\n",
    " Zm9v", "Zm9-", "Zm9_", "Zm\u{e9}v",
    // Pad bits that are not zero.
    "Zh==", "Zm9=",
  ])
  func otherSpellingsAreNoBase64(text: String) {
    #expect(Base64.decode(text.utf8) == nil)
  }

  @Test(arguments: ["Z", "Zm9vY", "Zh", "Zm9", "Zg=", "Zg==="])
  func optionalPaddingStillHasRules(text: String) {
    #expect(Base64.decode(text.utf8, padding: .optional) == nil)
  }

  @Test func unreservedBytesStayAndOthersAreEncoded() {
    let unreserved = Set(
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
    for byte in UInt8.min...UInt8.max {
      let hex = String(byte, radix: 16, uppercase: true)
      let encoded = "%" + (hex.count == 1 ? "0" : "") + hex
      let literal = String(decoding: [byte], as: UTF8.self)
      #expect(
        PercentEncoding.encode([byte]) == (unreserved.contains(byte) ? literal : encoded))
      let isKept = unreserved.contains(byte) || "@:+=,".utf8.contains(byte)
      #expect(PercentEncoding.segment([byte]) == (isKept ? literal : encoded))
      #expect(PercentEncoding.decode(encoded.utf8) == [byte])
      #expect(PercentEncoding.decode(encoded.lowercased().utf8) == [byte])
    }
    #expect(PercentEncoding.encode("a b/ü".utf8, keeping: "/") == "a%20b/%C3%BC")
  }

  @Test(arguments: ["%", "%4", "%4g", "%g4", "%%41", "a%", "%+1", "% 1", "%-1"])
  func incompleteEscapesAreRefused(text: String) {
    #expect(PercentEncoding.decode(text.utf8) == nil)
  }

  @Test func plusIsASpaceOnlyInForms() {
    #expect(PercentEncoding.decode("a+b%2B".utf8) == Array("a+b+".utf8))
    #expect(PercentEncoding.decode("a+b%2B".utf8, plusIsSpace: true) == Array("a b+".utf8))
  }
}

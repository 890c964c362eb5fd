// The parser of untrusted JSON: it accepts the grammar of RFC 8259, and nothing else.

import OCI
import TestSupport
import Testing

@Suite struct JSONParserTests {
  @Test(arguments: [
    ("{}", "{}"), (" [ 1 , -2, 0 ] \n", "[1,-2,0]"), ("\"a\\u00e9\\n\\/\"", "\"aé\\n/\""),
    ("\"\\ud83d\\ude00\"", "\"😀\""),
    ("{\"b\":null,\"a\":[true,false]}", "{\"b\":null,\"a\":[true,false]}"),
    ("1.5e-3", "1.5e-3"), ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("\"\\u0001\\u007f\"", "\"\\u0001\\u007f\""),
  ])
  func `a document is parsed, and encoded as the same value`(_ text: String, _ encoded: String)
    throws
  {
    let value = try JSONParser.parse(Array(text.utf8))
    #expect(String(decoding: value.encoded, as: UTF8.self) == encoded)
    #expect(try JSONParser.parse(value.encoded) == value)
  }

  @Test(arguments: [
    "", " ", "{", "}", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}",
    "01",
    "-", "1.", ".5", "1e", "+1", "nul", "True", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
    "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"a\nb\"", "1 2", "[1] x", "{\"a\":1 \"b\":2}", "NaN",
    "Infinity", "// c\n1", "\u{feff}1",
  ])
  func `a document outside the grammar is refused`(_ text: String) {
    #expect(throws: OCIError.self) { try JSONParser.parse(Array(text.utf8)) }
  }

  @Test func `a name that occurs twice is refused, and names are compared as bytes`() throws {
    #expect(throws: OCIError.self) { try JSONParser.parse(Array("{\"a\":1,\"a\":2}".utf8)) }
    #expect(throws: OCIError.self) { try JSONParser.parse(Array("{\"a\":1,\"\\u0061\":2}".utf8)) }
    // Both spellings of an accented letter are different names.
    let both = try JSONParser.parse(Array("{\"\\u00e9\":1,\"e\\u0301\":2}".utf8))
    #expect(both.members?.count == 2)
    #expect(both["e\u{301}"]?.integer == 2)
  }

  @Test func `bytes that are not UTF-8 are refused`() {
    #expect(throws: OCIError.self) { try JSONParser.parse([0x22, 0xff, 0x22]) }
    #expect(throws: OCIError.self) { try JSONParser.parse([0x22, 0xed, 0xa0, 0x80, 0x22]) }
    #expect(throws: OCIError.self) { try JSONParser.parse([0x22, 0x00, 0x22]) }
  }

  @Test func `depth, values and size are limited`() throws {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    _ = try JSONParser.parse(nested(JSONParser.maxDepth))
    #expect(throws: OCIError.self) { try JSONParser.parse(nested(JSONParser.maxDepth + 1)) }
    #expect(throws: OCIError.self) { try JSONParser.parse(nested(1_000_000)) }
    let many = "[" + String(repeating: "1,", count: JSONParser.maxValues) + "1]"
    #expect(throws: OCIError.self) { try JSONParser.parse(Array(many.utf8)) }
    let large = [UInt8](repeating: 0x20, count: JSONParser.maxBytes) + [0x31]
    #expect(throws: OCIError.self) { try JSONParser.parse(large) }
  }

  @Test(arguments: seeds)
  func `a document with random damage is parsed or refused`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let good = Array(
      #"{"schemaVersion":2,"manifests":[{"digest":"sha256:00","size":12,"a":{"b":"\u00e9"}}]}"#.utf8
    )
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0...(random.next() % 3) {
        let offset = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 3 {
        case 0: bytes[offset] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.remove(at: offset)
        default: bytes.insert(bytes[Int(random.next() % UInt64(bytes.count))], at: offset)
        }
      }
      if let value = try? JSONParser.parse(bytes) {
        #expect(try JSONParser.parse(value.encoded) == value)
      }
    }
  }
}

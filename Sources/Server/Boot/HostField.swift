// The Host field of a request (RFC 9110 section 7.2), for URLs that name this server. Its value is untrusted: it
// becomes part of scripts.

/// A valid host with an optional port.
struct HostField {
  let text: String

  /// Checks the value: a name, an IPv4 address, or an IPv6 address in brackets, and a port.
  /// - Returns: nil for any other value.
  init?(_ value: String) {
    let bytes = Array(value.utf8)
    guard !bytes.isEmpty, bytes.count <= 262 else { return nil }
    var rest = bytes[...]
    if rest.first == UInt8(ascii: "[") {
      guard let end = rest.firstIndex(of: UInt8(ascii: "]")), end > 1,
        rest[1..<end].allSatisfy({ HostField.isHex($0) || $0 == 0x3a || $0 == 0x2e })
      else { return nil }
      rest = rest[(end + 1)...]
    } else {
      let name = rest.prefix { $0 != UInt8(ascii: ":") }
      guard !name.isEmpty, name.allSatisfy(HostField.isNameByte) else { return nil }
      rest = rest.dropFirst(name.count)
    }
    if !rest.isEmpty {
      guard rest.first == UInt8(ascii: ":"),
        let port = Int(String(decoding: rest.dropFirst(), as: UTF8.self)),
        rest.dropFirst().allSatisfy({ (0x30...0x39).contains($0) }), (1...65535).contains(port)
      else { return nil }
    }
    text = value
  }

  private static func isHex(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
    default: false
    }
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
    default: false
    }
  }
}

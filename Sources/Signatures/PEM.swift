// PEM files of one key (RFC 7468), read strictly: one block of the expected label, standard base64
// with its padding, no headers. Text around the block is ignored, as by openssl.

enum PEM {
  static let hint =
    "Create a key with 'imgstore key generate' or 'openssl genpkey -algorithm ed25519', without a passphrase"
  private static let dashes = "-----"

  static func encode(_ der: [UInt8], label: String) -> [UInt8] {
    var text = "\(dashes)BEGIN \(label)\(dashes)\n"
    var rest = Base64.encode(der)[...]
    while !rest.isEmpty {
      text += String(decoding: rest.prefix(64), as: UTF8.self) + "\n"
      rest = rest.dropFirst(64)
    }
    return Array("\(text)\(dashes)END \(label)\(dashes)\n".utf8)
  }

  static func decode(_ bytes: [UInt8], label: String, name: String) throws(SignatureError)
    -> [UInt8]
  {
    let begin = Array("\(dashes)BEGIN ".utf8)
    var lines = bytes.split(separator: 0x0a).map { line in
      line.last == 0x0d ? line.dropLast() : line
    }
    guard lines.count(where: { $0.starts(with: begin) }) == 1 else {
      throw SignatureError(name, "does not contain exactly one key in PEM", hint: hint)
    }
    lines = Array(lines.drop { !$0.starts(with: begin) })
    guard lines[0].elementsEqual("\(dashes)BEGIN \(label)\(dashes)".utf8) else {
      throw SignatureError(
        name, "is not a \(label.lowercased()) in PEM without a passphrase", hint: hint)
    }
    let end = Array("\(dashes)END \(label)\(dashes)".utf8)
    guard let last = lines.firstIndex(where: { $0.elementsEqual(end) }),
      let der = Base64.decode(Array(lines[1..<last].joined()))
    else {
      throw SignatureError(name, "is damaged: its base64 text cannot be read", hint: hint)
    }
    return der
  }
}

/// Base64 (RFC 4648, section 4). Only the spelling that an encoder writes is accepted.
enum Base64 {
  private static let digits = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encode(_ bytes: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var word: UInt32 = 0
      for byte in group { word = word << 8 | UInt32(byte) }
      word <<= UInt32(8 * (3 - group.count))
      for i in 0..<4 {
        text.append(i <= group.count ? digits[Int(word >> UInt32(18 - 6 * i) & 63)] : 0x3d)
      }
    }
    return text
  }

  static func decode(_ text: [UInt8]) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: text.count, by: 4) {
      var word: UInt32 = 0
      var count = 0
      for byte in text[start..<start + 4] {
        if byte == 0x3d, start + 4 == text.count { continue }
        guard let value = digits.firstIndex(of: byte) else { return nil }
        word = word << 6 | UInt32(value)
        count += 1
      }
      guard count >= 2 else { return nil }
      word <<= UInt32(6 * (4 - count))
      for i in 0..<(count - 1) { bytes.append(UInt8(word >> UInt32(16 - 8 * i) & 0xff)) }
    }
    return encode(bytes) == text ? bytes : nil
  }
}

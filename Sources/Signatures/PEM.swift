// PEM files of one key (RFC 7468), read strictly: one block of the expected label, standard base64
// with its padding, no headers. Text around the block is ignored, as by openssl.

import Codec

enum PEM {
  static let hint =
    "Create a key with 'imgstore key generate' or 'openssl genpkey -algorithm ed25519', without a passphrase"
  private static let dashes = "-----"

  static func encode(_ der: [UInt8], label: String) -> [UInt8] {
    var text = "\(dashes)BEGIN \(label)\(dashes)\n"
    var rest = Base64.encode(der)[...]
    while !rest.isEmpty {
      text += rest.prefix(64) + "\n"
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

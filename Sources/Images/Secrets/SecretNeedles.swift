// Finds secrets by their form in any file: PEM private keys, hashes of crypt(3), tokens with known prefixes.
//
// 1. One pass over the bytes finds all prefixes (Aho and Corasick, 1975). Only matches are examined further.
// 2. Only a complete form counts. A truncated sample in a document is not a finding.

/// A secret that is recognized by its form.
public struct SecretForm: Sendable {
  public let id: String
  public let kind: SecretKind
  /// The texts that the form starts with or contains.
  public let needles: [String]
  public let reason: String
  let measure: Measure

  /// How the end of a secret is found.
  enum Measure: Sendable {
    case pem
    case cryptHash
    case putty
    case word(least: Int)
    case jwt
    case awsKey
    case dnssec
    case jwk
  }

  init(
    _ id: String, _ kind: SecretKind, _ needles: [String], _ measure: Measure, _ reason: String
  ) {
    self.id = id
    self.kind = kind
    self.needles = needles
    self.measure = measure
    self.reason = reason
  }

  /// All forms, in the order of the documentation.
  public static let table: [SecretForm] = [
    SecretForm(
      "pem", .privateKey, ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"], .pem,
      "private key in PEM"),
    SecretForm(
      "openvpn-static", .vpnSecret, ["OpenVPN Static key V1-----", "OpenVPN tls-crypt-v2 "], .pem,
      "OpenVPN key"),
    SecretForm("putty", .privateKey, ["PuTTY-User-Key-File-"], .putty, "PuTTY private key"),
    SecretForm(
      "crypt", .passwordHash,
      [
        "$1$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$2a$", "$2b$", "$2x$", "$2y$", "$apr1$",
        "$argon2i$", "$argon2id$", "$sha1$",
      ], .cryptHash, "password hash"),
    SecretForm(
      "ldap-hash", .passwordHash, ["{SSHA}", "{SSHA256}", "{SSHA512}", "{PBKDF2_SHA256}"],
      .word(least: 28), "LDAP password hash"),
    SecretForm(
      "grub-hash", .bootLoaderPassword, ["grub.pbkdf2."], .word(least: 32),
      "boot loader password hash"),
    SecretForm("age", .ageKey, ["AGE-SECRET-KEY-1"], .word(least: 16), "age key"),
    SecretForm(
      "github", .token, ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"], .word(least: 20),
      "GitHub token"),
    SecretForm(
      "gitlab", .token, ["glpat-", "gldt-", "glrt-", "glptt-"], .word(least: 16),
      "GitLab token"),
    SecretForm(
      "slack", .token, ["xoxb-", "xoxa-", "xoxp-", "xoxr-", "xoxs-", "xapp-"], .word(least: 10),
      "Slack token"),
    SecretForm("aws-key", .token, ["AKIA", "ASIA"], .awsKey, "AWS key"),
    SecretForm("google-key", .token, ["AIza"], .word(least: 30), "Google key"),
    SecretForm("google-token", .token, ["ya29."], .word(least: 30), "Google token"),
    SecretForm(
      "stripe", .token, ["sk_live_", "rk_live_", "sk-ant-"], .word(least: 16), "service key"),
    SecretForm("huggingface", .token, ["hf_"], .word(least: 30), "Hugging Face token"),
    SecretForm("npm", .token, ["npm_"], .word(least: 32), "npm token"),
    SecretForm("pypi", .token, ["pypi-AgE"], .word(least: 16), "PyPI token"),
    SecretForm("docker-token", .token, ["dckr_pat_"], .word(least: 16), "Docker token"),
    SecretForm("vault-token", .token, ["hvs.", "hvb."], .word(least: 20), "Vault token"),
    SecretForm("jwt", .token, ["eyJ"], .jwt, "signed token (JWT)"),
    SecretForm(
      "dnssec-key", .dnsKey, ["Private-key-format: v"], .dnssec, "DNS zone private key"),
    SecretForm("jwk", .privateKey, ["\"kty\""], .jwk, "private key in JSON (JWK)"),
  ]
}

/// A secret that was found in a file.
struct FormMatch: Equatable {
  let form: Int
  let redaction: Redaction
}

/// Finds all forms in the bytes of a file.
struct SecretForms: Sendable {
  static let standard = SecretForms(SecretForm.table)

  let forms: [SecretForm]
  private let search: NeedleSearch
  private let formOfNeedle: [Int]

  init(_ forms: [SecretForm]) {
    self.forms = forms
    var needles: [[UInt8]] = []
    var owners: [Int] = []
    for (number, form) in forms.enumerated() {
      for needle in form.needles {
        needles.append(Array(needle.utf8))
        owners.append(number)
      }
    }
    search = NeedleSearch(needles)
    formOfNeedle = owners
  }

  /// Returns whether the bytes contain a prefix. If not, `matches` is empty.
  func mayMatch(_ bytes: UnsafeRawBufferPointer) -> Bool { search.first(in: bytes) != nil }

  func matches(in bytes: [UInt8]) -> [FormMatch] {
    var found: [FormMatch] = []
    bytes.withUnsafeBytes { buffer in
      search.forEach(in: buffer) { needle, end in
        let form = formOfNeedle[needle]
        let start = end - search.needles[needle].count
        if let last = found.last, last.redaction.range.upperBound > start { return }
        if let redaction = measure(bytes, start..<end, forms[form].measure) {
          found.append(FormMatch(form: form, redaction: redaction))
        }
      }
    }
    return found
  }

  private func measure(
    _ bytes: [UInt8], _ needle: Range<Int>, _ measure: SecretForm.Measure
  ) -> Redaction? {
    switch measure {
    case .pem: return PEMBlock.body(in: bytes, after: needle)
    case .cryptHash: return cryptHash(bytes, needle)
    case .putty: return putty(bytes, needle)
    case .word(let least):
      guard startsWord(bytes, needle.lowerBound) else { return nil }
      let end = wordEnd(bytes, needle.upperBound)
      guard end - needle.upperBound >= least else { return nil }
      return Redaction(range: needle.lowerBound..<end, replacement: [])
    case .jwt: return jwt(bytes, needle)
    case .awsKey: return awsKey(bytes, needle)
    case .dnssec: return Redaction(range: needle.lowerBound..<bytes.count, replacement: [])
    case .jwk: return jwk(bytes, needle)
    }
  }

  private func startsWord(_ bytes: [UInt8], _ start: Int) -> Bool {
    start == 0 || !ASCII.isWord(bytes[start - 1])
  }

  private func wordEnd(_ bytes: [UInt8], _ start: Int) -> Int {
    var end = start
    while end < bytes.count, ASCII.isBase64(bytes[end]) || bytes[end] == UInt8(ascii: ".") {
      end += 1
    }
    return end
  }

  /// Matches a hash of crypt(3): fields separated by "$", of which the last is as long as a digest.
  private func cryptHash(_ bytes: [UInt8], _ needle: Range<Int>) -> Redaction? {
    var end = needle.upperBound
    var lastField = end
    while end < bytes.count {
      let byte = bytes[end]
      guard
        ASCII.isBase64(byte) || byte == UInt8(ascii: ".") || byte == ASCII.dollar
          || byte == UInt8(ascii: ",")
      else { break }
      end += 1
      if byte == ASCII.dollar { lastField = end }
    }
    let isShort =
      bytes[needle].starts(with: "$1$".utf8) || bytes[needle].starts(with: "$apr1$".utf8)
    guard end - lastField >= (isShort ? 22 : 31), lastField > needle.upperBound || !isShort else {
      return nil
    }
    // Shell scripts and programs contain "$1$" by chance; a digest is not a word.
    let digest = bytes[lastField..<end]
    guard digest.contains(where: ASCII.isDigit), digest.contains(where: ASCII.isUpper) else {
      return nil
    }
    return Redaction(range: needle.lowerBound..<end, replacement: [UInt8(ascii: "*")])
  }

  private func putty(_ bytes: [UInt8], _ needle: Range<Int>) -> Redaction? {
    guard startsWord(bytes, needle.lowerBound),
      let lines = bytes.firstRange(ofText: Array("Private-Lines:".utf8), from: needle.upperBound),
      lines.lowerBound - needle.upperBound < 64 << 10
    else { return nil }
    return Redaction(range: lines.lowerBound..<bytes.count, replacement: [])
  }

  /// Matches a JWT: three base64 parts with dots between them.
  private func jwt(_ bytes: [UInt8], _ needle: Range<Int>) -> Redaction? {
    guard startsWord(bytes, needle.lowerBound) else { return nil }
    let end = wordEnd(bytes, needle.upperBound)
    let parts = bytes[needle.lowerBound..<end].split(
      separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, parts.allSatisfy({ $0.count >= 8 }),
      parts[1].starts(with: "ey".utf8)
    else { return nil }
    return Redaction(range: needle.lowerBound..<end, replacement: [])
  }

  private func awsKey(_ bytes: [UInt8], _ needle: Range<Int>) -> Redaction? {
    let end = needle.upperBound + 16
    guard startsWord(bytes, needle.lowerBound), end <= bytes.count,
      bytes[needle.upperBound..<end].allSatisfy({ ASCII.isUpper($0) || ASCII.isDigit($0) }),
      end == bytes.count || !ASCII.isWord(bytes[end]),
      !bytes[needle.lowerBound..<end].suffix(7).elementsEqual("EXAMPLE".utf8)
    else { return nil }
    return Redaction(range: needle.lowerBound..<end, replacement: [])
  }

  /// Matches the private part of a JWK: "d", or "k" in a symmetric key.
  private func jwk(_ bytes: [UInt8], _ needle: Range<Int>) -> Redaction? {
    let window = max(0, needle.lowerBound - 4096)..<min(bytes.count, needle.upperBound + 4096)
    let text = Array(bytes[window])
    let finder = ValueFinder(
      isSecret: { $0 == Array("d".utf8) || $0 == Array("k".utf8) }, isStrict: false)
    guard let value = finder.find(text).first(where: { $0.range.count >= 20 }) else { return nil }
    return Redaction(
      range: window.lowerBound + value.range.lowerBound..<window.lowerBound
        + value.range.upperBound,
      replacement: [])
  }
}

/// A PEM block (RFC 7468), also inside a string of C, JSON or YAML.
enum PEMBlock {
  private static let begin = Array("-----BEGIN ".utf8)
  private static let end = Array("-----END ".utf8)
  private static let maxBytes = 256 << 10

  /// Returns the bytes between the first and the last line of a block.
  /// - Parameter label: the range of the label and its dashes, at the end of the block's first line.
  static func body(in bytes: [UInt8], after label: Range<Int>) -> Redaction? {
    let before = max(0, label.lowerBound - 48)..<label.lowerBound
    guard Array(bytes[before]).firstRange(ofText: begin) != nil else { return nil }
    // The needle may end within the label ("OpenVPN tls-crypt-v2 client key-----").
    var start = label.upperBound
    if !bytes[label].suffix(5).elementsEqual("-----".utf8) {
      guard let dashes = bytes.firstRange(ofText: Array("-----".utf8), from: start),
        dashes.lowerBound - start < 40
      else { return nil }
      start = dashes.upperBound
    }
    let limit = min(bytes.count, start + maxBytes)
    guard let stop = bytes.firstRange(ofText: end, from: start), stop.lowerBound < limit,
      isData(bytes[start..<stop.lowerBound])
    else { return nil }
    return Redaction(range: start..<stop.lowerBound, replacement: [ASCII.newline])
  }

  /// Returns whether the body is base64, with or without headers, and not program text between two strings.
  private static func isData(_ body: ArraySlice<UInt8>) -> Bool {
    var text: [UInt8] = []
    var rest = body
    // "\n" in a string constant is a line end.
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\"), let next = rest.first else {
        text.append(byte)
        continue
      }
      rest.removeFirst()
      text += next == UInt8(ascii: "n") || next == UInt8(ascii: "r") ? [ASCII.newline] : []
      if next == ASCII.newline { text.append(next) }
    }
    var hasData = false
    for line in text.split(separator: ASCII.newline) {
      let words = line.drop { ASCII.isSpace($0) || "\"'+,#*/>|".utf8.contains($0) }
      let data = words.stripped.reversed().drop { "\"'+,;".utf8.contains($0) || ASCII.isSpace($0) }
      if data.isEmpty { continue }
      if data.allSatisfy(ASCII.isBase64) {
        hasData = hasData || data.count >= 8
      } else if !data.contains(ASCII.colon) {
        return false
      }
    }
    return hasData
  }
}

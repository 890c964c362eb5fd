// Examines the content of a file whose path matches a rule.

/// The result of a check.
enum SecretCheckResult: Equatable {
  case nothing
  /// The whole file is secret.
  case wholeFile
  case stretches([Redaction])
}

extension SecretCheck {
  /// Whether the check can decide without the whole content. Then a file that is too large is a finding.
  var decidesWithoutContent: Bool {
    switch self {
    case .content, .unlessPublic: true
    case .keyFormat, .accounts, .installer, .values, .directives, .emptied: false
    }
  }

  /// Examines the bytes of a file.
  func run(_ bytes: [UInt8]) -> SecretCheckResult {
    switch self {
    case .content: return bytes.allSatisfy(isBlank) ? .nothing : .wholeFile
    case .unlessPublic:
      return bytes.allSatisfy(isBlank) || SecretCheck.isPublic(bytes) ? .nothing : .wholeFile
    case .keyFormat: return KeyFormat.holdsPrivateKey(bytes) ? .wholeFile : .nothing
    case .accounts: return result(SecretCheck.hashes(bytes))
    case .installer: return result(InstallerFile.passwords(bytes))
    case .values(let names):
      let known = Self.words(names)
      return result(ValueFinder(isSecret: { known.contains($0) }, isStrict: false).find(bytes))
    case .directives(let words):
      return result(SecretCheck.directives(bytes, Self.words(words)))
    case .emptied:
      let text = bytes[...].stripped
      if text.allSatisfy(isBlank) || text.starts(with: "uninitialized".utf8) { return .nothing }
      return .stretches([Redaction(range: 0..<bytes.count, replacement: [])])
    }
  }

  /// Returns the words of a list in lower case.
  private static func words(_ list: String) -> Set<[UInt8]> {
    Set(list.utf8.split(separator: ASCII.blank).map { Array($0)[...].lowered })
  }

  private func result(_ redactions: [Redaction]) -> SecretCheckResult {
    redactions.isEmpty ? .nothing : .stretches(redactions)
  }

  private func isBlank(_ byte: UInt8) -> Bool { ASCII.isSpace(byte) || byte == ASCII.newline }

  /// Returns whether the file holds only public keys, certificates, requests or revocation lists.
  private static func isPublic(_ bytes: [UInt8]) -> Bool {
    let publicStarts = [
      "ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "-----BEGIN CERTIFICATE",
      "-----BEGIN PUBLIC KEY", "-----BEGIN X509 CRL", "-----BEGIN DH PARAMETERS",
      "-----BEGIN NEW CERTIFICATE", "---- BEGIN SSH2 PUBLIC KEY", "Certificate:",
    ].map { Array($0.utf8) }
    return publicStarts.contains { bytes.starts(with: $0) } && !bytes.contains(text: "PRIVATE KEY")
  }

  // MARK: Accounts

  /// Returns redactions of the password hashes in the second field of each line.
  private static func hashes(_ bytes: [UInt8]) -> [Redaction] {
    bytes.lineRanges.compactMap { line in
      guard let first = bytes[line].firstIndex(of: ASCII.colon) else { return nil }
      let rest = bytes[(first + 1)..<line.upperBound]
      let end = rest.firstIndex(of: ASCII.colon) ?? rest.endIndex
      guard isHash(bytes[(first + 1)..<end]) else { return nil }
      return Redaction(range: first + 1..<end, replacement: [UInt8(ascii: "*")])
    }
  }

  /// Returns whether a field is a hash of crypt(3), locked by "!" or "*" or not. "x", "*", "!!", "!*" and an
  /// empty field are not hashes.
  private static func isHash(_ field: ArraySlice<UInt8>) -> Bool {
    let hash = field.drop { "!*".utf8.contains($0) }
    if hash.first == ASCII.dollar || hash.first == UInt8(ascii: "{") { return hash.count > 4 }
    // A DES hash has 13 characters; one of BSDi has 20 and starts with "_".
    return hash.count >= 13
      && hash.allSatisfy { ASCII.isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/") }
  }

  // MARK: Directives

  private static func directives(_ bytes: [UInt8], _ words: Set<[UInt8]>) -> [Redaction] {
    bytes.lineRanges.compactMap { line in
      let text = bytes[line]
      guard let begin = text.firstIndex(where: { !ASCII.isSpace($0) }),
        bytes[begin] != ASCII.hash
      else { return nil }
      let end =
        text[begin...].firstIndex {
          ASCII.isSpace($0) || $0 == UInt8(ascii: "=") || $0 == ASCII.colon
        } ?? text.endIndex
      guard words.contains(bytes[begin..<end].lowered) else { return nil }
      let value = bytes[end...].prefix(line.upperBound - end)
      let start =
        value.firstIndex {
          !ASCII.isSpace($0) && $0 != UInt8(ascii: "=") && $0 != ASCII.colon
        } ?? value.endIndex
      // A brace opens a block, as in "secret {". The SNMP community "public" is not a secret.
      let plain = bytes[start..<line.upperBound].stripped
      let isPublic = plain.split(separator: ASCII.blank).first.map {
        $0.elementsEqual("public".utf8)
      }
      guard plain.count > 1, isPublic != true else { return nil }
      return Redaction(range: start..<line.upperBound, replacement: [])
    }
  }
}

/// Finds passwords in kickstart, preseed and AutoYaST files.
enum InstallerFile {
  private static let elements = Set(
    ["user_password", "password", "root_password", "encrypted_password"].map { Array($0.utf8) })

  static func passwords(_ bytes: [UInt8]) -> [Redaction] {
    var found: [Redaction] = []
    for line in bytes.lineRanges {
      let text = bytes[line].stripped
      guard let first = text.first, first != ASCII.hash else { continue }
      let words = words(bytes, line)
      guard let command = words.first else { continue }
      if bytes[command].elementsEqual("rootpw".utf8) || bytes[command].elementsEqual("sshpw".utf8) {
        found += words.dropFirst().filter { isPassword(bytes[$0]) && isPlainWord(bytes[$0]) }
          .map { Redaction(range: $0, replacement: []) }
      }
      found += words.compactMap { option(bytes, $0) }
      if let preseed = preseed(bytes, line, words) { found.append(preseed) }
    }
    return found + ValueFinder(isSecret: { elements.contains($0) }, isStrict: true).find(bytes)
  }

  private static func words(_ bytes: [UInt8], _ line: Range<Int>) -> [Range<Int>] {
    bytes[line].split(whereSeparator: ASCII.isSpace).map { $0.startIndex..<$0.endIndex }
  }

  private static func isPlainWord(_ word: ArraySlice<UInt8>) -> Bool {
    !word.starts(with: "--".utf8)
  }

  /// Finds the value of "--password=X" or "--md5pass=X", which user, bootloader, group and vnc take.
  private static func option(_ bytes: [UInt8], _ word: Range<Int>) -> Redaction? {
    for name in ["--password=", "--md5pass=", "--grouppw=", "--passphrase="] {
      let text = Array(name.utf8)
      guard bytes[word].starts(with: text) else { continue }
      let value = word.lowerBound + text.count..<word.upperBound
      return isPassword(bytes[value]) ? Redaction(range: value, replacement: []) : nil
    }
    return nil
  }

  /// Finds the value of "d-i passwd/root-password-crypted password HASH".
  private static func preseed(
    _ bytes: [UInt8], _ line: Range<Int>, _ words: [Range<Int>]
  ) -> Redaction? {
    guard words.count >= 4, Array(bytes[words[1]]).contains(text: "password"),
      bytes[words[2]].elementsEqual("password".utf8) || bytes[words[2]].elementsEqual("string".utf8)
    else { return nil }
    let value = words[3].lowerBound..<line.upperBound
    return isPassword(bytes[value]) ? Redaction(range: value, replacement: []) : nil
  }

  /// Returns whether a value is neither a placeholder of xCAT ("#CRYPT:passwd:…#") nor a locked password.
  private static func isPassword(_ value: ArraySlice<UInt8>) -> Bool {
    guard let first = value.first else { return false }
    return first != ASCII.hash && first != UInt8(ascii: "!") && first != UInt8(ascii: "*")
  }
}

/// Recognizes private keys in binary formats.
enum KeyFormat {
  static func holdsPrivateKey(_ bytes: [UInt8]) -> Bool {
    if bytes.starts(with: [0xfe, 0xed, 0xfe, 0xed]) || bytes.starts(with: [0xce, 0xce, 0xce, 0xce])
    {
      return javaKeystoreHoldsKey(bytes)
    }
    // The format of KeePass.
    if bytes.starts(with: [0x03, 0xd9, 0xa2, 0x9a]) { return true }
    // DER: a sequence that begins with version 0 or 1 (PKCS#1, PKCS#8, SEC 1) or 3 (PKCS#12).
    guard let body = derBody(bytes, at: 0, tag: 0x30), bytes.count > body + 3,
      bytes[body] == 2, bytes[body + 1] == 1
    else { return false }
    let next = bytes[body + 3]
    switch bytes[body + 2] {
    case 0: return next == 0x02 || next == 0x30
    case 1: return next == 0x04 || next == 0x30
    case 3: return next == 0x30
    default: return false
    }
  }

  /// Returns the offset of a DER element's content; nil if the element has another tag.
  private static func derBody(_ bytes: [UInt8], at offset: Int, tag: UInt8) -> Int? {
    guard bytes.count > offset + 2, bytes[offset] == tag else { return nil }
    let length = bytes[offset + 1]
    if length < 0x80 { return offset + 2 }
    let count = Int(length & 0x7f)
    guard count > 0, count <= 4, bytes.count > offset + 2 + count else { return nil }
    return offset + 2 + count
  }

  /// Returns whether a JKS or JCEKS file holds entries other than certificates (keytool(1)).
  private static func javaKeystoreHoldsKey(_ bytes: [UInt8]) -> Bool {
    func number(_ offset: Int, _ size: Int) -> Int? {
      guard offset >= 0, offset <= bytes.count - size else { return nil }
      return bytes[offset..<offset + size].reduce(0) { $0 << 8 | Int($1) }
    }
    guard let count = number(8, 4) else { return true }
    var offset = 12
    for _ in 0..<count {
      guard let tag = number(offset, 4), let alias = number(offset + 4, 2) else { return true }
      if tag != 2 { return true }
      offset += 6 + alias + 8
      guard let type = number(offset, 2) else { return true }
      offset += 2 + type
      guard let size = number(offset, 4), size <= bytes.count else { return true }
      offset += 4 + size
    }
    return false
  }
}

// Finds passwords in text by their names: NAME=VALUE in the syntaxes of configuration files. The caller
// selects the files.

/// Finds values by their names.
struct ValueFinder {
  /// Returns whether a lowercase name is that of a secret.
  let isSecret: ([UInt8]) -> Bool
  /// Whether to skip placeholders: samples, variables, names of files.
  let isStrict: Bool

  private static let separators = Set("=:".utf8)
  private static let quotes = Set("\"'".utf8)
  private static let nameCharacters = Set("_.-:".utf8)
  private static let valueEnds = Set(",;<>{}&|)".utf8)

  /// Returns redactions of all values.
  func find(_ bytes: [UInt8]) -> [Redaction] {
    var found: [Redaction] = []
    for line in bytes.lineRanges {
      let text = bytes[line]
      let begin = text.firstIndex { !ASCII.isSpace($0) } ?? text.endIndex
      guard begin < text.endIndex, bytes[begin] != ASCII.hash, bytes[begin] != UInt8(ascii: ";")
      else { continue }
      find(bytes, line, firstToken: begin, &found)
    }
    return found
  }

  private func find(
    _ bytes: [UInt8], _ line: Range<Int>, firstToken: Int, _ found: inout [Redaction]
  ) {
    var i = line.lowerBound
    while i < line.upperBound {
      guard isNameByte(bytes[i]) else {
        i += 1
        continue
      }
      while i < line.upperBound, bytes[i] == ASCII.colon { i += 1 }
      let start = i
      while i < line.upperBound, isNameByte(bytes[i]) { i += 1 }
      // "key:" in YAML: the colon is the separator, not part of the name.
      var end = i
      while end > start, bytes[end - 1] == ASCII.colon { end -= 1 }
      // In "host:password=x" and "a.password=x" the name is the whole text or its last part.
      guard isSecret(bytes[start..<end].lowered),
        let value = value(bytes, after: end, line, isFirst: start == firstToken)
      else { continue }
      if !isStrict || !isPlaceholder(bytes[value]) {
        found.append(Redaction(range: value, replacement: []))
      }
      i = max(i, value.upperBound)
    }
  }

  private func isNameByte(_ byte: UInt8) -> Bool {
    ASCII.isWord(byte) || ValueFinder.nameCharacters.contains(byte)
  }

  /// Returns the value after a name; nil if there is none.
  private func value(
    _ bytes: [UInt8], after end: Int, _ line: Range<Int>, isFirst: Bool
  ) -> Range<Int>? {
    var i = end
    var isElement = false
    var isEmpty = false
    if i < line.upperBound, ValueFinder.quotes.contains(bytes[i]) { i += 1 }
    while i < line.upperBound, ASCII.isSpace(bytes[i]) { i += 1 }
    guard i < line.upperBound else { return nil }
    if bytes[i] == UInt8(ascii: ">") {
      isElement = true
      i += 1
    } else if ValueFinder.separators.contains(bytes[i]) {
      let first = bytes[i]
      isEmpty = first == UInt8(ascii: "=") && i == end
      i += 1
      // "==" compares; ":=" and "=>" assign; "::" is LDIF.
      if i < line.upperBound, bytes[i] == UInt8(ascii: "="), first == UInt8(ascii: "=") {
        return nil
      }
      while i < line.upperBound,
        bytes[i] == UInt8(ascii: "=") || bytes[i] == UInt8(ascii: ">")
          || bytes[i] == ASCII.colon
      { i += 1 }
    } else {
      return nil
    }
    let hasBlank = i < line.upperBound && ASCII.isSpace(bytes[i])
    while i < line.upperBound, ASCII.isSpace(bytes[i]) { i += 1 }
    guard i < line.upperBound else { return nil }
    // "a= b=" are two names without values.
    if isStrict, isEmpty, hasBlank,
      !isFirst
        || bytes[i..<line.upperBound].prefix(while: { !ASCII.isSpace($0) }).contains(
          UInt8(ascii: "="))
    {
      return nil
    }
    var stop = i
    if isElement {
      while stop < line.upperBound, bytes[stop] != UInt8(ascii: "<") { stop += 1 }
    } else if ValueFinder.quotes.contains(bytes[i]) {
      let quote = bytes[i]
      i += 1
      stop = i
      while stop < line.upperBound, bytes[stop] != quote {
        stop += bytes[stop] == UInt8(ascii: "\\") && stop + 1 < line.upperBound ? 2 : 1
      }
    } else if isFirst, !isStrict {
      // A line of an INI file: blanks are part of a passphrase.
      stop = line.upperBound
      while stop > i, ASCII.isSpace(bytes[stop - 1]) { stop -= 1 }
    } else {
      while stop < line.upperBound, !ASCII.isSpace(bytes[stop]),
        !ValueFinder.valueEnds.contains(bytes[stop]), !ValueFinder.quotes.contains(bytes[stop])
      { stop += 1 }
    }
    return i < stop ? i..<stop : nil
  }

  // MARK: Samples

  private static let samples: Set<[UInt8]> = Set(
    [
      "none", "null", "nil", "undef", "yes", "no", "true", "false", "on", "off", "ask", "prompt",
      "password", "passwd", "secret", "changeme", "change_me", "xxx", "xxxx", "xxxxxxxx", "foo",
      "bar", "example", "required", "optional", "disabled", "enabled", "files", "default", "unset",
      "your_password", "yourpassword", "mypassword", "secure", "string", "str", "bytes", "int",
      "bool", "self", "this", "md5", "sha256", "sha512", "yescrypt", "plain", "crypt", "never",
      "always", "auto", "unknown", "empty", "token", "key", "value", "test", "dummy", "redacted",
    ].map { Array($0.utf8) })

  /// Returns whether a value is a sample, a variable, the name of a file, a number, or code.
  private func isPlaceholder(_ value: ArraySlice<UInt8>) -> Bool {
    let text = value.stripped
    guard text.count >= 4, let first = text.first else { return true }
    if ValueFinder.samples.contains(text.lowered) { return true }
    if "$<%@#{[(*/~`\\!&|.".utf8.contains(first) { return true }
    if text.allSatisfy(ASCII.isDigit) && text.count < 6 { return true }
    if text.allSatisfy({ $0 == first }) { return true }
    // Calls, indices, paths, URLs and templates are not literals.
    if text.contains(where: { "([{<*".utf8.contains($0) }) { return true }
    let all = Array(text)
    return all.contains(text: "${") || all.contains(text: "://") || all.contains(text: "$(")
  }
}

/// Names of passwords in the configuration of any program.
enum SecretNames {
  private static let whole: Set<[UInt8]> = Set(
    [
      "password", "passwd", "passphrase", "secret", "apikey", "api_key", "api-key", "bindpw",
      "rootpw", "rootpassword", "authtoken", "auth_token", "auth-token", "access_token",
      "accesstoken", "access-token", "refresh_token", "secretkey", "secret_key", "secret-key",
      "private_key_password", "storagepass", "psk", "shared_secret", "sharedsecret",
      "shared-secret", "client_secret", "clientsecret", "client-secret", "aws_secret_access_key",
      "secret_access_key", "secretaccesskey", "encryption_key", "mysql_pwd", "pgpassword",
      "sshpass", "bmcpass", "sshpw", "adminpass", "userpassword", "token",
    ].map { Array($0.utf8) })

  private static let endings = [
    "_password", "-password", ".password", "password", "_passwd", "-passwd", ".passwd",
    "_passphrase", "-passphrase", "_secret", "-secret", ".secret", "_token", "-token", ".token",
    "_pass", "-pass", "_pwd", "_apikey", "_api_key", "_secret_key", "_authtok", "_bindpw", "rootpw",
    "sshpw", "_psk",
  ].map { Array($0.utf8) }

  /// Returns whether a name is that of a secret.
  /// - Parameter name: in lowercase.
  static func isSecret(_ name: [UInt8]) -> Bool {
    if whole.contains(name) { return true }
    guard name.count >= 5, name.count <= 64 else { return false }
    return endings.contains { name.count > $0.count && name.suffix($0.count).elementsEqual($0) }
  }
}

// Examines one file: finds its secrets and computes its content for a scrubbed export. Equal paths and bytes
// give equal verdicts.
//
// 1. Rules for the path come first, then forms that are known anywhere. Last come passwords by name, in files
//    that may be configuration.
// 2. The scrubbed bytes are examined again. If they still hold a secret, the file is left out.

import Platform

/// The secrets in a file, and the file's scrubbed content.
struct SecretVerdict: Equatable, Sendable {
  struct Item: Equatable, Sendable {
    let kind: SecretKind
    let rule: String
    let reason: String
  }
  /// Each kind and rule once, in the order found.
  var items: [Item]
  /// The file's bytes without the secrets; nil if the file is left out.
  var scrubbed: [UInt8]?
  /// Whether only the content made the file a finding. Then a package may have published it.
  var isByContent: Bool

  mutating func add(_ item: Item) {
    if !items.contains(where: { $0.kind == item.kind }) { items.append(item) }
  }
}

/// The location of a file. It decides whether passwords are searched for by name.
enum SecretScanScope: Sendable {
  /// In a root tree: only in directories with configuration.
  case tree
  /// On the management node: everywhere.
  case site
}

/// Examines files for secrets.
struct SecretExaminer: Sendable {
  /// The size limit of binary files; the content of larger ones is not examined.
  static let maxBytes: UInt64 = 1 << 20
  /// The size limit of text files; the content of larger ones is not examined.
  static let maxTextBytes: UInt64 = 16 << 20

  static let standard = SecretExaminer(paths: .standard, forms: .standard)

  let paths: SecretPaths
  let forms: SecretForms

  /// The id of the rule for passwords by name, and of the one for URLs.
  static let namedRule = "named-value"
  static let urlRule = "url"

  /// Directories of a root tree that hold configuration.
  private static let configuration = [
    "etc/", "root/", "home/", "usr/local/", "opt/", "srv/", "var/www/", "xcatpost/", "install/",
    "usr/etc/", ".default/etc/", ".statelite/", "var/opt/", "usr/libexec/site/",
  ].map { Array($0.utf8) }

  /// Directories whose contents are never examined: modules, firmware, fonts, translations.
  private static let opaque = [
    "usr/lib/modules/", "lib/modules/", "usr/lib/firmware/", "lib/firmware/", "usr/share/locale/",
    "usr/share/fonts/", "usr/share/icons/", "usr/share/zoneinfo/",
  ].map { Array($0.utf8) }

  /// Returns whether a file's content must be examined.
  func wantsContent(_ path: [UInt8], sizeBytes: UInt64, _ scope: SecretScanScope) -> Bool {
    guard sizeBytes > 0, sizeBytes <= SecretExaminer.maxTextBytes else { return false }
    guard scope == .tree else { return true }
    let path = path.first == 0x2f ? path[1...] : path[...]
    return !SecretExaminer.opaque.contains { path.starts(with: $0) }
  }

  /// Returns whether a file is a program or an object file (ELF). Strings in these are not secrets.
  static func isProgram(_ head: UnsafeRawBufferPointer) -> Bool {
    head.starts(with: [0x7f, 0x45, 0x4c, 0x46])
  }

  /// Returns whether a file is text. Only text is read beyond `maxBytes`.
  static func isText(_ head: UnsafeRawBufferPointer) -> Bool {
    !head.prefix(4096).contains(0)
  }

  /// Returns whether the verdict depends on the path. If not, equal content has an equal verdict.
  func dependsOnPath(_ rules: [SecretRule], _ path: [UInt8], _ scope: SecretScanScope) -> Bool {
    !rules.isEmpty || looksForNames(path, scope)
  }

  func looksForNames(_ path: [UInt8], _ scope: SecretScanScope) -> Bool {
    guard scope == .tree else { return true }
    let path = path.first == 0x2f ? path[1...] : path[...]
    return SecretExaminer.configuration.contains { path.starts(with: $0) }
  }

  /// Examines a file.
  /// - Parameters:
  ///   - rules: the rules for all names of the file.
  ///   - bytes: the content; nil if the file is too large to be examined, or a program.
  /// - Returns: nil for a file without secrets.
  func examine(
    _ path: [UInt8], _ rules: [SecretRule], _ bytes: [UInt8]?, sizeBytes: UInt64,
    _ scope: SecretScanScope
  ) -> SecretVerdict? {
    guard sizeBytes > 0 else { return nil }
    guard var verdict = look(path, rules, bytes, scope) else { return nil }
    // The scrubbed bytes must hold no secret.
    if let scrubbed = verdict.scrubbed, !scrubbed.isEmpty,
      look(path, rules, scrubbed, scope) != nil
    {
      verdict.scrubbed = nil
    }
    return verdict
  }

  private func look(
    _ path: [UInt8], _ rules: [SecretRule], _ bytes: [UInt8]?, _ scope: SecretScanScope
  ) -> SecretVerdict? {
    var verdict = SecretVerdict(items: [], scrubbed: nil, isByContent: true)
    var redactions: [Redaction] = []
    var isWhole = false
    for rule in rules {
      let item = SecretVerdict.Item(kind: rule.kind, rule: rule.id, reason: rule.reason)
      guard let bytes else {
        if rule.check.decidesWithoutContent {
          verdict.add(item)
          verdict.isByContent = false
          isWhole = true
        }
        continue
      }
      switch rule.check.run(bytes) {
      case .nothing: break
      case .wholeFile:
        verdict.add(item)
        verdict.isByContent = false
        isWhole = true
      case .stretches(let found):
        verdict.add(item)
        verdict.isByContent = false
        redactions += found
      }
    }
    // A file that is left out needs no further examination.
    guard let bytes, !isWhole else { return verdict.items.isEmpty ? nil : verdict }
    for match in forms.matches(in: bytes) {
      let form = forms.forms[match.form]
      verdict.add(.init(kind: form.kind, rule: form.id, reason: form.reason))
      redactions.append(match.redaction)
      if form.kind == .privateKey, isKeyFile(bytes) { isWhole = true }
    }
    if looksForNames(path, scope), isConfiguration(path, bytes) {
      let names = ValueFinder(isSecret: SecretNames.isSecret, isStrict: true).find(bytes)
        .filter { new in !redactions.contains { $0.range.overlaps(new.range) } }
      if !names.isEmpty {
        verdict.add(
          .init(
            kind: .configuredPassword, rule: SecretExaminer.namedRule,
            reason: "value with the name of a password"))
        redactions += names
      }
      let urls = URLPasswords.find(bytes)
      if !urls.isEmpty {
        verdict.add(
          .init(kind: .urlPassword, rule: SecretExaminer.urlRule, reason: "password in a URL"))
        redactions += urls
      }
    }
    if verdict.items.isEmpty { return nil }
    verdict.scrubbed = isWhole ? nil : Redaction.apply(redactions, to: bytes)
    return verdict
  }

  /// Returns whether the file is a key rather than a script or configuration that contains one.
  private func isKeyFile(_ bytes: [UInt8]) -> Bool {
    let begin = bytes.prefix { ASCII.isSpace($0) || $0 == ASCII.newline }.count
    return bytes[begin...].starts(with: "-----BEGIN ".utf8)
      && !bytes.contains(text: "-----BEGIN CERTIFICATE")
      || bytes.starts(with: "PuTTY-User-Key".utf8)
  }

  // MARK: Configuration

  /// Extensions of documents, sources and tables, in which names of passwords are not assignments.
  private static let otherExtensions: Set<[UInt8]> = Set(
    [
      "md", "rst", "html", "htm", "css", "c", "h", "cc", "cpp", "hpp", "java", "go", "rs", "js",
      "ts", "mjs", "py", "pyi", "pm", "rb", "php", "tcl", "lua", "el", "m4", "am", "po", "pot",
      "svg", "1", "3", "5", "7", "8", "diff", "patch", "spec", "schema", "xsd", "dtd", "augeas",
      "aug", "vim", "map", "list", "md5sums", "symbols", "sql", "mib",
    ].map { Array($0.utf8) })

  /// System files whose lines look like passwords but are not.
  private static let otherNames: Set<[UInt8]> = Set(
    [
      "nsswitch.conf", "authselect.conf", "ld.so.cache", "services", "protocols", "magic",
      "mime.types", "login.defs", "pwquality.conf", "debconf.conf", "sudoers", "pam.conf",
    ].map { Array($0.utf8) })

  private func isConfiguration(_ path: [UInt8], _ bytes: [UInt8]) -> Bool {
    let name = path.suffix(from: path.lastIndex(of: 0x2f).map { $0 + 1 } ?? path.startIndex)
    if SecretExaminer.otherNames.contains(Array(name)) { return false }
    if let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > name.startIndex,
      SecretExaminer.otherExtensions.contains(name[(dot + 1)...].lowered)
    {
      return false
    }
    return bytes.withUnsafeBytes(SecretExaminer.isText)
  }
}

/// Finds passwords in URLs: "scheme://user:password@host".
enum URLPasswords {
  private static let mark = Array("://".utf8)

  static func find(_ bytes: [UInt8]) -> [Redaction] {
    var found: [Redaction] = []
    var start = 0
    while let scheme = bytes.firstRange(ofText: mark, from: start) {
      start = scheme.upperBound
      var i = start
      var colon: Int?
      while i < bytes.count, i - start < 512, isPart(bytes[i]) {
        if bytes[i] == ASCII.colon, colon == nil { colon = i }
        if bytes[i] == UInt8(ascii: "@") { break }
        i += 1
      }
      guard i < bytes.count, bytes[i] == UInt8(ascii: "@"), let colon, i - colon > 3,
        scheme.lowerBound > 0, ASCII.isWord(bytes[scheme.lowerBound - 1])
      else { continue }
      let value = bytes[(colon + 1)..<i]
      if value.contains(where: { "$<{%*[".utf8.contains($0) }) { continue }
      if ["password", "pass", "passwd", "secret"].contains(where: { value.elementsEqual($0.utf8) })
      {
        continue
      }
      found.append(Redaction(range: colon + 1..<i, replacement: []))
    }
    return found
  }

  private static func isPart(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte != 0x7f && !"/\"'<>`".utf8.contains(byte)
  }
}

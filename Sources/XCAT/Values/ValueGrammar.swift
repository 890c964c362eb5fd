// The grammars for values of table columns. xCAT puts many values into shell lines without quotes (genimage,
// packimage, statelite, litefile). A blank, a glob or a leading dash becomes another word or an option there,
// and other characters become commands (docs/xcat-contract.md#values-in-shell-lines).
//
// 1. A word consists of ASCII letters, digits and "._+:@%,=/-", and does not begin with a dash.
// 2. Names, paths, lists and assignments consist of words. Prose is free, because it reaches no shell.

import Platform

/// The grammar of a column's values. The empty value, which unsets a column, always fits.
public indirect enum ValueGrammar: Sendable, Equatable {
  /// Text for people on one line.
  case prose
  /// A word that is one component of a path.
  case name
  case word
  /// An absolute path.
  case path
  /// An absolute path that reaches no shell of xCAT's.
  case directory
  /// A path below a directory that the reader knows: it is relative and has no "..".
  case relativePath
  /// A URL of http or https, followed by words: a mirror of Ubuntu, with its suite and components.
  /// xCAT takes any other text for a local directory.
  case mirror
  /// NAME=VALUE.
  case assignment
  /// The digits of a file mode.
  case mode
  /// Packages or versions with comparisons, separated by commas: "kernel >= 5.14, tar", ">=8". The
  /// text after a "<" or ">" begins with a digit, because a shell would take it for a file name.
  case comparison
  /// One of these texts.
  case oneOf([String])
  /// Values separated by commas.
  case list(ValueGrammar)
  /// Values separated by commas, with or without blanks after them: for columns that reach no shell.
  case spacedList(ValueGrammar)
  /// Words separated by blanks.
  case words
  /// A script and its arguments, which may be options.
  case script(ValueGrammar)
  /// A value, with or without one of these prefixes.
  case prefixed([String], ValueGrammar)
  /// Either of two grammars.
  case either(ValueGrammar, ValueGrammar)

  /// Returns the reason that a value does not fit, as the end of a sentence that begins with the
  /// value; nil if it fits.
  public func reason(_ value: String) -> String? {
    if value.isEmpty { return nil }
    return fault(Array(value.utf8)[...])
  }

  private static let blank = UInt8(ascii: " ")
  private static let comma = UInt8(ascii: ",")
  private static let slash = UInt8(ascii: "/")

  private func fault(_ value: ArraySlice<UInt8>) -> String? {
    switch self {
    case .prose: return nil
    case .word: return ValueGrammar.faultOfWord(value)
    case .name:
      if value.contains(ValueGrammar.slash) || value.elementsEqual([0x2e])
        || value.elementsEqual([0x2e, 0x2e])
      {
        return "cannot be part of a path"
      }
      return ValueGrammar.faultOfWord(value)
    case .path: return ValueGrammar.faultOfPath(value)
    case .directory: return ValueGrammar.isCleanPath(value) ? nil : "is not a clean absolute path"
    case .relativePath:
      guard value.first != ValueGrammar.slash, !ValueGrammar.leadsUp(value) else {
        return "is not a clean relative path"
      }
      return ValueGrammar.faultOfWord(value)
    case .mirror:
      guard ["http://", "https://"].contains(where: { value.starts(with: Array($0.utf8)) }) else {
        return "is neither a clean absolute path nor a URL of http or https"
      }
      return ValueGrammar.faultOfWords(value, mayBeOptions: false)
    case .assignment:
      return ValueGrammar.faultOfAssignment(value)
    case .mode:
      return value.count <= 4 && value.allSatisfy { (0x30...0x37).contains($0) }
        ? nil : "is not a file mode in octal digits"
    case .comparison:
      return value.split(separator: ValueGrammar.comma).firstValue(ValueGrammar.faultOfComparison)
    case .oneOf(let texts):
      return texts.contains { value.elementsEqual($0.utf8) }
        ? nil : "is not one of " + texts.joined(separator: "; ")
    case .list(let element):
      return value.split(separator: ValueGrammar.comma).firstValue(element.fault)
    case .spacedList(let element):
      return value.split(separator: ValueGrammar.comma)
        .firstValue { element.fault($0.drop { $0 == ValueGrammar.blank }) }
    case .words: return ValueGrammar.faultOfWords(value, mayBeOptions: false)
    case .script(let script):
      let end = value.firstIndex(of: ValueGrammar.blank) ?? value.endIndex
      if let fault = script.fault(value[..<end]) { return fault }
      return ValueGrammar.faultOfWords(value[end...], mayBeOptions: true)
    case .prefixed(let prefixes, let grammar):
      var rest = value
      while let prefix = prefixes.first(where: { rest.starts(with: Array($0.utf8)) }) {
        rest = rest.dropFirst(prefix.utf8.count)
      }
      return grammar.fault(rest)
    case .either(let one, let other):
      return one.fault(value) == nil ? nil : other.fault(value)
    }
  }

  // MARK: Words

  private static func faultOfAssignment(_ value: ArraySlice<UInt8>) -> String? {
    guard let equals = value.firstIndex(of: UInt8(ascii: "=")), equals > value.startIndex,
      value[..<equals].allSatisfy(isIdentifier), !(0x30...0x39).contains(value.first ?? 0)
    else { return "is not NAME=VALUE" }
    let text = value[(equals + 1)...]
    return text.isEmpty ? nil : faultOfWord(text, mayBeOption: true)
  }

  private static func isIdentifier(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"): true
    default: false
    }
  }

  private static let otherCharacters = Set("._+:@%,=/-".utf8)

  private static func faultOfWord(
    _ word: ArraySlice<UInt8>, mayBeOption: Bool = false
  ) -> String? {
    if let bad = word.first(where: { !isIdentifier($0) && !otherCharacters.contains($0) }) {
      return bad == blank
        ? "holds a blank"
        : "holds '\(printable([bad]))', which a shell may interpret"
    }
    if word.first == UInt8(ascii: "-"), !mayBeOption { return "begins with a dash" }
    return nil
  }

  private static func faultOfWords(_ text: ArraySlice<UInt8>, mayBeOptions: Bool) -> String? {
    for word in text.split(separator: blank) {
      if let fault = faultOfWord(word, mayBeOption: mayBeOptions) { return fault }
    }
    return nil
  }

  private static func faultOfComparison(_ text: ArraySlice<UInt8>) -> String? {
    let operators = Set("<>=".utf8)
    let words = text.drop { $0 == blank }
    let package = words.prefix { $0 != blank && !operators.contains($0) }
    let rest = words[package.endIndex...].drop { $0 == blank }
    let comparing = rest.prefix { operators.contains($0) }
    let version = rest[comparing.endIndex...].drop { $0 == blank }
    if comparing.isEmpty, !version.isEmpty { return "holds a blank" }
    for word in [package, version] {
      if let fault = ValueGrammar.name.fault(word) { return fault }
    }
    guard comparing.isEmpty || comparing.count <= 2 && (0x30...0x39).contains(version.first ?? 0)
    else { return "compares with a text that is not a version" }
    return nil
  }

  private static func isCleanPath(_ path: ArraySlice<UInt8>) -> Bool {
    path.first == slash && !leadsUp(path)
  }

  private static func faultOfPath(_ path: ArraySlice<UInt8>) -> String? {
    guard isCleanPath(path) else { return "is not a clean absolute path" }
    return faultOfWord(path)
  }

  private static func leadsUp(_ path: ArraySlice<UInt8>) -> Bool {
    path.split(separator: slash).contains { $0.elementsEqual([0x2e, 0x2e]) }
  }
}

extension Sequence {
  /// Returns the first result of `body` that is not nil.
  fileprivate func firstValue<Value>(_ body: (Element) -> Value?) -> Value? {
    for element in self { if let value = body(element) { return value } }
    return nil
  }
}

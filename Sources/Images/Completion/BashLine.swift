// Splits a line of bash, up to the cursor, into words, and quotes candidates to match.
//
// bash splits the words for completion functions at "=", ":" and "@" (COMP_WORDBREAKS), and leaves
// them quoted. So this type splits the line as bash does when it runs the command. readline replaces only the
// text after the last of those characters, so only that part of a candidate is printed.
//
// 1. It expands no variable, pattern or command. A word that contains $'…' has no completion.
// 2. The typed text stays as it is. The rest of a candidate is quoted as the quotes at the cursor require.

/// The words of a command line.
public struct BashLine: Sendable, Equatable {
  enum Quote: Sendable, Equatable {
    case none
    case single
    case double
  }

  /// The unquoted words before the current one, starting with the program's name.
  public private(set) var words: [String] = []
  /// The current word, unquoted.
  public private(set) var word = ""
  /// Whether the current word is the file of a redirection (">", "<").
  public private(set) var isRedirection = false
  /// The current word as typed.
  private(set) var typed = ""
  private(set) var quote = Quote.none
  private var isUnknown = false

  /// Splits a line.
  /// - Parameter line: the line up to the cursor.
  public init(_ line: String) {
    var characters = Array(line)[...]
    while let character = characters.popFirst() {
      switch (quote, character) {
      case (.single, "'"), (.double, "\""):
        quote = .none
        typed.append(character)
      case (.none, "'"), (.none, "\""):
        if character == "'", typed.hasSuffix("$") { isUnknown = true }
        quote = character == "'" ? .single : .double
        typed.append(character)
      case (.none, "\\"), (.double, "\\"):
        typed.append(character)
        guard let next = characters.popFirst() else {
          isUnknown = true
          break
        }
        typed.append(next)
        if quote == .double, !"\"\\$`".contains(next) { word.append(character) }
        word.append(next)
      case (.none, " "), (.none, "\t"):
        endWord()
      case (.none, ">"), (.none, "<"):
        // "2>": a number before the redirection is part of it.
        if typed.allSatisfy(\.isNumber) { (typed, word) = ("", "") }
        endWord()
        isRedirection = true
        while let next = characters.first, ">&|<".contains(next) { characters.removeFirst() }
      default:
        typed.append(character)
        word.append(character)
      }
    }
  }

  private mutating func endWord() {
    guard !typed.isEmpty else { return }
    if !isRedirection { words.append(word) }
    (typed, word, isRedirection, isUnknown) = ("", "", false, false)
  }

  /// Returns the text that must replace `replaced` to turn the current word into a candidate.
  /// - Parameters:
  ///   - candidate: the whole word, unquoted.
  ///   - replaced: the end of the typed word that readline replaces.
  /// - Returns: nil if there is no such text.
  public func replacement(_ candidate: String, for replaced: String) -> String? {
    guard !isUnknown, typed.hasSuffix(replaced) else { return nil }
    guard candidate.hasPrefix(word) else {
      // A name that was found by a part of it replaces the whole word.
      return typed == replaced && typed == word ? quoted(candidate) : nil
    }
    let whole = typed + quoted(String(candidate.dropFirst(word.count)))
    return String(whole.dropFirst(typed.count - replaced.count))
  }

  private func quoted(_ text: String) -> String {
    switch quote {
    case .none: escape(text, " \t\"'\\$`&;|<>()*?[]{}!#~^")
    case .double: escape(text, "\"\\$`")
    case .single:
      text.split(separator: "'", omittingEmptySubsequences: false)
        .joined(separator: "'\\''")
    }
  }

  private func escape(_ text: String, _ special: String) -> String {
    var escaped = ""
    for character in text {
      if special.contains(character) { escaped.append("\\") }
      escaped.append(character)
    }
    return escaped
  }
}

// Patterns in xCAT's tables: the part of Perl's regular expressions that node names need, matched as
// Perl does (leftmost, first alternative, greedy or lazy). A pattern with other constructs is refused
// when it is parsed, so that no pattern matches differently from Perl.
//
// Supported: literals, `.`, classes `[a-z]` `[^…]`, `\d \w \s \D \W \S`, groups, `(?:…)`, `|`, `^`,
// `$`, `\z`, `\A`, `* + ? {m} {m,} {m,n}` and their lazy forms. Everything else is refused.
//
// Matching backtracks; limits on steps and depth end patterns that would take too long.
// `PerlPatternParser` parses, and `PerlPatternMatcher` matches.

import Platform

/// A compiled pattern.
public struct PerlPattern: Sendable {
  indirect enum Node: Sendable {
    case empty
    case byte(ByteSet)
    case start
    /// `$`: the end, or before a line break at the end.
    case lineEnd
    case end
    case group(Node, number: Int?)
    case sequence([Node])
    case alternatives([Node])
    case repeated(Node, least: Int, most: Int, isLazy: Bool)
  }

  /// The result of a match.
  public struct Match: Sendable, Equatable {
    /// The byte offsets of the match.
    public let range: Range<Int>
    /// The byte offsets of each group, from the first on; nil if the group did not take part.
    public let groups: [Range<Int>?]
  }

  let text: String
  private let root: Node
  private let groupCount: Int

  /// Compiles a pattern.
  /// - Throws: `XCATError` for an unsupported construct.
  public init(_ text: String) throws(XCATError) {
    var parser = PerlPatternParser(text)
    root = try parser.parse()
    groupCount = parser.groupCount
    self.text = text
  }

  /// Returns the leftmost match; nil if there is none.
  /// - Throws: `XCATError` if matching takes too long.
  public func firstMatch(in subject: String) throws(XCATError) -> Match? {
    let bytes = Array(subject.utf8)
    let tooLong = XCATError(
      "pattern '\(text)'", "takes too long to match against '\(subject.prefix(80))'",
      hint: "Write it without repetitions inside repetitions")
    guard bytes.count <= 1024 else { throw tooLong }
    var matcher = PerlPatternMatcher(bytes, groupCount)
    for start in 0...bytes.count {
      let end = matcher.run(root, at: start)
      if matcher.isExhausted { throw tooLong }
      if let end { return Match(range: start..<end, groups: matcher.groupRanges) }
    }
    return nil
  }
}

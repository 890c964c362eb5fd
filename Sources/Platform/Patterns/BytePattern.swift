// fnmatch(3) over bytes, as glibc implements it in the C locale and without flags. `find -path`
// matches in this way.
//
// 1. '*' and '?' also match '/' and a leading '.'. A backslash takes the next byte literally; one at
//    the end matches nothing. `BracketExpression` parses "[…]".
// 2. Matching takes at most (length of text) × (length of pattern) steps, whatever the pattern.

/// A compiled pattern.
public struct BytePattern: Sendable, Hashable {
  enum Element: Sendable, Hashable {
    case byte(UInt8)
    case any
    case star
    case set(ByteSet)
  }

  /// The literal bytes before the first wildcard.
  public let literalPrefix: [UInt8]
  /// The literal bytes after the last wildcard; empty if there is no wildcard.
  public let literalSuffix: [UInt8]
  /// The elements after the prefix, the suffix included.
  private let elements: [Element]

  /// Whether the pattern has no wildcard.
  public var isLiteral: Bool { elements.isEmpty }

  /// Compiles a pattern.
  public init(_ pattern: [UInt8]) {
    func literals(_ elements: some Sequence<Element>) -> [UInt8] {
      var bytes: [UInt8] = []
      for element in elements {
        guard case .byte(let byte) = element else { break }
        bytes.append(byte)
      }
      return bytes
    }
    let all = BytePattern.compile(pattern)
    literalPrefix = literals(all)
    elements = Array(all.dropFirst(literalPrefix.count))
    literalSuffix = literals(elements.reversed()).reversed()
  }

  /// Returns whether the whole text matches.
  public func matches(_ text: [UInt8]) -> Bool {
    guard text.starts(with: literalPrefix) else { return false }
    if elements.count == 1, elements[0] == .star { return true }
    return BytePattern.match(elements, text, from: literalPrefix.count)
  }

  /// Matches greedily, with one backtracking point: after the last star.
  private static func match(_ elements: [Element], _ text: [UInt8], from start: Int) -> Bool {
    var element = 0
    var at = start
    var retry: (element: Int, at: Int)?
    while true {
      if element < elements.count {
        switch elements[element] {
        case .star:
          retry = (element + 1, at)
          element += 1
          continue
        case .any where at < text.count:
          element += 1
          at += 1
          continue
        case .byte(let byte) where at < text.count && text[at] == byte:
          element += 1
          at += 1
          continue
        case .set(let set) where at < text.count && set.contains(text[at]):
          element += 1
          at += 1
          continue
        default: break
        }
      } else if at == text.count {
        return true
      }
      guard let backtrack = retry, backtrack.at < text.count else { return false }
      retry = (backtrack.element, backtrack.at + 1)
      element = backtrack.element
      at = backtrack.at + 1
    }
  }

  // MARK: Compiling

  private static func compile(_ pattern: [UInt8]) -> [Element] {
    var elements: [Element] = []
    var at = 0
    while at < pattern.count {
      let byte = pattern[at]
      at += 1
      switch byte {
      case UInt8(ascii: "*"): if elements.last != .star { elements.append(.star) }
      case UInt8(ascii: "?"): elements.append(.any)
      case UInt8(ascii: "\\"):
        elements.append(at < pattern.count ? .byte(pattern[at]) : .set(ByteSet()))
        at += 1
      case UInt8(ascii: "["):
        switch BracketExpression.read(pattern, from: at) {
        case .ordinary: elements.append(.byte(byte))
        case .set(let set, let end):
          elements.append(.set(set))
          at = end
        }
      default: elements.append(.byte(byte))
      }
    }
    return elements
  }
}

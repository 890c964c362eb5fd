// Matches many patterns against many paths. A pattern is tried only if its literal ends match.

import Platform

/// A set of patterns of which any may match.
struct PatternSet: Sendable {
  /// The literal prefix and suffix, in `literals`, that must match before a pattern is tried.
  private struct Prefilter: Sendable {
    let prefix: Range<Int>
    let suffix: Range<Int>
  }

  private var patterns: [BytePattern] = []
  private var prefilters: [Prefilter] = []
  /// One array for all gates, which avoids reference counting per pattern and path.
  private var literals: [UInt8] = []

  init(_ patterns: [BytePattern] = []) {
    for pattern in patterns { insert(pattern) }
  }

  mutating func insert(_ pattern: BytePattern) {
    let prefixStart = literals.count
    literals += pattern.literalPrefix
    let suffixStart = literals.count
    literals += pattern.literalSuffix
    prefilters.append(
      Prefilter(prefix: prefixStart..<suffixStart, suffix: suffixStart..<literals.count))
    patterns.append(pattern)
  }

  func matches(_ text: [UInt8]) -> Bool {
    for (index, prefilter) in prefilters.enumerated()
    where fits(prefilter, text) && patterns[index].matches(text) {
      return true
    }
    return false
  }

  private func fits(_ prefilter: Prefilter, _ text: [UInt8]) -> Bool {
    let (prefix, suffix) = (prefilter.prefix, prefilter.suffix)
    guard text.count >= prefix.count + suffix.count else { return false }
    // Compare from the end, where paths usually differ.
    var at = prefix.count
    while at > 0 {
      at -= 1
      if text[at] != literals[prefix.lowerBound + at] { return false }
    }
    at = suffix.count
    let offset = text.count - suffix.count
    while at > 0 {
      at -= 1
      if text[offset + at] != literals[suffix.lowerBound + at] { return false }
    }
    return true
  }
}

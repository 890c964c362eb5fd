// Suggestions for misspelled words: names that differ from the input by few letters.

/// Compares spellings.
public enum Spelling {
  /// Returns how many bytes must be inserted, removed, replaced or exchanged with the next one to turn
  /// one text into the other (optimal string alignment).
  public static func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    var before: [Int] = []
    var above = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var best = min(above[j + 1] + 1, row[j] + 1, above[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, before[j - 1] + 1) }
        row.append(best)
      }
      (before, above) = (above, row)
    }
    return above[b.count]
  }

  /// Returns whether one text may be a misspelling of the other: up to a quarter of the letters
  /// differ, with at least two allowed in words of four letters or more.
  public static func isNear(_ a: String, _ b: String) -> Bool {
    let length = max(a.utf8.count, b.utf8.count)
    return distance(a, b) <= (length < 4 ? 1 : max(2, length / 4))
  }

  /// Returns the words that may be meant, nearest first.
  public static func near(_ word: String, _ candidates: some Sequence<String>) -> [String] {
    candidates.filter { isNear(word, $0) }
      .map { (word: $0, distance: distance(word, $0)) }
      .sorted { ($0.distance, $0.word) < ($1.distance, $1.word) }.map(\.word)
  }
}

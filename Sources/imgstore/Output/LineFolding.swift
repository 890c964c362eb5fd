// Folds messages and reports at the width of the terminal, between words, so that no word is cut. Contents, lists
// and documents are never folded: what is copied or read by a program stays on its line.

import Platform

enum LineFolding {
  /// The columns to fold at: COLUMNS if it is exported, else the terminal's; nil where there is neither.
  static func width(of file: Int32) -> Int? {
    let asked = environment("COLUMNS").flatMap { Int($0) }
    guard let width = asked ?? terminalColumns(file), width >= 20 else { return nil }
    return width
  }

  /// Returns the text with each line that is too long broken at blanks. What follows is indented by two more
  /// columns than the line; a word that is longer than a line stays whole.
  static func folded(_ text: String, to width: Int?) -> String {
    guard let width, text.utf8.count > width else { return text }
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.count > width ? folded(line: $0, to: width) : String($0) }
      .joined(separator: "\n")
  }

  /// Returns a help text whose usage is folded as its other paragraphs are: the parser leaves it on one line.
  static func withFoldedUsage(_ help: String) -> String {
    let width = width(of: 1) ?? 80
    return help.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.hasPrefix("USAGE: ") ? folded(String($0), to: width) : String($0) }
      .joined(separator: "\n")
  }

  private static func folded(line: Substring, to width: Int) -> String {
    let margin = String(line.prefix { $0 == " " })
    let indent = margin + "  "
    var rest = line.dropFirst(margin.count)
    var start = margin
    var lines: [String] = []
    while start.count + rest.count > width {
      // The last blank that the line still holds, else the first one behind it.
      let fitting = rest.prefix(max(1, width - start.count + 1))
      guard let blank = fitting.lastIndex(of: " ") ?? rest.firstIndex(of: " ") else { break }
      var head = rest[..<blank]
      while head.last == " " { head.removeLast() }
      lines.append(start + head)
      rest = rest[blank...].drop { $0 == " " }
      start = indent
    }
    if !rest.isEmpty { lines.append(start + rest) }
    return lines.joined(separator: "\n")
  }
}

/// Prints a sentence about a result, folded at the width of the terminal; the result itself goes to `print`.
func printMessage(_ text: String) {
  print(LineFolding.folded(text, to: LineFolding.width(of: 1)))
}

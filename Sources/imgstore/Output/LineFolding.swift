// Folds messages and reports at the width of the terminal, between words. Contents, lists and documents are
// never folded, because users copy them and programs read them.

import Images

/// Folds lines.
enum LineFolding {
  /// Returns the columns to fold at: COLUMNS if it is exported, else the width of the terminal; nil without
  /// both.
  static func width(of file: Int32) -> Int? {
    let exported = environment("COLUMNS").flatMap { Int($0) }
    guard let width = exported ?? terminalColumns(file), width >= 20 else { return nil }
    return width
  }

  /// Returns the text with long lines broken at blanks. Continuation lines are indented by two more columns
  /// than the line. A word that is longer than a line is not broken.
  static func folded(_ text: String, to width: Int?) -> String {
    guard let width, text.utf8.count > width else { return text }
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.count > width ? folded(line: $0, to: width) : String($0) }
      .joined(separator: "\n")
  }

  /// Returns a help text with its usage folded. The parser folds all other paragraphs.
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
      // Break at the last blank that fits, or else at the first blank behind it.
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

/// Prints a message about a result, folded at the width of the terminal. `print` prints the result itself.
func printMessage(_ text: String) {
  print(LineFolding.folded(text, to: LineFolding.width(of: 1)))
}

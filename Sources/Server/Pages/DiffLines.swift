// Unified diffs as tables of lines.

import Images

/// Shows a unified diff.
enum DiffLines {
  private static let maxLineBytes = 2000

  /// Returns the lines of a diff, without its header.
  /// - Parameter limit: the largest number of lines.
  static func html(_ diff: TextDiff, limit: Int) -> HTML {
    if diff.isBinary { return .paragraph(.text("The contents are binary, and differ.")) }
    var lines = VisibleText.lines(diff.lines)[...]
    if lines.first?.starts(with: "--- ".utf8) == true { lines = lines.dropFirst(2) }
    let shown = lines.prefix(limit)
    let table = HTML.tag(
      "div", .style("code diff"), HTMLAttribute("tabindex", 0), HTMLAttribute("role", "region"),
      HTMLAttribute("aria-label", "Changed lines of \(printable(diff.path))"),
      content: [
        .tag(
          "table", HTMLAttribute("role", "presentation"),
          content: [.tag("tbody", content: shown.map(row))])
      ])
    guard lines.count > shown.count else { return table }
    return .group([
      table, .paragraph(.text("and \(lines.count - shown.count) more lines")),
    ])
  }

  private static func row(_ line: ArraySlice<UInt8>) -> HTML {
    let text = HTML.tag("bdi", text: VisibleText.line(line.prefix(maxLineBytes)))
    let cell = HTML.tag("td", content: [text])
    switch line.first {
    case UInt8(ascii: "+"): return .tag("tr", .style("add"), content: [cell])
    case UInt8(ascii: "-"): return .tag("tr", .style("del"), content: [cell])
    case UInt8(ascii: "@"), UInt8(ascii: "\\"): return .tag("tr", .style("hunk"), content: [cell])
    default: return .tag("tr", content: [cell])
    }
  }
}

// Elements that several pages use: names, links, tables, sizes and times.
//
// Text that is not a literal of this program comes from images or from people, and is hostile. It is shown as
// `printable` spells it, and isolated from the text around it (`bdi`): it cannot turn the direction of the page.

import Images

extension HTML {
  /// Bytes of a name or a path.
  static func name(_ bytes: some Sequence<UInt8>) -> HTML {
    .tag("bdi", text: printable(bytes))
  }

  /// A text that an image or a person provided.
  static func foreign(_ text: String) -> HTML { .name(text.utf8) }

  /// A message of imgstore, in which names are spelled as `printable` does already.
  static func message(_ text: String) -> HTML {
    .tag("bdi", text: VisibleText.line(Array(text.utf8)[...]))
  }

  static func link(_ url: SiteURL, _ content: HTML...) -> HTML {
    .tag("a", .href(url), content: content)
  }

  static func link(_ url: SiteURL, _ text: String) -> HTML {
    .tag("a", .href(url), content: [.text(text)])
  }

  static func paragraph(_ content: HTML...) -> HTML { .tag("p", content: content) }

  static func heading(_ text: String, id: StaticString? = nil) -> HTML {
    .element("h2", id.map { [HTMLAttribute("id", $0.description)] } ?? [], [.text(text)])
  }

  /// A size: "1.8 GB", with the number of bytes as a tooltip.
  static func size(_ bytes: UInt64) -> HTML {
    .tag("span", .style("n"), HTMLAttribute("title", "\(bytes) bytes"), text: sizeText(bytes))
  }

  /// A number with separators: "55,215".
  static func number(_ value: some BinaryInteger) -> HTML {
    .tag("span", .style("n"), text: numberText(value))
  }

  /// A time, as `log` prints it.
  static func time(_ time: Timestamp) -> HTML {
    .tag(
      "time", .style("n"), HTMLAttribute("datetime", isoText(time)),
      text: localTime(time.seconds, "%Y-%m-%d %H:%M"))
  }

  /// A small mark, such as a tag of a snapshot.
  static func mark(_ kind: Mark, _ content: HTML) -> HTML {
    let names: StaticString =
      switch kind {
      case .tag: "mark tag"
      case .plain: "mark"
      case .warning: "mark warning"
      case .good: "mark good"
      }
    return .tag("span", .style(names), content: [content])
  }

  enum Mark { case tag, plain, warning, good }

  /// A command to copy.
  static func command(_ text: String) -> HTML {
    .tag("code", .style("command"), content: [.message(text)])
  }

  /// A list of terms with their values.
  /// - Parameter isStacked: whether values stand below their terms on small screens.
  static func terms(_ rows: [(term: String, value: HTML)], isStacked: Bool = false) -> HTML {
    .tag(
      "dl", .style(isStacked ? "terms stacked" : "terms"),
      content: rows.flatMap {
        [.tag("dt", text: $0.term), .tag("dd", content: [$0.value])]
      })
  }

  /// A table that scrolls within its frame.
  static func table(_ caption: String, _ columns: [Column], _ rows: [[HTML]]) -> HTML {
    .tag(
      "div", .style("scroll"), HTMLAttribute("tabindex", 0), HTMLAttribute("role", "region"),
      HTMLAttribute("aria-label", caption),
      content: [
        .tag(
          "table",
          content: [
            .tag("caption", .style("hidden"), text: caption),
            .tag(
              "thead",
              content: [
                .tag(
                  "tr",
                  content: columns.map {
                    .element(
                      "th", [HTMLAttribute("scope", "col")] + $0.attributes, [.text($0.title)])
                  })
              ]),
            .tag(
              "tbody",
              content: rows.map { row in
                .tag(
                  "tr",
                  content: zip(columns, row).map { .element("td", $0.attributes, [$1]) })
              }),
          ])
      ])
  }

  /// A column of a table.
  struct Column {
    let title: String
    var style: StaticString = ""
    fileprivate var attributes: [HTMLAttribute] {
      style.utf8CodeUnitCount == 0 ? [] : [.style(style)]
    }
    /// A column of numbers.
    static func number(_ title: String) -> Column { Column(title: title, style: "num") }
    /// A column that small screens leave out.
    static func wide(_ title: String) -> Column { Column(title: title, style: "wide") }
    static func wideNumber(_ title: String) -> Column { Column(title: title, style: "num wide") }
    /// The column that takes the free space.
    static func main(_ title: String) -> Column { Column(title: title, style: "main") }
    static func text(_ title: String) -> Column { Column(title: title) }
    /// A column of words that are not broken while there is space.
    static func word(_ title: String) -> Column { Column(title: title, style: "word") }
  }
}

/// Returns a number with a comma between each three digits.
func numberText(_ value: some BinaryInteger) -> String {
  let digits = Array("\(value.magnitude)")
  let groups = digits.enumerated().map { index, digit in
    (index > 0 && (digits.count - index) % 3 == 0 ? "," : "") + String(digit)
  }
  return (value < 0 ? "−" : "") + groups.joined()
}

/// Returns a number with its noun: "1 file", "46,578 files".
func countText(_ value: some BinaryInteger, _ noun: String) -> String {
  "\(numberText(value)) " + count(value, noun).split(separator: " ", maxSplits: 1)[1]
}

/// Returns how long ago a time was: "3 hours ago".
func ageText(_ time: Timestamp, now: Timestamp) -> String {
  let seconds = now.seconds - time.seconds
  if seconds < 0 { return "in the future" }
  for (unit, length) in [
    ("year", 31_536_000), ("month", 2_592_000), ("day", 86_400), ("hour", 3600), ("minute", 60),
  ] as [(String, Int64)] where seconds >= 2 * length || seconds >= length && length < 86_400 {
    return "\(count(seconds / length, unit)) ago"
  }
  return seconds < 60 ? "just now" : "\(count(seconds / 3600, "hour")) ago"
}

/// Content of files as text.
enum VisibleText {
  /// Returns a line: control characters and changes of direction are escaped, tabs stay.
  static func line(_ bytes: ArraySlice<UInt8>) -> String {
    if bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f || $0 == 0x09 }) {
      return String(decoding: bytes, as: UTF8.self)
    }
    var escaper = TerminalText()
    let shown = escaper.escaped(bytes.map { $0 == 0x0a ? 0x20 : $0 }) + escaper.end()
    return String(decoding: shown, as: UTF8.self)
  }

  /// Returns the lines of a content without their newlines.
  static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }
}

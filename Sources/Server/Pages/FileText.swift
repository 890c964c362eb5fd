// The content of a file on its page: numbered lines, with their origins on request, or the first bytes.

import HTTPServer
import Images

/// Shows the content of a file.
struct FileText {
  private static let maxBytes = 4 << 20
  private static let maxLines = 2000
  private static let maxLineBytes = 4000
  private static let shownBytes = 1024
  let page: FilePage
  let reader: SnapshotReader
  let found: LocatedEntry

  func content() throws -> [HTML] {
    let bytes = try reader.head(of: found, limitBytes: Self.maxBytes)
    let isBinary = bytes.prefix(32 << 10).contains(0)
    var links: [HTML] = [.link(page.rawURL, "Download")]
    let isBlamed = page.call.request.query.text("blame") == "1" && !isBinary
    if !isBinary, !bytes.isEmpty, page.call.opener.remote == nil {
      links.append(
        isBlamed
          ? .link(page.url(page.path), "Without origins")
          : .link(page.url(page.path).with("blame", "1"), "Origin of each line"))
    }
    var content: [HTML] = [
      .tag("ul", .style("links"), content: links.map { .tag("li", content: [$0]) })
    ]
    if bytes.isEmpty {
      content.append(.paragraph(.text("The file is empty.")))
    } else if isBinary {
      content += hex(bytes)
    } else {
      content += try text(bytes, isBlamed: isBlamed)
    }
    return content
  }

  private func text(_ bytes: [UInt8], isBlamed: Bool) throws -> [HTML] {
    let lines = VisibleText.lines(bytes)
    let first = min(page.call.number("line") ?? 1, max(1, lines.count))
    let shown = lines.dropFirst(first - 1).prefix(Self.maxLines)
    var origins: [Int: BlamedLines] = [:]
    var remark: HTML?
    if isBlamed {
      do {
        let path =
          (page.isPart ? "/" : "")
          + printable(page.path.joined(separator: [UInt8(ascii: "/")]))
        let reference = try Reference(page.committed.name)
        for run in try page.call.workspace.lineBlame(reference, path: path) {
          for line in run.lines { origins[line] = run }
        }
      } catch let error as any ExplainedError {
        remark = .tag("p", .style("note"), content: [.message(error.message)])
      }
    }
    let rows = shown.enumerated().map { offset, line -> HTML in
      row(first + offset, line, origins[first + offset], isFirst: offset == 0)
    }
    var content = [remark].compactMap(\.self) + [code("Content of the file", rows)]
    let next = first + shown.count
    var pages: [HTML] = []
    if first > 1 {
      pages.append(
        .link(lineURL(max(1, first - Self.maxLines), isBlamed), "Lines before \(first)"))
    }
    if next <= lines.count { pages.append(.link(lineURL(next, isBlamed), "Lines from \(next)")) }
    if found.entry.sizeBytes > UInt64(bytes.count) {
      pages.append(.text("The page shows the first \(sizeText(UInt64(bytes.count))) of the file."))
    }
    if !pages.isEmpty {
      content.append(.tag("ul", .style("links"), content: pages.map { .tag("li", content: [$0]) }))
    }
    return content
  }

  private func lineURL(_ line: Int, _ isBlamed: Bool) -> SiteURL {
    let url = page.url(page.path).with("line", "\(line)")
    return isBlamed ? url.with("blame", "1") : url
  }

  private func code(_ label: String, _ rows: [HTML]) -> HTML {
    .tag(
      "div", .style("code"), HTMLAttribute("tabindex", 0), HTMLAttribute("role", "region"),
      HTMLAttribute("aria-label", label),
      content: [
        .tag(
          "table", HTMLAttribute("role", "presentation"), content: [.tag("tbody", content: rows)])
      ])
  }

  private func row(
    _ number: Int, _ line: ArraySlice<UInt8>, _ run: BlamedLines?, isFirst: Bool
  ) -> HTML {
    var cells: [HTML] = []
    var isStart = false
    if let run {
      isStart = number == run.lines.lowerBound
      cells.append(
        .tag(
          "td", .style("from"),
          content: isStart || isFirst
            ? [
              .link(.snapshot(page.image, run.origin.number), "@\(run.origin.number)"),
              .text(" " + localTime(run.origin.snapshot.created.seconds, "%Y-%m-%d")),
            ] : []))
    }
    let text = VisibleText.line(line.prefix(Self.maxLineBytes))
    cells += [
      .tag(
        "td", .style("line"),
        content: [.tag("a", .href(.here("L\(number)")), text: "\(number)")]),
      .tag("td", content: [.tag("bdi", text: text + (line.count > Self.maxLineBytes ? " …" : ""))]),
    ]
    let id = HTMLAttribute("id", "L\(number)")
    return .element("tr", isStart ? [id, .style("first")] : [id], cells)
  }

  /// The first bytes, as hexdump -C prints them.
  private func hex(_ bytes: [UInt8]) -> [HTML] {
    let shown = bytes.prefix(Self.shownBytes)
    let rows = stride(from: 0, to: shown.count, by: 16).map { start -> HTML in
      let part = shown[start..<min(start + 16, shown.count)]
      func pair(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
      let offset = String(start, radix: 16)
      return .tag(
        "tr",
        content: [
          .tag(
            "td", .style("line"), text: String(repeating: "0", count: 8 - offset.count) + offset),
          .tag("td", text: part.map(pair).joined(separator: " ")),
          .tag(
            "td",
            text: String(
              decoding: part.map { (0x20..<0x7f).contains($0) ? $0 : 0x2e }, as: UTF8.self)),
        ])
    }
    return [
      .paragraph(.text("The file is binary. Its first \(shown.count) bytes:")),
      code("First bytes of the file", rows),
    ]
  }
}

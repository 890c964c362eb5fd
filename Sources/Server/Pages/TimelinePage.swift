// The page of one image: its snapshots, newest first.

import HTTPServer
import Images

/// Shows the history of an image.
struct TimelinePage {
  private static let limit = 50
  let call: PageCall
  let image: String

  init(_ call: PageCall, _ image: String) { (self.call, self.image) = (call, image) }

  func response() throws -> HTTPResponse {
    let name = try call.finder.imageReference(image)
    let before = call.number("before") ?? .max
    // One more tells whether there are older ones, and what the last one is compared with.
    let history = try call.workspace.history(of: name, limit: Self.limit + 1, before: before)
    let page = Array(history.entries.prefix(Self.limit))
    var content: [HTML] =
      call.opener.remote == nil
      ? try call.workspace.unfinished(of: image).map(ImagesPage.unfinished) : []
    content += history.unreadable.prefix(20).map { snapshot in
      .tag(
        "p", .style("note warning"),
        content: [.foreign("\(snapshot.name)"), .text(": "), .message(snapshot.reason)])
    }
    if page.count > 1 { content.append(chart(page)) }
    content.append(
      .table(
        "Snapshots",
        [
          .number("No."), .text("Taken"), .main("Message"), .wideNumber("Entries"), .number("Size"),
          .wide("Changes"),
        ],
        page.enumerated().map { row($1, older: history.entries.dropFirst($0 + 1).first) }))
    if history.entries.count > Self.limit, let last = page.last {
      content.append(
        .paragraph(
          .link(
            SiteURL.image(image).with("before", "\(last.committed.number)"), "Older snapshots")))
    }
    if page.count > 1 { content.append(comparisonForm(page)) }
    return Page(
      section: .images, title: image, path: [.link(.start, "Images")], heading: .foreign(image),
      content: content
    ).response()
  }

  private func row(_ entry: LogEntry, older: LogEntry?) -> [HTML] {
    let snapshot = entry.committed.snapshot
    let number = entry.committed.number
    var marks = entry.tags.map { HTML.mark(.tag, .foreign($0)) }
    if let pin = entry.pin {
      marks.append(.mark(.plain, pin.isEmpty ? .text("pinned") : .foreign("pinned: \(pin)")))
    }
    if snapshot.origin.isAutomatic { marks.append(.mark(.plain, .text("automatic"))) }
    if let origin = entry.pulledFrom {
      marks.append(.mark(.plain, .foreign("from \(origin.remote)")))
    }
    if entry.isSigned { marks.append(.mark(.plain, .text("signed"))) }
    if !snapshot.isComplete { marks.append(.mark(.warning, .text("incomplete"))) }
    let changes =
      older.map {
        HTML.link(
          .diff(image, $0.committed.number, number), "@\($0.committed.number) → @\(number)")
      } ?? .tag("span", .style("sub"), text: "first")
    return [
      .link(.snapshot(image, number), "@\(number)"),
      .group([
        .time(snapshot.created),
        .tag("div", .style("sub"), text: ageText(snapshot.created, now: call.now)),
      ]),
      .group([
        snapshot.message.isEmpty ? .nothing : .foreign(snapshot.message), .text(" "), .group(marks),
        .tag("div", .style("sub narrow"), content: [changes]),
      ]),
      .number(snapshot.entryCount), .size(snapshot.contentBytes), changes,
    ]
  }

  private func chart(_ page: [LogEntry]) -> HTML {
    let points = page.reversed().map { entry in
      LineChart.Point(
        time: entry.committed.snapshot.created, bytes: entry.committed.snapshot.contentBytes,
        label: "@\(entry.committed.number)"
          + (entry.tags.isEmpty ? "" : " " + entry.tags.joined(separator: ", ")),
        isMarked: !entry.tags.isEmpty)
    }
    return LineChart(title: "Size of the image", points: points).html
  }

  private func comparisonForm(_ page: [LogEntry]) -> HTML {
    func choice(_ name: String, _ label: String, selected: Int) -> HTML {
      .tag(
        "label",
        content: [
          .text(label + " "),
          .tag(
            "select", HTMLAttribute("name", name),
            content: page.map { entry in
              let number = entry.committed.number
              let text =
                "@\(number)" + (entry.tags.first.map { " " + printable($0.utf8) } ?? "")
              let value = HTMLAttribute("value", number)
              return number == selected
                ? .tag("option", value, .flag("selected"), text: text)
                : .tag("option", value, text: text)
            }),
        ])
    }
    return .group([
      .heading("Compare two snapshots"),
      .tag(
        "form", .action(SiteURL("images", image, "diff")), HTMLAttribute("method", "get"),
        content: [
          choice("from", "Older", selected: page[1].committed.number),
          choice("to", "Newer", selected: page[0].committed.number),
          .tag("button", HTMLAttribute("type", "submit"), text: "Compare"),
        ]),
    ])
  }
}

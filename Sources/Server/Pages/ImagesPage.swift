// The page of all images.

import HTTPServer
import Images

/// Lists the images at a glance.
struct ImagesPage {
  private static let limit = 200
  let call: PageCall

  init(_ call: PageCall) { self.call = call }

  func response() throws -> HTTPResponse {
    var images = try call.finder.images()
    let state = try call.opener.remote == nil ? call.workspace.storeState() : nil
    let total = images.count
    if let after = call.request.query.bytes("after") {
      images.removeAll { !precedes(after, Array($0.name.utf8)) }
    }
    let page = images.prefix(Self.limit)
    var content: [HTML] = []
    content += page.compactMap(\.unfinished).map(Self.unfinished)
    if total == 0 {
      content.append(
        .paragraph(
          .text("There are no images yet. "), .command("imgstore snapshot DIR"),
          .text(" takes a snapshot of a directory.")))
    } else {
      content.append(
        .table(
          "Images",
          [
            .main("Image"), .text("Last snapshot"), .text("Live image"), .wide("Packed"),
            .wideNumber("Snapshots"), .number("Size"),
          ], page.map { row($0, state) }))
    }
    if page.count < images.count, let last = page.last {
      content.append(.paragraph(.link(SiteURL.start.with("after", last.name), "More images")))
    }
    return Page(
      section: .images, title: "Images",
      heading: .group([.text("Images "), .tag("small", text: "\(total)")]), content: content
    ).response()
  }

  /// A note about an unfinished change.
  static func unfinished(_ change: UnfinishedChange) -> HTML {
    .tag(
      "p", .style(change.isRunning ? "note" : "note warning"),
      content: [
        .tag("strong", content: [.foreign(change.image)]), .text(": "),
        .message(unfinishedText(change)),
      ])
  }

  private func row(_ image: ImageSummary, _ state: StoreState?) -> [HTML] {
    let kind =
      call.opener.remote.map { "at \($0)" } ?? image.directory ?? image.provisioning?.text
      ?? "not defined"
    let name = HTML.group([
      .link(.image(image.name), .foreign(image.name)),
      .tag("div", .style("sub"), content: [.foreign(kind)]),
    ])
    guard let latest = image.latest else {
      return [
        name, .tag("span", .style("sub"), text: "none"), .text(""), .text(""), .text("0"),
        .text(""),
      ]
    }
    let tags = (try? call.workspace.tags(of: latest)) ?? []
    let snapshot = HTML.group([
      .link(.snapshot(image.name, latest.number), "@\(latest.number)"), .text(" "),
      .group(tags.prefix(4).map { .mark(.tag, .foreign($0)) }),
      .tag(
        "div", .style("sub"),
        content: [
          .time(latest.snapshot.created), .text(" "),
          .tag(
            "span", .style("n"),
            text: "(\(ageText(latest.snapshot.created, now: call.now)))"),
        ]),
    ])
    return [
      name, snapshot, live(image, state), packed(latest), .text("\(image.snapshots)"),
      .size(latest.snapshot.contentBytes),
    ]
  }

  private func live(_ image: ImageSummary, _ state: StoreState?) -> HTML {
    if let change = image.unfinished {
      return .mark(.warning, .text(change.isRunning ? "changing" : "unfinished"))
    }
    let checked = image.lastChecked.map { "checked " + ageText($0, now: call.now) }
    let sub = HTML.tag("div", .style("sub n"), text: checked ?? "")
    guard let state else { return .nothing }
    switch state.isChanged(image) {
    case true: return .group([.mark(.warning, .text("changed")), sub])
    case false: return .group([.mark(.good, .text("unchanged")), sub])
    case nil: return .tag("span", .style("sub n"), text: "not checked")
    }
  }

  private func packed(_ latest: CommittedSnapshot) -> HTML {
    let names = latest.snapshot.components.filter { $0.role.text == "packed" }.map { component in
      Array(component.path.split(separator: 0x2f).last ?? [])
    }
    if names.isEmpty { return .tag("span", .style("sub"), text: "no") }
    return .group(names.map { .tag("div", content: [.name($0)]) })
  }
}

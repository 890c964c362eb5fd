// The page of the differences of one entry of the root tree.

import HTTPServer
import Images

/// Shows how an entry changed between two snapshots.
struct FileDiffPage {
  private static let maxTextBytes: UInt64 = 4 << 20
  private static let maxLines = 5000
  let call: PageCall
  let old: CommittedSnapshot
  let new: CommittedSnapshot
  let path: [[UInt8]]
  private var image: String { new.snapshot.image }
  private var spelling: String { printable(path.joined(separator: [UInt8(ascii: "/")])) }

  init(
    _ call: PageCall, _ old: CommittedSnapshot, _ new: CommittedSnapshot, _ path: [[UInt8]]
  ) {
    (self.call, self.old, self.new, self.path) = (call, old, new, path)
  }

  func response() throws -> HTTPResponse {
    let before = try call.workspace.reader(of: old).find(spelling)
    let after = try call.workspace.reader(of: new).find(spelling)
    guard before != nil || after != nil else {
      throw ImageError(
        .pathNotFound, spelling,
        "is neither in \(image)@\(old.number) nor in \(image)@\(new.number)")
    }
    if (after ?? before)?.entry.kind == .directory {
      return .redirect(
        SiteURL.diff(image, old.number, new.number)
          .with("directory", path.joined(separator: [UInt8(ascii: "/")])).to("files"))
    }
    let content = [links(before, after), attributes(before, after), try text(before, after)]
    let range = SiteURL.diff(image, old.number, new.number)
    return Page(
      section: .images, title: "\(spelling), \(image)@\(old.number) → @\(new.number)",
      path: [
        .link(.start, "Images"), .link(.image(image), .foreign(image)),
        .link(range, "@\(old.number) → @\(new.number)"),
      ], heading: .name(path.joined(separator: [UInt8(ascii: "/")])), content: content
    ).response()
  }

  private func links(_ before: LocatedEntry?, _ after: LocatedEntry?) -> HTML {
    var links: [HTML] = []
    for (side, snapshot) in [(before, old), (after, new)] where side != nil {
      links.append(.link(.file(image, snapshot.number, path), "File in @\(snapshot.number)"))
    }
    return .tag("ul", .style("links"), content: links.map { .tag("li", content: [$0]) })
  }

  private func attributes(_ before: LocatedEntry?, _ after: LocatedEntry?) -> HTML {
    guard let before, let after else {
      let side = after == nil ? "removed" : "added"
      return .paragraph(.text("The entry was \(side)."))
    }
    func row(_ title: String, _ value: (Entry) -> HTML) -> [HTML] {
      [.text(title), value(before.entry), value(after.entry)]
    }
    var rows = [
      row("Kind") { .text($0.kind.noun) },
      row("Mode") { .tag("span", .style("mono"), text: modeText($0)) },
      row("Owner") { .text("\($0.uid):\($0.gid)") },
      row("Size") { $0.kind == .file ? .size($0.sizeBytes) : .nothing },
      row("Modified") { .time($0.modified) },
    ]
    if before.entry.kind == .symlink || after.entry.kind == .symlink {
      rows.append(
        row("Leads to") {
          if case .symlink(let target) = $0.content { .name(target) } else { .nothing }
        })
    }
    return .table(
      "Attributes", [.text(""), .text("@\(old.number)"), .main("@\(new.number)")], rows)
  }

  private func text(_ before: LocatedEntry?, _ after: LocatedEntry?) throws -> HTML {
    let sides = [before, after].compactMap(\.self)
    guard sides.allSatisfy({ $0.entry.blob != nil }) else { return .nothing }
    if sides.count == 2, sides[0].entry.blob == sides[1].entry.blob {
      return .paragraph(.text("The contents are equal."))
    }
    guard sides.allSatisfy({ $0.entry.sizeBytes <= Self.maxTextBytes }) else {
      return .group([
        .paragraph(.text("The file is too large to compare it here:")),
        .command(
          "imgstore diff \(shellQuoted("\(image)@\(old.number)")) "
            + "\(shellQuoted("\(image)@\(new.number)")) -u \(shellQuoted(spelling))"),
      ])
    }
    let comparison = try call.workspace.comparison(old.name, new.name, paths: [spelling])
    guard let change = comparison.diff.entries.first(where: { $0.path == sides[0].path }),
      let text = try comparison.text(of: change)
    else { return .nothing }
    return .group([.heading("Content"), DiffLines.html(text, limit: Self.maxLines)])
  }
}

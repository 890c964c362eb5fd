// The page of the differences of two snapshots: packages, then definition and configuration as changed lines, then
// files by directory.
//
// 1. Files whose time alone changed are counted and not listed.
// 2. Texts are compared only for configuration files, and for a bounded number of them.

import HTTPServer
import Images

/// Shows the differences of two snapshots of an image.
struct DiffPage {
  private static let packageLimit = 500
  private static let textLimit = 20
  private static let maxTextBytes: UInt64 = 256 << 10
  private static let maxLines = 200
  let call: PageCall
  let old: CommittedSnapshot
  let new: CommittedSnapshot
  private var image: String { new.snapshot.image }

  init(_ call: PageCall, _ old: CommittedSnapshot, _ new: CommittedSnapshot) {
    (self.call, self.old, self.new) = (call, old, new)
  }

  /// Returns the answer to the form that chooses two snapshots.
  static func redirect(_ call: PageCall, _ image: String) throws -> HTTPResponse {
    guard let from = call.number("from"), let to = call.number("to") else {
      return .redirect(.image(image))
    }
    return .redirect(.diff(image, from, to))
  }

  func response() throws -> HTTPResponse {
    let comparison = try call.workspace.comparison(old.name, new.name)
    let packages = try comparison.packages()
    let directories = ChangedDirectories(comparison)
    let directory = call.request.query.bytes("directory")
    var content: [HTML] = []
    if let directory {
      content.append(
        .paragraph(.link(.diff(image, old.number, new.number), "All differences")))
      content.append(files(directories, directory))
    } else {
      content += [summary(comparison, directories), try packagesSection(packages)]
      content += [try definition(comparison), try configuration(comparison, packages)]
      content.append(files(directories, []))
    }
    return Page(
      section: .images, title: "\(image)@\(old.number) → @\(new.number)",
      path: [
        .link(.start, "Images"), .link(.image(image), .foreign(image)),
        .link(.snapshot(image, new.number), "@\(new.number)"),
      ], heading: heading, content: content
    ).response()
  }

  private var heading: HTML {
    .group([
      .foreign(image), .text(" "), .link(.snapshot(image, old.number), "@\(old.number)"),
      .text(" → "), .link(.snapshot(image, new.number), "@\(new.number)"),
    ])
  }

  private func summary(_ comparison: Comparison, _ directories: ChangedDirectories) -> HTML {
    if comparison.diff.isEmpty { return .paragraph(.text("There is no difference.")) }
    let counts = directories.total
    let items: [(Int, String)] = [
      (counts.added, "added"), (counts.removed, "removed"), (counts.changed, "changed"),
      (directories.timeOnly, "with another time only"),
    ]
    var nodes: [HTML] = [
      .tag(
        "ul", .style("counts"),
        content: items.map {
          .tag("li", content: [.tag("strong", text: numberText($0.0)), .text(" " + $0.1)])
        })
    ]
    if !comparison.uncompared.isEmpty {
      nodes.append(
        .tag(
          "p", .style("note warning"),
          text: "\(countText(comparison.uncompared.count, "entry")) could not be compared."))
    }
    return .group(nodes)
  }

  // MARK: Packages

  private func packagesSection(_ packages: [PackageDiff]) throws -> HTML {
    .group(
      packages.flatMap { diff -> [HTML] in
        guard diff.oldKind != nil || diff.newKind != nil else { return [] }
        var nodes: [HTML] = [.heading("Packages", id: "packages")]
        if diff.changes.isEmpty {
          nodes.append(.paragraph(.text("No package changed.")))
        } else {
          nodes.append(
            .table(
              "Changed packages", [.text(""), .text("Package"), .text("Before"), .main("After")],
              diff.changes.prefix(Self.packageLimit).map(row)))
        }
        let rest = max(0, diff.changes.count - Self.packageLimit)
        nodes.append(
          .paragraph(
            .text(
              (rest > 0 ? "\(rest) more changed; " : "")
                + "\(countText(diff.unchangedCount, "package")) the same")))
        nodes += diff.remarks.map { .tag("p", .style("note warning"), content: [.message($0)]) }
        return nodes
      })
  }

  private func row(_ change: PackageChange) -> [HTML] {
    func version(_ text: String?, _ state: Package.State?) -> HTML {
      guard let text else { return .nothing }
      return .group([
        .tag("span", .style("mono"), content: [.foreign(text)]),
        state.map { .mark(.warning, .text($0.rawValue)) } ?? .nothing,
      ])
    }
    let kind: ChangeKind = change.old == nil ? .added : change.new == nil ? .removed : .changed
    return [
      kind.sign, .foreign(change.name), version(change.old, change.oldState),
      version(change.new, change.newState),
    ]
  }

  // MARK: Texts

  private func definition(_ comparison: Comparison) throws -> HTML {
    var nodes: [HTML] = []
    if !comparison.diff.attributes.isEmpty {
      func value(_ text: String?) -> HTML {
        text.map { .foreign($0) } ?? .tag("span", .style("sub"), text: "not set")
      }
      nodes += [
        .heading("Definition", id: "definition"),
        .table(
          "Changed attributes",
          [.text("Table"), .text("Attribute"), .text("Before"), .main("After")],
          comparison.diff.attributes.prefix(Self.packageLimit).map {
            [.foreign($0.table), .foreign($0.column), value($0.old), value($0.new)]
          }),
      ]
    }
    let lists = try comparison.lists()
    if !lists.isEmpty {
      nodes.append(.heading("Lists and scripts"))
      for list in lists.prefix(Self.textLimit) {
        nodes += [
          .tag("h3", content: [.name(list.path)]), DiffLines.html(list, limit: Self.maxLines),
        ]
      }
    }
    return .group(nodes)
  }

  /// The changed configuration files: those below etc, and those that a package declares.
  private func configuration(_ comparison: Comparison, _ packages: [PackageDiff]) throws -> HTML {
    let changes = comparison.diff.entries.filter { change in
      guard comparison.treePaths.contains(change.address.component),
        case .changed(let old, let new, let fields) = change.kind, fields.contains(.content),
        old.blob != nil, new.blob != nil
      else { return false }
      if change.address.path.bytes.starts(with: "etc/".utf8) { return true }
      return packages.contains { $0.ownerships[change.path]?.kind == .configuration }
    }
    if changes.isEmpty { return .nothing }
    var nodes: [HTML] = [.heading("Configuration", id: "configuration")]
    for change in changes.prefix(Self.textLimit) {
      let path = change.address.path.bytes
      let names = path.split(separator: 0x2f).map(Array.init)
      let url = SiteURL.diff(image, old.number, new.number, names)
      nodes.append(.tag("h3", content: [.link(url, .name(path))]))
      let isSmall = [change.sides.old, change.sides.new].allSatisfy {
        ($0?.sizeBytes ?? 0) <= Self.maxTextBytes
      }
      if isSmall, let text = try comparison.text(of: change) {
        nodes.append(DiffLines.html(text, limit: Self.maxLines))
      } else {
        nodes.append(.paragraph(.text("The file is too large for this page.")))
      }
    }
    if changes.count > Self.textLimit {
      nodes.append(
        .paragraph(
          .text("\(changes.count - Self.textLimit) more changed files below "),
          .link(.diff(image, old.number, new.number).with("directory", "etc"), "etc")))
    }
    return .group(nodes)
  }

  // MARK: Files

  private func files(_ directories: ChangedDirectories, _ directory: [UInt8]) -> HTML {
    let after = call.request.query.bytes("after")
    let list = directories.children(of: directory, after: after)
    let title = directory.isEmpty ? "Files" : "Files below \(printable(directory))"
    let here = SiteURL.diff(image, old.number, new.number).with("directory", directory)
    var nodes: [HTML] = [.heading(title, id: "files")]
    if list.rows.isEmpty {
      return .group(nodes + [.paragraph(.text("No file changed, apart from times."))])
    }
    nodes.append(
      .table(
        title,
        [
          .text(""), .main("Name"), .number("Added"), .number("Removed"), .number("Changed"),
          .wideNumber("Growth"),
        ], list.rows.map { row($0, directory) }))
    if let next = list.next {
      nodes.append(.paragraph(.link(here.with("after", next), "More")))
    }
    if directory.isEmpty { nodes.append(others(directories)) }
    return .group(nodes)
  }

  private func row(_ item: ChangedDirectories.Row, _ directory: [UInt8]) -> [HTML] {
    let path = directory.isEmpty ? item.name : directory + [0x2f] + item.name
    let names = path.split(separator: 0x2f).map(Array.init)
    func number(_ value: Int) -> HTML { value == 0 ? .nothing : .number(value) }
    let growth = HTML.text(
      item.counts.bytes == 0
        ? "" : (item.counts.bytes < 0 ? "−" : "+") + sizeText(item.counts.bytes.magnitude))
    let counts = [
      number(item.counts.added), number(item.counts.removed), number(item.counts.changed), growth,
    ]
    if item.isDirectory {
      let url = SiteURL.diff(image, old.number, new.number).with("directory", path).to("files")
      return [item.kind?.sign ?? .nothing, .group([.link(url, .name(item.name)), .text("/")])]
        + counts
    }
    var name: [HTML] = [.link(.diff(image, old.number, new.number, names), .name(item.name))]
    if !item.fields.isEmpty {
      name.append(.tag("span", .style("sub"), text: " " + item.fields.joined(separator: ", ")))
    }
    return [item.kind?.sign ?? .nothing, .group(name)] + [.nothing, .nothing, .nothing, growth]
  }

  /// The changed parts of the image outside of its root tree.
  private func others(_ directories: ChangedDirectories) -> HTML {
    if directories.others.isEmpty { return .nothing }
    return .group([
      .heading("Other parts of the image"),
      .table(
        "Other parts", [.text(""), .main("Path")],
        directories.others.prefix(Self.packageLimit).map { [$0.kind.sign, .name($0.path)] }),
    ])
  }
}

// The page of one snapshot.

import HTTPServer
import Images

/// Shows what a snapshot contains, and what can be done with it.
struct SnapshotPage {
  private static let maxRows = 200
  let call: PageCall
  let committed: CommittedSnapshot
  private var snapshot: Snapshot { committed.snapshot }
  private var image: String { snapshot.image }
  private var number: Int { committed.number }
  /// The reference of the snapshot in URLs and commands of this store.
  private var name: String { "\(image)@\(number)" }

  init(_ call: PageCall, _ committed: CommittedSnapshot) {
    (self.call, self.committed) = (call, committed)
  }

  func response() throws -> HTTPResponse {
    let tags = try call.workspace.tags(of: committed)
    var content: [HTML] = []
    if !snapshot.message.isEmpty {
      content.append(.tag("p", .style("lead"), content: [.foreign(snapshot.message)]))
    }
    content.append(try facts(tags))
    content.append(try links())
    content.append(commands())
    content.append(bootFiles())
    content.append(definition())
    content.append(notes())
    return Page(
      section: .images, title: name,
      path: [.link(.start, "Images"), .link(.image(image), .foreign(image))],
      heading: .group(
        [.foreign(image), .text("@\(number) ")] + tags.map { .mark(.tag, .foreign($0)) }),
      content: content
    ).response()
  }

  private func facts(_ tags: [String]) throws -> HTML {
    var rows: [(String, HTML)] = [
      (
        "Taken",
        .group([
          .time(snapshot.created), .text(", " + ageText(snapshot.created, now: call.now)),
        ])
      ),
      (
        "Content",
        .group([
          .size(snapshot.contentBytes), .text(", \(countText(snapshot.entryCount, "entry"))"),
        ])
      ),
      ("Id", .tag("code", .style("id"), text: committed.id.hex)),
    ]
    if let parent = snapshot.parent {
      rows.append(("Parent", .tag("code", .style("id"), text: parent.hex)))
    }
    rows += snapshot.provenance.map { (capitalized($0.key), .foreign($0.value)) }
    if let pin = try call.workspace.pin(of: committed) {
      rows.append(("Pinned", pin.isEmpty ? .text("yes") : .foreign(pin)))
    }
    if let origin = try call.workspace.origin(of: committed) {
      rows.append(("From", .foreign("\(origin.remote) (\(origin.url))")))
    }
    let signatures = try call.workspace.signatures(
      of: committed, call.workspace.trustedKeys(), recomputes: false)
    for status in signatures { rows.append(("Signed", signature(status))) }
    rows.append(
      (
        "Complete",
        snapshot.isComplete ? .text("yes") : .mark(.warning, .text("no, see the notes"))
      ))
    return .terms(rows)
  }

  private func signature(_ status: SignatureStatus) -> HTML {
    let key = status.keyName ?? String(status.key.hex.prefix(12))
    switch status.verdict {
    case .valid: return .group([.mark(.good, .text("valid")), .text(" "), .foreign(key)])
    case .untrusted:
      return .group([.mark(.warning, .text("key not trusted")), .text(" "), .foreign(key)])
    case .bad(let reason):
      return .group([.mark(.warning, .text("bad")), .text(" "), .message(reason)])
    }
  }

  private func links() throws -> HTML {
    var links: [HTML] = []
    if try call.workspace.reader(of: committed).rootTree != nil {
      links.append(.link(.file(image, number, []), "Browse the files"))
    }
    let older = try call.workspace.history(
      of: call.opener.reference(image), limit: 1, before: number
    ).entries.first
    if let older {
      links.append(
        .link(
          .diff(image, older.committed.number, number), "Changes since @\(older.committed.number)"))
    }
    if call.opener.remote == nil {
      links.append(.link(SiteURL.space.with("snapshot", name), "Space by directory and package"))
    }
    return .tag("ul", .style("links"), content: links.map { .tag("li", content: [$0]) })
  }

  private func commands() -> HTML {
    let reference = shellQuoted(call.opener.reference(name))
    var rows: [(String, String)] = []
    if let remote = call.opener.remote {
      rows.append(("Fetch it", "imgstore pull \(remote) \(shellQuoted(name))"))
    } else {
      // Only images of xCAT have nodes to boot.
      if !snapshot.tables.contains(where: { $0.name == "directory" }) {
        rows.append(("Boot nodes from it", "imgstore stage \(reference) --apply"))
      }
      rows.append(("Return the live image to it", "imgstore revert \(reference)"))
    }
    rows += [
      (
        "Write it as a bundle",
        "imgstore export \(reference) \(shellQuoted("\(image)-\(number).tgz"))"
      ), ("Unpack its root tree", "imgstore restore \(reference) DIR"),
    ]
    return .group([
      .heading("Use it", id: "use"),
      .terms(rows.map { ($0, .command($1)) }, isStacked: true),
    ])
  }

  /// The parts of the image that nodes load, and the others.
  private func bootFiles() -> HTML {
    func rows(_ isBoot: Bool) -> [Snapshot.Component] {
      snapshot.components.filter {
        ["kernel", "ramdisk", "packed"].contains($0.role.text) == isBoot
          && $0.entry.kind != .directory
      }
    }
    func table(_ caption: String, _ components: [Snapshot.Component], isBoot: Bool) -> HTML {
      .table(
        caption,
        [.word("Part")] + (isBoot ? [.wide("Loaded from")] : [])
          + [.main("Path"), .number("Size"), .wide("SHA-256")],
        components.prefix(Self.maxRows).map { component in
          let path = component.path.split(separator: 0x2f).map(Array.init)
          let size = component.entry.kind == .file ? HTML.size(component.entry.sizeBytes) : .nothing
          let digest = component.entry.blob.map { HTML.tag("code", .style("id"), text: $0.hex) }
          return [.foreign(component.role.text)] + (isBoot ? [bootLink(path)] : []) + [
            .link(.part(image, number, path), .name(component.path)), size, digest ?? .nothing,
          ]
        })
    }
    let boot = SiteURL([Array("boot".utf8), Array(name.utf8)], isDirectory: true)
    let (bootRows, others) = (rows(true), rows(false))
    var nodes: [HTML] = [
      .heading("Boot files", id: "boot"),
      .paragraph(
        .link(boot, "All boot files"),
        .text(": kernel, ramdisks, the packed root image in any form, and a script for iPXE.")),
    ]
    if !bootRows.isEmpty { nodes.append(table("Boot files", bootRows, isBoot: true)) }
    if !others.isEmpty {
      nodes += [.heading("Lists and scripts"), table("Lists and scripts", others, isBoot: false)]
    }
    return .group(nodes)
  }

  /// The address from which nodes load a part.
  private func bootLink(_ path: [[UInt8]]) -> HTML {
    guard let file = path.last else { return .nothing }
    return .link(SiteURL([Array("boot".utf8), Array(name.utf8), file]), .name(file))
  }

  private func definition() -> HTML {
    var rows: [[HTML]] = []
    for table in snapshot.tables {
      for row in table.rows {
        for (column, value) in row.sorted(by: { $0.key < $1.key }) where column != "imagename" {
          rows.append([.foreign(table.name), .foreign(column), .foreign(value)])
        }
      }
    }
    if rows.isEmpty { return .nothing }
    var nodes: [HTML] = [
      .heading("Definition", id: "definition"),
      .table(
        "Definition", [.word("Table"), .word("Attribute"), .main("Value")],
        Array(rows.prefix(Self.maxRows))),
    ]
    if rows.count > Self.maxRows {
      nodes.append(
        .paragraph(
          .text("and \(rows.count - Self.maxRows) more: "),
          .command("imgstore show \(shellQuoted(name))")))
    }
    return .group(nodes)
  }

  private func notes() -> HTML {
    if snapshot.notes.isEmpty { return .nothing }
    let shown = snapshot.notes.prefix(Self.maxRows)
    return .group([
      .heading("Notes", id: "notes"),
      .tag(
        "ul",
        content: shown.map { note in
          .tag(
            "li",
            content: [
              note.isProblem ? .mark(.warning, .text("gap")) : .nothing, .text(" "),
              .message(noteText(note)),
            ])
        }
          + (snapshot.notes.count > shown.count
            ? [.tag("li", text: "and \(snapshot.notes.count - shown.count) more")] : [])),
    ])
  }

  private func capitalized(_ text: String) -> String {
    printable((text.prefix(1).uppercased() + text.dropFirst()).utf8)
  }
}

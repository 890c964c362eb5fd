// The pages of the entries of a snapshot: a directory, a file as text or bytes, another entry.
//
// 1. The page shows a bounded part of a content. The whole content is a download.
// 2. An entry of the root tree is named by its path in the tree, and a part of the image outside of it by its
//    absolute path.

import HTTPServer
import Images

/// Shows an entry.
struct FilePage {
  private static let directoryLimit = 1000
  let call: PageCall
  let committed: CommittedSnapshot
  let path: [[UInt8]]
  let isPart: Bool
  var image: String { committed.snapshot.image }
  var number: Int { committed.number }

  init(_ call: PageCall, _ committed: CommittedSnapshot, _ path: [[UInt8]], isPart: Bool) {
    (self.call, self.committed, self.path, self.isPart) = (call, committed, path, isPart)
  }

  /// The path as commands take it.
  private var spelling: String {
    (isPart ? "/" : "") + printable(path.joined(separator: [UInt8(ascii: "/")]))
  }

  private func find() throws -> (reader: SnapshotReader, found: LocatedEntry) {
    let reader = try call.workspace.reader(of: committed)
    return (reader, try reader.require(spelling))
  }

  /// Returns the bytes of the file.
  func content() throws -> HTTPResponse {
    let (reader, found) = try find()
    return try call.contents.response(to: call.request.method, call.workspace, reader, found)
  }

  /// The URL of an entry next to or below this one.
  func url(_ path: [[UInt8]]) -> SiteURL {
    isPart ? .part(image, number, path) : .file(image, number, path)
  }

  /// The URL of this file's content.
  var rawURL: SiteURL {
    SiteURL(
      ["images", image, "\(number)", isPart ? "rawpart" : "raw"].map { Array($0.utf8) } + path)
  }

  func response() throws -> HTTPResponse {
    let (reader, found) = try find()
    var content: [HTML] = []
    if found.entry.kind == .directory {
      content = try directory(reader, found)
    } else {
      content.append(attributes(found))
      if found.entry.blob != nil {
        content += try FileText(page: self, reader: reader, found: found).content()
      }
    }
    let name = path.last.map { HTML.name($0) } ?? .text("Files")
    return Page(
      section: .images,
      title: "\(path.last.map { printable($0) } ?? "Files"), \(image)@\(number)", path: crumbs,
      heading: name, content: content
    ).response()
  }

  private var crumbs: [HTML] {
    var crumbs: [HTML] = [
      .link(.start, "Images"), .link(.image(image), .foreign(image)),
      .link(.snapshot(image, number), "@\(number)"),
    ]
    if !isPart, !path.isEmpty { crumbs.append(.link(url([]), "files")) }
    for depth in path.indices.dropLast().prefix(40) {
      // The directories above a part need not be in the image.
      crumbs.append(
        isPart ? .name(path[depth]) : .link(url(Array(path[...depth])), .name(path[depth])))
    }
    return crumbs
  }

  private func directory(_ reader: SnapshotReader, _ found: LocatedEntry) throws -> [HTML] {
    var children = try reader.children(of: found)
    let total = children.count
    if let after = call.request.query.bytes("after") {
      children.removeAll { !precedes(after, $0.entry.name) }
    }
    let page = children.prefix(Self.directoryLimit)
    var content: [HTML] = []
    if found.entry.content.isMissing {
      content.append(
        .tag(
          "p", .style("note warning"),
          text: "The directory could not be read when the snapshot was taken."))
    }
    if total == 0 {
      content.append(.paragraph(.text("The directory is empty.")))
    } else {
      content.append(
        .table(
          "Entries",
          [
            .wide("Mode"), .wide("Owner"), .number("Size"), .wide("Modified"), .main("Name"),
          ], page.map(row)))
    }
    if page.count < children.count, let last = page.last {
      content.append(
        .paragraph(
          .link(url(path).with("after", last.entry.name), "More entries"),
          .text(" (\(total) in all)")))
    }
    return content
  }

  private func row(_ child: LocatedEntry) -> [HTML] {
    let entry = child.entry
    var name: [HTML] = [.link(url(path + [entry.name]), .name(entry.name))]
    if entry.kind == .directory { name.append(.text("/")) }
    if case .symlink(let target) = entry.content {
      name += [.tag("span", .style("sub"), content: [.text(" → "), .name(target)])]
    }
    return [
      .tag("span", .style("mono"), text: modeText(entry)),
      .tag("span", .style("n"), text: "\(entry.uid):\(entry.gid)"),
      entry.kind == .file ? .size(entry.sizeBytes) : .nothing, .time(entry.modified), .group(name),
    ]
  }

  private func attributes(_ found: LocatedEntry) -> HTML {
    let entry = found.entry
    var rows: [(String, HTML)] = [
      ("Path", .name(found.path)), ("Kind", .text(entry.kind.noun)),
      ("Mode", .tag("span", .style("mono"), text: modeText(entry))),
      ("Owner", .text("\(entry.uid):\(entry.gid)")), ("Modified", .time(entry.modified)),
    ]
    switch entry.content {
    case .file(let blob, let size):
      rows.append(("Size", .size(size)))
      if !entry.mayHaveSparseID {
        rows.append(("SHA-256", .tag("code", .style("id"), text: blob.hex)))
      }
    case .symlink(let target): rows.append(("Leads to", link(to: target)))
    case .device(_, let number): rows.append(("Device", .text("\(number.major):\(number.minor)")))
    case .unreadableFile, .unreadableDirectory, .unreadableNode:
      rows.append(("Content", .text("could not be read when the snapshot was taken")))
    case .directory, .fifo, .socket: break
    }
    if entry.linkGroup != 0 { rows.append(("Links", .text("one of several hard links"))) }
    if entry.xattrs != nil { rows.append(("Attributes", .text("has extended attributes"))) }
    if !entry.flags.isEmpty { rows.append(("Flags", .text(entry.flags.letters))) }
    return .terms(rows)
  }

  /// The target of a link in the root tree, resolved by its text.
  private func link(to target: [UInt8]) -> HTML {
    if isPart { return .name(target) }
    var parts = target.first == 0x2f ? [] : Array(path.dropLast())
    for part in target.split(separator: 0x2f) where part != [0x2e] {
      if part.elementsEqual("..".utf8) { _ = parts.popLast() } else { parts.append(Array(part)) }
    }
    return .link(url(parts), .name(target))
  }
}

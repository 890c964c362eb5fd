// The page of the use of space: the store by image and snapshot, and a snapshot by directory and package.

import HTTPServer
import Images
import Platform

/// Shows the use of space.
struct SpacePage {
  private static let maxRows = 40
  let call: PageCall

  init(_ call: PageCall) { self.call = call }

  func response() throws -> HTTPResponse {
    if call.opener.remote != nil {
      throw ImageError(
        .unsupported, "the use of space", "is not known for a remote",
        hint: "'imgstore du --remote NAME' reads it")
    }
    let overview = try call.space.overview(call.workspace)
    let chosen = try snapshot(overview)
    var content: [HTML] = [store(overview)]
    if let chosen { content.append(try tree(chosen)) }
    return Page(section: .space, title: "Space", content: content).response()
  }

  /// The snapshot that the query names, or the latest one of the largest image.
  private func snapshot(_ overview: SpaceOverview) throws -> CommittedSnapshot? {
    if let text = call.request.query.text("snapshot") {
      return try call.finder.snapshot(reference: text)
    }
    let largest = overview.images.lines.max { $0.use.reachedBytes < $1.use.reachedBytes }
    return try largest.map { try call.finder.snapshot($0.name, "latest") }
  }

  private func store(_ overview: SpaceOverview) -> HTML {
    let images = overview.images
    let groups = Dictionary(grouping: overview.snapshots) { $0.name.image.text }
    let map = Treemap(
      title: "The store by image and snapshot",
      items: groups.map { image, snapshots in
        Treemap.Item(
          name: image, bytes: 0, url: .image(image),
          parts: snapshots.map {
            .init(
              name: "@\($0.name.number)", bytes: $0.addedBytes,
              url: SiteURL.space.with("snapshot", "\($0.name)"))
          })
      })
    return .group([
      .terms([
        ("On disk", .size(images.storeBytes)),
        (
          "Packs",
          .group([.size(images.packBytes), .text(" in \(countText(images.packs, "pack"))")])
        ),
        (
          "To be freed",
          .group([
            .size(images.collectableBytes),
            images.collectableBytes > 0 ? .text(" by ") : .nothing,
            images.collectableBytes > 0 ? .command("imgstore gc") : .nothing,
          ])
        ), ("Index", .size(images.indexBytes)), ("Caches", .size(images.cacheBytes)),
      ]),
      .heading("Images"),
      .paragraph(
        .text(
          "A field is what the store grew with a snapshot: the data that no older snapshot needs.")),
      map.html,
      .table(
        "Space by image",
        [
          .main("Image"), .number("Needed"), .number("Only here"), .wideNumber("Shared"),
          .wideNumber("Freed by removal"),
        ],
        images.lines.prefix(Self.maxRows).map {
          [
            .link(.image($0.name), .foreign($0.name)), .size($0.use.reachedBytes),
            .size($0.use.uniqueBytes), .size($0.use.sharedBytes), .size($0.use.freedBytes),
          ]
        }),
    ])
  }

  private func tree(_ chosen: CommittedSnapshot) throws -> HTML {
    let image = chosen.snapshot.image
    guard let space = try call.space.tree(call.workspace, chosen) else { return .nothing }
    var nodes: [HTML] = [
      .heading("Directories of \(image)@\(chosen.number)", id: "directories"),
      .paragraph(
        .text("Sizes are those of the files before compression, in all "), .size(space.bytes),
        .text(" in \(countText(space.files, "file"))."), .text(" "),
        .link(.snapshot(image, chosen.number), "The snapshot")),
      directoryMap(chosen, space).html,
      shares("Directories", space.directories, space.bytes) { share in
        .link(.file(image, chosen.number, Self.names(share.name)), .message(share.name))
      },
    ]
    if !space.packages.isEmpty {
      nodes += [
        .heading("Packages of \(image)@\(chosen.number)", id: "packages"),
        packageMap(space).html,
        shares("Packages", space.packages, space.bytes) { .foreign($0.name) },
        .paragraph(
          .text("Files of no package: "), .size(space.unowned.bytes),
          .text(" in \(countText(space.unowned.files, "file"))")),
      ]
    }
    return .group(nodes)
  }

  /// The segments of a printable path.
  private static func names(_ path: String) -> [[UInt8]] {
    (bytes(fromPrintable: path) ?? []).split(separator: 0x2f).map(Array.init)
  }

  private func directoryMap(_ chosen: CommittedSnapshot, _ space: TreeSpace) -> Treemap {
    func url(_ name: String) -> SiteURL {
      .file(chosen.snapshot.image, chosen.number, Self.names(name))
    }
    let tops = space.directories.filter { !$0.name.contains("/") }
    return Treemap(
      title: "Files by directory",
      items: tops.map { top in
        let below = space.directories.filter { $0.name.hasPrefix(top.name + "/") }
        let rest = below.reduce(top.bytes) { $0 - min($0, $1.bytes) }
        return Treemap.Item(
          name: top.name, bytes: rest, url: url(top.name),
          parts: below.prefix(30).map {
            .init(
              name: String($0.name.dropFirst(top.name.count + 1)), bytes: $0.bytes,
              url: url($0.name))
          })
      })
  }

  private func packageMap(_ space: TreeSpace) -> Treemap {
    let shown = space.packages.prefix(80)
    let rest = space.packages.dropFirst(80)
    var items = shown.map { Treemap.Item(name: $0.name, bytes: $0.bytes) }
    items.append(
      .init(name: "\(rest.count) other packages", bytes: rest.reduce(0) { $0 &+ $1.bytes }))
    items.append(.init(name: "no package", bytes: space.unowned.bytes))
    return Treemap(title: "Files by package", items: items)
  }

  private func shares(
    _ title: String, _ shares: [TreeSpace.Share], _ total: UInt64,
    _ name: (TreeSpace.Share) -> HTML
  ) -> HTML {
    .table(
      title, [.main("Name"), .wideNumber("Files"), .number("Size"), .number("Share")],
      shares.prefix(Self.maxRows).map { share in
        let permille = total == 0 ? 0 : Int(Double(share.bytes) / Double(total) * 1000 + 0.5)
        return [
          name(share), .number(share.files), .size(share.bytes),
          .text("\(permille / 10).\(permille % 10) %"),
        ]
      })
  }
}

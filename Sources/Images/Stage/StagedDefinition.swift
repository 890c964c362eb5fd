// The definition of a staged snapshot: its own rows, with another directory and the URL of its root image.

import Platform
import Store
import XCAT

/// The definition that points nodes to a snapshot.
struct StagedDefinition {
  /// The root images that the ramdisks of xCAT unpack, by their names (dracut_105/stateless/xcatroot).
  static let rootImages = [
    "rootimg.cpio.gz", "rootimg.cpio.xz", "rootimg.tar.gz", "rootimg.tar.xz", "rootimg.sfs",
  ]
  static let defaultPort = 7070

  let image: String
  let directory: AbsolutePath
  let definition: ImageDefinition
  /// The URL of the snapshot's directory; nil if xCAT's web server passes requests on.
  let url: String?

  /// Derives the definition.
  /// - Parameters:
  ///   - install: xCAT's install directory.
  ///   - master: site.master.
  /// - Throws: `ImageError` (`usage`) for an invalid URL or name.
  init(
    _ snapshot: CommittedSnapshot, _ request: StageRequest, rootImage: String,
    install: AbsolutePath, master: String?
  ) throws {
    image = request.name ?? StagedDefinition.name(of: snapshot)
    try ImageName(image).requirePlain()
    directory = StagedDefinition.directory(of: snapshot, install)
    var definition = snapshot.snapshot.definition
    definition.setRootImageDirectory(directory.text)
    guard !request.isProxied else {
      guard request.server == nil else {
        throw ImageError(
          .usage, "--server", "has no use with --proxied", hint: "Leave one of them out")
      }
      url = nil
      self.definition = definition
      return
    }
    let standard = master.map { "http://\($0):\(StagedDefinition.defaultPort)" }
    guard let server = request.server ?? standard else {
      throw ImageError(
        .usage, "the server's address", "is unknown, because the site table has no master",
        hint: "Name it as nodes reach it: --server http://ADDRESS:\(StagedDefinition.defaultPort)")
    }
    let base = try StagedDefinition.checked(server)
    guard snapshot.name.utf8.allSatisfy(StagedDefinition.isPlain) else {
      throw ImageError(
        .usage, "image \(snapshot.snapshot.image)",
        "has a name that a kernel command line cannot hold", hint: "Boot it by its iPXE script")
    }
    let url = "\(base)/boot/\(snapshot.name)"
    self.url = url
    let before = definition.linuximage["addkcmdline"].map { $0 + " " } ?? ""
    definition.linuximage["addkcmdline"] = "\(before)imgurl=\(url)/\(rootImage)"
    self.definition = definition
  }

  static func name(of snapshot: CommittedSnapshot) -> String {
    "\(snapshot.snapshot.image)-\(snapshot.number)"
  }

  static func directory(of snapshot: CommittedSnapshot, _ install: AbsolutePath) -> AbsolutePath {
    directory(below: install).appending(snapshot.name)
  }

  /// The directory of all staged snapshots.
  private static func directory(below install: AbsolutePath) -> AbsolutePath {
    install.appending("netboot").appending(ImageStager.directoryName)
  }

  /// Returns whether a definition is that of a staged snapshot.
  static func isStaged(_ definition: ImageDefinition, below install: AbsolutePath) -> Bool {
    definition.rootImageDirectory?.hasPrefix(directory(below: install).text + "/") ?? false
  }

  /// Returns the image whose snapshot a definition stages; nil if it stages none.
  static func stagedImage(_ definition: ImageDefinition, below install: AbsolutePath) -> String? {
    guard isStaged(definition, below: install), let path = definition.rootImageDirectory,
      let last = path.split(separator: "/").last, let at = last.lastIndex(of: "@")
    else { return nil }
    return String(last[..<at])
  }

  /// Returns a URL without its last slash.
  private static func checked(_ server: String) throws -> String {
    let text = server.hasSuffix("/") ? String(server.dropLast()) : server
    let rest = ["http://", "https://"].first { text.hasPrefix($0) }.map { text.dropFirst($0.count) }
    guard let rest, let first = rest.utf8.first, first != UInt8(ascii: "/"), rest.utf8.count <= 255,
      rest.utf8.allSatisfy({ isPlain($0) || "/:[]".utf8.contains($0) })
    else {
      throw ImageError(
        .usage, "server '\(printable(server.utf8.prefix(255)))'", "is not a URL of a server",
        hint: "Write http://ADDRESS:\(defaultPort)")
    }
    return text
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "-._~@+".utf8.contains(byte)
    }
  }
}

/// The staged osimages among definitions. Their directory tells: it is one of `stage`.
struct StagedImages {
  /// The names of all staged osimages.
  let names: Set<String>
  private let namesByImage: [String: [String]]

  /// Finds the staged osimages.
  /// - Parameter install: returns the install directory. It is only called if a path looks like that of a
  ///   staged osimage, because it may take a command of xCAT.
  /// - Throws: errors of `install`.
  init(_ definitions: [String: ImageDefinition], below install: () throws -> AbsolutePath) rethrows
  {
    let candidates = definitions.filter {
      $0.value.rootImageDirectory?.contains("/\(ImageStager.directoryName)/") ?? false
    }
    guard !candidates.isEmpty else {
      (names, namesByImage) = ([], [:])
      return
    }
    let install = try install()
    let staged = candidates.filter { StagedDefinition.isStaged($0.value, below: install) }
    names = Set(staged.keys)
    namesByImage = Dictionary(
      grouping: staged.keys.sorted(),
      by: { name in
        staged[name].flatMap { StagedDefinition.stagedImage($0, below: install) } ?? ""
      })
  }

  /// Returns the osimages that stage snapshots of an image, sorted by name.
  func names(of image: String) -> [String] { namesByImage[image] ?? [] }
}

/// The nodes that shall boot a staged image.
struct StagedNodes {
  private(set) var nodes: [StagedNode] = []
  private(set) var changes: [RowChange] = []
  let command: NodesetArguments

  /// Expands a node range.
  /// - Throws: `XCATError` for an invalid range; `ImageError` (`notFound`) for unknown nodes.
  init(_ range: String, _ image: String, _ tables: any TableBackend) throws {
    var lists = try NodeLists(tables)
    let selection = try lists.expand(range)
    guard selection.unknown.isEmpty, !selection.nodes.isEmpty else {
      throw ImageError(
        .notFound, "node range \(printable(range.utf8.prefix(255)))",
        selection.unknown.isEmpty
          ? "has no nodes"
          : "names unknown nodes: \(selection.unknown.prefix(10).joined(separator: ", "))",
        hint: "Nothing was changed; 'nodels' lists the nodes")
    }
    let rows = Dictionary(
      try tables.rows(TableSchema.nodetype.name).compactMap { row in row["node"].map { ($0, row) } }
    ) { first, _ in first }
    for node in selection.nodes {
      let row = rows[node] ?? [:]
      nodes.append(StagedNode(name: node, before: row["provmethod"]))
      guard row["provmethod"] != image else { continue }
      changes.append(
        RowChange(
          schema: .nodetype, key: ["node": node], columns: ["provmethod": image],
          keepsOtherColumns: true
        ).expecting(row.isEmpty ? .absent : .columns(row)))
    }
    command = try NodesetArguments(range: range, image: image)
  }
}

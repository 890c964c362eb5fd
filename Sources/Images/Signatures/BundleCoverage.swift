// Determines which parts of a bundle a statement does not cover. A bundle is covered if the statement names
// everything that an import would apply: files, trees, directories, and each row and value of the manifest.
//
// 1. A statement about a snapshot names components by their paths. A member counts for the path that the
//    manifest gives it, so members cannot be swapped. Members may be missing: a bundle holds less than a
//    snapshot. The manifest must be spelled as our exports spell it, so that none of its bits is free.
// 2. A statement about a bundle names all members. Each must be present, and no others may be.
// 3. For a statement about a snapshot, files that the manifest does not name need no coverage: no import
//    applies them.

import Platform
import Signatures
import Store
import XCAT

/// Compares a bundle with a statement.
struct BundleCoverage {
  private let view: BundleView
  private let statement: Statement
  private let store: ObjectStore
  private let install: AbsolutePath
  private var items: [[UInt8]: Statement.Item] = [:]
  /// The items that are targets of links, by their roles.
  private var linkTargets: [[UInt8]: Statement.Item] = [:]

  init(
    _ view: BundleView, _ statement: Statement, _ store: ObjectStore, install: AbsolutePath
  ) {
    self.view = view
    self.statement = statement
    self.store = store
    self.install = install
    for item in statement.items {
      items[item.path] = item
      if Role(item.role).isLinkTarget { linkTargets[Array(item.role.utf8)] = item }
    }
  }

  /// Returns the parts that the statement does not cover, as messages name them. It is empty if the statement
  /// covers everything.
  /// - Throws: `XCATError` if the manifest has no valid layout; `StoreError`.
  func uncovered() throws -> [String] {
    var names = uncoveredNames()
    switch statement.subject {
    case .bundle: names += uncoveredMembers()
    case .snapshot:
      names += uncoveredRows() + uncoveredValues() + uncoveredPaths()
      names += try uncoveredComponents()
    }
    return names
  }

  private func uncoveredNames() -> [String] {
    let names = [view.manifest.imageName, view.manifest.linuximage["imagename"]].compactMap { $0 }
    return names.allSatisfy { $0.utf8.elementsEqual(statement.image.utf8) }
      ? [] : ["the image's name (the statement is about \(printable(statement.name.utf8)))"]
  }

  // MARK: A statement about a bundle

  private func uncoveredMembers() -> [String] {
    let signed = Dictionary(uniqueKeysWithValues: items.map { ($0.key, Lines($0.value)) })
    var found: Set<[UInt8]> = []
    var names: [String] = []
    for item in view.items {
      found.insert(item.path)
      if signed[item.path] != Lines(item) || hasNanoseconds(item.path) {
        names.append("member \(printable(item.path))")
      }
    }
    for path in signed.keys.sorted(by: precedes) where !found.contains(path) {
      names.append("member \(printable(path)), which is missing")
    }
    return names
  }

  private func hasNanoseconds(_ path: [UInt8]) -> Bool {
    view.members[String(decoding: path, as: UTF8.self)]?.nanoseconds != 0
  }

  /// The fields of an item's line, for comparing strings by their bytes.
  private struct Lines: Equatable {
    let role: [UInt8]
    let numbers: [Int64]
    let content: Statement.Content
    init(_ item: Statement.Item) {
      role = Array(item.role.utf8)
      numbers = [Int64(item.mode), Int64(item.uid), Int64(item.gid), item.seconds]
      content = item.content
    }
  }

  // MARK: A statement about a snapshot

  private func uncoveredRows() -> [String] {
    let manifest = view.manifest
    var names: [String] = []
    let signed = Set(statement.rows.map(\.line))
    func check(_ table: String, _ rows: [[String: String]], _ what: String) {
      let lines = Set(rows.map { Statement.Row(table: table, $0).line })
      let own = Set(statement.rows.filter { $0.table.utf8.elementsEqual(table.utf8) }.map(\.line))
      if !lines.isSubset(of: signed) || !own.isSubset(of: lines) { names.append(what) }
    }
    var linuximage = manifest.definition.linuximage
    // If the table names no template or list, an export names the one that it found.
    for role in [FileAttribute.template, .pkglist].map(\.rawValue) {
      guard let path = linuximage[role], !signs("linuximage", role) else { continue }
      let isComponent = statement.items.contains {
        $0.role.utf8.elementsEqual(role.utf8) && $0.path == Array(path.utf8)
      }
      if isComponent { linuximage[role] = nil }
    }
    if manifest.definition.isDirectory {
      check("directory", [manifest.definition.directory], "the definition's directory row")
    } else {
      check("osimage", [manifest.definition.osimage], "the definition's osimage row")
      check("linuximage", [linuximage], "the definition's linuximage row")
    }
    check("kit", manifest.kits, "the kit rows")
    check("kitrepo", manifest.kitRepositories, "the kit repository rows")
    check("kitcomponent", manifest.kitComponents, "the kit component rows")
    return names
  }

  private func signs(_ table: String, _ column: String) -> Bool {
    statement.rows.contains { row in
      row.table.utf8.elementsEqual(table.utf8)
        && row.columns.contains { $0.name.utf8.elementsEqual(column.utf8) }
    }
  }

  /// Checks single values of the manifest. `uncoveredComponents` checks the paths among them.
  private func uncoveredValues() -> [String] {
    var names: [String] = []
    for (name, value) in view.manifest.values.sorted(by: { $0.key < $1.key })
    where !Manifest.pathKeys.contains(name) {
      // With this value an import only looks for the distribution's media.
      if name == "media", value == "required" { continue }
      var facts = BundleFacts()
      facts.values[name] = value
      let fact = facts.facts.first
      let isSigned = statement.facts.contains { signed in
        guard let fact else { return false }
        return signed.key.utf8.elementsEqual(fact.key.utf8)
          && signed.value.utf8.elementsEqual(fact.value.utf8)
      }
      if !isSigned { names.append("the manifest's <\(printable(name.utf8))>") }
    }
    return names
  }

  /// Checks the manifest's spelling, and its paths that do not place a member.
  private func uncoveredPaths() -> [String] {
    let manifest = view.manifest
    var names: [String] = []
    if (try? manifest.render()) != view.manifestBytes { names.append("manifest.xml") }
    let signed = Set(
      BundleFacts(signedFacts).extras.map { Array("\($0.source)\0\($0.destination)".utf8) })
    for extra in manifest.extras {
      let parts = extra.source.split(separator: "/")
      let inside = parts.joined(separator: "/")
      let name = parts.last.map(String.init) ?? ""
      let own =
        view.isDirectory("extra/\(inside)")
        ? "/\(inside)" : "\(extra.destination)/\(name)"
      if !extra.source.utf8.elementsEqual(own.utf8),
        !signed.contains(Array("\(extra.source)\0\(extra.destination)".utf8))
      {
        names.append("the extra \(printable(extra.source.utf8))")
      }
    }
    for file in manifest.rawImageFiles ?? [] where items[Array(file.utf8)] == nil {
      names.append("the disk image \(printable(file.utf8))")
    }
    if let litefile = manifest.values["litefile"] {
      // Rows are signed, but not the place of their list: every export stores it next to the tree.
      let directory = manifest.values["rootimgtree"]?.utf8.split(
        separator: 0x2f, omittingEmptySubsequences: false
      ).dropLast().joined(separator: [0x2f])
      if directory.map({ Array($0) + Array("/litefile.csv".utf8) }) != Array(litefile.utf8) {
        names.append("the manifest's <litefile>")
      }
    }
    return names
  }

  private var signedFacts: [Snapshot.Fact] { statement.facts.map { .init($0.key, $0.value) } }

  private func uncoveredComponents() throws -> [String] {
    let layout = try BundleLayout(
      reading: view.manifest, renamed: view.manifest, installDirectory: install,
      isDirectory: { view.isDirectory($0) })
    var names: [String] = []
    func check(_ name: String, _ isCovered: Bool) {
      if !isCovered { names.append("member \(printable(name.utf8))") }
    }
    for member in layout.members {
      switch member.shape {
      case .file:
        if member.role == .litefile {
          check(member.name, coversLitefile())
        } else if let found = view.members[member.name] {
          check(member.name, covers(found, at: member.path.bytes))
        } else if !member.isOptional {
          check(member.name, false)
        }
      case .archivedTree: check(member.name, try coversTree(member))
      case .directory: check(member.name, coversDirectory(member))
      case .mergedDirectory:
        for name in view.names(below: member.name) {
          let full = "\(member.name)/\(name)"
          guard let found = view.members[full] else { continue }
          if view.isDirectory(full), view.hasNames(below: full) { continue }
          check(full, covers(found, at: member.path.appending(name).bytes))
        }
      }
    }
    return names
  }

  /// Returns the component at a path. If it is a link to another component, returns that component.
  private func component(_ path: [UInt8], followingLinks: Bool) -> Statement.Item? {
    guard var item = items[path] else { return nil }
    var hops = 0
    while followingLinks, case .link = item.content, hops < 40 {
      let role = Array(Role.target(of: item.path).text.utf8)
      guard let next = linkTargets[role] else { return nil }
      item = next
      hops += 1
    }
    return item
  }

  private func covers(_ member: BundleView.Member, at path: [UInt8]) -> Bool {
    var isLink = false
    if case .link = member.content { isLink = true }
    guard member.nanoseconds == 0, let item = component(path, followingLinks: !isLink) else {
      return false
    }
    switch (member.content, item.content) {
    case (.link(let target), .link(let signed)):
      return target == signed && hasOwner(member, item)
    case (.file(let size, let sha256), .file(let signedSize, let signedSHA256)):
      return size == signedSize && sha256 == signedSHA256 && hasOwner(member, item)
        && member.mode == item.mode & 0o777
    default: return false
    }
  }

  private func hasOwner(_ member: BundleView.Member, _ item: Statement.Item) -> Bool {
    member.uid == item.uid && member.gid == item.gid && member.seconds == item.seconds
  }

  private func coversTree(_ member: BundleMember) throws -> Bool {
    guard let found = view.members[member.name], let tree = found.tree,
      let item = component(member.path.bytes, followingLinks: true),
      case .tree(let signed) = item.content
    else { return false }
    let listing = try TreeListing(tree, from: store)
    guard listing.tree.portable == signed.portable else { return false }
    // A cpio archive stores whole seconds and no attributes, so there are none to cover.
    return listing.tree.attributes == signed.attributes
      || !member.name.hasPrefix("complete/") && !listing.hasAttributes
  }

  private func coversDirectory(_ member: BundleMember) -> Bool {
    let listing = view.listing(of: member.name)
    return statement.items.contains { item in
      guard item.path.split(separator: 0x2f).last.map(Array.init) == Array(member.name.utf8),
        item.role.utf8.elementsEqual(member.role.text.utf8), case .tree(let signed) = item.content
      else { return false }
      return signed.members == listing.digest
    }
  }

  /// Checks that litefile.csv contains signed rows only.
  private func coversLitefile() -> Bool {
    guard let bytes = view.litefile,
      let rows = try? LitefileRows.parse(bytes, allowsUnsafeValues: true),
      let text = try? LitefileRows.render(image: view.manifest.imageName, rows),
      Array(text.utf8) == bytes
    else { return false }
    let signed = Set(
      statement.rows.compactMap { row -> [[UInt8]]? in
        guard row.table.utf8.elementsEqual("litefile".utf8) else { return nil }
        let columns = Dictionary(row.columns.map { ($0.name, $0.value) }) { $1 }
        guard columns["image"] == statement.image, let file = columns["file"] else { return nil }
        let options = LitefileRow(file: file, options: columns["options"] ?? "").options
        return [Array(file.utf8), Array(options.utf8)]
      })
    return rows.allSatisfy { signed.contains([Array($0.file.utf8), Array($0.options.utf8)]) }
  }
}

// Reverts parts of an image, files, directories and components, and leaves the rest of the live image alone.
// It first combines the live image and the snapshot to a target state. A normal revert to that state follows.
//
// 1. A named part that the snapshot lacks is removed. A part that neither side has is an error.
// 2. Symbolic links in a path are not followed: a part is the entry of that name.
// 3. Missing directories on the path get their attributes from the snapshot. If another entry has the name of
//    one, such as a link, nothing is done: the revert would have to remove an entry that nobody named.
// 4. A hard-linked file that is reverted alone becomes a separate file. Its other names keep their content.

import Platform
import Render
import Store
import XCAT

/// The parts of an image to revert.
public struct ImageParts: Sendable, Equatable {
  /// Paths inside the root tree, or absolute paths on the management node.
  public var paths: [String]
  /// "definition", "kernel", "ramdisk", "packed", "tree", a list's attribute ("pkglist"), or one attribute of
  /// the definition ("provmethod", "linuximage.kernelver").
  public var components: [String]

  public init(paths: [String] = [], components: [String] = []) {
    self.paths = paths
    self.components = components
  }

  public var isEmpty: Bool { paths.isEmpty && components.isEmpty }

  /// The first parts, for messages: "etc/hosts, kernel".
  public var text: String {
    let all = paths + components
    return all.prefix(3).joined(separator: ", ")
      + (all.count > 3 ? " and \(all.count - 3) more" : "")
  }
}

/// A state that is combined from the live image and a snapshot.
struct CombinedState {
  var snapshot: Snapshot
  /// Holds the new trees, and all trees of both sides.
  let view: OverlayTree
}

/// Combines the live state with parts of a snapshot.
struct PartCombiner {
  private let live: LiveImage
  private let source: Snapshot
  private let sourceName: String
  private let view: OverlayTree
  private var components: [[UInt8]: Snapshot.Component]
  private var notes: [Snapshot.Note]
  private var definition: ImageDefinition
  private var rows: TableRowSet
  private var edits: [[UInt8]: TreeEdits] = [:]
  /// The directories that the edits create, by component.
  private var createdDirectories: [[UInt8]: Set<RelativePath>] = [:]

  init(_ capture: LiveCapture, _ source: CommittedSnapshot, _ store: ObjectStore) {
    live = capture.live
    self.source = source.snapshot
    sourceName = source.name
    view = OverlayTree(store, objects: capture.source, modified: source.snapshot.created)
    components = Dictionary(live.capture.components.map { ($0.path, $0) }) { $1 }
    notes = live.notes
    definition = live.definition
    rows = live.rows
  }

  /// Returns the live state with the given parts of the snapshot.
  /// - Throws: `ImageError` (`pathNotFound`) for a part that neither side has.
  mutating func combine(_ parts: ImageParts) throws -> CombinedState {
    for path in parts.paths { try bring(path: path) }
    for component in parts.components { try bring(component: component) }
    var growth = TreeGrowth(view)
    for (path, edits) in edits {
      guard var component = components[path] else { continue }
      component.entry = try view.regrouped(view.apply(edits, to: component.entry))
      components[path] = component
    }
    let all = components.values.sorted { precedes($0.path, $1.path) }
    for component in live.capture.components {
      try growth.add(old: component.entry, new: components[component.path]?.entry)
    }
    for component in all
    where !live.capture.components.contains(where: { $0.path == component.path }) {
      try growth.add(old: nil, new: component.entry)
    }
    let snapshot = Snapshot(
      image: source.image, created: source.created, parent: nil, message: "", provenance: [],
      tables: snapshotTables(definition, rows, excludes: live.excludes), components: all,
      notes: notes.filter { $0.kind != .excluded }.sorted { precedes($0.path, $1.path) },
      facts: source.facts,
      entryCount: growth.entries(live.capture.entryCount),
      contentBytes: growth.bytes(live.capture.contentBytes))
    return CombinedState(snapshot: snapshot, view: view)
  }

  // MARK: Paths

  /// A path of a partial revert, in both states.
  private struct PathspecLocation {
    let path: ImagePath
    let old: Snapshot.Component?
    let new: Snapshot.Component?
    var component: [UInt8] { path.component }
    var below: RelativePath { path.path }
  }

  private mutating func bring(path text: String) throws {
    let location = try locate(text)
    try requireNotExcluded(location, text)
    if location.below.isTop { return try bring(whole: location, text) }
    guard let tree = location.old, tree.entry.ids != nil else {
      throw ImageError(
        .pathNotFound, text, "lies in \(printable(location.component)), which is not live",
        hint: "Revert that first")
    }
    let desired = try location.new.flatMap { try view.find(location.below, in: $0.entry) }
    let current = try view.find(location.below, in: tree.entry)
    guard desired != nil || current != nil else { throw notFound(text) }
    honourNotes(at: location)
    guard let desired else {
      edits[location.component, default: TreeEdits()].remove(location.below)
      return
    }
    if desired == current { return }
    if let component = location.new {
      try makeDirectories(above: location, in: tree, from: component)
    }
    edits[location.component, default: TreeEdits()].put(
      location.below, .copied(desired, number: 1))
  }

  private func notFound(_ text: String) -> ImageError {
    ImageError(
      .pathNotFound, "\(sourceName):\(text)", "is neither in that snapshot nor in the live image",
      hint: source.components.contains { $0.role == Role(text) }
        ? "For a component of the image, write '--component \(text)'"
        : "Paths are inside the root tree, or absolute on the management node; links are not followed"
    )
  }

  /// Refuses excluded entries. A revert leaves them alone, so it must not seem to restore one.
  private func requireNotExcluded(_ location: PathspecLocation, _ text: String) throws {
    let note = live.notes.first {
      $0.kind == .excluded && isInside(location.path.bytes, $0.path)
    }
    var pattern = note.map { printable($0.detail.utf8) }
    // An entry that does not exist now has no note.
    if pattern == nil, location.new?.role == .rootTree, live.definition.isDirectory,
      let patterns = try? ExcludePatterns(live.definition.excludes)
    {
      for inside in location.below.prefixes where pattern == nil {
        let isDirectory =
          try inside != location.below
          || location.new.flatMap { try view.find(location.below, in: $0.entry) }?.kind
            == .directory
        pattern = patterns.match(inside, isDirectory: isDirectory)?.text
      }
    }
    guard let pattern else { return }
    throw ImageError(
      .usage, "\(sourceName):\(text)", "is excluded from the image by the pattern '\(pattern)'",
      hint: "'imgstore restore \(sourceName):\(text) DEST' writes it somewhere else")
  }

  /// Adds edits that create the missing directories on a path.
  private mutating func makeDirectories(
    above location: PathspecLocation, in tree: Snapshot.Component, from source: Snapshot.Component
  ) throws {
    for directory in location.below.prefixes.dropLast() {
      if createdDirectories[location.component]?.contains(directory) == true { continue }
      if let there = try view.find(directory, in: tree.entry) {
        if there.kind == .directory { continue }
        let name = directory.text
        throw ImageError(
          .unsupported, "\(sourceName):\(name)",
          "is a directory, but a \(there.kind.noun) in the live image",
          hint: "Revert '\(name)' itself, or a path that does not lead over it")
      }
      guard let desired = try view.find(directory, in: source.entry), desired.ids != nil else {
        continue
      }
      edits[location.component, default: TreeEdits()].put(directory, .emptied(desired))
      createdDirectories[location.component, default: []].insert(directory)
    }
  }

  private mutating func bring(whole location: PathspecLocation, _ text: String) throws {
    guard location.old != nil || location.new != nil else {
      throw ImageError(
        .pathNotFound, "\(sourceName):\(text)", "is neither in that snapshot nor in the live image")
    }
    guard var desired = location.new else {
      components[location.component] = nil
      if let path = AbsolutePath(location.component) {
        notes.append(.init(.createdFile, path: path.bytes))
      }
      return
    }
    desired.path = location.component
    // The tree may be the target of a link here, or there.
    desired.role = location.old?.role ?? desired.role
    components[location.component] = desired
    notes.removeAll { $0.path == location.component && $0.code == .createdFile }
    notes.removeAll {
      $0.kind == .attributesLost && isInside($0.path, location.component)
        || $0.kind == .noImageFiles && desired.role.isOwned
    }
    notes += source.notes.filter {
      $0.kind == .attributesLost && isInside($0.path, location.component)
    }
  }

  /// Copies the snapshot's notes on unreadable entries, so that the revert leaves these alone.
  private mutating func honourNotes(at location: PathspecLocation) {
    notes += source.notes.filter { note in
      note.isUntouchable && isInside(note.path, location.path.bytes) && !notes.contains(note)
    }
  }

  private func locate(_ text: String) throws -> PathspecLocation {
    guard let bytes = bytes(fromPrintable: text) else {
      throw ImageError(
        .usage, "path \(text)", "contains a backslash that does not begin \\xHH, \\n, \\t or \\\\")
    }
    guard !bytes.isEmpty else {
      throw ImageError(.usage, "the path", "is empty", hint: "Write '/' for the whole root tree")
    }
    guard !bytes.split(separator: UInt8(ascii: "/")).contains([0x2e, 0x2e]) else {
      throw ImageError(.usage, "path \(text)", "contains '..'", hint: "Write it without")
    }
    guard let path = RelativePath(written: bytes) else { throw notFound(text) }
    if let absolute = AbsolutePath(bytes) {
      let all = Set(live.capture.components.map(\.path)).union(source.components.map(\.path))
      let above = all.compactMap { AbsolutePath($0) }.filter { absolute.isInside($0) }
      if let component = above.max(by: { $0.bytes.count < $1.bytes.count }),
        let below = absolute.relative(to: component)
      {
        return location(ImagePath(component: component.bytes, path: below))
      }
    }
    let (old, new) = (live.capture.components.rootTree, source.components.rootTree)
    guard let tree = old?.path ?? new?.path else {
      throw ImageError(
        .pathNotFound, "\(sourceName):\(text)",
        "is not a file of the image, and the image has no root tree",
        hint: "'imgstore show \(sourceName)' lists the files of the image")
    }
    return PathspecLocation(
      path: ImagePath(component: tree, path: path), old: old.flatMap { components[$0.path] },
      new: new)
  }

  private func location(_ path: ImagePath) -> PathspecLocation {
    PathspecLocation(
      path: path, old: components[path.component], new: source.component(at: path.component))
  }

  // MARK: Components

  private mutating func bring(component name: String) throws {
    if name == "definition" {
      definition = source.definition
      rows = source.keptRows
      return
    }
    let role = name == "tree" ? .rootTree : Role(name)
    let paths = Set(
      (live.capture.components + source.components).filter { $0.role == role }.map(\.path))
    for path in paths.sorted(by: precedes) {
      try bring(whole: location(ImagePath(component: path)), name)
    }
    let isAttribute = try bring(attribute: name)
    guard isAttribute || !paths.isEmpty else {
      throw ImageError(
        .pathNotFound, "component \(name)", "is neither in \(sourceName) nor in the live image",
        hint:
          "Components are definition, tree, kernel, ramdisk, packed, lists (pkglist) and attributes "
          + "(provmethod)")
    }
  }

  /// Takes an attribute of the definition from the snapshot.
  /// - Returns: false if neither side has that attribute.
  private mutating func bring(attribute name: String) throws -> Bool {
    var isFound = false
    let known = TableSchema.table(of: name)
    for (table, columns) in [
      ("osimage", \ImageDefinition.osimage), ("linuximage", \ImageDefinition.linuximage),
      ("directory", \ImageDefinition.directory),
    ] {
      let isQualified = name.hasPrefix(table + ".")
      guard isQualified || known?.schema.name == table else { continue }
      let column = isQualified ? String(name.dropFirst(table.count + 1)) : known?.column ?? name
      let desired = source.definition[keyPath: columns][column]
      guard desired != nil || definition[keyPath: columns][column] != nil else { continue }
      definition[keyPath: columns][column] = desired
      isFound = true
    }
    return isFound
  }
}

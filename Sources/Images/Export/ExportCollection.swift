// Collects the parts of a bundle: the snapshot's files, extras, the additional files of a complete bundle,
// litefile rows, kits and script lists. Contents go only into the store.

import Archive
import Ingest
import Platform
import Render
import Store
import XCAT

/// Everything that goes into one bundle.
struct ExportCollection {
  private let context: Context
  let install: AbsolutePath
  var input: ExportInput
  private(set) var missing: [MissingFile] = []
  private(set) var remarks: [String] = []
  /// Notes on unreadable entries of extras and of a complete bundle's additional files.
  private(set) var gaps: [Snapshot.Note] = []
  private var components: [AbsolutePath: Snapshot.Component] = [:]
  private let facts: BundleFacts
  private let extraPaths: Set<AbsolutePath>
  /// Directories that the image's links may lead to, besides the install directory and the link's own.
  private let allowed: [AbsolutePath]
  /// Returns the scrubbed form of a tree; nil to export trees unchanged.
  var scrubTree: ((Entry) throws -> (OverlayTree, Entry))?
  /// Caches segments of compressed trees and of the bundle itself.
  private let cache: SegmentCache

  init(
    _ context: Context, _ snapshot: CommittedSnapshot, _ request: ExportRequest,
    _ store: ObjectStore, _ cache: SegmentCache
  ) throws {
    self.context = context
    self.cache = cache
    let state = snapshot.snapshot
    let tables = try context.tables()
    install = try context.installDirectory(tables)
    for component in state.components {
      if let path = AbsolutePath(component.path) { components[path] = component }
    }
    facts = request.carriesFacts ? BundleFacts(state.facts) : BundleFacts()
    input = ExportInput(image: state.image, definition: state.definition, files: [])
    allowed = try request.allowed.map { text in
      guard let path = AbsolutePath(text) else {
        throw ImageError(.usage, "--allow \(text)", "is not a clean absolute path")
      }
      return path
    }
    let extras = try ExportCollection.extras(request, context)
    extraPaths = Set(extras.map(\.source))
    input.extras = extras
    input.carriedExtras = facts.extras
    input.carriedMembers = facts.extraMembers.compactMap { member in
      AbsolutePath(member.path).map { (member.name, $0) }
    }
    try collectClosure(request, state.definition, snapshot)
    let captured = try capture(
      input.extras.map(\.source).filter { components[$0] == nil }
        + input.closure.filter { components[$0] == nil }, store)
    remarks += captured.remarks
    gaps = captured.gaps
    for component in captured.components {
      if let path = AbsolutePath(component.path) { components[path] = component }
    }
    input.files = components.filter { !$0.value.role.isLinkTarget }
      .sorted { precedes($0.key.bytes, $1.key.bytes) }
      .map { ($0.value.role, $0.key) }
    try collectRows(request, state, tables)
  }

  // MARK: Collecting

  private static func extras(
    _ request: ExportRequest, _ context: Context
  ) throws -> [ExportExtra] {
    try request.extras.map { extra in
      let path = AbsolutePath(absolute(extra.source))
      guard let path, let kind = try ImageCapturer(context).statLive(path)?.kind,
        kind == .file || kind == .directory
      else {
        throw ImageError.sentence(
          .notFound, "Can not find Extra file \(extra.source).",
          hint: "Name an existing file or directory; nothing was exported")
      }
      let destination = extra.destination ?? (kind == .file ? path.parent : path).text
      return ExportExtra(source: path, destination: destination, isDirectory: kind == .directory)
    }
  }

  private func capture(
    _ paths: [AbsolutePath], _ store: ObjectStore
  ) throws -> (components: [Snapshot.Component], gaps: [Snapshot.Note], remarks: [String]) {
    var seen: Set<AbsolutePath> = []
    let requests = paths.filter { seen.insert($0).inserted }.map {
      CaptureRoot(role: .extra, path: $0)
    }
    // A bundle of only the snapshot's files needs no session, so a read-only store is enough.
    if requests.isEmpty { return ([], [], []) }
    let session = try store.beginSession()
    let captured = try StoreProtection(context).newCapture().run(
      requests, cache: nil, into: .store(session))
    try session.finish()
    let left = captured.notes.filter(\.isExclusion)
    return (
      captured.components, captured.notes.filter(\.isProblem),
      left.map { "\(printable($0.path)) is not fully in the bundle: \($0.reason)" }
    )
  }

  /// Collects the dependencies that xCAT's export omits. A complete bundle includes them; another one lists
  /// them as missing.
  private mutating func collectClosure(
    _ request: ExportRequest, _ definition: ImageDefinition, _ snapshot: CommittedSnapshot
  ) throws {
    let closure = ImageDependencies(
      of: definition, installDirectory: install, in: ImageCapturer(context).fileView)
    for needed in closure.needed {
      if request.isComplete {
        if needed.isFromXCAT { continue }
        if needed.isDirectory, needed.role != .rootTree {
          guard needed.path.isInside(install), needed.path != install else {
            missing.append(
              MissingFile(
                path: needed.path.text,
                reason: "\(needed.referrer), a directory outside \(install.text)"))
            continue
          }
          input.extras.append(
            ExportExtra(
              source: needed.path, destination: needed.path.text, isDirectory: true))
        } else {
          input.closure.append(needed.path)
        }
      } else if !needed.isFromXCAT {
        let reason =
          needed.role == .rootTree
          ? "a bundle has the packed image instead, unless it is complete (--complete)"
          : needed.referrer
        missing.append(MissingFile(path: needed.path.text, reason: reason))
      }
    }
    if let target = definition.bootTarget {
      remarks.append(
        "boottarget names the row '\(printable(target.utf8))' of the table boottarget, which bundles do "
          + "not include: copy it with tabdump and tabrestore")
    }
    for problem in closure.problems { remarks.append(problem.error.message) }
    if request.isComplete {
      for media in closure.media {
        remarks.append(
          "\(media.attribute) \(media.location) holds media, which bundles do not include")
      }
    }
  }

  private mutating func collectRows(
    _ request: ExportRequest, _ state: Snapshot, _ tables: any TableBackend
  ) throws {
    func rows(_ schema: TableSchema) -> [[String: String]] {
      state.keptRows.present.filter { $0.key.table == schema.name }
        .sorted { $0.key.text < $1.key.text }.map { $0.value.merging($0.key.key) { $1 } }
    }
    input.kits = rows(.kit)
    input.kitRepositories = rows(.kitrepo)
    input.kitComponents = rows(.kitcomponent)
    if state.definition.provisioning == .statelite {
      let groups = state.definition.groups
      input.litefile = Array(
        try LitefileRows.render(
          image: state.image,
          try LitefileRows.of(image: state.image, groups: groups, tables)
        ).utf8)
    }
    input.values = facts.values
    if let node = request.postscriptsOf {
      var nodes = try NodeLists(tables)
      let selection = try nodes.expand(node)
      guard let first = selection.nodes.first, selection.unknown.isEmpty else {
        throw ImageError.sentence(
          .notFound, "Unable to get postscripts, \(node) is not a valide node.",
          hint: "Name a node or a group that is defined in xCAT: 'nodels' lists them")
      }
      let scripts = try nodes.scripts(of: first)
      input.values["postscripts"] = scripts.postscripts
      input.values["postbootscripts"] = scripts.postbootscripts
    }
  }

  // MARK: Members

  /// Returns the bundle's contents for signatures.
  func view(
    _ layout: ExportLayout, _ manifest: [UInt8], _ files: [RenderedFile],
    _ snapshot: CommittedSnapshot
  ) throws -> BundleView {
    var trees: [String: Entry] = [:]
    // A scrubbed tree is not in the snapshot.
    for member in scrubTree == nil ? layout.members : [] {
      switch member.source {
      case .compressedTree(let path), .tree(let path):
        trees[member.name] = try component(path).entry
      case .bytes, .file, .directory: break
      }
    }
    return try BundleView(
      manifest: manifest, files: files, trees: trees, modified: snapshot.snapshot.created,
      try context.store())
  }

  /// Returns the members with their bytes. Directories become one member per entry, and trees are rendered.
  func rendered(
    _ layout: ExportLayout, _ report: (BundleEvent) -> Void
  ) throws -> [RenderedFile] {
    var files: [RenderedFile] = []
    for member in layout.members {
      switch member.source {
      case .bytes(let bytes):
        report(.litefileRows)
        files.append(file(member.name, member.name, .bytes(bytes)))
      case .file(let path):
        let isExtra = extraPaths.contains(path)
        report(isExtra ? .collectedExtra(path: path.text) : .collected(path: path.text))
        files.append(file(member.name, path.text, .entry(try component(path).entry)))
      case .directory(let path):
        report(.collectedExtra(path: path.text))
        try spread(try component(path).entry, member.name, path, &files)
      case .compressedTree(let path):
        report(.packingTree)
        files.append(try tree(member.name, path, .cpio))
      case .tree(let path):
        report(.packingTree)
        files.append(try tree(member.name, path, .tar))
      }
    }
    return files
  }

  private func file(
    _ name: String, _ path: String, _ source: RenderedFile.Source
  ) -> RenderedFile {
    RenderedFile(name: name, path: path, source: source)
  }

  private func component(_ path: AbsolutePath) throws -> Snapshot.Component {
    guard let component = components[path] else {
      throw ImageError(
        .filesMissing, path.text, "belongs to the image, but is not in its snapshot",
        hint: "Restore the file and export again")
    }
    guard component.entry.kind == .symlink else { return component }
    let target = Array(components.values).followed(component)
    // A link within a directory that the bundle carries stays a link. Its target replaces any other link.
    let isCarried = component.role == .extra || component.role == .kit
    if isCarried, target?.role.isLinkTarget != true { return component }
    guard let target else {
      throw ImageError(
        .filesMissing, path.text, "is a dangling symbolic link",
        hint: "Repair the link and export again")
    }
    try requireExportable(target, from: path)
    return target
  }

  /// Refuses a link whose target is outside the allowed directories. Otherwise a user who may write to a
  /// list's directory could export any file of root to other sites.
  /// - Throws: `ImageError` if the target must not be exported.
  private func requireExportable(
    _ target: Snapshot.Component, from link: AbsolutePath
  ) throws {
    guard let path = AbsolutePath(target.path) else { return }
    let directories = [install, ImageDependencies.xcatRoot, link.parent] + allowed
    let isAllowed = try directories.contains { directory in
      let real = try LivePaths(context).realPath(directory) ?? directory
      return path.isInside(directory) || path.isInside(real)
    }
    guard !isAllowed else { return }
    throw ImageError(
      link.text, "is a link to \(path.text), outside of \(install.text)",
      hint:
        "Nothing was exported; set the attribute to the path of that file, or allow its directory "
        + "with --allow \(path.parent.text)")
  }

  /// Returns the layout of the bundle.
  func layout() throws(XCATError) -> ExportLayout {
    try ExportLayout(input, installDirectory: install)
  }

  /// Returns the component at a path, links followed.
  func component(at path: AbsolutePath) throws -> Snapshot.Component { try component(path) }

  /// Returns the role of the component at a path; nil if there is none.
  func role(of path: AbsolutePath) -> Role? { components[path]?.role }

  /// Renders a tree to a compressed archive in an unnamed temporary file. A tar header needs its size first.
  private func tree(
    _ name: String, _ path: AbsolutePath, _ form: ArchiveEntryList.Form
  ) throws -> RenderedFile {
    let store = try context.store()
    let stored = try component(path).entry
    let (view, entry) =
      try scrubTree?(stored) ?? (OverlayTree(store, modified: stored.modified), stored)
    let spool = try Spool(store) { sink in try compress(entry, view, store, form, sink) }
    return file(name, path.text, .spool(spool))
  }

  /// Writes a tree as a segmented archive. Segments that did not change since the last run are copied from
  /// the cache.
  private func compress(
    _ entry: Entry, _ view: OverlayTree, _ store: ObjectStore, _ form: ArchiveEntryList.Form,
    _ sink: @escaping ByteSink
  ) throws {
    let entries = try ArchiveEntryList(
      entry, from: view, as: form, named: Array("rootimg".utf8)
    ) { _ in true }
    context.progress.begin("archiving", totalBytes: entries.contentBytes)
    var counts = TreeArchiveCounts()
    // Frames of one size move with every change before them, so the cache would not find them again.
    let codec: SegmentCodec = form == .cpio ? .gzip : scrubTree == nil ? .zstdFast : .zstd
    let renderer = SegmentRenderer(
      store, view: view, cache: codec == .zstdFast ? nil : cache, codec: codec,
      progress: context.progress)
    _ = try renderer.render(
      { body in
        let (trailer, written) = try entries.forEach(body)
        counts = written
        return trailer
      }, to: sink)
    if counts.droppedXattrs > 0 {
      context.reporter.warn(
        "\(counts.droppedXattrs) files have extended attributes or capabilities, which the "
          + "cpio archive of a statelite bundle cannot store")
    }
  }

  /// Appends a directory and all entries below it as separate members.
  private func spread(
    _ entry: Entry, _ name: String, _ path: AbsolutePath, _ files: inout [RenderedFile]
  ) throws {
    files.append(file(name, path.text, .entry(entry)))
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: try context.store()) {
      guard let text = String(validating: child.name, as: UTF8.self) else {
        throw ImageError(
          path.appending(child.name).text,
          "has a name that is not UTF-8, which no import would accept",
          hint: "Rename the file")
      }
      // `gaps` names it.
      if child.content.isMissing { continue }
      switch child.kind {
      case .directory: try spread(child, "\(name)/\(text)", path.appending(child.name), &files)
      case .file, .symlink:
        files.append(file("\(name)/\(text)", path.appending(child.name).text, .entry(child)))
      case .characterDevice, .blockDevice, .fifo, .socket:
        context.reporter.warn(
          "\(path.appending(child.name).text) is a \(child.kind.noun), which bundles do not include: "
            + "left out")
      }
    }
  }
}

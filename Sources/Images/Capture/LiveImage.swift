// Captures the live image for comparison with the store: the first step of snapshot, status, diff and revert.

import Ingest
import Platform
import Store
import XCAT

/// A captured live image.
struct LiveImage: Sendable {
  let definition: ImageDefinition
  let rows: TableRowSet
  var capture: CaptureResult
  let notes: [Snapshot.Note]
  let cache: StatCache?
  /// The packed files whose content the store has, or gets as recipes, so that the capture did not read them.
  let candidates: [RecipeCandidate]
  /// The patterns that excluded entries of the root tree: lists of gitignore(5) lines.
  let excludes: [[String]]

  var tables: [Snapshot.Table] { snapshotTables(definition, rows, excludes: excludes) }

  /// Returns the image as one side of a comparison.
  /// - Parameter source: holds the objects of the captured trees.
  func state(from source: any ObjectSource, named name: String = "live") -> ImageState {
    ImageState(
      name: name, definition: definition, rows: rows, components: capture.components,
      source: source,
      notes: notes)
  }
}

/// What a capture of a live image covers.
struct CaptureScope {
  let definition: ImageDefinition
  /// The snapshot that the live image is compared with, or will become. Its excludes apply, too.
  var target: Snapshot?
  /// The trees that a change brings, besides the target's; nil if nothing will be changed.
  var change: [Entry]?
  /// Files in addition to those that the definition names.
  var additional: [CaptureRoot] = []
  /// Table rows in addition to those of the image.
  var rows: Set<RowKey> = []
  /// The name prefix of leftovers that are captured like any other entry; nil for none.
  var leftovers: [UInt8]?
  var recipes = Recipes.none
  /// The files that were written just now. They are not read again unless their attributes have changed.
  var verifiedFiles = VerifiedFiles()
  /// An earlier capture of a tree that is not walked again.
  var known: CaptureResult?

  /// The packed files that are stored as recipes instead of chunks.
  enum Recipes {
    case none
    /// Those that are recipes in the latest snapshot.
    case existing
    case all
  }

  init(
    _ definition: ImageDefinition, additional: [CaptureRoot] = [], rows: Set<RowKey> = [],
    recipes: Recipes = .none
  ) {
    self.definition = definition
    self.additional = additional
    self.rows = rows
    self.recipes = recipes
  }
}

/// Captures live images.
struct ImageCapturer: Collaborator {
  let context: Context

  /// Returns the current files of an image: those that its definition names, those that xCAT would find, the
  /// directories of its kits, files from its bundle, and `others`.
  func requests(
    _ definition: ImageDefinition, latest: Snapshot?, additional others: [CaptureRoot] = []
  ) throws -> (all: [CaptureRoot], named: Set<AbsolutePath>) {
    let tables = try context.tables()
    var files = try imageFiles(definition, context.installDirectory(tables))
    for (schema, rows) in try LiveRows(context).kitRows(definition, tables) where schema == .kit {
      for directory in rows.compactMap({ $0["kitdir"] }).compactMap({ AbsolutePath($0) }) {
        files.append(ImageFile(role: .kit, path: directory, isNamed: true))
      }
    }
    var seen: Set<AbsolutePath> = []
    var all: [CaptureRoot] = []
    for file in files where seen.insert(file.path).inserted {
      all.append(CaptureRoot(role: file.role, path: file.path))
    }
    let carried = (latest?.components ?? []).filter(\.role.isCarried)
    for other in carried.compactMap(CaptureRoot.init) + others
    where seen.insert(other.path).inserted { all.append(other) }
    return (all, Set(files.filter(\.isNamed).map(\.path)))
  }

  /// Returns the files of a definition on this management node.
  func imageFiles(
    _ definition: ImageDefinition, _ install: AbsolutePath
  ) throws -> [ImageFile] {
    try ImageFiles.all(definition, installDirectory: install, in: fileView)
  }

  /// The management node's files below the workspace's root.
  var fileView: FileProvider {
    FileProvider(
      kind: { [self] path in
        switch try statLive(path)?.kind {
        case .file: .file
        case .directory: .directory
        default: .absent
        }
      },
      read: { [self] path in
        guard try statLive(path)?.kind == .file else { return nil }
        let location = try context.resolver.resolve(path)
        return try context.fileSystem.readSmallFile(at: location.directory.raw, location.name)
      },
      list: { [self] path in
        guard try statLive(path)?.kind == .directory else { return [] }
        let location = try context.resolver.resolve(path)
        let directory = try context.fileSystem.openDirectory(
          at: location.directory.raw, location.name)
        return try context.fileSystem.names(of: directory.raw).sorted(by: precedes)
      })
  }

  /// Returns the attributes of the entry at a path, links followed; nil if there is none.
  func statLive(_ path: AbsolutePath) throws -> FileStat? {
    do throws(SystemError) {
      let location = try context.resolver.resolve(path)
      return try context.fileSystem.statIfPresent(at: location.directory.raw, location.name)
    } catch {
      if error.isAbsent || error.code == .loop { return nil }
      throw error
    }
  }

  /// Captures the live image. Requests and stat cache are loaded once.
  /// - Throws: `ImageError`, `StoreError`, `XCATError`, `SystemError`.
  func captureLive(
    _ image: ImageName, _ scope: CaptureScope, latest: CommittedSnapshot?,
    into destination: CaptureDestination
  ) throws -> LiveImage {
    try requireProc()
    let store = try context.store()
    let definition = scope.definition
    let cache = try validCache(image, store)
    let (requests, named) = try requests(
      definition, latest: latest?.snapshot, additional: scope.additional)
    let candidates =
      scope.recipes == .none
      ? []
      : try RecipeConverter(context).recipeCandidates(
        requests, cache, latest: latest?.snapshot, includesNew: scope.recipes == .all)
    var capturer = try StoreProtection(context).newCapture()
    capturer.capturedLeftovers = scope.leftovers
    capturer.known = scope.known
    let excludes = try DirectoryExcludes(context).excludes(
      of: image, definition, and: scope.target, change: scope.change)
    capturer.excludes = try DirectoryExcludes(context).treeExcludes(
      definition, excludes, latest: latest?.snapshot)
    if case .store = destination {
      capturer.predecessors = try EarlierVersions(context)
        .snapshot(for: image, latest: latest?.snapshot)
        .map { Predecessors(store, $0, for: requests) }
    }
    let capture = try capturer.run(
      requests, cache: cache,
      verifiedFiles: candidates.isEmpty ? scope.verifiedFiles : VerifiedFiles(candidates),
      into: destination
    ).withOneRootTree(definition)
    let absent = capture.absent.filter { named.contains($0.path) }.map {
      Snapshot.Note(
        .absent, path: $0.path.bytes,
        detail: definition.isDirectory
          ? "if it was moved, run 'imgstore add \(image) NEWDIR'" : "named by \($0.role.text)")
    }
    let missing = try noImageFiles(definition, capture).map { [$0] } ?? []
    return LiveImage(
      definition: definition,
      rows: try LiveRows(context).liveRows(image, definition, additional: scope.rows),
      capture: capture,
      notes: (capture.notes + absent + missing).sorted { precedes($0.path, $1.path) },
      // The cache is not that of a known tree, and must be saved.
      cache: scope.known == nil ? cache : nil, candidates: candidates,
      excludes: excludes.lists.map(\.lines))
  }

  /// Returns a note if a diskless image's directory is empty or missing: its file system is not mounted, or
  /// the definition has a typo.
  private func noImageFiles(
    _ definition: ImageDefinition, _ capture: CaptureResult
  ) throws -> Snapshot.Note? {
    guard definition.provisioning.isDiskless,
      !definition.osVersion.contains("esx"),
      !capture.components.contains(where: \.role.isOwned)
    else { return nil }
    let directory = ImageFiles.bootDirectory(
      definition, installDirectory: try context.installDirectory(try context.tables()))
    return Snapshot.Note(
      .noImageFiles, path: directory?.bytes ?? [0x2f],
      detail: directory == nil
        ? ImageFiles.rootDirectoryFault(definition) ?? "rootimgdir is not set" : "")
  }

  /// Returns the stat cache if its base snapshot, or one with the same components, still exists. The caller's
  /// lease, or the image's lock, keeps that snapshot.
  func validCache(_ image: ImageName, _ store: ObjectStore) throws -> StatCache? {
    guard let cache = StatCache.load(store.layout, key: context.cacheKey(image)) else { return nil }
    for number in try store.refs.numbers(of: image).reversed() {
      guard let committed = try? store.refs.read(image, number) else { continue }
      if committed.id == cache.base || cache.isCovered(by: committed.snapshot.components) {
        return cache
      }
    }
    return nil
  }

  /// Saves the stat cache of a captured image for a snapshot with the same components.
  func saveCache(of live: LiveImage, _ image: ImageName, base: CommittedSnapshot) {
    guard let layout = try? context.store().layout else { return }
    live.capture.saveCache(
      layout, key: context.cacheKey(image), base: base.id, replacing: live.cache)
  }

  /// Renews the stat cache of a captured image after files in it lost names elsewhere. Otherwise the next
  /// capture would read these files once more.
  func renewCache(of live: LiveImage, _ image: ImageName, after unlinked: UnlinkedFiles) {
    let key = context.cacheKey(image)
    guard !unlinked.isEmpty, let layout = try? context.store().layout,
      let saved = StatCache.load(layout, key: key), saved.isCovered(by: live.capture.components)
    else { return }
    live.capture.saveCache(layout, key: key, base: saved.base, after: unlinked)
  }

  /// Returns the definition from xCAT's tables.
  /// - Throws: `ImageError` (`imageNotFound`) if no table defines the image.
  func definition(of image: ImageName) throws -> ImageDefinition {
    guard let definition = try context.tables().definition(of: image.text) else {
      throw try ImageResolver(context).notDefined(image)
    }
    return definition
  }
}

extension Snapshot {
  /// The paths of the components, for a capture of their current state.
  var requests: [CaptureRoot] { components.compactMap(CaptureRoot.init) }

  func component(at path: [UInt8]) -> Component? { components.component(at: path) }
}

extension CaptureRoot {
  init?(_ component: Snapshot.Component) {
    guard let path = AbsolutePath(component.path) else { return nil }
    self.init(role: component.role, path: path)
  }
}

extension VerifiedFiles {
  fileprivate init(_ candidates: [RecipeCandidate]) {
    self.init(
      candidates.lazy.map { (path: ImagePath(component: $0.path), file: $0.verifiedFile) })
  }
}

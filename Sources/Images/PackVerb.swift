// imgstore pack: the root tree becomes the one file that nodes download, as xCAT's packimage makes it.
//
// 1. What is packed is in the store first: a changed tree is snapshotted.
// 2. The live tree is not touched; what packing changes in it is a view (`PackEdits`).
// 3. The same snapshot packs to the same bytes, with any cache and on any number of cores.

import Codec
import Ingest
import Platform
import Render
import Store
import XCAT

/// How entries are put one behind another.
public enum PackMethod: String, Sendable, CaseIterable {
  case cpio
  case tar
}

/// What to pack, and how.
public struct PackRequest: Sendable {
  /// An image name packs the live tree; a reference to a snapshot packs that one, to `output`.
  public var reference: String
  public var method = PackMethod.cpio
  public var codec = SegmentCodec.gzip
  /// Files of synclists are left out (`--nosyncfiles`).
  public var skipsSyncfiles = false
  /// The file to write; nil for the image's own, `rootimg.METHOD.SUFFIX` in its folder.
  public var output: String?
  public var threads = processorCount
  public var cacheLimitBytes = SegmentCache.defaultLimitBytes
  public init(_ reference: String) { self.reference = reference }
}

/// What packing did.
public struct PackOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  /// A snapshot was taken, because the tree had changed.
  public let isNewSnapshot: Bool
  public let destination: String
  public let report: RenderReport
  public let counts: TreeArchiveCounts
  /// What an administrator should know; not all of it is a problem.
  public let remarks: [String]
  public let seconds: Double
}

extension SegmentCodec {
  /// As file names end.
  public var suffix: String {
    switch self {
    case .gzip: "gz"
    case .zstd: "zst"
    }
  }
}

extension Workspace {
  /// Packs the root tree.
  /// - Throws: `ImageError`, `XCATError`, `StoreError`, `SystemError`. The file that was there before
  ///   is whole then.
  public func pack(_ request: PackRequest) throws -> PackOutcome {
    let start = monotonicSeconds()
    let reference = try Reference(request.reference)
    let source = try packSource(reference, request)
    let lock = try source.tree.map { try ImageOperationLock.acquire(resolver, tree: $0) } ?? nil
    defer { withExtendedLifetime(lock) {} }
    let (top, snapshot, isNew) = try packedTree(source)
    let store = try store()

    progress.begin("listing")
    let created = try firstTime(of: top, snapshot, source.image)
    let view = TreeView(store, modified: created)
    let tables = try tables()
    var edits = PackEdits(
      resolver: resolver, installDirectory: try installDirectory(tables), site: tables.site,
      rootPassword: try tables.rows("passwd", where: (column: "key", value: "system"))
        .first { $0["username"] == "root" })
    try edits.collect(top, view, image: source.image.text, created: created)
    let list = try excludeList(source.definition).addingIncludes(edits.includes)
    let entries = try TreeEntries(
      try view.apply(edits.edits, to: top), from: view, as: request.method == .cpio ? .cpio : .tar,
      keeping: list.keeps)

    let place = try destination(source, request)
    let file = try PackedFile(fileSystem, place.resolved)
    progress.begin("packing", totalBytes: entries.contentBytes)
    let renderer = SegmentRenderer(
      store, cache: SegmentCache(store.layout, limitBytes: request.cacheLimitBytes),
      codec: request.codec, threads: request.threads, progress: progress)
    var counts = TreeArchiveCounts()
    let report = try renderer.render(
      { body in
        let (trailer, written) = try entries.forEach(body)
        counts = written
        return trailer
      }, to: { try file.write($0) })
    progress.begin("syncing")
    try file.publish()
    return PackOutcome(
      snapshot: snapshot, isNewSnapshot: isNew, destination: place.text, report: report,
      counts: counts,
      remarks: edits.remarks + remarks(counts, list)
        + (request.skipsSyncfiles ? [] : syncRemarks(source.definition))
        + shadowing(place, request), seconds: monotonicSeconds() - start)
  }

  // MARK: What

  private struct PackSource {
    let image: ImageName
    let definition: ImageDefinition
    /// The image's folder, and its root tree.
    let folder: AbsolutePath
    /// The live tree; nil where a snapshot is packed.
    let tree: AbsolutePath?
    /// Where it is not the live tree.
    let snapshot: CommittedSnapshot?
  }

  private func packSource(_ reference: Reference, _ request: PackRequest) throws -> PackSource {
    let isLive = !request.reference.contains("@")
    let snapshot = isLive ? nil : try find(reference)
    let image = try ImageName(snapshot?.snapshot.image ?? reference.image)
    guard isLive || request.output != nil else {
      throw ImageError(
        request.reference, "is a snapshot, and would replace what nodes of the live image load",
        advice: "Name a file with --output, or revert to the snapshot and pack '\(image)'")
    }
    let definition = try snapshot?.snapshot.definition ?? self.definition(of: image)
    guard ["netboot", "statelite"].contains(definition.provisioning) else {
      throw ImageError(
        "image \(image)",
        "cannot be used to build diskless image. Make sure osimage.provmethod is "
          + "'netboot'.", advice: "Its provmethod is '\(definition.provisioning)'")
    }
    guard
      let folder = ImageFiles.bootDirectory(
        definition, installDirectory: try installDirectory(try tables()))
    else {
      throw ImageError(
        "image \(image)", "has no rootimgdir, and not all of osvers, osarch and profile",
        advice: "Set it: 'imgstore define \(image) rootimgdir=…'")
    }
    return PackSource(
      image: image, definition: definition, folder: folder,
      tree: isLive ? folder.appending("rootimg") : nil, snapshot: snapshot)
  }

  /// The tree in the store: that of the latest snapshot where the live one is the same.
  private func packedTree(
    _ source: PackSource
  ) throws -> (top: Entry, snapshot: CommittedSnapshot, isNew: Bool) {
    func top(_ snapshot: CommittedSnapshot) throws -> Entry {
      guard
        let piece = snapshot.snapshot.pieces.first(where: { $0.role == ImageFiles.rootTree }),
        piece.entry.ids != nil
      else {
        throw ImageError(
          snapshot.name, "has no root tree",
          advice: "Run genimage first; the tree belongs into \(source.folder.text)/rootimg")
      }
      return piece.entry
    }
    if let snapshot = source.snapshot { return (try top(snapshot), snapshot, false) }
    guard let tree = source.tree else { preconditionFailure("neither live nor a snapshot") }
    let store = try store(create: true)
    let lock = try lock(source.image, store)
    defer { withExtendedLifetime(lock) {} }
    let latest = try store.refs.latestReadable(of: source.image)
    if let latest {
      let live = try Capture(resolver, progress: progress).run(
        [PieceRequest(role: ImageFiles.rootTree, path: tree)],
        cache: try validCache(source.image, store), into: .memory(MemoryObjects(over: store)))
      if let piece = live.pieces.first, let known = latest.snapshot.piece(at: tree.bytes),
        known.entry == piece.entry
      {
        return (try top(latest), latest, false)
      }
    }
    let outcome = try commitLive(
      source.image, source.definition, unlessChanged: true, message: "", command: "pack")
    return (
      try top(outcome.committed), outcome.committed, outcome.committed.number != latest?.number
    )
  }

  /// When this tree came to be, as far as the history tells: snapshots that only other files made
  /// necessary, the packed image among them, change nothing in what is packed.
  private func firstTime(
    of top: Entry, _ snapshot: CommittedSnapshot, _ image: ImageName
  ) throws -> Timestamp {
    let refs = try store().refs
    var time = snapshot.snapshot.created
    for number in try refs.numbers(of: image).reversed() where number < snapshot.number {
      guard let earlier = try? refs.read(image, number).snapshot,
        earlier.pieces.contains(where: { $0.role == ImageFiles.rootTree && $0.entry == top })
      else { break }
      time = earlier.created
    }
    return time
  }

  private func excludeList(_ definition: ImageDefinition) throws -> ExcludeList {
    try ExcludeList.parse(files: ImageFiles.paths(of: "exlist", definition)) { path in
      let place = try resolver.resolve(path)
      guard
        try fileSystem.statIfPresent(at: place.directory.raw, place.name, followLink: true) != nil
      else { return nil }
      return try fileSystem.readSmallFile(
        at: place.directory.raw, place.name, limitBytes: 16 << 20)
    }
  }

  // MARK: Where

  private func destination(
    _ source: PackSource, _ request: PackRequest
  ) throws -> (resolved: ResolvedPath, text: String, isOwn: Bool) {
    let name = "rootimg.\(request.method.rawValue).\(request.codec.suffix)"
    guard let output = request.output else {
      let path = source.folder.appending(name)
      return (try resolver.resolve(path, followLast: false), path.text, true)
    }
    guard let path = AbsolutePath(absolute(output)) else {
      throw ImageError("output \(output)", "is not a clean path")
    }
    let system = try PathResolver(
      fileSystem,
      root: fileSystem.openDirectory(at: fileSystem.workingDirectory, [0x2f], followLink: true))
    return (try system.resolve(path), path.text, false)
  }

  // MARK: What to know

  private func remarks(_ counts: TreeArchiveCounts, _ list: ExcludeList) -> [String] {
    var lines: [String] = []
    if counts.droppedXattrs > 0 {
      lines.append(
        "cpio keeps no extended attributes: those of \(counts.droppedXattrs) entries "
          + "(capabilities, labels) are not in the packed image; --method tar keeps them")
    }
    if counts.clampedTimes > 0 {
      lines.append("\(counts.clampedTimes) entries have times that cpio cannot tell")
    }
    if counts.skippedSockets > 0 {
      lines.append("\(counts.skippedSockets) sockets are left out")
    }
    for pattern in list.doubtful.prefix(10) {
      lines.append("the exlist's pattern '\(printable(pattern))' matches nothing as it is written")
    }
    return lines
  }

  private func syncRemarks(_ definition: ImageDefinition) -> [String] {
    let lists = ImageFiles.paths(of: "synclists", definition)
    if lists.isEmpty { return [] }
    return [
      "synclists are not applied to the packed image (\(lists.map(\.text).joined(separator: ", "))): "
        + "'xdcp -i ROOTIMG -F LIST' puts their files into the tree, to be packed then; "
        + "--nosyncfiles silences this"
    ]
  }

  /// Packed images of other forms that nodes would load in place of the new one.
  private func shadowing(
    _ place: (resolved: ResolvedPath, text: String, isOwn: Bool), _ request: PackRequest
  ) -> [String] {
    guard place.isOwn else { return [] }
    let own = String(decoding: place.resolved.name, as: UTF8.self)
    return ImageFiles.packedNames.prefix { $0 != own }.compactMap { name in
      let stat = try? fileSystem.statIfPresent(
        at: place.resolved.directory.raw, Array(name.utf8), followLink: true)
      guard (stat ?? nil) != nil else { return nil }
      return "\(name) is there too, and xCAT prefers it to \(own): remove it to boot the new image"
    }
  }
}

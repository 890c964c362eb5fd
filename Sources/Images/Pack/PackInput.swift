// The input of packing: the definition, and the tree in the store.

import Ingest
import Platform
import Store
import XCAT

/// An image that may be packed.
struct PackInput {
  let image: ImageName
  let definition: ImageDefinition
  /// The image's directory.
  let directory: AbsolutePath
  /// The live tree; nil if a snapshot is packed.
  let tree: AbsolutePath?
  /// The snapshot to pack; nil for the live tree.
  let snapshot: CommittedSnapshot?

  var hasSynclists: Bool { !ImageFiles.paths(of: .synclists, definition).isEmpty }
}

/// Finds the tree to pack.
struct PackSources: Collaborator {
  let context: Context

  /// Finds the image of a request and checks that it can be packed.
  /// - Throws: `ImageError`, with xCAT's sentences if the request is from packimage.
  func packSource(_ request: PackRequest) throws -> PackInput {
    let reference = try Reference(request.reference)
    let isLive = !request.reference.contains("@")
    let snapshot = isLive ? nil : try SnapshotResolver(context).find(reference)
    let image =
      try snapshot.map { try ImageName($0.snapshot.image) }
      ?? (request.isPackimage
        ? ImageName(reference.image) : ImageResolver(context).image(named: reference.image))
    guard isLive || request.output != nil else {
      throw ImageError(
        request.reference,
        "is a snapshot, and would replace the packed image that nodes of the live image load",
        hint: "Name a file with --output, or revert to the snapshot and pack '\(image)'")
    }
    guard isLive || !request.changesLiveTree else {
      throw ImageError(
        request.reference, "is a snapshot, but --in-tree changes the live tree",
        hint: "Leave --in-tree out; the packed image is the same")
    }
    let definition: ImageDefinition
    if request.isPackimage, isLive {
      guard let osimage = try context.tables().definition(of: image.text) else {
        throw ImageError.sentence(.notFound, "Cannot find image '\(image)' from the osimage table.")
      }
      definition = osimage
      try requirePackimage(image, definition)
    } else {
      definition = try snapshot?.snapshot.definition ?? ImageCapturer(context).definition(of: image)
    }
    guard !definition.isDirectory || !request.changesLiveTree else {
      throw ImageError(
        .usage, "image \(image)", "is a directory, which packing never changes",
        hint: "Leave --in-tree out")
    }
    return try input(image, definition, snapshot)
  }

  /// Returns the input for packing a snapshot.
  /// - Throws: `ImageError` (`definitionInvalid`) for an image that is not packed.
  func input(of snapshot: CommittedSnapshot) throws -> PackInput {
    try input(ImageName(snapshot.snapshot.image), snapshot.snapshot.definition, snapshot)
  }

  private func input(
    _ image: ImageName, _ definition: ImageDefinition, _ snapshot: CommittedSnapshot?
  ) throws -> PackInput {
    if let directory = definition.directoryPath {
      return PackInput(
        image: image, definition: definition, directory: directory.parent,
        tree: snapshot == nil ? directory : nil, snapshot: snapshot)
    }
    guard definition.provisioning.isDiskless else {
      throw ImageError(
        .definitionInvalid,
        "image \(image)",
        "cannot be used to build diskless image. Make sure osimage.provmethod is "
          + "'netboot'.", hint: "Its provmethod is '\(definition.provisioning.text)'")
    }
    let bootDirectory = try imageDirectory(image, definition)
    return PackInput(
      image: image, definition: definition, directory: bootDirectory,
      tree: snapshot == nil ? bootDirectory.appending("rootimg") : nil, snapshot: snapshot)
  }

  /// Checks a definition as packimage does.
  /// - Throws: `ImageError` with packimage's sentence.
  private func requirePackimage(_ image: ImageName, _ definition: ImageDefinition) throws {
    guard
      [
        definition.osVersion, definition.architecture, definition.profile,
        definition.provisioning.text,
      ].allSatisfy({ !$0.isEmpty })
    else {
      throw ImageError.sentence(
        "osimage.osvers, osimage.osarch, osimage.profile and osimage.provmethod must be specified "
          + "for the image \(image) in the database.")
    }
    guard definition.provisioning == .netboot else {
      throw ImageError.sentence(
        "'\(image)' cannot be used to build diskless image. Make sure osimage.provmethod is "
          + "'netboot'.")
    }
  }

  /// Returns the directory of a diskless image's boot files.
  /// - Throws: `ImageError` if the definition does not determine it.
  func imageDirectory(_ image: ImageName, _ definition: ImageDefinition) throws -> AbsolutePath {
    guard
      let directory = ImageFiles.bootDirectory(
        definition, installDirectory: try context.installDirectory(try context.tables()))
    else {
      throw ImageError(
        .definitionInvalid,
        "image \(image)", "has no rootimgdir, and lacks osvers, osarch or profile",
        hint: "Set it: 'imgstore define \(image) rootimgdir=…'")
    }
    return directory
  }

  /// Returns the root tree of a snapshot.
  /// - Throws: `ImageError` if the snapshot has none: `filesMissing` for a directory image, `notFound` with
  ///   xCAT's sentence for its images.
  func rootTree(
    of snapshot: CommittedSnapshot, _ definition: ImageDefinition, in parent: AbsolutePath
  ) throws -> Entry {
    guard
      let component = snapshot.snapshot.components.rootTree, component.entry.ids != nil
    else {
      if let directory = definition.directoryPath {
        throw ImageError(
          .filesMissing, "directory \(directory.text)",
          "does not exist, so there is nothing to pack",
          hint: "Check that its file system is mounted")
      }
      throw noRootTree(
        definition, in: parent,
        hint: snapshot.number > 0
          ? "\(snapshot.name) has no root tree" : "Check that its file system is mounted")
    }
    return component.entry
  }

  /// Returns the error for an image without a root tree: packimage's sentence.
  func noRootTree(
    _ definition: ImageDefinition, in directory: AbsolutePath, hint: String
  ) -> ImageError {
    ImageError.sentence(
      .notFound,
      "\(directory.text)/rootimg does not exist, run genimage -o \(definition.osVersion) -p "
        + "\(definition.profile) on a server with matching architecture",
      hint: hint)
  }

  /// Returns the tree to pack, as stored.
  ///
  /// For the live image this is the tree of the latest snapshot. A new snapshot is taken if the live tree
  /// differs, or if a file to be replaced is not in the snapshot. Packed images that can be rendered again
  /// need no snapshot.
  /// - Parameter destination: the file to be replaced; nil for none.
  /// - Returns: the top of the tree, its snapshot, and whether the snapshot is new.
  func packedTree(
    _ source: PackInput, replacing destination: PackDestination?, _ request: PackRequest
  ) throws -> (top: Entry, snapshot: CommittedSnapshot, isNew: Bool) {
    if let snapshot = source.snapshot {
      return (try rootTree(of: snapshot, source.definition, in: source.directory), snapshot, false)
    }
    guard let tree = source.tree else { preconditionFailure("neither live nor a snapshot") }
    let store = try context.store(create: true)
    let lock = try ImageLocks(context).lock(source.image, store)
    let directories = try DirectoryLocker(context).lockDirectories(
      source.image, source.definition, for: .reads, locksTree: false)
    defer { withExtendedLifetime((lock, directories)) {} }
    let latest = try store.refs.latestReadable(of: source.image)
    try MountedDirectories(context).requireMounted(
      latest?.snapshot.notes ?? [], image: source.image.text)
    if let latest, try hasLiveTree(latest, source, tree, replacing: destination, request) {
      return (try rootTree(of: latest, source.definition, in: source.directory), latest, false)
    }
    let outcome = try SnapshotTaker(context).commitLive(
      source.image, CaptureScope(source.definition, recipes: .existing),
      SnapshotRecord(SnapshotLabel(.pack, "before packing"), skipIfUnchanged: true)
    ) { [self] candidate in
      let transient = CommittedSnapshot(number: 0, id: candidate.id, snapshot: candidate)
      _ = try rootTree(of: transient, source.definition, in: source.directory)
    }
    return (
      try rootTree(of: outcome.committed, source.definition, in: source.directory),
      outcome.committed, outcome.committed.number != latest?.number
    )
  }

  /// Returns whether a snapshot has the live tree and the files that packing would replace.
  func hasLiveTree(
    _ latest: CommittedSnapshot, _ source: PackInput, _ tree: AbsolutePath,
    replacing destination: PackDestination?, _ request: PackRequest
  ) throws -> Bool {
    let store = try context.store()
    let replaced =
      try destination.map {
        try PackDestinations(context).unreproducibleImages($0, request, source.directory)
      } ?? []
    var capturer = try StoreProtection(context).newCapture()
    capturer.excludes = try DirectoryExcludes(context).treeExcludes(
      source.definition, DirectoryExcludes(context).excludes(of: source.image, source.definition),
      latest: latest.snapshot)
    let live = try capturer.run(
      [CaptureRoot(role: .rootTree, path: tree)]
        + replaced.map { CaptureRoot(role: .packed, path: $0) },
      cache: try ImageCapturer(context).validCache(source.image, store),
      into: .memory(MemoryObjects(over: store)))
    return live.components.contains(where: { $0.path == tree.bytes })
      && live.components.allSatisfy({ latest.snapshot.component(at: $0.path)?.entry == $0.entry })
  }
}

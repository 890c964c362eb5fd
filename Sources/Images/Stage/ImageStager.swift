// imgstore stage: an osimage of xCAT for one snapshot, whose nodes load their root image from the server of boot files
// (docs/xcat-contract.md#nodes-that-load-from-imgstore).
//
//     osimage compute-13     the rows of the snapshot's definition
//       rootimgdir           INSTALL/netboot/imgstore/compute@13: kernel and ramdisk of the snapshot, which nodeset
//                            copies, and an empty root image, without which nodeset refuses
//       addkcmdline          … imgurl=http://SERVER/boot/compute@13/rootimg.cpio.gz, the last of two: it counts
//
// 1. Nothing is changed unless the request says so. All checks come first.
// 2. Files are written before the rows that name them, and rows are removed before the files. All rows are changed
//    in one transaction, and only if they are as they were read.
// 3. xCAT's commands use the rows of a staged snapshot as root. So one that came from a remote is checked like for a
//    revert.
// 4. Nodes change with nodeset only: their rows name the image, and nodeset copies kernel and ramdisk.

import Platform
import Store
import XCAT

extension Workspace {
  /// Plans, or makes, the definition by which nodes boot a snapshot from the server.
  /// - Throws: `ImageError`: `definitionInvalid` for an image that cannot boot this way, `alreadyExists` if the name is
  ///   used by another image, `bundleInvalid` for a snapshot from a remote with unsafe rows or files, `usage`;
  ///   `XCATError` for an invalid node range. Nothing is changed then.
  public func stage(_ request: StageRequest) throws -> StageOutcome {
    try ImageStager(context).stage(request)
  }

  /// Removes the definition and the files of a staged snapshot.
  /// - Throws: `ImageError`: `imageInUse` while nodes boot it, `notFound` if it is not staged.
  public func unstage(_ request: StageRequest) throws -> UnstageOutcome {
    try ImageStager(context).unstage(request)
  }
}

/// Stages snapshots.
struct ImageStager: Collaborator {
  let context: Context
  /// The directory of staged images in `<installdir>/netboot`.
  static let directoryName = "imgstore"

  func stage(_ request: StageRequest) throws -> StageOutcome {
    let snapshot = try SnapshotResolver(context).find(Reference(request.reference))
    try PulledSnapshotCheck(context).check(snapshot, request.trust)
    let list = try BootFileLister(context).list(snapshot)
    try requireStageable(snapshot, list)
    let tables = try context.tables()
    let root = try list.file(request.rootImage ?? list.rootImage ?? "")
    guard StagedDefinition.rootImages.contains(root.name) else {
      throw ImageError(
        .usage, "root image \(printable(root.name.utf8))",
        "is none that the ramdisks of xCAT unpack",
        hint: "Name one of \(StagedDefinition.rootImages.joined(separator: ", "))")
    }
    let staged = try StagedDefinition(
      snapshot, request, rootImage: root.name, install: context.installDirectory(tables),
      master: tables.site("master"))
    let image = try ImageName(staged.image)
    let lock =
      try request.applies ? ImageLocks(context).lock(image, try context.store()) : nil
    defer { withExtendedLifetime(lock) {} }
    let existing = try tables.definition(of: staged.image)
    guard existing.map({ $0 == staged.definition }) ?? true else {
      throw ImageError(
        .alreadyExists, "image \(image)", "is defined already, with other attributes",
        hint: "Remove it with 'imgstore stage \(snapshot.name) --undo', or choose another --name")
    }
    let nodes = try request.nodes.map { try StagedNodes($0, staged.image, tables) }
    var changes =
      existing == nil
      ? staged.definition.rowChanges(of: staged.image).map { $0.expecting(.absent) } : []
    changes += nodes?.changes ?? []
    try tables.validate(changes)
    let files = try files(list, staged, root.name)
    if request.applies { try apply(changes, files, staged, snapshot) }
    return StageOutcome(
      snapshot: snapshot.name, image: staged.image, url: staged.url,
      attributes: staged.definition.attributes, isDefined: existing != nil,
      files: files.map {
        StagedFile(
          path: staged.directory.appending($0.name).text, sizeBytes: $0.file?.sizeBytes ?? 0)
      },
      nodes: nodes?.nodes ?? [], command: nodes?.command.text, isApplied: request.applies)
  }

  func unstage(_ request: StageRequest) throws -> UnstageOutcome {
    let snapshot = try SnapshotResolver(context).find(Reference(request.reference))
    let tables = try context.tables()
    let install = try context.installDirectory(tables)
    let directory = StagedDefinition.directory(of: snapshot, install)
    let name = request.name ?? StagedDefinition.name(of: snapshot)
    let lock = try ImageLocks(context).lock(try ImageName(name), try context.store())
    defer { withExtendedLifetime(lock) {} }
    guard let definition = try tables.definition(of: name),
      definition.rootImageDirectory == directory.text
    else {
      throw ImageError(
        .notFound, "image \(name)", "is not a staged snapshot of \(snapshot.snapshot.image)",
        hint: "Nothing was changed; 'imgstore images' lists the images")
    }
    let users = try BootNodes(of: name, tables)
    guard users.nodes.isEmpty, users.unclear.isEmpty else {
      let range = users.range(of: users.nodes.map(\.name))
      throw ImageError(
        .imageInUse, "image \(name)",
        "is booted by " + (range.isEmpty ? users.unclear.joined(separator: ", ") : range),
        hint: "Nothing was changed; point them elsewhere first: "
          + "nodeset \(range.isEmpty ? "NODES" : range) osimage=\(snapshot.snapshot.image)")
    }
    let removal = ImageDefinition().rowChanges(of: name).map { change in
      change.expecting(
        .columns(change.schema == .osimage ? definition.osimage : definition.linuximage))
    }
    try requireApplied(removal)
    return UnstageOutcome(image: name, files: try StagedFiles(context, directory).remove())
  }

  // MARK: Checks

  private func requireStageable(_ snapshot: CommittedSnapshot, _ list: BootFileList) throws {
    let definition = snapshot.snapshot.definition
    func refuse(_ reason: String) -> ImageError {
      ImageError(
        .definitionInvalid, "snapshot \(snapshot.name)", "cannot be staged: \(reason)",
        hint: "Nothing was changed")
    }
    if let obstacle = list.bootObstacle { throw refuse(obstacle) }
    guard definition.provisioning == .netboot else {
      throw refuse("nodes of a statelite image need its root tree below rootimgdir")
    }
    // Their init loads every imgurl, and unpacks the first.
    guard !["sles10", "sles11"].contains(where: definition.osVersion.hasPrefix) else {
      throw refuse("the ramdisk of \(definition.osVersion) does not take a second imgurl")
    }
  }

  // MARK: Changes

  /// Returns the files for nodeset: kernel, ramdisk, and an empty root image.
  private func files(
    _ list: BootFileList, _ staged: StagedDefinition, _ root: String
  ) throws -> [(name: String, file: BootFile?)] {
    let ramdisk = BootFiles.ramdisk(of: staged.definition)
    return [
      ("kernel", try list.file("kernel")),
      (ramdisk, try list.file(BootFileLister.ramdiskAlias)), (root, nil),
    ]
  }

  private func apply(
    _ changes: [RowChange], _ files: [(name: String, file: BootFile?)], _ staged: StagedDefinition,
    _ snapshot: CommittedSnapshot
  ) throws {
    let directory = StagedFiles(context, staged.directory)
    let existed = try directory.exists()
    do {
      try directory.write(files, of: snapshot)
      try requireApplied(changes)
    } catch {
      if !existed { _ = try? directory.remove() }
      throw error
    }
  }

  /// Makes row changes.
  /// - Throws: `ImageError` (`imageChanged`) if a row was not as expected.
  private func requireApplied(_ changes: [RowChange]) throws {
    let conflicts = try LiveRows(context).applyRows(changes)
    guard let first = conflicts.first else { return }
    throw ImageError(
      .imageChanged, printable(first.path), "was changed by another program, and was left alone",
      hint: "Run the command again")
  }
}

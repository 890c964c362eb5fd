// What a change reaches besides the image's own files: what other images use as well, and what lies outside
// of the image's own folders.

import Apply
import Platform
import Store
import XCAT

extension Workspace {
  // MARK: Other images

  /// What the plans change that the definitions of other images name as well.
  func remarksOnSharing(_ plans: [ComponentPlan], of image: ImageName) throws -> [String] {
    let changed = plans.filter { !$0.plan.isEmpty }.map(\.path)
    if changed.isEmpty { return [] }
    let tables = try tables()
    let install = try installDirectory(tables)
    var remarks: [String] = []
    let places = try changed.map { ($0, try entryPlace($0)) }
    for (other, definition) in try tables.definitions().sorted(by: { $0.key < $1.key })
    where other != image.text {
      let folder = try ImageFiles.bootDirectory(definition, installDirectory: install)
        .flatMap { try statLive($0) }.map { FileIdentity($0) }
      let lists = Set(
        try ImageFiles.listAttributes.flatMap { ImageFiles.paths(of: $0, definition) }
          .compactMap { try entryPlace($0) })
      let directory = definition.directoryPath
      let shared = places.filter { path, place in
        place.map { $0.folder == folder || lists.contains($0) } ?? false
          || directory.map { path.isInside($0) || $0.isInside(path) } ?? false
      }.map(\.0)
      if let first = shared.first {
        remarks.append(
          "the image \(other) uses \(first.text) too"
            + (shared.count > 1 ? ", and \(shared.count - 1) more paths" : "")
            + ": it changes with \(image)")
      }
    }
    return remarks
  }

  /// An entry, whatever path leads to it.
  private struct EntryPlace: Hashable {
    let folder: FileIdentity
    let name: [UInt8]
  }

  /// - Returns: nil where there is no folder for it.
  private func entryPlace(_ path: AbsolutePath) throws -> EntryPlace? {
    try statLive(path.parent).map {
      EntryPlace(folder: FileIdentity($0), name: path.lastComponent)
    }
  }

  /// Leaves alone what lies outside of the image's own places, unless the request allows it.
  func keepOutside(
    _ plans: [ComponentPlan], _ definitions: [ImageDefinition], _ pieces: [Snapshot.Component],
    _ request: RevertRequest
  ) throws -> [ComponentPlan] {
    if request.allowsOutside { return plans }
    let install = try installDirectory(try tables())
    var places = [install, ImportTargets.sharedLists, ImportTargets.plugins]
    for definition in definitions {
      places += [
        ImageFiles.bootDirectory(definition, installDirectory: install),
        ImageFiles.rawDirectory(definition, installDirectory: install),
        definition.directoryPath,
      ].compactMap { $0 }
    }
    places += pieces.ownTargets
    places += try request.allowed.map { text in
      guard let path = AbsolutePath(text) else {
        throw ImageError(
          .usage, "--allow \(text)", "is not an absolute path",
          advice: "Name the file or folder that the change may reach")
      }
      return path
    }
    return plans.map { piece in
      // What goes is there by an import of this image: the target notes that it was not there before.
      guard !piece.plan.isEmpty, piece.wanted != nil,
        !places.contains(where: { piece.path.isInside($0) })
      else {
        return piece
      }
      var kept = piece
      kept.plan = Plan()
      kept.plan.skipped = [
        (
          piece.path.lastComponent,
          "it lies outside of the image's own folders; '--allow \(piece.path.text)' changes it"
        )
      ]
      return kept
    }
  }
}

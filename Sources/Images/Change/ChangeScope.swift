// Limits the effects of a change on files that other images use, and on files outside the image's own
// directories.

import Apply
import Platform
import Store
import XCAT

/// Limits the effects of a change on files of others.
struct ChangeScope: Collaborator {
  let context: Context

  /// Returns the paths that a change of the image to a snapshot's state may modify.
  func changedPaths(of image: ImageName, _ target: Snapshot) throws -> [AbsolutePath] {
    let definition = try context.tables().definition(of: image.text) ?? ImageDefinition()
    return try ImageCapturer(context).requests(
      definition, latest: nil, additional: target.requests + target.absentPathRequests
    ).all.map(\.path)
  }

  // MARK: Other images

  /// Returns remarks on changed paths that the definitions of other images name as well.
  func remarksOnSharing(_ plans: [ComponentPlan], of image: ImageName) throws -> [String] {
    let changed = plans.filter { !$0.isEmpty }.map(\.path)
    if changed.isEmpty { return [] }
    let tables = try context.tables()
    let install = try context.installDirectory(tables)
    var remarks: [String] = []
    let identities = try changed.map { ($0, try entryIdentity($0)) }
    for (other, definition) in try tables.definitions().sorted(by: { $0.key < $1.key })
    where other != image.text {
      let bootDirectory = try ImageFiles.bootDirectory(definition, installDirectory: install)
        .flatMap { try ImageCapturer(context).statLive($0) }.map { FileIdentity($0) }
      let lists = Set(
        try FileAttribute.lists.flatMap { ImageFiles.paths(of: $0, definition) }
          .compactMap { try entryIdentity($0) })
      let directory = definition.directoryPath
      let shared = identities.filter { path, identity in
        identity.map { $0.directory == bootDirectory || lists.contains($0) } ?? false
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

  /// The identity of an entry, independent of the path to it.
  private struct EntryIdentity: Hashable {
    let directory: FileIdentity
    let name: [UInt8]
  }

  /// Returns the identity of an entry; nil if its directory does not exist.
  private func entryIdentity(_ path: AbsolutePath) throws -> EntryIdentity? {
    try ImageCapturer(context).statLive(path.parent).map {
      EntryIdentity(directory: FileIdentity($0), name: path.lastComponent)
    }
  }

  /// Removes the steps outside the image's own places from the plans, unless the request allows them.
  func keepOutside(
    _ plans: [ComponentPlan], _ definitions: [ImageDefinition], _ components: [Snapshot.Component],
    _ request: RevertRequest
  ) throws -> [ComponentPlan] {
    if request.allowsOutside { return plans }
    let install = try context.installDirectory(try context.tables())
    var allowedPaths = [install, ImportTargets.sharedLists, ImportTargets.plugins]
    for definition in definitions {
      allowedPaths += [
        ImageFiles.bootDirectory(definition, installDirectory: install),
        ImageFiles.rawDirectory(definition, installDirectory: install),
        definition.directoryPath,
      ].compactMap { $0 }
    }
    allowedPaths += components.ownTargets
    allowedPaths += try request.allowed.map { text in
      guard let path = AbsolutePath(text) else {
        throw ImageError(
          .usage, "--allow \(text)", "is not an absolute path",
          hint: "Name the file or directory that the change may reach")
      }
      return path
    }
    return plans.map { component in
      // A file is removed only if an import of this image created it: the target notes its absence.
      guard !component.plan.isEmpty, component.desired != nil,
        !allowedPaths.contains(where: { component.path.isInside($0) })
      else {
        return component
      }
      var kept = component
      kept.plan = Plan()
      kept.plan.skipped = [
        (
          .top,
          "it lies outside of the image's own directories; '--allow \(component.path.text)' "
            + "changes it"
        )
      ]
      return kept
    }
  }
}

// Changes that move an image to another directory: an import with --to, and its undo.
//
// 1. The directory that the image leaves does not change, unless the undone change had created it. In that
//    case the target snapshot notes that the directory was absent.
// 2. A directory that is not the image's when the change begins is never removed. It is written only if it is
//    absent or empty, or if `--allow` names it.
// 3. A snapshot has one root tree, in the image's directory at that time. A tree of another directory in it
//    has the role `formerTree`.

import Ingest
import Platform
import Store
import XCAT

extension CaptureResult {
  /// Returns the capture with one root tree, that of the image's directory. Others get the role `formerTree`.
  func withOneRootTree(_ definition: ImageDefinition) -> CaptureResult {
    guard let own = definition.directoryPath?.bytes else { return self }
    var capture = self
    for i in capture.components.indices
    where capture.components[i].role == .rootTree && capture.components[i].path != own {
      capture.components[i].role = .formerTree
    }
    return capture
  }
}

extension LiveImage {
  /// Returns the image without the trees in other directories that a change does not affect.
  func withoutUnchangedFormerTrees(_ plans: [ComponentPlan]) -> LiveImage {
    let changed = Set(plans.filter { !$0.plan.isEmpty }.map(\.path.bytes))
    var live = self
    live.capture.components.removeAll {
      $0.role == .formerTree && !changed.contains($0.path)
    }
    return live
  }
}

/// Handles images whose directory has moved.
struct DirectoryMoves: Collaborator {
  let context: Context

  /// Removes the plans that would change directories of no image or of another one.
  /// - Parameters:
  ///   - notes: the notes of the target, with the paths that were absent.
  ///   - isResumed: whether the change was interrupted after this check. The present entries may then be its
  ///     own.
  /// - Throws: `ImageError` if the change would overwrite such a directory; nothing has been changed.
  func keepForeignDirectories(
    _ plans: [ComponentPlan], _ live: LiveImage, _ target: Snapshot, _ notes: [Snapshot.Note],
    _ request: RevertRequest, isResumed: Bool = false
  ) throws -> [ComponentPlan] {
    let own = live.definition.directoryPath
    guard own != nil || target.definition.isDirectory else { return plans }
    let absent = Set(notes.filter { $0.code == .createdFile }.map(\.path))
    let allowed = Set(request.allowed.compactMap { AbsolutePath($0) })
    let links = (live.capture.components + target.components).ownTargets
    return try plans.filter { component in
      let path = component.path
      if component.plan.isEmpty { return true }
      if path == own || links.contains(path) {
        // The image moves to another directory, and its tree stays here.
        return component.desired != nil || absent.contains(path.bytes)
          || target.definition.directoryPath == own
      }
      guard component.isDirectoryOfAnImage(live, target), let current = component.current,
        !allowed.contains(path), !isResumed
      else { return true }
      if component.desired == nil {
        context.reporter.warn(
          "\(path.text) was kept: it is no longer the directory of \(target.image)")
        return false
      }
      if current.kind == .directory, try ImageCapturer(context).fileView.list(path).isEmpty {
        return true
      }
      throw ImageError(
        "directory \(path.text)",
        "exists, differs from the snapshot of \(target.image), "
          + "and is no longer the image's directory",
        hint: "Nothing was changed. Move it away, or overwrite it with "
          + "--allow \(shellQuoted(path.text)), which snapshots its content first")
    }
  }
}

extension ComponentPlan {
  /// Returns whether the component is a tree of a directory image, live or in the target, or a directory that
  /// replaced one.
  fileprivate func isDirectoryOfAnImage(_ live: LiveImage, _ target: Snapshot) -> Bool {
    let roles = [Role.rootTree, .formerTree]
    let components = (live.capture.components + target.components).filter { $0.path == path.bytes }
    return components.contains { roles.contains($0.role) }
      || desired == nil && current?.kind == .directory
  }
}

extension PreparedImage {
  /// Returns the directory of the replaced image if the import moves the image to another directory; else
  /// nil.
  func leftDirectory(_ existing: ImageDefinition) -> AbsolutePath? {
    guard let old = existing.directoryPath,
      let tree = components.first(where: { $0.role == .rootTree }), tree.path != old.bytes
    else { return nil }
    return old
  }

  /// Returns the remark on a directory that the image leaves.
  func remarks(onLeaving existing: ImageDefinition) -> [String] {
    guard let old = leftDirectory(existing), let new = definition.directoryPath else { return [] }
    return ["\(image) is now \(new.text); \(old.text) was not changed, and is no longer an image"]
  }
}

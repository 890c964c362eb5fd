// Changes that lead an image to another directory: an import with --to, and its undo.
//
// 1. The directory that the image leaves stays as it is, unless the change that is taken back had made it: then the
//    state that the change leads to says that it was not there.
// 2. A directory that is not the image's when the change begins is never removed, and is written only where it is
//    absent or empty, or where the administrator allows it by name.
// 3. A snapshot has one root tree, in the image's directory then. What it knows of another directory has the role
//    `formerTree`.

import Apply
import Ingest
import Platform
import Store
import XCAT

extension Snapshot.Component {
  /// The role of a tree in a directory that is not the image's, but that a change of its place reaches.
  static let formerTree = "formertree"
}

extension CaptureResult {
  /// The capture with one root tree: that of the image's directory.
  func withOneRootTree(_ definition: ImageDefinition) -> CaptureResult {
    guard let own = definition.directoryPath?.bytes else { return self }
    var capture = self
    for i in capture.pieces.indices
    where capture.pieces[i].role == ImageFiles.rootTree && capture.pieces[i].path != own {
      capture.pieces[i].role = Snapshot.Component.formerTree
    }
    return capture
  }
}

extension LiveImage {
  /// The image without trees in other directories that a change leaves as they are.
  func withoutUnchangedFormerTrees(_ plans: [ComponentPlan]) -> LiveImage {
    let changed = Set(plans.filter { !$0.plan.isEmpty }.map(\.path.bytes))
    var capture = capture
    capture.pieces.removeAll {
      $0.role == Snapshot.Component.formerTree && !changed.contains($0.path)
    }
    return LiveImage(
      definition: definition, rows: rows, capture: capture, notes: notes, cache: cache,
      excludes: excludes)
  }
}

extension Workspace {
  /// Keeps a change off directories that are not the image's.
  /// - Parameters:
  ///   - notes: what the target says was not there.
  ///   - isResumed: the change has passed here before it was cut short: what is there now may be its own.
  /// - Throws: `ImageError` where the change would overwrite such a directory. Nothing was changed then.
  func keepForeignDirectories(
    _ plans: [ComponentPlan], _ live: LiveImage, _ target: Snapshot, _ notes: [Snapshot.Note],
    _ request: RevertRequest, isResumed: Bool = false
  ) throws -> [ComponentPlan] {
    let own = live.definition.directoryPath
    guard own != nil || target.definition.isDirectory else { return plans }
    let absent = Set(notes.filter(\.isAbsentFile).map(\.path))
    let allowed = Set(request.allowed.compactMap { AbsolutePath($0) })
    let links = (live.capture.pieces + target.pieces).ownTargets
    return try plans.filter { piece in
      let path = piece.path
      if piece.plan.isEmpty { return true }
      if path == own || links.contains(path) {
        // The image goes elsewhere, and leaves its tree.
        return piece.wanted != nil || absent.contains(path.bytes)
          || target.definition.directoryPath == own
      }
      guard piece.isDirectoryOfAnImage(live, target), let current = piece.current,
        !allowed.contains(path), !isResumed
      else { return true }
      if piece.wanted == nil {
        tell("\(path.text) was kept: it is not the directory of \(target.image) now")
        return false
      }
      if current.kind == .directory, try fileView.list(path).isEmpty { return true }
      throw ImageError(
        "directory \(path.text)",
        "is there, is not as \(target.image) had it, and is not the image's directory now",
        advice: "Nothing was changed. Move it away, or let it be overwritten with "
          + "--allow \(shellQuoted(path.text)); what it holds is kept as a snapshot then")
    }
  }
}

extension ComponentPlan {
  /// A tree of an image that is a directory, here or in the target, or a directory in the place of one.
  fileprivate func isDirectoryOfAnImage(_ live: LiveImage, _ target: Snapshot) -> Bool {
    let roles = [ImageFiles.rootTree, Snapshot.Component.formerTree]
    let pieces = (live.capture.pieces + target.pieces).filter { $0.path == path.bytes }
    return pieces.contains { roles.contains($0.role) }
      || wanted == nil && current?.kind == .directory
  }
}

extension PreparedImage {
  /// The directory of an image that an import replaces, where it brings a tree to another place.
  func leftDirectory(_ existing: ImageDefinition) -> AbsolutePath? {
    guard let old = existing.directoryPath,
      let tree = pieces.first(where: { $0.role == ImageFiles.rootTree }), tree.path != old.bytes
    else { return nil }
    return old
  }

  func remarks(onLeaving existing: ImageDefinition) -> [String] {
    guard let old = leftDirectory(existing), let new = definition.directoryPath else { return [] }
    return ["\(image) is \(new.text) now; \(old.text) stays as it is, and is no image's"]
  }
}

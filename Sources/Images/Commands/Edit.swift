// Edits of a live root tree by a program that uses this library. The command line has no such command: `lite`
// and `pack --in-tree` make edits of their own.

import Platform
import Render
import Store

extension Workspace {
  /// Edits the live root tree of an image. The live state is recorded first, and the edited one afterwards,
  /// so that the edit can be undone, and resumed after an interruption.
  /// - Parameters:
  ///   - message: the message of the snapshot of the edited tree.
  ///   - command: the command that edits.
  ///   - body: makes the edits. Entries that it does not mention stay.
  /// - Returns: the snapshot of the edited tree; nil if nothing changed.
  /// - Throws: `ImageError`: `imageNotFound`, `filesMissing` if the image has no root tree; errors of `body`;
  ///   otherwise as `revert`.
  @discardableResult
  public func edit(
    _ name: String, message: String, command: RecordedCommand,
    _ body: (inout EditableTree) throws -> Void
  ) throws -> CommittedSnapshot? {
    try TreeEditor(context).edit(name, message: message, command: command, body)
  }
}

/// Edits live root trees.
struct TreeEditor: Collaborator {
  let context: Context

  func edit(
    _ name: String, message: String, command: RecordedCommand,
    _ body: (inout EditableTree) throws -> Void
  ) throws -> CommittedSnapshot? {
    let image = try ImageResolver(context).image(named: name)
    let before = try BundleExporter(context).snapshotOrLive(
      Reference(image.text), label: SnapshotLabel(command, "before \(command.text)"))
    guard let root = before.snapshot.components.rootTree, let path = AbsolutePath(root.path) else {
      throw ImageError(.filesMissing, "image \(image)", "has no root tree")
    }
    var tree = EditableTree(
      root.entry, in: OverlayTree(try context.store(), modified: context.now()))
    try body(&tree)
    try tree.rebuildHardLinkGroups()
    return try LiveTreeChange(context).apply(
      tree,
      .init(
        image: image, definition: try ImageCapturer(context).definition(of: image), path: path,
        before: before, label: SnapshotLabel(command, message), locksTree: true)
    )?.snapshot
  }
}

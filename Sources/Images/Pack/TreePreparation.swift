// The preparation of a stored root tree for packing: the time of the packed image, the data of the management
// node, and the edits. Packing a live image and serving a snapshot share it, so both give the same bytes.
//
// 1. It reads only. The edits are a view on top of the stored tree.

import Platform
import Render
import Store
import XCAT

/// A root tree that is about to be packed.
struct TreePreparation {
  /// The time of the packed image.
  let created: Timestamp
  /// The tree before the edits.
  let original: EditableTree
  /// Whether the tree is packed unchanged: without data of the management node.
  let isPlain: Bool
  /// Whether files of synclists are added.
  let wantsSyncfiles: Bool
  private let site: PackEnvironment

  /// Examines the tree and the management node.
  /// - Parameter top: the top of the snapshot's root tree.
  /// - Throws: errors of reading the store and xCAT's tables.
  init(
    _ context: Context, _ source: PackInput, _ top: Entry, of snapshot: CommittedSnapshot,
    _ request: PackRequest
  ) throws {
    let store = try context.store()
    created = try TreePreparation.firstTime(of: top, snapshot, source.image, store)
    site = try PackEnvironments(context).environment(source.image, source.definition)
    original = EditableTree(top, in: OverlayTree(store, modified: created))
    isPlain =
      try request.isPlain || source.definition.isDirectory
      || !request.isPackimage && !TableLocator(context).hasXCAT()
    wantsSyncfiles = !isPlain && !request.skipsSyncfiles && source.hasSynclists
  }

  /// Makes the edits.
  /// - Parameter storage: for the files of synclists; nil leaves them out.
  func edits(syncfiles storage: SyncfileStorage?) throws -> PackEdits {
    var edits = PackEdits(original, site)
    if !isPlain { try edits.makeAll(created: created, syncfiles: storage) }
    return edits
  }

  /// Returns the time of the first snapshot in an unbroken series that has this tree. So snapshots that were
  /// taken because of other files, such as the packed image, do not change the packed bytes.
  static func firstTime(
    of top: Entry, _ snapshot: CommittedSnapshot, _ image: ImageName, _ store: ObjectStore
  ) throws -> Timestamp {
    let refs = store.refs
    var time = snapshot.snapshot.created
    // A snapshot of a remote has a number of that remote's history.
    guard snapshot.remote == nil else { return time }
    for number in try refs.numbers(of: image).reversed() where number < snapshot.number {
      guard let earlier = try? refs.read(image, number).snapshot,
        earlier.components.contains(where: { $0.role == .rootTree && $0.entry == top })
      else { break }
      time = earlier.created
    }
    return time
  }
}

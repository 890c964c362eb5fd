// Snapshots that came from a remote are as untrusted as bundles. Their files and rows reach the machine only by
// `revert` and `copy`, which ask this check first.
//
// 1. The check applies to snapshots with an origin record: those that were pulled, or that another machine
//    pushed into this store.
// 2. Rows of other objects than the image, values that xCAT's commands would give to a shell, and privileged entries that no package owns, are refused
//    unless the request allows them: the same rules as for a bundle.
// 3. The definition of such a snapshot does not decide where files may be written (`ChangeScope.keepOutside`).

import Platform
import Store
import XCAT

/// The exceptions that a command makes for a snapshot from a remote.
public struct PulledSnapshotTrust: Sendable {
  /// Whether rows may have values that a shell would interpret, or belong to other objects than the image.
  public var allowsUnsafeValues = false
  /// Whether trees may have privileged entries that no package owns.
  public var allowsPrivileged = false

  /// Creates the usual rules: both are refused.
  public init() {}
}

extension Workspace {
  /// Returns where a snapshot came from; nil if it was taken here.
  public func origin(of snapshot: CommittedSnapshot) throws -> OriginRecord? {
    try PulledSnapshotCheck(context).origin(of: snapshot)
  }
}

/// Checks snapshots from remotes before they are written.
struct PulledSnapshotCheck: Collaborator {
  let context: Context

  /// Returns the origin of a snapshot that came from a remote; nil for the snapshots of this machine.
  func origin(of snapshot: CommittedSnapshot) throws -> OriginRecord? {
    guard snapshot.number > 0, snapshot.remote == nil,
      let image = try? ImageName(snapshot.snapshot.image)
    else {
      return nil
    }
    return try context.store().origins.read(SnapshotName(image: image, number: snapshot.number))
  }

  /// Checks a snapshot that a command will write.
  /// - Throws: `ImageError` (`bundleInvalid`) for an unsafe value or a privileged entry.
  func check(_ snapshot: CommittedSnapshot, _ trust: PulledSnapshotTrust) throws {
    guard let origin = try origin(of: snapshot) else { return }
    let subject = "snapshot \(snapshot.name), which came from \(origin.url),"
    if !trust.allowsUnsafeValues, let reason = unsafeRow(in: snapshot.snapshot) {
      throw ImageError(
        .bundleInvalid, subject, reason,
        hint: "Nothing was changed. '--allow-unsafe-values' accepts it if you trust that machine")
    }
    if trust.allowsPrivileged { return }
    let store = try context.store()
    let state = ImageState(
      name: snapshot.name, definition: snapshot.snapshot.definition,
      rows: snapshot.snapshot.keptRows, components: snapshot.snapshot.components, source: store,
      notes: [])
    let refused = try PrivilegedEntries(store: store, state: state).find().filter { !$0.isExpected }
    guard let first = refused.first else { return }
    throw ImageError(
      .bundleInvalid, subject,
      "has \(refused.count) privileged entr\(refused.count == 1 ? "y" : "ies") that no package owns: "
        + "\(printable(first.path)) (\(first.detail))" + (refused.count > 1 ? " …" : ""),
      hint: "Nothing was changed. '--allow-privileged' accepts them if you trust that machine")
  }

  /// The tables whose rows belong to an image, or to its kits.
  private static let tables: Set<String> = [
    TableSchema.osimage.name, TableSchema.linuximage.name, TableSchema.directory.name,
    TableSchema.litefile.name, TableSchema.kit.name, TableSchema.kitrepo.name,
    TableSchema.kitcomponent.name,
  ]

  /// Returns what is wrong with the rows of a snapshot; nil if nothing is.
  private func unsafeRow(in snapshot: Snapshot) -> String? {
    let rows = snapshot.keptRows
    for key in rows.absent
    where key.table != TableSchema.litefile.name || key.key["image"] != snapshot.image {
      return "would remove a row of the table \(key.table), which is not the image's own"
    }
    for (key, _) in rows.present
    where key.table == TableSchema.litefile.name && key.key["image"] != snapshot.image {
      return "has a row of the table \(key.table) of another image"
    }
    for table in snapshot.tables {
      guard let schema = TableSchema.named(table.name) else { continue }
      guard PulledSnapshotCheck.tables.contains(table.name) else {
        return "has rows of the table \(table.name), which are not the image's own"
      }
      for row in table.rows {
        if let value = UnsafeValue.all(in: row, of: schema).first {
          return "has the value \(value.text)"
        }
      }
    }
    return nil
  }
}

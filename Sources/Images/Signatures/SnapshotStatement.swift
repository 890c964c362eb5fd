// Builds the statement about a snapshot from the snapshot alone. So anyone with the snapshot can verify the
// statement, and all keys sign the same one.

import Signatures
import Store

/// Writes statements about snapshots.
struct StatementWriter: Collaborator {
  let context: Context

  /// Returns the statement about a snapshot.
  /// - Throws: `StoreError` if a tree cannot be read.
  func statement(about committed: CommittedSnapshot) throws -> Statement {
    let store = try context.store()
    let snapshot = committed.snapshot
    return Statement(
      subject: .snapshot, image: snapshot.image, number: committed.number, snapshot: committed.id,
      parent: snapshot.parent, time: snapshot.created, host: snapshot.provenance(.host) ?? "",
      user: snapshot.provenance(.user) ?? "", command: snapshot.provenance(.command) ?? "",
      message: snapshot.message,
      rows: snapshot.statementRows,
      facts: snapshot.facts.map { .init($0.key, $0.value) },
      items: try snapshot.components.map { try item($0, store) })
  }

  private func item(_ component: Snapshot.Component, _ store: ObjectStore) throws -> Statement.Item
  {
    let entry = component.entry
    let content: Statement.Content
    switch entry.content {
    case .file(let blob, let size):
      content = .file(sizeBytes: size, sha256: try store.rawDigest(of: blob, sizeBytes: size))
    case .symlink(let target): content = .link(target: target)
    case .directory: content = .tree(try TreeListing(entry, from: store).tree)
    case .device, .fifo, .socket: content = .other(entry.kind.noun)
    case .unreadableFile, .unreadableDirectory, .unreadableNode: content = .other("unreadable")
    }
    return Statement.Item(
      role: component.role.text, path: component.path, mode: entry.mode, uid: entry.uid,
      gid: entry.gid,
      seconds: entry.modified.seconds, content: content)
  }
}

extension Snapshot {
  /// The rows of all tables, including the keys of absent rows.
  var statementRows: [Statement.Row] {
    // Equal rows of a table appear once.
    var seen: Set<[UInt8]> = []
    return tables.flatMap { table in
      table.rows.map { Statement.Row(table: table.name, $0) }
    }.filter { seen.insert($0.line).inserted }
  }
}

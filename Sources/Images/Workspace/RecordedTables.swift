// xCAT's tables as recorded in the snapshots, for users who may read the store but not the tables. Only root
// can read xCAT's files, and `imgstore init --group` lets other users list, compare and restore.
//
// 1. The rows of an image come from its latest readable snapshot. An image without one does not exist here.
// 2. The tables are never written.

import Store
import XCAT

/// A table backend with the rows of the latest snapshots.
struct RecordedTables: TableBackend {
  let store: ObjectStore
  /// The location of the tables that cannot be read.
  let location: String

  func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]] {
    var seen: Set<[String: String]> = []
    return try store.refs.images().flatMap { image -> [[String: String]] in
      // The rows of one image are in its own snapshots.
      if let key, key.column == "imagename", key.value != image.text { return [] }
      let tables = try store.refs.latestReadable(of: image)?.snapshot.tables ?? []
      return tables.filter { $0.name == table }.flatMap(\.rows)
    }.filter { row in
      (key.map { row[$0.column] == $0.value } ?? true) && seen.insert(row).inserted
    }
  }

  func definition(of image: String) throws -> ImageDefinition? {
    guard let name = try? ImageName(image) else { return nil }
    return try store.refs.latestReadable(of: name)?.snapshot.definition
  }

  func apply(_ changes: [RowChange]) throws -> [String] {
    if changes.isEmpty { return [] }
    throw ImageError(
      .accessDenied, "the tables in \(location)", "cannot be read or written by this user",
      hint: "Run the command as root")
  }

  func validate(_ changes: [RowChange]) throws { _ = try apply(changes) }
}

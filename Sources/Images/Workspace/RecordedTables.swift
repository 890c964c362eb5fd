// xCAT's tables as the snapshots have them, for who may read the store and not the tables: xCAT's files are root's
// alone, and `imgstore init --group` lets others list, compare and restore.
//
// 1. An image's rows are those of its latest snapshot that can be read. An image without one is not there.
// 2. They are never written.

import Platform
import Store
import XCAT

/// The rows that the latest snapshots have.
struct RecordedTables: TableBackend {
  let store: ObjectStore
  /// Where the tables are that cannot be read.
  let place: String

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
      "the tables in \(place)", "cannot be read or written by this user",
      advice: "Run the command as root")
  }

  func validate(_ changes: [RowChange]) throws { _ = try apply(changes) }
}

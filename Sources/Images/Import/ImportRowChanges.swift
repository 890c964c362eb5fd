// The table changes of an import: the image's own rows, its kits, its litefile rows, and the script lists of
// nodes.

import XCAT

/// The row changes of one image of a bundle.
struct ImportRowChanges {
  private let image: String
  private let definition: ImageDefinition
  /// Changes of other tables than osimage and linuximage.
  private let others: [RowChange]
  /// The litefile rows, as lines of litefile.csv.
  let litefileLines: [String]
  /// Whether script lists of nodes change.
  let hasNodeLists: Bool

  /// The changes of the tables of kits.
  var kitChanges: [RowChange] {
    let schemas = [TableSchema.kit.name, TableSchema.kitrepo.name, TableSchema.kitcomponent.name]
    return others.filter { schemas.contains($0.schema.name) }
  }

  /// The keys of the rows that change in other tables than the image's own.
  var keys: Set<RowKey> {
    Set(others.map { RowKey(table: $0.schema.name, key: $0.key) })
  }

  /// Computes the changes for one manifest.
  /// - Parameter litefile: the bytes of litefile.csv; nil if the bundle has none.
  /// - Throws: `XCATError` for an invalid csv; `ImageError` (`notFound`) for nodes that xCAT does not know.
  init(_ manifest: Manifest, litefile: [UInt8]?, _ preparation: ImportPreparation) throws {
    image = manifest.imageName
    definition = manifest.definition
    var others: [RowChange] = []
    for (schema, rows) in [
      (TableSchema.kit, manifest.kits), (.kitrepo, manifest.kitRepositories),
      (.kitcomponent, manifest.kitComponents),
    ] {
      for row in rows {
        let key = Dictionary(uniqueKeysWithValues: schema.keys.map { ($0, row[$0] ?? "") })
        others.append(
          RowChange(
            schema: schema, key: key, columns: row.filter { key[$0.key] == nil },
            keepsOtherColumns: preparation.request.mergesColumns))
      }
    }
    var lines: [String] = []
    if let litefile {
      let rows = try LitefileRows.parse(
        litefile, allowsUnsafeValues: preparation.request.allowsUnsafeValues)
      lines = try LitefileRows.render(image: manifest.imageName, rows).split(separator: "\n")
        .map(String.init)
      others += try LitefileRows.changes(
        image: manifest.imageName, rows, preparation.tables)
    }
    litefileLines = lines
    hasNodeLists = preparation.request.nodes != nil
    if let range = preparation.request.nodes {
      var nodes = try NodeLists(preparation.tables)
      let selection = try nodes.expand(range)
      guard selection.unknown.isEmpty else {
        throw ImageError.sentence(
          .notFound,
          "The nodes \(selection.unknown.joined(separator: ",")) are not defined in xCAT DB.",
          hint: "Nothing was imported; correct the node range, or define the nodes first")
      }
      others += try nodes.rowChanges(
        selection.nodes,
        NodeScripts(
          postscripts: manifest.values["postscripts"],
          postbootscripts: manifest.values["postbootscripts"]),
        appending: preparation.request.appendsPostscripts)
    }
    self.others = others
  }

  /// The tables after the import, and the changes that lead to them.
  struct Result {
    let definition: ImageDefinition
    /// All rows of the image's snapshot after the import.
    let kept: TableRowSet
    let changes: [RowChange]
  }

  /// Returns the changes from the live rows and the existing definition.
  func changes(
    from live: TableRowSet, _ existing: ImageDefinition, _ request: ImportRequest
  ) -> Result {
    var merged = definition
    if request.mergesColumns {
      merged.directory = existing.directory.merging(definition.directory) { $1 }
      merged.osimage = existing.osimage.merging(definition.osimage) { $1 }
      merged.linuximage = existing.linuximage.merging(definition.linuximage) { $1 }
    }
    var kept = live
    kept.absent = []
    for change in others { kept.apply(change) }
    return Result(
      definition: merged, kept: kept,
      changes: merged.rowChanges(of: image, replacing: existing) + others)
  }
}

extension TableRowSet {
  /// Applies a change to the rows.
  mutating func apply(_ change: RowChange) {
    let key = RowKey(table: change.schema.name, key: change.key)
    guard let columns = change.columns else {
      present[key] = nil
      absent.insert(key)
      return
    }
    absent.remove(key)
    let old = change.keepsOtherColumns ? present[key] ?? [:] : [:]
    present[key] = old.merging(columns) { $1 }.filter { !$0.value.isEmpty }
  }
}

// Values that do not fit the grammar of their column. An import refuses them; `define` and `export`
// warn of them.

import Platform

/// A value, and the reason that it does not fit.
public struct UnsafeValue: Sendable, Equatable {
  public let table: String
  public let column: String
  public let value: String
  /// The reason, as the end of a sentence that begins with the value.
  public let reason: String

  /// Returns the values of a row that do not fit, in the order of its columns.
  public static func all(in row: [String: String], of schema: TableSchema) -> [UnsafeValue] {
    row.sorted { byBytes($0.key, $1.key) }.compactMap { column, value in
      schema.grammar(of: column).reason(value).map {
        UnsafeValue(table: schema.name, column: column, value: value, reason: $0)
      }
    }
  }

  /// A message such as "linuximage.rootimgdir '/a b' holds a blank". Long values are cut.
  public var text: String {
    let shown = printable(value.utf8.prefix(100)) + (value.utf8.count > 100 ? "…" : "")
    return "\(table).\(column) '\(shown)' \(reason)"
  }
}

// Tables and exact sizes as text.

import Images

/// Returns rows with aligned columns. Each column is padded to its widest cell, except the last.
func table(_ rows: [[String]], indent: String = "") -> String {
  guard let columns = rows.map(\.count).max() else { return "" }
  let widths = (0..<columns).map { column in
    rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
  }
  return rows.map { row in
    var line = indent
    for (i, cell) in row.enumerated() {
      line += cell
      if i < row.count - 1 { line += String(repeating: " ", count: widths[i] - cell.count + 2) }
    }
    while line.hasSuffix(" ") { line.removeLast() }
    return line
  }.joined(separator: "\n")
}

/// Returns a size with the number of bytes: "1.2 MB (1234567 bytes)".
func exactSize(_ bytes: UInt64) -> String {
  bytes < 1000 ? count(bytes, "byte") : "\(sizeText(bytes)) (\(bytes) bytes)"
}

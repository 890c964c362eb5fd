// Rows of the table litefile: the rows of an image, their text in a bundle, and the changes that an
// import makes (docs/xcat-contract.md#litefile-rows). xCAT's export drops rows that its runtime uses;
// this code does not.
//
// The rule is that of xCAT's runtime (litetree.pm, getNodeData): rows of the image's groups, rows
// without an image, rows for ALL, rows of the image. For one file, the later row wins.

import Platform

/// A file or directory that statelite nodes treat specially.
public struct LitefileRow: Sendable, Hashable {
  /// An absolute path; a directory's ends with "/".
  public var file: String
  /// The effective options: never blank.
  public var options: String

  /// Creates a row.
  /// - Parameter options: blank for the runtime's default.
  public init(file: String, options: String) {
    self.file = file
    self.options = options.isEmpty ? LitefileRow.defaultOptions : options
  }

  /// The runtime's default for rows without options.
  public static let defaultOptions = "tmpfs,rw"
}

/// The litefile rows of an image.
public enum LitefileRows {
  /// Returns the rows that an image's nodes see, one per file, sorted by file.
  /// - Parameter groups: the image's `groups`, a comma list.
  public static func of(
    image: String, groups: String, _ tables: any TableBackend
  ) throws -> [LitefileRow] {
    let rows = try tables.rows("litefile")
    // xCAT compares the whole list; here an image in several groups has the rows of each.
    let names = [groups] + groups.split(separator: ",").map { trimmed(String($0)) }
    var options: [String: String] = [:]
    for owner in names.filter({ !$0.isEmpty }) + ["", "ALL", image] {
      for row in rows where (row["image"] ?? "") == owner {
        guard let file = row["file"] else { continue }
        options[file] = row["options"] ?? ""
      }
    }
    return options.map { LitefileRow(file: $0.key, options: $0.value) }
      .sorted { byBytes($0.file, $1.file) }
  }

  /// Returns `litefile.csv` as xCAT writes it into a bundle: no header, one line per row.
  /// - Throws: `XCATError` for values that xCAT, which splits lines at quotes, would misread.
  public static func render(
    image: String, _ rows: [LitefileRow]
  ) throws(XCATError) -> String {
    var text = ""
    for row in rows {
      for value in [image, row.file, row.options]
      where hasControl(value) || value.utf8.contains(UInt8(ascii: "\"")) {
        throw XCATError(
          "litefile row of \(printable(row.file.utf8))",
          "has a quote or a control character, which litefile.csv cannot carry",
          hint: "Change that row with xCAT's tabedit")
      }
      text += "\"\(image)\",\"\(row.file)\",\"\(row.options)\",,\n"
    }
    return text
  }

  /// Parses a bundle's `litefile.csv`. The image's name in it is that of the exporting site.
  /// - Parameter allowsUnsafeValues: files and options need not fit their columns' grammar.
  /// - Throws: `XCATError` with the line's number.
  public static func parse(
    _ bytes: [UInt8], allowsUnsafeValues: Bool = false
  ) throws(XCATError) -> [LitefileRow] {
    var parser = try CSVParser(bytes, "litefile.csv")
    var rows: [LitefileRow] = []
    while let values = try parser.record() {
      if values.count == 1, values[0].utf8.first == UInt8(ascii: "#") || values[0].isEmpty {
        continue
      }
      guard values.count >= 3 else {
        throw parser.error("is not of the form \"IMAGE\",\"FILE\",\"OPTIONS\",,")
      }
      // liteimg and the nodes' scripts pass both values to a shell, and the files to `mv`.
      for value in [values[1], values[2]] {
        guard !value.holdsControlCharacters else { throw parser.error("has a control character") }
      }
      guard !values[1].hidesSeparators else {
        throw parser.error("contains a combining mark without a letter before it")
      }
      if !allowsUnsafeValues,
        let first = UnsafeValue.all(
          in: ["file": values[1], "options": values[2]], of: .litefile
        ).first
      {
        throw parser.error("\(first.text); '--allow-unsafe-values' accepts it anyway")
      }
      guard AbsolutePath(values[1]) != nil else {
        throw parser.error(
          "names '\(printable(values[1].utf8.prefix(255)))', which is not a clean absolute path")
      }
      rows.append(LitefileRow(file: values[1], options: values[2]))
    }
    return rows
  }

  /// Returns the changes that give an image these rows, without rows that are identical for ALL. Other
  /// rows of the image stay.
  public static func changes(
    image: String, _ rows: [LitefileRow], _ tables: any TableBackend
  ) throws -> [RowChange] {
    let general = try tables.rows("litefile", where: (column: "image", value: "ALL"))
    let known = Set(
      general.compactMap { row in
        row["file"].map { LitefileRow(file: $0, options: row["options"] ?? "") }
      })
    return rows.filter { !known.contains($0) }.map { row in
      RowChange(
        schema: .litefile, key: ["image": image, "file": row.file],
        columns: ["options": row.options], keepsOtherColumns: true)
    }
  }
}

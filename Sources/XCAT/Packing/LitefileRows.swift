// Rows of the table litefile: which of them an image has (xcat.md section 2 step 7), their text in a
// bundle, and what an import makes of them (section 3 step 10), without xCAT's defect 11.
//
// The rule is that of xCAT's runtime (litetree.pm, getNodeData): rows of the image's groups, rows
// without an image, rows for ALL, rows of the image; for one file, the later wins.

import Platform

/// A file or folder that statelite nodes treat specially.
public struct LitefileRow: Sendable, Hashable {
  /// An absolute path; a folder's ends with "/".
  public var file: String
  /// What xCAT's runtime does with it: never blank.
  public var options: String

  /// - Parameter options: blank for what the runtime then takes.
  public init(file: String, options: String) {
    self.file = file
    self.options = options.isEmpty ? LitefileRow.defaultOptions : options
  }

  /// What xCAT's runtime takes where a row has none.
  public static let defaultOptions = "tmpfs,rw"
}

/// The litefile rows of an image.
public enum LitefileRows {
  /// The rows that an image's nodes see, one a file, by file.
  /// - Parameter groups: the image's `groups`, a comma list.
  public static func of(
    image: String, groups: String, _ tables: any TableBackend
  ) throws -> [LitefileRow] {
    let rows = try tables.rows("litefile")
    // xCAT compares the whole list; an image in several groups has the rows of each.
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

  /// `litefile.csv` as xCAT puts it into a bundle: no header, a line a row.
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
          advice: "Change that row with xCAT's tabedit")
      }
      text += "\"\(image)\",\"\(row.file)\",\"\(row.options)\",,\n"
    }
    return text
  }

  /// Reads a bundle's `litefile.csv`. The image's name in it is that of where it came from.
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
      // xCAT's liteimg and the nodes' scripts give both to a shell, and the files to `mv`.
      for value in [values[1], values[2]] {
        guard !value.holdsControlCharacters else { throw parser.error("has a control character") }
      }
      guard !values[1].hidesSeparators else {
        throw parser.error("holds a combining mark where no letter is before it")
      }
      if !allowsUnsafeValues,
        let first = UnsafeValue.all(
          in: ["file": values[1], "options": values[2]], of: .litefile
        ).first
      {
        throw parser.error("\(first.text); '--allow-unsafe-values' takes it all the same")
      }
      guard AbsolutePath(values[1]) != nil else {
        throw parser.error(
          "names '\(printable(values[1].utf8.prefix(255)))', which is no clean absolute path")
      }
      rows.append(LitefileRow(file: values[1], options: values[2]))
    }
    return rows
  }

  /// The changes that give an image these rows. A row that stands the same for ALL is left out;
  /// others of the image stay.
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

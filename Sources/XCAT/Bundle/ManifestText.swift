// Checks the text that an untrusted manifest would bring into xCAT's tables. xCAT passes names and
// paths to shells, and its tools and site scripts print all values on terminals.
//
// 1. No value contains a control character, or is longer than any legitimate value. A part of a path
//    has no "/" and is not "..". No option disables this rule.
// 2. Each value fits the grammar of its column (`ColumnGrammars`), unless the administrator allows others.
// 3. Paths of files in the bundle, which belong to no table, contain no character that a shell would
//    interpret. The path of a directory image reaches no shell of xCAT's, and may contain them.

import Platform

extension Manifest {
  static let maxNameBytes = 128
  static let maxValueBytes = 64 << 10
  static let shellCharacters = Set(";&|$`\"'\\<>()".utf8)

  /// Refuses values that would do harm in other programs.
  /// - Parameter allowsUnsafeValues: disables rule 2.
  /// - Throws: `XCATError` that names the column and the value.
  public func refuseHarmfulText(allowsUnsafeValues: Bool = false) throws(XCATError) {
    for (name, value) in values.sorted(by: { byBytes($0.key, $1.key) }) {
      try Manifest.checkText(value, of: name)
    }
    for (schema, row) in rows {
      for (name, value) in row.sorted(by: { byBytes($0.key, $1.key) }) {
        try Manifest.checkText(value, of: name)
        if schema.grammar(of: name) == .name { try Manifest.checkName(value, of: name) }
      }
    }
    for pattern in excludes { try Manifest.checkText(pattern, of: "pattern") }
    for (name, path) in otherPaths {
      try Manifest.checkText(path, of: name)
      guard !path.utf8.contains(where: { Manifest.shellCharacters.contains($0) }) else {
        throw Manifest.refusal(
          "<\(name)> contains a character that a shell would interpret (one of ; & | $ ` \" ' \\ < > ( ))"
        )
      }
    }
    if allowsUnsafeValues { return }
    if let first = unsafeValues.first {
      throw Manifest.refusal(
        first.text,
        hint: "Nothing was imported: xCAT's commands would give it to a shell. Do not trust this "
          + "bundle; '--allow-unsafe-values' accepts it anyway")
    }
  }

  /// The values that do not fit their columns.
  public var unsafeValues: [UnsafeValue] {
    rows.flatMap { UnsafeValue.all(in: $0.row, of: $0.schema) }
      + values.sorted { byBytes($0.key, $1.key) }.compactMap { name, value in
        Manifest.grammar(of: name).reason(value).map {
          UnsafeValue(table: "manifest", column: name, value: value, reason: $0)
        }
      }
  }

  private var rows: [(schema: TableSchema, row: [String: String])] {
    (directory.isEmpty
      ? [(.osimage, osimage), (.linuximage, linuximage)] : [(.directory, directory)])
      + kits.map { (.kit, $0) }
      + kitRepositories.map { (.kitrepo, $0) } + kitComponents.map { (.kitcomponent, $0) }
  }

  /// Returns the grammar of a top-level value: a path, or a list for a row of postscripts.
  private static func grammar(of name: String) -> ValueGrammar {
    pathKeys.contains(name) ? .path : TableSchema.postscripts.grammar(of: name)
  }

  private var otherPaths: [(name: String, path: String)] {
    (rawImageFiles ?? []).map { ("files", $0) }
      + closure.flatMap { file in
        [("member", file.member)] + (file.isTree && !directory.isEmpty ? [] : [("path", file.path)])
      }
      + extras.flatMap { [("src", $0.source), ("dest", $0.destination)] }
  }

  private static func refusal(_ reason: String, hint: String? = nil) -> XCATError {
    XCATError(
      .bundleInvalid,
      "manifest.xml", reason,
      hint: hint
        ?? "Nothing was imported; do not trust this bundle, or export the image again under other "
        + "names")
  }

  /// Checks the rules for any text.
  private static func checkText(_ value: String, of name: String) throws(XCATError) {
    let element = "<\(printable(name.utf8))>"
    guard value.utf8.count <= maxValueBytes else {
      throw refusal("\(element) is longer than \(maxValueBytes) bytes")
    }
    guard !value.holdsControlCharacters else {
      throw refusal("\(element) holds a control character")
    }
    guard !value.hidesSeparators else {
      throw refusal("\(element) contains a combining mark without a letter before it")
    }
  }

  /// Checks a name that becomes a component of paths.
  private static func checkName(_ value: String, of name: String) throws(XCATError) {
    guard !value.utf8.contains(UInt8(ascii: "/")), value != ".", value != "..",
      value.utf8.count <= maxNameBytes
    else { throw refusal("<\(printable(name.utf8))> cannot be part of a path") }
  }
}

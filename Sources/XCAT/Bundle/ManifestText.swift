// Text that a stranger's manifest may bring into xCAT's tables. xCAT gives names and paths to
// shells, and its tools print all of it on terminals; so does everybody's script around them.
//
// 1. No value holds a control character, or is longer than any value needs to be. What is part of a path has
//    no "/" and is not "..". No option allows that.
// 2. Each value fits the grammar of its column (`ColumnGrammars`), unless the administrator allows others.
// 3. What belongs to no table, paths of files that come along, holds nothing that a shell would act on. The tree of
//    an image that is a directory reaches no shell of xCAT's.

import Platform

extension Manifest {
  static let maxNameBytes = 128
  static let maxValueBytes = 64 << 10
  static let shellCharacters = Set(";&|$`\"'\\<>()".utf8)

  /// Refuses values that would do harm in other hands than ours.
  /// - Parameter allowsUnsafeValues: values of tables need not fit their columns.
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
          "<\(name)> holds a character that a shell would act on (one of ; & | $ ` \" ' \\ < > ( ))"
        )
      }
    }
    if allowsUnsafeValues { return }
    if let first = unsafeValues.first {
      throw Manifest.refusal(
        first.text,
        advice: "Nothing was imported: xCAT's commands would give it to a shell. Do not trust this "
          + "bundle; '--allow-unsafe-values' takes it all the same")
    }
  }

  /// Values that do not fit their columns.
  public var unsafeValues: [UnsafeValue] {
    rows.flatMap { UnsafeValue.all(in: $0.row, of: $0.schema) }
      + values.sorted { byBytes($0.key, $1.key) }.compactMap { name, value in
        Manifest.grammar(of: name).finding(value).map {
          UnsafeValue(table: "manifest", column: name, value: value, finding: $0)
        }
      }
  }

  private var rows: [(schema: TableSchema, row: [String: String])] {
    (directory.isEmpty
      ? [(.osimage, osimage), (.linuximage, linuximage)] : [(.directory, directory)])
      + kits.map { (.kit, $0) }
      + kitRepositories.map { (.kitrepo, $0) } + kitComponents.map { (.kitcomponent, $0) }
  }

  /// Values at the manifest's top: paths of files, and lists for a row of postscripts.
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

  private static func refusal(_ finding: String, advice: String? = nil) -> XCATError {
    XCATError(
      "manifest.xml", finding,
      advice: advice
        ?? "Nothing was imported; do not trust this bundle, or export the image again under other "
        + "names")
  }

  /// What any text must be.
  private static func checkText(_ value: String, of name: String) throws(XCATError) {
    let element = "<\(printable(name.utf8))>"
    guard value.utf8.count <= maxValueBytes else {
      throw refusal("\(element) is longer than \(maxValueBytes) bytes")
    }
    guard !value.holdsControlCharacters else {
      throw refusal("\(element) holds a control character")
    }
    guard !value.hidesSeparators else {
      throw refusal("\(element) holds a combining mark where no letter is before it")
    }
  }

  /// A name becomes a component of paths, ours too.
  private static func checkName(_ value: String, of name: String) throws(XCATError) {
    guard !value.utf8.contains(UInt8(ascii: "/")), value != ".", value != "..",
      value.utf8.count <= maxNameBytes
    else { throw refusal("<\(printable(name.utf8))> cannot be part of a path") }
  }
}

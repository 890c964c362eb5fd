// Checks the litefile rows of a statelite image by the rules of liteimg (statelite.pm;
// docs/xcat-contract.md#liteimg), in its words. liteimg stops at the first fault; this code finds all.

import Platform

/// A row of litefile that applies to an image.
public struct LiteFile: Sendable, Hashable {
  /// An absolute path; a directory's ends in "/".
  public let file: String
  /// The option as liteimg sees it: blank means "tmpfs,rw", the old name of "link".
  public let option: String

  /// Creates a row with its effective option.
  public init(file: String, options: String) {
    self.file = file
    option = options.isEmpty || options == "tmpfs,rw" ? "link" : options
  }

  var isDirectory: Bool { file.utf8.last == UInt8(ascii: "/") }
}

/// The rules for litefile rows.
public enum LiteOptions {
  /// The valid options.
  public static let valid = [
    "tmpfs", "persistent", "localdisk", "rw", "ro", "con", "link", "tmpfs,rw", "link,ro",
    "link,persistent", "link,con",
  ]

  /// Returns the faults of an image's rows, in their order. As in liteimg, the rules for directories
  /// apply only if each row is valid by itself.
  public static func faults(_ rows: [LiteFile]) -> [XCATError] {
    let single = rows.compactMap(fault)
    guard single.isEmpty else { return single }
    // The last row of a name counts.
    let directories = Dictionary(
      rows.filter(\.isDirectory).map { (Array($0.file.utf8), $0) }, uniquingKeysWith: { $1 })
    var reportedParents: Set<LiteFile> = []
    return rows.compactMap { row in
      guard let parent = parent(of: row, in: directories) else { return nil }
      if parent.option.hasSuffix("ro") || parent.option.hasSuffix("con") {
        guard reportedParents.insert(parent).inserted else { return nil }
        return error(
          parent,
          "the directory \"\(parent.file)\" should not be with \"ro\" or \"con\" as its option",
          hint: "Give it another option, or remove the rows below it")
      }
      return fault(row, below: parent)
    }
  }

  // MARK: Rules

  private static func fault(_ row: LiteFile) -> XCATError? {
    if !valid.contains(row.option) {
      return error(
        row,
        "\(row.file) has invalid option. The valid options: " + valid.joined(separator: " "),
        hint: "Set one of these with tabedit litefile")
    }
    if !row.file.hasPrefix("/") {
      return error(
        row, "\(row.file) is not one absolute path", hint: "Begin it with '/'")
    }
    if row.option.contains("con"), row.isDirectory {
      return error(
        row, "\(row.file) is directory, don't use \"con\" as its option",
        hint: "List the files of the directory instead; only files can be concatenated")
    }
    return nil
  }

  private static func fault(_ row: LiteFile, below parent: LiteFile) -> XCATError? {
    let basis = "Based on the option of \(parent.file), \(row.file)"
    let isLink = row.option.contains("link")
    let hint = "Change one of the two options"
    if parent.option.contains("link") {
      if row.option == "link,ro" {
        return error(row, "\(basis) should not use \"link,ro\" as its option", hint: hint)
      }
      if !isLink {
        return error(row, "\(basis) can only use \"link\"-based options", hint: hint)
      }
    }
    // xCAT means to refuse links below a directory without one, but compares texts as numbers. The
    // check never fires, and such rows are in use.
    if parent.option.contains("persistent"), !row.option.contains("persistent") {
      return error(
        row, "\(row.file) should have persistent option like \(parent.file)", hint: hint)
    }
    return nil
  }

  /// Returns the nearest directory above that has a row itself, except "/".
  private static func parent(
    of row: LiteFile, in directories: [[UInt8]: LiteFile]
  ) -> LiteFile? {
    let slash = UInt8(ascii: "/")
    var name = Array(row.file.utf8)
    if row.isDirectory { name.removeLast() }
    while let end = name.lastIndex(of: slash), end > 0 {
      if let parent = directories[Array(name[...end])] { return parent }
      name = Array(name[..<end])
    }
    return nil
  }

  private static func error(_ row: LiteFile, _ reason: String, hint: String) -> XCATError {
    XCATError("litefile row \(printable(Array(row.file.utf8)))", reason, hint: hint)
  }
}

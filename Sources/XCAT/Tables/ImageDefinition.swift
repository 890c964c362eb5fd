// The definition of an image: the set columns of its rows in osimage and linuximage or, for a
// directory image, the row of imgstore's own table.

import Platform

/// An image's definition. The key column, `imagename`, is not in the rows.
public struct ImageDefinition: DefinitionRows, Sendable, Hashable {
  /// The set columns of the row in osimage.
  public var osimage: [String: String]
  /// The set columns of the row in linuximage.
  public var linuximage: [String: String]
  /// `path` and `exclude` of a directory image; empty for an osimage of xCAT.
  public var directory: [String: String]

  /// Creates a definition; key columns and empty values are dropped.
  public init(
    osimage: [String: String] = [:], linuximage: [String: String] = [:],
    directory: [String: String] = [:]
  ) {
    func columns(_ row: [String: String]) -> [String: String] {
      row.filter { $0.key != "imagename" && !$0.value.isEmpty }
    }
    self.osimage = columns(osimage)
    self.linuximage = columns(linuximage)
    self.directory = columns(directory)
  }

  /// Creates the definition of a directory image.
  public init(directory path: AbsolutePath, excludes: [String]) {
    self.init(directory: [
      "path": path.text, "exclude": excludes.joined(separator: "\n"),
    ])
  }

  /// Whether the image has no rows.
  public var isEmpty: Bool { osimage.isEmpty && linuximage.isEmpty && directory.isEmpty }
  /// Whether the image is a directory.
  public var isDirectory: Bool { !directory.isEmpty }

  /// The path of a directory image; nil for an osimage of xCAT, and if the path is not valid.
  public var directoryPath: AbsolutePath? {
    directory["path"].flatMap { AbsolutePath($0) }.flatMap { $0.isRoot ? nil : $0 }
  }

  /// The exclude patterns of a directory image, as lines of gitignore(5).
  public var excludes: [String] {
    (directory["exclude"] ?? "").split(separator: "\n").map(String.init)
  }

  /// Sets an attribute under its `chdef` name; an empty value unsets it.
  /// - Throws: `XCATError` for an attribute that the image cannot have.
  public mutating func set(_ attribute: String, _ value: String) throws(XCATError) {
    if isDirectory {
      throw XCATError(
        .usage, "attribute '\(attribute)'", "is not an attribute of a directory image",
        hint: "'imgstore add NAME DIR --exclude PATTERN' sets the patterns of such an image")
    }
    guard let (schema, column) = TableSchema.table(of: attribute) else {
      throw XCATError(
        .usage, "attribute '\(attribute)'", "is not an osimage attribute",
        hint: ["path", "dir", "directory", "exclude"].contains(attribute)
          ? "To keep a directory, write 'imgstore add NAME DIR'"
          : "'imgstore define --help' lists the usual ones, xCAT's manual page osimage(7) all")
    }
    let new = value.isEmpty ? nil : value
    if schema.name == TableSchema.osimage.name {
      osimage[column] = new
    } else {
      linuximage[column] = new
    }
  }

  /// The attributes under their `lsdef` names, sorted, without those that `lsdef` cannot show.
  public var attributes: [(name: String, value: String)] {
    var all = osimage.filter { $0.key != "comments" && $0.key != "disable" }
    for (column, value) in linuximage where column != "disable" {
      all[column == "comments" ? "usercomment" : column] = value
    }
    all.merge(directory) { $1 }
    return all.sorted { byBytes($0.key, $1.key) }.map { ($0.key, $0.value) }
  }
}

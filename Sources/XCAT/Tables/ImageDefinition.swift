// What the tables say of one image: a row of osimage and a row of linuximage, set columns only; or, where the image
// is a directory, the row of imgstore's own table.

import Platform

/// An image's definition. The key column, `imagename`, is not in the rows.
public struct ImageDefinition: Sendable, Hashable {
  public var osimage: [String: String]
  public var linuximage: [String: String]
  /// `path` and `exclude` of an image that is a directory; empty for an osimage of xCAT's.
  public var directory: [String: String]

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

  /// Makes the definition of a directory.
  public init(directory path: AbsolutePath, excludes: [String]) {
    self.init(directory: [
      "path": path.text, "exclude": excludes.joined(separator: "\n"),
    ])
  }

  public var isEmpty: Bool { osimage.isEmpty && linuximage.isEmpty && directory.isEmpty }
  public var isDirectory: Bool { !directory.isEmpty }
  public var profile: String { osimage["profile"] ?? "" }
  public var osVersion: String { osimage["osvers"] ?? "" }
  public var architecture: String { osimage["osarch"] ?? "" }
  public var provisioning: String { osimage["provmethod"] ?? "" }

  /// The directory that the image is; nil for an osimage of xCAT's, and where the path is none.
  public var directoryPath: AbsolutePath? {
    directory["path"].flatMap { AbsolutePath($0) }.flatMap { $0.components.isEmpty ? nil : $0 }
  }

  /// What the definition leaves out of the directory, as lines of gitignore(5).
  public var excludes: [String] {
    (directory["exclude"] ?? "").split(separator: "\n").map(String.init)
  }

  /// Sets an attribute under its `chdef` name; an empty value unsets it.
  /// - Throws: `XCATError` for an attribute that the image cannot have.
  public mutating func set(_ attribute: String, _ value: String) throws(XCATError) {
    if isDirectory {
      throw XCATError(
        .usage, "attribute '\(attribute)'", "is not one of an image that is a directory",
        advice: "'imgstore add NAME DIR --exclude PATTERN' sets what such an image has")
    }
    guard let (schema, column) = TableSchema.table(of: attribute) else {
      throw XCATError(
        .usage, "attribute '\(attribute)'", "is not one of an osimage",
        advice: ["path", "dir", "directory", "exclude"].contains(attribute)
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

  /// Attributes under their `lsdef` names, sorted; what `lsdef` cannot show is left out.
  public var attributes: [(name: String, value: String)] {
    var all = osimage.filter { $0.key != "comments" && $0.key != "disable" }
    for (column, value) in linuximage where column != "disable" {
      all[column == "comments" ? "usercomment" : column] = value
    }
    all.merge(directory) { $1 }
    return all.sorted { byBytes($0.key, $1.key) }.map { ($0.key, $0.value) }
  }
}

// What xCAT's tables say of one image: a row of osimage and a row of linuximage, set columns only.

/// An image's definition. The key column, `imagename`, is not in the rows.
public struct ImageDefinition: Sendable, Hashable {
  public var osimage: [String: String]
  public var linuximage: [String: String]

  public init(osimage: [String: String] = [:], linuximage: [String: String] = [:]) {
    self.osimage = osimage.filter { $0.key != "imagename" && !$0.value.isEmpty }
    self.linuximage = linuximage.filter { $0.key != "imagename" && !$0.value.isEmpty }
  }

  public var isEmpty: Bool { osimage.isEmpty && linuximage.isEmpty }
  public var profile: String { osimage["profile"] ?? "" }
  public var osVersion: String { osimage["osvers"] ?? "" }
  public var architecture: String { osimage["osarch"] ?? "" }
  public var provisioning: String { osimage["provmethod"] ?? "" }

  /// Sets an attribute under its `chdef` name; an empty value unsets it.
  /// - Throws: `XCATError` for an attribute that neither table has.
  public mutating func set(_ attribute: String, _ value: String) throws(XCATError) {
    guard let (schema, column) = TableSchema.table(of: attribute) else {
      throw XCATError(
        "attribute '\(attribute)'", "is not one of an osimage",
        advice: "'lsdef -t osimage -h' and xCAT's manual page osimage(7) list them all")
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
    return all.sorted { byBytes($0.key, $1.key) }.map { ($0.key, $0.value) }
  }
}

extension TableFiles {
  /// The definition of an image; nil where neither table has a visible row.
  public func definition(of image: String) throws -> ImageDefinition? {
    let key = (column: "imagename", value: image)
    let osimage = try rows("osimage", where: key).first
    let linuximage = try rows("linuximage", where: key).first
    if osimage == nil, linuximage == nil { return nil }
    return ImageDefinition(osimage: osimage ?? [:], linuximage: linuximage ?? [:])
  }

  /// The names of all images.
  public func imageNames() throws -> [String] {
    try rows("osimage").compactMap { $0["imagename"] }.sorted(by: byBytes)
  }

  /// Makes the definition exactly this; an empty one removes the image from the tables.
  /// - Returns: columns that these tables do not have.
  @discardableResult
  public func setDefinition(of image: String, _ definition: ImageDefinition) throws -> [String] {
    func row(_ columns: [String: String]) -> [String: String] {
      if definition.isEmpty { return [:] }
      return columns.merging(["imagename": image]) { $1 }
    }
    return try replace(
      image: image,
      [
        (TableSchema.osimage, row(definition.osimage)),
        (TableSchema.linuximage, row(definition.linuximage)),
      ])
  }

  /// A value of xCAT's site table.
  public func site(_ key: String) throws -> String? {
    try rows("site", where: (column: "key", value: key)).first?["value"]
  }
}

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

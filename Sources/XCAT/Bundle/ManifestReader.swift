// Reads manifest.xml: nested (2.8 to today) and flat (2.6, 2.7) forms, repeated and single elements,
// and kits in the forms that XML::Simple writes and reads (docs/xcat-contract.md#kits).
//
// 1. An element that belongs once in a manifest is refused the second time: a second <osimage> or
//    <kernel> would be ambiguous.
// 2. An empty element is an unset value. ManifestText.swift checks the content of values.

import Platform

extension Manifest {
  /// The limit for each kind of row. A kit has a handful, and each row is compared with all others.
  static let maxKitRows = 1000

  /// Parses a manifest.
  /// - Throws: `XCATError`: the text is not well-formed, has no image name, or has an unknown element.
  public static func parse(_ bytes: [UInt8]) throws(XCATError) -> Manifest {
    let root = try XMLElement.parse(bytes, object: "manifest.xml")
    guard root.name == "xcatimage" else {
      throw XCATError(.bundleInvalid, "manifest.xml", "begins with <\(root.name)>, not <xcatimage>")
    }
    var manifest = Manifest()
    var seen: Set<String> = []
    func once(_ name: String) throws(XCATError) {
      guard seen.insert(name).inserted else {
        throw XCATError(.bundleInvalid, "manifest.xml", "has <\(name)> more than once")
      }
    }
    for element in root.children {
      switch element.name {
      case "osimage":
        try once("osimage")
        manifest.osimage = try columns(element)
      case "linuximage":
        try once("linuximage")
        manifest.linuximage = try columns(element)
      case "directory":
        try once("directory")
        manifest.directory = try columns(element)
      case "exclude":
        guard let pattern = try columns(element)["pattern"] else {
          throw XCATError(.bundleInvalid, "manifest.xml", "has an <exclude> without <pattern>")
        }
        manifest.excludes.append(pattern)
      case "extra":
        let columns = try columns(element)
        guard let source = columns["src"], let destination = columns["dest"] else {
          throw XCATError(.bundleInvalid, "manifest.xml", "has an <extra> without <src> or <dest>")
        }
        manifest.extras.append(Extra(source: source, destination: destination))
      case "kit", "kitrepo", "kitcomp": try manifest.addKitRows(element)
      case "rawimagefiles":
        try once("rawimagefiles")
        var files: [String] = []
        for file in element.children(named: "files") {
          if let path = try text(file, in: "rawimagefiles") { files.append(path) }
        }
        manifest.rawImageFiles = files
      case "closure": try manifest.addClosure(element)
      default:
        guard element.children.isEmpty else {
          throw XCATError(
            .bundleInvalid, "manifest.xml", "has an unknown element <\(element.name)>")
        }
        try once(element.name)
        if let value = try text(element, in: nil) { manifest.values[element.name] = value }
      }
    }
    try manifest.finish()
    return manifest
  }

  /// Adapts a manifest whose elements were read.
  private mutating func finish() throws(XCATError) {
    if directory.isEmpty {
      adaptFlatForm()
    } else {
      try requireOnlyDirectory()
    }
    guard !imageName.isEmpty else {
      throw XCATError.sentence("The 'imagename' field is not defined in manifest.xml.")
    }
  }

  /// Returns the text of an element without children; nil if it is empty.
  private static func text(
    _ element: XMLElement, in parent: String?
  ) throws(XCATError) -> String? {
    let elements = (parent.map { "<\($0)>" } ?? "") + "<\(element.name)>"
    guard element.children.isEmpty else {
      throw XCATError(.bundleInvalid, "manifest.xml", "has elements inside \(elements)")
    }
    let value = element.value
    return value.isEmpty ? nil : value
  }

  private static func columns(_ element: XMLElement) throws(XCATError) -> [String: String] {
    var columns: [String: String] = [:]
    var seen: Set<String> = []
    for column in element.children {
      guard seen.insert(column.name).inserted else {
        throw XCATError(
          .bundleInvalid,
          "manifest.xml", "has <\(column.name)> more than once in <\(element.name)>")
      }
      if let value = try text(column, in: element.name) { columns[column.name] = value }
    }
    return columns
  }

  /// Adds rows in the forms `<kit><name>K</name>…</kit>`, repeated or not, and `<kit><K>…</K>…</kit>`.
  /// XML::Simple writes the first for several rows, and reads the second for one.
  private mutating func addKitRows(_ element: XMLElement) throws(XCATError) {
    guard let (_, _, key) = Manifest.kitElements.first(where: { $0.element == element.name })
    else { return }
    var rows: [[String: String]] = []
    if element.children.contains(where: { !$0.children.isEmpty }) {
      for child in element.children {
        var row = try Manifest.columns(child)
        if row[key] == nil { row[key] = child.name }
        rows.append(row)
      }
    } else {
      rows.append(try Manifest.columns(element))
    }
    for var row in rows {
      let name = row.removeValue(forKey: "name")
      if row[key] == nil { row[key] = name }
      guard let id = row[key] else {
        throw XCATError(.bundleInvalid, "manifest.xml", "has a <\(element.name)> without a name")
      }
      if let other = self[kitElement: element.name].first(where: { $0[key] == id }) {
        guard other == row else {
          throw XCATError(
            .bundleInvalid, "manifest.xml", "describes the \(element.name) \(id) in two ways")
        }
        continue
      }
      self[kitElement: element.name].append(row)
      guard self[kitElement: element.name].count <= Manifest.maxKitRows else {
        throw XCATError(
          .bundleInvalid,
          "manifest.xml", "has more than \(Manifest.maxKitRows) rows of <\(element.name)>")
      }
    }
  }

  private mutating func addClosure(_ element: XMLElement) throws(XCATError) {
    let columns = try Manifest.columns(element)
    guard let member = columns["member"], let path = columns["path"] else {
      throw XCATError(.bundleInvalid, "manifest.xml", "has a <closure> without <member> or <path>")
    }
    closure.append(Closure(member: member, path: path, isTree: columns["kind"] == "tree"))
  }

  /// Refuses a directory image with parts of an osimage.
  private func requireOnlyDirectory() throws(XCATError) {
    guard osimage.isEmpty, linuximage.isEmpty, values.isEmpty, kits.isEmpty,
      kitRepositories.isEmpty, kitComponents.isEmpty, rawImageFiles == nil
    else {
      throw XCATError(
        .bundleInvalid, "manifest.xml", "describes a directory and an osimage at once")
    }
    guard excludes.count <= Manifest.maxExcludes else {
      throw XCATError(
        .bundleInvalid, "manifest.xml", "has more than \(Manifest.maxExcludes) of <exclude>")
    }
  }

  private static let maxExcludes = 1000

  /// Moves top-level columns (2.6 and 2.7) to their tables. The node lists of `-p` stay at the top,
  /// where they belong.
  private mutating func adaptFlatForm() {
    guard osimage.isEmpty, linuximage.isEmpty else { return }
    for (name, value) in values where name != "postscripts" && name != "postbootscripts" {
      let inOSImage = TableSchema.osimage.columns.contains(name)
      let inLinuxImage = TableSchema.linuximage.columns.contains(name)
      if inOSImage { osimage[name] = value }
      if inLinuxImage { linuximage[name] = value }
      if inOSImage || inLinuxImage { values[name] = nil }
    }
  }
}

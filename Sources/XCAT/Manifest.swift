// manifest.xml (xcat.md sections 2 and 3): what a bundle says of itself.
//
// 1. Read: nested (2.8 to today) and flat (2.6, 2.7); a repeated element and a single one alike.
// 2. Written: as xCAT's XML::Simple writes it: children sorted by name, two blanks a level, the
//    declaration without an encoding, empty values left out.

import Platform

/// A bundle's manifest.
public struct Manifest: Sendable, Equatable {
  public struct Extra: Sendable, Equatable {
    /// Where the file was, and so what it is called in the bundle.
    public var source: String
    /// The folder it belongs in.
    public var destination: String
    public init(source: String, destination: String) {
      self.source = source
      self.destination = destination
    }
  }

  public var osimage: [String: String]
  public var linuximage: [String: String]
  /// `kernel`, `ramdisk`, `rootimg`, `postscripts`, `media` …: single values at the top.
  public var values: [String: String]
  public var extras: [Extra]

  public init(
    osimage: [String: String], linuximage: [String: String], values: [String: String],
    extras: [Extra]
  ) {
    self.osimage = osimage
    self.linuximage = linuximage
    self.values = values
    self.extras = extras
  }

  public var imageName: String { osimage["imagename"] ?? "" }
}

// MARK: - Reading

extension Manifest {
  /// Parses a manifest.
  /// - Throws: `XCATError`: not well-formed, no image name, a kind of element we do not know.
  public static func parse(_ bytes: [UInt8]) throws(XCATError) -> Manifest {
    let root = try XMLElement.parse(bytes, object: "manifest.xml")
    guard root.name == "xcatimage" else {
      throw XCATError("manifest.xml", "begins with <\(root.name)>, not <xcatimage>")
    }
    var manifest = Manifest(osimage: [:], linuximage: [:], values: [:], extras: [])
    for element in root.children {
      switch element.name {
      case "osimage": manifest.osimage = try columns(element)
      case "linuximage": manifest.linuximage = try columns(element)
      case "extra":
        guard let source = element.children(named: "src").first?.value,
          let destination = element.children(named: "dest").first?.value
        else { throw XCATError("manifest.xml", "has an <extra> without <src> or <dest>") }
        manifest.extras.append(Extra(source: source, destination: destination))
      case "kit", "kitrepo", "kitcomp", "rawimagefiles":
        throw XCATError(
          "manifest.xml", "has <\(element.name)>, which this version does not import",
          advice: "Import this bundle with xCAT's own imgimport")
      default:
        guard element.children.isEmpty else {
          throw XCATError("manifest.xml", "has an unknown element <\(element.name)>")
        }
        if !element.value.isEmpty { manifest.values[element.name] = element.value }
      }
    }
    manifest.adaptFlatForm()
    guard !manifest.imageName.isEmpty else {
      throw XCATError(
        "manifest.xml", "The 'imagename' field is not defined in manifest.xml")
    }
    return manifest
  }

  private static func columns(_ element: XMLElement) throws(XCATError) -> [String: String] {
    var columns: [String: String] = [:]
    for column in element.children {
      guard column.children.isEmpty else {
        throw XCATError("manifest.xml", "has elements inside <\(element.name)><\(column.name)>")
      }
      if !column.value.isEmpty { columns[column.name] = column.value }
    }
    return columns
  }

  /// 2.6 and 2.7 had all columns at the top. The node lists of `-p` stay there, where they belong.
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

// MARK: - Writing

extension Manifest {
  /// The document's bytes.
  public func render() -> [UInt8] {
    var elements: [(name: String, lines: [String])] = []
    for (name, value) in values where !value.isEmpty {
      elements.append((name, ["  " + Manifest.element(name, value)]))
    }
    for extra in extras {
      elements.append(
        (
          "extra",
          [
            "  <extra>", "    " + Manifest.element("dest", extra.destination),
            "    " + Manifest.element("src", extra.source), "  </extra>",
          ]
        ))
    }
    for (name, columns) in [("osimage", osimage), ("linuximage", linuximage)] {
      let lines = columns.filter { !$0.value.isEmpty }.sorted { byBytes($0.key, $1.key) }
        .map { "    " + Manifest.element($0.key, $0.value) }
      elements.append((name, ["  <\(name)>"] + lines + ["  </\(name)>"]))
    }
    // A stable sort keeps several extras in their order.
    let sorted = elements.enumerated().sorted {
      $0.element.name == $1.element.name
        ? $0.offset < $1.offset : byBytes($0.element.name, $1.element.name)
    }
    var lines = ["<?xml version=\"1.0\"?>", "<xcatimage>"]
    for element in sorted { lines += element.element.lines }
    lines.append("</xcatimage>")
    return Array((lines.joined(separator: "\n") + "\n").utf8)
  }

  private static func element(_ name: String, _ value: String) -> String {
    var escaped = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return "<\(name)>\(escaped)</\(name)>"
  }
}

/// ASCII order, as Perl sorts keys.
func byBytes(_ a: String, _ b: String) -> Bool {
  Array(a.utf8).lexicographicallyPrecedes(Array(b.utf8))
}

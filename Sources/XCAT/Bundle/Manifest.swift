// The model of manifest.xml, a bundle's description of itself (docs/xcat-contract.md#manifest).
// ManifestReader.swift reads it, and ManifestWriter.swift writes it.

import Platform

/// A bundle's manifest.
public struct Manifest: DefinitionRows, Sendable, Equatable {
  /// An additional file or directory.
  public struct Extra: Sendable, Equatable {
    /// The original path of the file or directory, which determines its name in the bundle.
    public var source: String
    /// The directory it belongs in.
    public var destination: String
    /// Creates an extra.
    public init(source: String, destination: String) {
      self.source = source
      self.destination = destination
    }
  }

  /// A member that only our own complete bundles have, and its path.
  public struct Closure: Sendable, Equatable {
    /// The name inside the image's directory; a tree is a tar member.
    public var member: String
    public var path: String
    public var isTree: Bool
    /// Creates an entry.
    public init(member: String, path: String, isTree: Bool) {
      self.member = member
      self.path = path
      self.isTree = isTree
    }
  }

  /// The row of osimage, with its key.
  public var osimage: [String: String]
  /// The row of linuximage, with its key.
  public var linuximage: [String: String]
  /// `imagename` and `path` of a directory image; empty for others.
  public var directory: [String: String] = [:]
  /// The exclude patterns of a directory image, in order.
  public var excludes: [String] = []
  /// Single values at the top: `kernel`, `ramdisk`, `rootimg`, `postscripts`, `media` …
  public var values: [String: String]
  /// The extras, in their order.
  public var extras: [Extra]
  /// Whole rows of kit, key columns included.
  public var kits: [[String: String]] = []
  /// Whole rows of kitrepo.
  public var kitRepositories: [[String: String]] = []
  /// Whole rows of kitcomponent.
  public var kitComponents: [[String: String]] = []
  /// s390x disk images; nil if the section is absent.
  public var rawImageFiles: [String]?
  /// The additional members of a complete bundle.
  public var closure: [Closure] = []

  /// Creates a manifest.
  public init(
    osimage: [String: String] = [:], linuximage: [String: String] = [:],
    values: [String: String] = [:], extras: [Extra] = []
  ) {
    self.osimage = osimage
    self.linuximage = linuximage
    self.values = values
    self.extras = extras
  }

  /// The name of the image.
  public var imageName: String { osimage["imagename"] ?? directory["imagename"] ?? "" }

  /// The definition that the manifest describes.
  public var definition: ImageDefinition {
    guard !directory.isEmpty else {
      return ImageDefinition(osimage: osimage, linuximage: linuximage)
    }
    return ImageDefinition(directory: [
      "path": directory["path"] ?? "", "exclude": excludes.joined(separator: "\n"),
    ])
  }

  /// Renames the image.
  public mutating func rename(to name: String) {
    if directory.isEmpty {
      setImageName(name)
    } else {
      directory["imagename"] = name
    }
  }

  /// Moves a directory image to another path.
  public mutating func move(to path: AbsolutePath) {
    directory["path"] = path.text
    for i in closure.indices where closure[i].isTree { closure[i].path = path.text }
  }

  /// The values that are the path of one file.
  public static let pathKeys = ["kernel", "ramdisk", "rootimg", "rootimgtree", "litefile"]

  /// The three tables of a kit, by element name, with the table and its key.
  static let kitElements: [(element: String, table: String, key: String)] = [
    ("kit", "kit", "kitname"), ("kitrepo", "kitrepo", "kitreponame"),
    ("kitcomp", "kitcomponent", "kitcompname"),
  ]

  subscript(kitElement element: String) -> [[String: String]] {
    get {
      switch element {
      case "kit": kits
      case "kitrepo": kitRepositories
      default: kitComponents
      }
    }
    set {
      switch element {
      case "kit": kits = newValue
      case "kitrepo": kitRepositories = newValue
      default: kitComponents = newValue
      }
    }
  }
}

/// Returns whether `a` precedes `b` in ASCII order, in which Perl sorts keys.
func byBytes(_ a: String, _ b: String) -> Bool {
  Array(a.utf8).lexicographicallyPrecedes(Array(b.utf8))
}

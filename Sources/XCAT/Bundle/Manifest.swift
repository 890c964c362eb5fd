// manifest.xml (xcat.md sections 2 and 3): what a bundle says of itself. This file: the model; how
// it is read and written stands in ManifestReader.swift and ManifestWriter.swift.

import Platform

/// A bundle's manifest.
public struct Manifest: Sendable, Equatable {
  public struct Extra: Sendable, Equatable {
    /// Where the file or folder was, and so what it is called in the bundle.
    public var source: String
    /// The folder it belongs in.
    public var destination: String
    public init(source: String, destination: String) {
      self.source = source
      self.destination = destination
    }
  }

  /// What our own complete bundles hold beside what xCAT knows: a member and where it belongs.
  public struct Closure: Sendable, Equatable {
    /// Inside the image's folder; a tree is a tar member.
    public var member: String
    public var path: String
    public var isTree: Bool
    public init(member: String, path: String, isTree: Bool) {
      self.member = member
      self.path = path
      self.isTree = isTree
    }
  }

  public var osimage: [String: String]
  public var linuximage: [String: String]
  /// `imagename` and `path` of an image that is a directory; empty for others.
  public var directory: [String: String] = [:]
  /// What such an image leaves out, in order.
  public var excludes: [String] = []
  /// `kernel`, `ramdisk`, `rootimg`, `postscripts`, `media` …: single values at the top.
  public var values: [String: String]
  public var extras: [Extra]
  /// Whole rows of kit, kitrepo and kitcomponent, key columns included.
  public var kits: [[String: String]] = []
  public var kitRepositories: [[String: String]] = []
  public var kitComponents: [[String: String]] = []
  /// s390x disk images; nil where there is no such section.
  public var rawImageFiles: [String]?
  public var closure: [Closure] = []

  public init(
    osimage: [String: String] = [:], linuximage: [String: String] = [:],
    values: [String: String] = [:], extras: [Extra] = []
  ) {
    self.osimage = osimage
    self.linuximage = linuximage
    self.values = values
    self.extras = extras
  }

  public var imageName: String { osimage["imagename"] ?? directory["imagename"] ?? "" }

  public var definition: ImageDefinition {
    guard !directory.isEmpty else {
      return ImageDefinition(osimage: osimage, linuximage: linuximage)
    }
    return ImageDefinition(directory: [
      "path": directory["path"] ?? "", "exclude": excludes.joined(separator: "\n"),
    ])
  }

  /// Gives the image another name.
  public mutating func rename(to name: String) {
    if directory.isEmpty {
      osimage["imagename"] = name
      linuximage["imagename"] = name
    } else {
      directory["imagename"] = name
    }
  }

  /// Gives an image that is a directory another place.
  public mutating func move(to path: AbsolutePath) {
    directory["path"] = path.text
    for i in closure.indices where closure[i].isTree { closure[i].path = path.text }
  }

  /// The values that are nothing but the path of one file.
  public static let pathKeys = ["kernel", "ramdisk", "rootimg", "rootimgtree", "litefile"]

  /// The three kinds of rows that a kit brings, by element name, with the table and its key.
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

/// ASCII order, as Perl sorts keys.
func byBytes(_ a: String, _ b: String) -> Bool {
  Array(a.utf8).lexicographicallyPrecedes(Array(b.utf8))
}

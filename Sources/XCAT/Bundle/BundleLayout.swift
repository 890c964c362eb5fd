// The layout of an image's bundle (docs/xcat-contract.md#bundle-layout). Each file is a flat member,
// under its own name, of a directory named after the image. Extras are in extra/, each kit has a directory
// of its own, and a statelite image's tree is rootimgtree.gz.

import Platform
import Store

/// The layout of one image's bundle.
public struct BundleLayout: Sendable {
  /// The manifest with the paths on this management node.
  public let manifest: Manifest
  /// The kind of the image.
  public let kind: ImageKind
  /// The members, each name once.
  public let members: [BundleMember]
  /// Files that share their name with another one, and so are not flat members: extras carry them.
  public let secondFiles: [AbsolutePath]

  /// The image's directory in the bundle.
  public var directory: String { BundleLayout.directory(manifest.imageName) }

  /// Returns the directory of an image in a bundle: its name with underscores for blanks.
  public static func directory(_ imageName: String) -> String {
    String(imageName.map { $0 == " " ? "_" : $0 })
  }

  /// Takes the members from a manifest, and their paths from the manifest `renamed` (the same one, or
  /// one under another profile).
  /// - Parameter isDirectory: whether the bundle has a directory of that name.
  /// - Throws: `XCATError`: a mandatory part is missing, a path is not absolute or contains "..", or
  ///   two files share a name.
  public init(
    reading manifest: Manifest, renamed: Manifest, installDirectory: AbsolutePath,
    isDirectory: (String) -> Bool
  ) throws(XCATError) {
    kind = try BundleLayout.check(manifest)
    self.manifest = renamed
    var collector = MemberCollector()
    for key in Manifest.pathKeys {
      guard let source = manifest.values[key], let target = renamed.values[key] else { continue }
      let name = try BundleLayout.memberName(source, key)
      if key == "rootimgtree" {
        let path = BundleLayout.treePath(try MemberCollector.path(target, key))
        try collector.add(name, .rootTree, path, .archivedTree)
      } else {
        try collector.add(
          name, BundleLayout.roles[key] ?? Role(key), try MemberCollector.path(target, key), .file)
      }
    }
    for attribute in FileAttribute.lists {
      let column = attribute.rawValue
      let sources = BundleLayout.list(manifest, column)
      let targets = BundleLayout.list(renamed, column)
      for (source, target) in zip(sources, targets) {
        let name = try BundleLayout.memberName(source.path, column)
        try collector.add(
          name, .attribute(attribute), try MemberCollector.path(target.path, column), .file,
          isOptional: source.hasArguments)
      }
    }
    for file in manifest.rawImageFiles ?? [] {
      let name = try BundleLayout.memberName(file, "rawimagefiles")
      guard
        let directory = ImageFiles.rawDirectory(
          renamed.definition, installDirectory: installDirectory)
      else { continue }
      let target = name.hasSuffix(".img") ? name : name + ".img"
      try collector.add(name, .rawImage, directory.appending(target), .file)
    }
    for kit in renamed.kits {
      if let directory = kit["kitdir"] { try collector.add(kit: kit["kitname"], directory) }
    }
    for extra in renamed.extras { try collector.add(extra, isDirectory) }
    for item in renamed.closure {
      try collector.add(
        item.member, item.isTree ? .rootTree : .closure,
        try MemberCollector.path(item.path, "closure"), item.isTree ? .archivedTree : .file)
    }
    members = collector.members
    secondFiles = collector.secondFiles
  }

  private static let roles: [String: Role] = [
    "kernel": .kernel, "ramdisk": .ramdisk, "rootimg": .packed,
    "litefile": .litefile,
  ]

  /// Returns the path of the tree next to its archive. In xCAT 2.6 the manifest named the archive inside the
  /// tree itself; extracting there would create rootimg/rootimg (docs/xcat-contract.md#bundle-generations).
  static func treePath(_ archive: AbsolutePath) -> AbsolutePath {
    let directory = archive.parent
    return directory.lastComponent == Array("rootimg".utf8)
      ? directory : directory.appending("rootimg")
  }

  /// Returns the name in the flat bundle of a file that was at `path`.
  static func memberName(_ path: String, _ role: String) throws(XCATError) -> String {
    let name = ProfileRename.baseName(path)
    guard !name.isEmpty, name != ".", name != ".." else {
      throw XCATError(
        .bundleInvalid,
        "manifest.xml",
        "has a path '\(printable(path.utf8.prefix(255)))' of \(role) that names no file",
        hint: "Nothing was imported; export the image again where it came from")
    }
    return name
  }

  private static func list(
    _ manifest: Manifest, _ attribute: String
  ) -> [(path: String, hasArguments: Bool)] {
    manifest.items(of: attribute).compactMap { item in
      let words = item.split(separator: " ")
      return words.first.map { (String($0), words.count > 1) }
    }
  }

  /// Checks the fields that xCAT's import requires, and reports missing ones in its words.
  private static func check(_ manifest: Manifest) throws(XCATError) -> ImageKind {
    func require(_ field: String, _ isThere: Bool) throws(XCATError) {
      guard isThere else {
        throw .sentence(
          "The '\(field)' field is not defined in manifest.xml.",
          hint: "Nothing was imported; export the image again where it came from")
      }
    }
    if !manifest.directory.isEmpty {
      try require("path", manifest.directory["path"] != nil)
      let trees = manifest.closure.filter(\.isTree).map(\.path)
      guard trees == [manifest.directory["path"] ?? ""], manifest.closure.count == 1 else {
        throw XCATError(
          .bundleInvalid,
          "manifest.xml", "names a tree other than the directory it describes",
          hint: "Nothing was imported; do not trust this bundle")
      }
      return .directory
    }
    for field in ["imagename"] + Manifest.requiredColumns {
      try require(field, manifest.osimage[field] != nil)
    }
    let kind = try ImageKind(manifest.definition, verb: "Importing")
    switch kind {
    case .install: try require("template", manifest.template != nil)
    case .stateless:
      for field in ["ramdisk", "kernel", "rootimg"] {
        try require(field, manifest.values[field] != nil)
      }
    case .statelite:
      for field in ["kernel", "ramdisk", "rootimgtree"] {
        try require(field, manifest.values[field] != nil)
      }
    case .raw:
      guard let files = manifest.rawImageFiles else {
        throw .sentence("The 'rawimagefiles' section is not defined in manifest.xml.")
      }
      guard !files.isEmpty else {
        throw .sentence(
          "'files' were not specified in the 'rawimagefiles' section of manifest.xml.")
      }
    case .esx, .directory: break
    }
    return kind
  }
}

/// The collected members, each name once.
private struct MemberCollector {
  private(set) var members: [BundleMember] = []
  /// The path of each flat member, by name.
  private var paths: [String: AbsolutePath] = [:]
  private var extras: Set<BundleMember> = []
  private(set) var secondFiles: [AbsolutePath] = []

  mutating func add(
    _ name: String, _ role: Role, _ path: AbsolutePath, _ shape: BundleMember.Shape,
    isOptional: Bool = false
  ) throws(XCATError) {
    guard paths[name] == nil else {
      // Either two attributes name one file, or another file has the same name.
      if paths[name] != path { secondFiles.append(path) }
      return
    }
    paths[name] = path
    members.append(
      BundleMember(name: name, role: role, path: path, shape: shape, isOptional: isOptional))
  }

  mutating func add(kit: String?, _ directory: String) throws(XCATError) {
    let path = try MemberCollector.path(directory, "kitdir")
    let name = try BundleLayout.memberName(directory, "kitdir")
    let kitName = kit ?? name
    guard !kitName.utf8.contains(UInt8(ascii: "/")), kitName != "..", kitName != "." else {
      throw XCATError(
        .bundleInvalid,
        "manifest.xml",
        "has a kit named '\(printable(kitName.utf8.prefix(255)))', which is not a file name",
        hint: "Nothing was imported; do not trust this bundle")
    }
    try add(name, .kit, path.parent.appending(kitName), .directory)
  }

  mutating func add(_ extra: Manifest.Extra, _ isDirectory: (String) -> Bool) throws(XCATError) {
    guard let destination = AbsolutePath(extra.destination) else {
      throw XCATError(
        .bundleInvalid,
        "manifest.xml",
        "has an extra with the directory '\(printable(extra.destination.utf8.prefix(255)))', which is not "
          + "a clean absolute path",
        hint: "Nothing was imported; export the image again where it came from")
    }
    let inside = extra.source.split(separator: "/").joined(separator: "/")
    if !inside.isEmpty, isDirectory("extra/\(inside)") {
      members.append(
        BundleMember(
          name: "extra/\(inside)", role: .extra, path: destination,
          shape: .mergedDirectory))
      return
    }
    let name = try BundleLayout.memberName(extra.source, "extra")
    let member = BundleMember(
      name: "extra/\(name)", role: .extra, path: destination.appending(name),
      shape: .file)
    if extras.insert(member).inserted { members.append(member) }
  }

  static func path(_ text: String, _ role: String) throws(XCATError) -> AbsolutePath {
    guard let path = AbsolutePath(text), !path.isRoot, !text.hasSuffix("/") else {
      throw XCATError(
        .bundleInvalid,
        "manifest.xml",
        "has a path '\(printable(text.utf8.prefix(255)))' of \(role) that is not a clean absolute path",
        hint: "Nothing was imported; export the image again where it came from")
    }
    return path
  }
}

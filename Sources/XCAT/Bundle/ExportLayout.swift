// What goes into a bundle, and under which name (xcat.md section 2): the decisions of imgexport,
// over the files that a snapshot has.
//
// 1. A mandatory file that is missing ends the export: no bundle without a root image, and none
//    that names files that it has not.
// 2. Two files of one name cannot lie in a flat bundle. The first lies there; each further one goes
//    as an extra in a folder of its own, which xCAT copies to its place after the flat files.
// 3. What a complete bundle has beyond xCAT's goes the same way where it lies in the install folder,
//    and else under complete/, which xCAT ignores.

import Platform

/// Where the bytes of a member come from.
public enum ExportSource: Sendable, Hashable {
  /// A file of the snapshot, by its path.
  case file(AbsolutePath)
  /// A tree of the snapshot, as a compressed cpio archive.
  case compressedTree(AbsolutePath)
  /// A tree of the snapshot, as a tar archive.
  case tree(AbsolutePath)
  /// A folder of the snapshot, member by member.
  case folder(AbsolutePath)
  case bytes([UInt8])
}

/// A member to write.
public struct ExportMember: Sendable, Hashable {
  /// Inside the image's folder.
  public let name: String
  public let source: ExportSource
}

/// A file or folder to carry along.
public struct ExportExtra: Sendable, Hashable {
  public var source: AbsolutePath
  public var destination: String
  public var isFolder: Bool
  public init(source: AbsolutePath, destination: String, isFolder: Bool) {
    self.source = source
    self.destination = destination
    self.isFolder = isFolder
  }
}

/// All that an export decides about.
public struct ExportContents: Sendable {
  public var image: String
  public var definition: ImageDefinition
  /// Role and path of what there is.
  public var files: [(role: String, path: AbsolutePath)]
  /// `postscripts`, `postbootscripts`.
  public var values: [String: String] = [:]
  public var extras: [ExportExtra] = []
  /// Extras that an earlier import brought, and the members that they are made of.
  public var carriedExtras: [Manifest.Extra] = []
  public var carriedMembers: [(name: String, path: AbsolutePath)] = []
  public var kits: [[String: String]] = []
  public var kitRepositories: [[String: String]] = []
  public var kitComponents: [[String: String]] = []
  /// litefile.csv of a statelite image.
  public var litefile: [UInt8] = []
  /// What a complete bundle has beyond xCAT's.
  public var closure: [AbsolutePath] = []

  public init(
    image: String, definition: ImageDefinition, files: [(role: String, path: AbsolutePath)]
  ) {
    self.image = image
    self.definition = definition
    self.files = files
  }
}

/// A bundle to write.
public struct ExportLayout: Sendable {
  public private(set) var manifest: Manifest
  public private(set) var members: [ExportMember] = []
  public var folder: String { BundleLayout.folder(manifest.imageName) }

  private let contents: ExportContents
  private var names: [String: AbsolutePath] = [:]
  /// Names of folders for extras: the folder each goes to, by number.
  private var sideFolders: [String] = []
  private var folderMembers: Set<String> = []
  /// Mandatory parts that are missing.
  private var missing: [XCATError] = []

  /// - Throws: `XCATError` for the first mandatory part that is missing, in xCAT's words; its advice names the others.
  public init(_ contents: ExportContents, installDirectory: AbsolutePath) throws(XCATError) {
    self.contents = contents
    manifest = Manifest()
    let definition = contents.definition
    if definition.isDirectory {
      manifest.directory = [
        "imagename": contents.image, "path": definition.directory["path"] ?? "",
      ]
      manifest.excludes = definition.excludes
      try addDirectory(installDirectory)
      for extra in contents.extras { try add(extra) }
      return
    }
    for field in ["provmethod", "profile", "osvers", "osarch"]
    where definition.osimage[field] == nil {
      missing.append(
        .sentence(
          "The '\(field)' field is not set for '\(contents.image)' in the osimage table.",
          advice: "Set it with 'imgstore define \(contents.image) \(field)=…'"))
    }
    // What else there must be depends on the kind.
    if definition.osimage["provmethod"] == nil { try refuseMissing() }
    let kind = try ImageKind(definition, verb: "Exporting")
    manifest = Manifest(
      osimage: definition.osimage.merging(["imagename": contents.image]) { $1 },
      linuximage: definition.linuximage.merging(["imagename": contents.image]) { $1 },
      values: contents.values)
    manifest.kits = contents.kits
    manifest.kitRepositories = contents.kitRepositories
    manifest.kitComponents = contents.kitComponents
    try addBootFiles(kind)
    try addLists(kind)
    try addKits()
    try refuseMissing()
    addCarried()
    for extra in contents.extras { try add(extra) }
    for path in contents.closure { try addClosure(path, installDirectory) }
  }

  /// The tree that an image is.
  private mutating func addDirectory(_ installDirectory: AbsolutePath) throws(XCATError) {
    guard let path = contents.definition.directoryPath,
      contents.files.contains(where: { $0.role == ImageFiles.rootTree && $0.path == path })
    else {
      throw XCATError(
        "directory \(contents.definition.directory["path"] ?? "")", "is not in the snapshot",
        advice: "Take a snapshot while it is there, and export again")
    }
    try addClosure(path, installDirectory)
  }

  /// - Throws: one error for all mandatory parts that are missing.
  private func refuseMissing() throws(XCATError) {
    guard let first = missing.first else { return }
    let others = missing.dropFirst().map { $0.finding }
    if others.isEmpty { throw first }
    throw .sentence(
      first.errorCode, first.finding,
      advice: "\(first.advice). Missing as well: "
        + others.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }.joined(separator: "; "))
  }

  // MARK: Boot files

  private func first(_ role: String, _ names: [String]) -> AbsolutePath? {
    for name in names {
      let found = contents.files.first {
        $0.role == role && $0.path.lastComponent == Array(name.utf8)
      }
      if let found { return found.path }
    }
    return nil
  }

  private mutating func addBootFiles(_ kind: ImageKind) throws(XCATError) {
    let image = contents.image
    switch kind {
    case .esx, .directory: return
    case .install: manifest.values["media"] = "required"
    case .raw:
      let images = contents.files.filter { $0.role == ImageFiles.rawImage }.map(\.path)
      guard !images.isEmpty else {
        return missing.append(
          .sentence(
            .notFound, "Could not open image files: there is no *.img file for \(image).",
            advice: "imgcapture makes them; 'imgstore show \(image)' lists what there is"))
      }
      manifest.rawImageFiles = images.map(\.text)
      for path in images { try addFlat(path) }
    case .stateless, .statelite:
      let kernel = first(ImageFiles.kernel, ["kernel"])
      let name = kind.ramdiskName ?? ""
      let ramdisk = first(ImageFiles.ramdisk, [name, "initrd.gz", "initrd-diskless.gz"])
      if ramdisk == nil {
        missing.append(
          .sentence(
            .notFound, "Couldn't find ramdisk (\(name)) for  \(image)",
            advice: "Run genimage, and export again"))
      }
      if kernel == nil {
        missing.append(
          .sentence(
            .notFound, "Couldn't find kernel (kernel) for  \(image)",
            advice: "Run genimage, and export again")
        )
      }
      if let kernel { try addValue("kernel", kernel) }
      if let ramdisk { try addValue("ramdisk", ramdisk) }
      if kind == .stateless { try addPacked() } else { try addTree() }
    }
  }

  private mutating func addValue(_ key: String, _ path: AbsolutePath) throws(XCATError) {
    manifest.values[key] = try text(path)
    try addFlat(path)
  }

  private mutating func addPacked() throws(XCATError) {
    guard let packed = first(ImageFiles.packed, ImageFiles.packedNames) else {
      return missing.append(
        .sentence(
          .notFound, "Couldn't find compressed rootimg for \(contents.image)",
          advice: "Run packimage, and export again"))
    }
    try addValue("rootimg", packed)
  }

  private mutating func addTree() throws(XCATError) {
    guard let tree = contents.files.first(where: { $0.role == ImageFiles.rootTree })?.path else {
      return missing.append(
        .sentence(
          .notFound, "Couldn't locate the root image directory. ",
          advice: "A statelite image needs rootimgdir with its rootimg/ inside: run genimage"))
    }
    let folder = tree.parent
    manifest.values["rootimgtree"] = try text(folder.appending("rootimgtree.gz"))
    members.append(ExportMember(name: "rootimgtree.gz", source: .compressedTree(tree)))
    if !contents.litefile.isEmpty {
      manifest.values["litefile"] = try text(folder.appending("litefile.csv"))
      members.append(ExportMember(name: "litefile.csv", source: .bytes(contents.litefile)))
    }
  }

  // MARK: Lists

  private mutating func addLists(_ kind: ImageKind) throws(XCATError) {
    let required: (role: String, what: String)? =
      switch kind {
      case .install: ("template", "install template")
      case .stateless, .statelite: ("pkglist", "pkglist file")
      case .raw, .esx, .directory: nil
      }
    if let required, ImageFiles.paths(of: required.role, contents.definition).isEmpty {
      // Not named, but found where xCAT looks: from now on it is named.
      let found = contents.files.first(where: { $0.role == required.role })?.path
      if let found {
        manifest.linuximage[required.role] = try text(found)
      } else {
        missing.append(
          .sentence(
            .notFound, "Couldn't find \(required.what) for \(contents.image)",
            advice:
              "Name one with 'imgstore define \(contents.image) \(required.role)=FILE', and export "
              + "again"))
      }
    }
    for attribute in ImageFiles.listAttributes {
      let value = manifest.osimage[attribute] ?? manifest.linuximage[attribute] ?? ""
      for item in value.split(separator: ",") {
        let words = item.split(separator: " ")
        // xCAT never finds a script with arguments; only a complete bundle brings it.
        guard let word = words.first, words.count == 1 else { continue }
        guard let path = AbsolutePath(String(word)), has(path) else {
          missing.append(
            .sentence(
              .notFound, "Couldn't find file \(word) for \(contents.image).",
              advice: "xCAT would leave it out, and its import then removes the file of that name: "
                + "put it in its place, or unset \(attribute)"))
          continue
        }
        try addFlat(path)
      }
    }
  }

  private func has(_ path: AbsolutePath) -> Bool { contents.files.contains { $0.path == path } }

  private mutating func addKits() throws(XCATError) {
    for kit in contents.kits {
      guard let text = kit["kitdir"], let path = AbsolutePath(text) else { continue }
      guard has(path) else {
        missing.append(
          .sentence(
            .notFound, "Couldn't find the folder \(text) of kit \(kit["kitname"] ?? "").",
            advice: "Add the kit again with addkit, or take it off the image with rmkitcomp"))
        continue
      }
      members.append(
        ExportMember(name: ProfileRename.baseName(path.text), source: .folder(path)))
    }
  }

  // MARK: Extras

  private mutating func addFlat(_ path: AbsolutePath) throws(XCATError) {
    let name = ProfileRename.baseName(try text(path))
    guard name != "manifest.xml", name != "extra", name != "complete" else {
      throw XCATError(
        path.text, "cannot go into a bundle under the name '\(name)', which has its own meaning",
        advice: "Rename the file and the attribute that names it")
    }
    if let other = names[name] {
      if other != path { try addBeside(path) }
      return
    }
    names[name] = path
    members.append(ExportMember(name: name, source: .file(path)))
  }

  private mutating func add(_ extra: ExportExtra) throws(XCATError) {
    let source = try text(extra.source)
    if extra.isFolder {
      manifest.extras.append(.init(source: source, destination: extra.destination))
      let name = ExportLayout.folderName(source)
      // A folder within another one is there with it.
      let isWithin = folderMembers.contains { name == $0 || name.hasPrefix($0 + "/") }
      if names.updateValue(extra.source, forKey: name) == nil, !isWithin {
        members.removeAll { member in
          guard case .folder = member.source else { return false }
          return member.name.hasPrefix(name + "/")
        }
        members.append(ExportMember(name: name, source: .folder(extra.source)))
        folderMembers.insert(name)
      }
      return
    }
    let name = "extra/" + ProfileRename.baseName(source)
    let isFolderName = contents.extras.contains {
      $0.isFolder && (ExportLayout.folderName($0.source.text) + "/").hasPrefix(name + "/")
    }
    if names[name].map({ $0 != extra.source }) ?? false || isFolderName {
      return try addBeside(extra.source, to: extra.destination)
    }
    manifest.extras.append(.init(source: source, destination: extra.destination))
    if names.updateValue(extra.source, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(extra.source)))
    }
  }

  /// The member that a folder of extras becomes.
  private static func folderName(_ source: String) -> String {
    "extra/" + source.split(separator: "/").joined(separator: "/")
  }

  private mutating func addCarried() {
    manifest.extras += contents.carriedExtras
    for (name, path) in contents.carriedMembers where names.updateValue(path, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(path)))
    }
    sideFolders = contents.carriedExtras
      .filter { $0.source.hasPrefix("/\(ExportLayout.sideFolder)") }.map(\.destination)
  }

  /// A file as an extra in a folder that holds what goes to one place: `cp -a` puts it there.
  private mutating func addBeside(
    _ path: AbsolutePath, to destination: String? = nil
  ) throws(XCATError) {
    let folder = if let destination { destination } else { try text(path.parent) }
    if !sideFolders.contains(folder) {
      sideFolders.append(folder)
      manifest.extras.append(
        .init(source: "/\(ExportLayout.sideFolder)\(sideFolders.count)", destination: folder))
    }
    let number = (sideFolders.firstIndex(of: folder) ?? 0) + 1
    let name =
      "extra/\(ExportLayout.sideFolder)\(number)/\(ProfileRename.baseName(try text(path)))"
    if names.updateValue(path, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(path)))
    }
  }

  /// Begins the name of a folder of extras that we, not an administrator, made.
  public static let sideFolder = "imgstore-"

  private mutating func addClosure(
    _ path: AbsolutePath, _ installDirectory: AbsolutePath
  ) throws(XCATError) {
    guard let role = contents.files.first(where: { $0.path == path })?.role else { return }
    if role == ImageFiles.rootTree {
      let member = "complete/rootimg.tar.zst"
      manifest.closure.append(.init(member: member, path: try text(path), isTree: true))
      members.append(ExportMember(name: member, source: .tree(path)))
    } else if path.isInside(installDirectory) {
      if names.values.contains(path) { return }
      try addBeside(path)
    } else {
      let member =
        "complete/\(manifest.closure.count + 1)/\(ProfileRename.baseName(try text(path)))"
      manifest.closure.append(.init(member: member, path: try text(path), isTree: false))
      members.append(ExportMember(name: member, source: .file(path)))
    }
  }

  /// A path as a manifest can name it.
  private func text(_ path: AbsolutePath) throws(XCATError) -> String {
    guard let text = String(validating: path.bytes, as: UTF8.self) else {
      throw XCATError(path.text, "is not UTF-8, and no manifest can name it")
    }
    return text
  }
}

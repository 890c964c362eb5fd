// The layout of a bundle to write, from the files of a snapshot: imgexport's decisions
// (docs/xcat-contract.md#export-steps).
//
// 1. A missing mandatory file ends the export. No bundle lacks its root image, and no manifest names
//    files that the bundle does not have.
// 2. Two files of one name cannot both be flat members. The first is flat; each further one is an
//    extra in a directory of its own, which xCAT copies into place after the flat files.
// 3. The additional files of a complete bundle become extras in the same way if they are below the
//    install directory. Others are under complete/, which xCAT ignores.

import Platform
import Store

/// A bundle to write.
public struct ExportLayout: Sendable {
  /// The manifest to write.
  public internal(set) var manifest: Manifest
  /// The members to write, in their order.
  public internal(set) var members: [ExportMember] = []
  /// The image's directory in the bundle.
  public var directory: String { BundleLayout.directory(manifest.imageName) }

  let input: ExportInput
  var names: [String: AbsolutePath] = [:]
  /// The destinations of our directories of extras; the index gives a directory its name.
  var sideDirectories: [String] = []
  var directoryMembers: Set<String> = []
  /// The mandatory parts that are missing.
  var missing: [XCATError] = []

  /// Decides on manifest and members.
  /// - Throws: `XCATError` for the first missing mandatory part, in xCAT's words; its hint names the others.
  public init(_ input: ExportInput, installDirectory: AbsolutePath) throws(XCATError) {
    self.input = input
    manifest = Manifest()
    let definition = input.definition
    if definition.isDirectory {
      manifest.directory = [
        "imagename": input.image, "path": definition.directory["path"] ?? "",
      ]
      manifest.excludes = definition.excludes
      try addDirectory(installDirectory)
      for extra in input.extras { try add(extra) }
      return
    }
    for field in ImageDefinition.requiredColumns
    where definition.osimage[field] == nil {
      missing.append(
        .sentence(
          "The '\(field)' field is not set for '\(input.image)' in the osimage table.",
          hint: "Set it with 'imgstore define \(input.image) \(field)=…'"))
    }
    // The other mandatory parts depend on the kind.
    if definition.provisioning.text.isEmpty { try refuseMissing() }
    let kind = try ImageKind(definition, verb: "Exporting")
    manifest = Manifest(
      osimage: definition.osimage.merging(["imagename": input.image]) { $1 },
      linuximage: definition.linuximage.merging(["imagename": input.image]) { $1 },
      values: input.values)
    manifest.kits = input.kits
    manifest.kitRepositories = input.kitRepositories
    manifest.kitComponents = input.kitComponents
    try addBootFiles(kind)
    try addLists(kind)
    try addKits()
    try refuseMissing()
    addCarried()
    for extra in input.extras { try add(extra) }
    for path in input.closure { try addClosure(path, installDirectory) }
  }

  /// Adds the tree of a directory image.
  private mutating func addDirectory(_ installDirectory: AbsolutePath) throws(XCATError) {
    guard let path = input.definition.directoryPath,
      input.files.contains(where: { $0.role == .rootTree && $0.path == path })
    else {
      throw XCATError(
        "directory \(input.definition.directory["path"] ?? "")", "is not in the snapshot",
        hint: "Take a snapshot while the directory exists, and export again")
    }
    try addClosure(path, installDirectory)
  }

  /// Reports missing mandatory parts.
  /// - Throws: one error for all of them.
  private func refuseMissing() throws(XCATError) {
    guard let first = missing.first else { return }
    let otherFindings = missing.dropFirst().map { $0.reason }
    if otherFindings.isEmpty { throw first }
    throw .sentence(
      first.errorCode, first.reason,
      hint: "\(first.hint). Also missing: "
        + otherFindings.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }.joined(
          separator: "; "))
  }

  // MARK: Boot files

  private func firstFile(_ role: Role, _ names: [String]) -> AbsolutePath? {
    for name in names {
      let file = input.files.first {
        $0.role == role && $0.path.lastComponent == Array(name.utf8)
      }
      if let file { return file.path }
    }
    return nil
  }

  private mutating func addBootFiles(_ kind: ImageKind) throws(XCATError) {
    let image = input.image
    switch kind {
    case .esx, .directory: return
    case .install: manifest.values["media"] = "required"
    case .raw:
      let images = input.files.filter { $0.role == .rawImage }.map(\.path)
      guard !images.isEmpty else {
        return missing.append(
          .sentence(
            .notFound, "Could not open image files: there is no *.img file for \(image).",
            hint: "Create them with imgcapture; 'imgstore show \(image)' lists the image's files")
        )
      }
      manifest.rawImageFiles = images.map(\.text)
      for path in images { try addFlat(path) }
    case .stateless, .statelite:
      let kernel = firstFile(.kernel, ["kernel"])
      let name = kind.ramdiskName ?? ""
      let ramdisk = firstFile(.ramdisk, [name, "initrd.gz", "initrd-diskless.gz"])
      if ramdisk == nil {
        missing.append(
          .sentence(
            .notFound, "Couldn't find ramdisk (\(name)) for  \(image)",
            hint: "Run genimage, and export again"))
      }
      if kernel == nil {
        missing.append(
          .sentence(
            .notFound, "Couldn't find kernel (kernel) for  \(image)",
            hint: "Run genimage, and export again")
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
    guard let packed = firstFile(.packed, ImageFiles.packedNames) else {
      return missing.append(
        .sentence(
          .notFound, "Couldn't find compressed rootimg for \(input.image)",
          hint: "Run packimage, and export again"))
    }
    try addValue("rootimg", packed)
  }

  private mutating func addTree() throws(XCATError) {
    guard let tree = input.files.first(where: { $0.role == .rootTree })?.path else {
      return missing.append(
        .sentence(
          .notFound, "Couldn't locate the root image directory. ",
          hint: "Run genimage: a statelite image needs rootimg/ in its rootimgdir"))
    }
    let directory = tree.parent
    manifest.values["rootimgtree"] = try text(directory.appending("rootimgtree.gz"))
    members.append(ExportMember(name: "rootimgtree.gz", source: .compressedTree(tree)))
    if !input.litefile.isEmpty {
      manifest.values["litefile"] = try text(directory.appending("litefile.csv"))
      members.append(ExportMember(name: "litefile.csv", source: .bytes(input.litefile)))
    }
  }

  // MARK: Lists

  private mutating func addLists(_ kind: ImageKind) throws(XCATError) {
    let required: (attribute: FileAttribute, what: String)? =
      switch kind {
      case .install: (.template, "install template")
      case .stateless, .statelite: (.pkglist, "pkglist file")
      case .raw, .esx, .directory: nil
      }
    if let required, ImageFiles.paths(of: required.attribute, input.definition).isEmpty {
      // xCAT's search found the list; the manifest names it explicitly.
      let path = input.files.first(where: { $0.role == .attribute(required.attribute) })?.path
      if let path {
        manifest.linuximage[required.attribute.rawValue] = try text(path)
      } else {
        missing.append(
          .sentence(
            .notFound, "Couldn't find \(required.what) for \(input.image)",
            hint:
              "Name one with 'imgstore define \(input.image) \(required.attribute.rawValue)=FILE', and export "
              + "again"))
      }
    }
    for attribute in FileAttribute.lists.map(\.rawValue) {
      for item in manifest.items(of: attribute) {
        let words = item.split(separator: " ")
        // xCAT never finds a script with arguments; only a complete bundle carries it.
        guard let word = words.first, words.count == 1 else { continue }
        guard let path = AbsolutePath(String(word)), has(path) else {
          missing.append(
            .sentence(
              .notFound, "Couldn't find file \(word) for \(input.image).",
              hint: "xCAT would leave it out, and its import then removes the file of that name: "
                + "put it in its place, or unset \(attribute)"))
          continue
        }
        try addFlat(path)
      }
    }
  }

  func has(_ path: AbsolutePath) -> Bool { input.files.contains { $0.path == path } }

  private mutating func addKits() throws(XCATError) {
    for kit in input.kits {
      guard let text = kit["kitdir"], let path = AbsolutePath(text) else { continue }
      guard has(path) else {
        missing.append(
          .sentence(
            .notFound, "Couldn't find the folder \(text) of kit \(kit["kitname"] ?? "").",
            hint: "Add the kit again with addkit, or remove it from the image with rmkitcomp"))
        continue
      }
      members.append(
        ExportMember(name: ProfileRename.baseName(path.text), source: .directory(path)))
    }
  }
}

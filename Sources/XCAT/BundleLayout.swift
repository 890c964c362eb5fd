// What lies where inside a stateless image's bundle (xcat.md section 2, step 7): every file flat
// under its own name in a folder named after the image, extras in extra/.

import Platform

/// A file of a bundle and where it belongs on a management node.
public struct BundleMember: Sendable, Hashable {
  /// Its name inside the image's folder: "kernel", "extra/myscript1".
  public let name: String
  public let role: String
  public let path: AbsolutePath
}

/// The layout of one image's bundle.
public struct BundleLayout: Sendable {
  public let manifest: Manifest
  public let members: [BundleMember]

  /// The image's folder in the bundle.
  public var folder: String { BundleLayout.folder(manifest.imageName) }

  public static func folder(_ imageName: String) -> String {
    String(imageName.map { $0 == " " ? "_" : $0 })
  }

  // MARK: Writing

  /// The bundle that today's xCAT imports, of a stateless image.
  /// - Parameters:
  ///   - files: role and path of what the snapshot has.
  ///   - values: `postscripts`, `postbootscripts` and other single values to carry along.
  /// - Throws: `XCATError` where a mandatory part is missing, or two files would share a name.
  public static func stateless(
    image: String, _ definition: ImageDefinition, files: [(role: String, path: AbsolutePath)],
    values: [String: String], extras: [Manifest.Extra]
  ) throws(XCATError) -> BundleLayout {
    let object = "image \(image)"
    for field in ["provmethod", "profile", "osvers", "osarch"]
    where definition.osimage[field] == nil {
      throw XCATError(
        object, "The '\(field)' field is not set for '\(image)' in the osimage table",
        advice: "Set it with 'imgstore define \(image) \(field)=…' and take a snapshot")
    }
    guard definition.provisioning == "netboot", definition.architecture != "s390x",
      !definition.osVersion.contains("esx")
    else {
      throw XCATError(
        object,
        "Exporting images with 'provmethod' \(definition.provisioning) is not supported by this "
          + "version, which exports stateless (netboot) images",
        advice: "Use xCAT's own imgexport for this image")
    }
    func first(_ role: String, _ names: [String]) -> AbsolutePath? {
      for name in names {
        let found = files.first { $0.role == role && $0.path.lastComponent == Array(name.utf8) }
        if let found { return found.path }
      }
      return nil
    }
    let lists = files.filter { ImageFiles.listAttributes.contains($0.role) }
    guard lists.contains(where: { $0.role == "pkglist" }) else {
      throw XCATError(
        object, "Couldn't find pkglist file for \(image)",
        advice: "Set one with 'imgstore define \(image) pkglist=FILE', take a snapshot, and export "
          + "that one")
    }
    guard let ramdisk = first(ImageFiles.ramdisk, ["initrd-stateless.gz"]) else {
      throw XCATError(
        object, "Couldn't find ramdisk (initrd-stateless.gz) for \(image)",
        advice: "Run genimage, take a snapshot, and export that one")
    }
    guard let kernel = first(ImageFiles.kernel, ["kernel"]) else {
      throw XCATError(
        object, "Couldn't find kernel (kernel) for \(image)",
        advice: "Run genimage, take a snapshot, and export that one")
    }
    guard let packed = first(ImageFiles.packed, ImageFiles.packedNames) else {
      throw XCATError(
        object, "Couldn't find compressed rootimg for \(image)",
        advice: "Run packimage, take a snapshot, and export that one")
    }
    var values = values
    values["kernel"] = kernel.text
    values["ramdisk"] = ramdisk.text
    values["rootimg"] = packed.text
    let manifest = Manifest(
      osimage: definition.osimage.merging(["imagename": image]) { $1 },
      linuximage: definition.linuximage.merging(["imagename": image]) { $1 }, values: values,
      extras: extras)
    return try BundleLayout(reading: manifest, renamed: manifest)
  }

  // MARK: Reading

  /// The files that a manifest names, and where each belongs under the manifest `renamed` (the
  /// same one, or one under another profile).
  /// - Throws: `XCATError`: a mandatory part is missing, a path is not absolute or holds "..", or
  ///   two files share a name.
  public init(reading manifest: Manifest, renamed: Manifest) throws(XCATError) {
    self.manifest = renamed
    try BundleLayout.check(manifest)
    var members: [BundleMember] = []
    var names: Set<String> = []
    func add(_ name: String, _ role: String, _ target: String) throws(XCATError) {
      guard let path = AbsolutePath(target), !path.components.isEmpty else {
        throw XCATError(
          "manifest.xml", "the path '\(target)' of \(role) is not a clean absolute path")
      }
      guard names.insert(name).inserted else {
        if members.contains(where: { $0.name == name && $0.path == path }) { return }
        throw XCATError(
          "file \(name)", "two files of the image have this name, and a bundle holds one",
          advice: "Rename one of them and change the attribute that names it")
      }
      members.append(BundleMember(name: name, role: role, path: path))
    }
    for (key, role) in [
      ("kernel", ImageFiles.kernel), ("ramdisk", ImageFiles.ramdisk),
      ("rootimg", ImageFiles.packed),
    ] {
      guard let source = manifest.values[key], let target = renamed.values[key] else { continue }
      try add(ProfileChange.baseName(source), role, target)
    }
    for attribute in ImageFiles.listAttributes {
      let sources = BundleLayout.list(manifest, attribute)
      let targets = BundleLayout.list(renamed, attribute)
      for (source, target) in zip(sources, targets) {
        try add(ProfileChange.baseName(source), attribute, target)
      }
    }
    for extra in renamed.extras {
      let name = ProfileChange.baseName(extra.source)
      try add("extra/\(name)", ImageFiles.extra, "\(extra.destination)/\(name)")
    }
    try BundleLayout.checkTargets(members)
    self.members = members
  }

  /// No two files in one place, and none below another.
  private static func checkTargets(_ members: [BundleMember]) throws(XCATError) {
    var owners: [AbsolutePath: String] = [:]
    for member in members {
      if let other = owners[member.path] {
        throw XCATError(
          "manifest.xml", "\(other) and \(member.name) have the same path \(member.path.text)")
      }
      owners[member.path] = member.name
    }
    for member in members {
      var above = member.path.parent
      while !above.components.isEmpty {
        if let other = owners[above] {
          throw XCATError(
            "manifest.xml", "\(member.name) would lie below \(other), at \(member.path.text)")
        }
        above = above.parent
      }
    }
  }

  private static func list(_ manifest: Manifest, _ attribute: String) -> [String] {
    let value = manifest.osimage[attribute] ?? manifest.linuximage[attribute] ?? ""
    return value.split(separator: ",").compactMap { item in
      item.split(separator: " ").first.map(String.init)
    }
  }

  /// The fields without which xCAT does not import.
  private static func check(_ manifest: Manifest) throws(XCATError) {
    for field in ["imagename", "provmethod", "profile", "osvers", "osarch"]
    where manifest.osimage[field] == nil {
      throw XCATError("manifest.xml", "The '\(field)' field is not defined in manifest.xml")
    }
    let method = manifest.osimage["provmethod"] ?? ""
    guard method == "netboot", manifest.osimage["osarch"] != "s390x" else {
      throw XCATError(
        "manifest.xml",
        "Importing images with 'provmethod' \(method) is not supported by this version, which "
          + "imports stateless (netboot) images",
        advice: "Use xCAT's own imgimport for this bundle")
    }
    for field in ["ramdisk", "kernel", "rootimg"] where manifest.values[field] == nil {
      throw XCATError("manifest.xml", "The '\(field)' field is not defined in manifest.xml")
    }
  }
}

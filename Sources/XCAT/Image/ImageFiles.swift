// Which files belong to an image (xcat.md sections 2 and 4): the boot files in its folder, its root
// tree, the files that its attributes name, and the lists that xCAT looks for where none is named.

import Platform

/// A file or tree that belongs, or may belong, to an image.
public struct ImageFile: Sendable, Hashable {
  public let role: String
  public let path: AbsolutePath
  /// An attribute names it: that it is absent is worth saying.
  public let isNamed: Bool

  public init(role: String, path: AbsolutePath, isNamed: Bool) {
    self.role = role
    self.path = path
    self.isNamed = isNamed
  }
}

/// Finds the files of a definition.
public enum ImageFiles {
  public static let rootTree = "rootimg"
  public static let kernel = "kernel"
  public static let ramdisk = "ramdisk"
  public static let packed = "packed"
  public static let litefile = "litefile"
  public static let rawImage = "rawimage"
  public static let kit = "kit"
  public static let extra = "extra"
  /// A file of a complete bundle that the image needs to be generated again.
  public static let closure = "closure"

  /// Roles of files that belong to one image alone: they go when the image has them no longer.
  public static let ownedRoles: Set<String> = [
    rootTree, kernel, ramdisk, packed, litefile, rawImage, "hypervisor",
  ]

  /// Attributes that name files, comma lists all, in the order in which xCAT places them.
  public static let listAttributes = [
    "template", "pkglist", "synclists", "otherpkglist", "postinstall", "exlist",
  ]

  static let ramdiskNames = [
    "initrd-stateless.gz", "initrd-statelite.gz", "initrd.gz", "initrd-diskless.gz",
  ]
  /// In the order in which xCAT prefers them.
  public static let packedNames = [
    "rootimg.cpio.gz", "rootimg.cpio.xz", "rootimg.tar.gz", "rootimg.tar.xz", "rootimg.sfs",
    "rootimg.gz",
  ]
  /// Those that xCAT does not look for.
  public static let unpreferredPackedNames = ["rootimg.cpio.zst", "rootimg.tar.zst"]
  /// Of statelite images whose root is a ramdisk.
  public static let statelitePackedName = "rootimg-statelite.gz"
  static let otherPackedNames = [statelitePackedName] + unpreferredPackedNames
  /// What the root tree is called in an image's folder.
  public static let rootTreeName = Array("rootimg".utf8)
  /// What kernel, ramdisks and packed images are called there.
  public static let bootNames = Set(
    (["kernel"] + ramdiskNames + packedNames + otherPackedNames).map { Array($0.utf8) })

  /// The folder of kernel, ramdisks and root image; nil for a kind that has none.
  public static func bootDirectory(
    _ definition: ImageDefinition, installDirectory: AbsolutePath
  ) -> AbsolutePath? {
    // Blanks around a value are no part of it: xCAT's own tools write and read them so.
    if let text = definition.linuximage["rootimgdir"] { return AbsolutePath(trimmed(text)) }
    guard ["netboot", "statelite"].contains(definition.provisioning) else { return nil }
    return folder("netboot", definition, installDirectory)
  }

  /// Says what keeps `rootimgdir` from naming a folder; nil where it is not set, or names one.
  public static func rootDirectoryFault(_ definition: ImageDefinition) -> String? {
    guard let text = definition.linuximage["rootimgdir"] else { return nil }
    let plain = trimmed(text)
    if let path = AbsolutePath(plain) {
      return path.components.isEmpty
        ? "rootimgdir is '\(text)', which is no folder of an image" : nil
    }
    let shown = printable(text.utf8.prefix(255))
    if !plain.hasPrefix("/") {
      return "rootimgdir is '\(shown)', which does not begin with '/'"
    }
    if plain.split(separator: "/").contains("..") {
      return "rootimgdir is '\(shown)', which has '..' in it: write the path without it"
    }
    return "rootimgdir is '\(shown)', which is no path"
  }

  /// The folder of an s390x image's disk images.
  public static func rawDirectory(
    _ definition: ImageDefinition, installDirectory: AbsolutePath
  ) -> AbsolutePath? {
    guard definition.architecture.contains("s390x"),
      ["netboot", "raw", "sysclone"].contains(definition.provisioning)
    else { return nil }
    return folder(definition.provisioning, definition, installDirectory)
  }

  private static func folder(
    _ family: String, _ definition: ImageDefinition, _ installDirectory: AbsolutePath
  ) -> AbsolutePath? {
    guard !definition.osVersion.isEmpty, !definition.architecture.isEmpty,
      !definition.profile.isEmpty
    else { return nil }
    return AbsolutePath(
      installDirectory.text + "/\(family)/\(definition.osVersion)/\(definition.architecture)/"
        + definition.profile)
  }

  /// All files, each path once.
  public static func all(
    _ definition: ImageDefinition, installDirectory: AbsolutePath, in view: FileProvider
  ) throws -> [ImageFile] {
    if definition.isDirectory {
      return definition.directoryPath.map { [ImageFile(role: rootTree, path: $0, isNamed: true)] }
        ?? []
    }
    var files: [ImageFile] = []
    if let directory = bootDirectory(definition, installDirectory: installDirectory) {
      func add(_ role: String, _ names: [String]) {
        files += names.map {
          ImageFile(role: role, path: directory.appending($0), isNamed: false)
        }
      }
      add(rootTree, ["rootimg"])
      add(kernel, ["kernel"])
      add(ramdisk, ramdiskNames)
      add(packed, packedNames + otherPackedNames)
      add(litefile, ["litefile.csv"])
      add("hypervisor", ["hypervisor"])
    }
    if let directory = rawDirectory(definition, installDirectory: installDirectory) {
      for name in try view.list(directory) where name.suffix(4) == Array(".img".utf8)[...] {
        files.append(ImageFile(role: rawImage, path: directory.appending(name), isNamed: false))
      }
    }
    for attribute in listAttributes + ["partitionfile"] {
      for path in paths(of: attribute, definition) {
        files.append(ImageFile(role: attribute, path: path, isNamed: true))
      }
    }
    if let found = try searchedList(definition, installDirectory, view) { files.append(found) }
    var seen: Set<AbsolutePath> = []
    return files.filter { seen.insert($0.path).inserted }
  }

  /// The absolute paths that an attribute names.
  public static func paths(of attribute: String, _ definition: ImageDefinition) -> [AbsolutePath] {
    let value = definition.osimage[attribute] ?? definition.linuximage[attribute] ?? ""
    return value.split(separator: ",").compactMap { item in
      var text = item.drop { $0 == " " }
      if attribute == "partitionfile" {
        // "s:" is a script; "d:", "s:d:", "c:" and "s:c:" name disks and kernel arguments.
        if text.hasPrefix("s:") { text = text.dropFirst(2) }
      }
      // postinstall items may have arguments.
      guard let path = text.split(separator: " ").first else { return nil }
      return AbsolutePath(String(path))
    }
  }

  // MARK: Lists that nobody named

  private static let sharedLists = AbsolutePath(
    components: ["opt", "xcat", "share", "xcat"].map { Array($0.utf8) })

  /// The install template, or the package list, that xCAT would find (xcat.md section 2, step 4).
  static func searchedList(
    _ definition: ImageDefinition, _ installDirectory: AbsolutePath, _ view: FileProvider
  ) throws -> ImageFile? {
    let method = definition.provisioning
    let (role, suffix, folder): (String, String, String)
    switch method {
    case "install": (role, suffix, folder) = ("template", "tmpl", "install")
    case "netboot", "statelite": (role, suffix, folder) = ("pkglist", "pkglist", "netboot")
    default: return nil
    }
    guard paths(of: role, definition).isEmpty, !definition.osVersion.isEmpty else { return nil }
    let version = definition.osVersion
    let names = [
      "\(definition.profile).\(version).\(definition.architecture).\(suffix)",
      "\(definition.profile).\(version).\(suffix)",
      "\(definition.profile).\(definition.architecture).\(suffix)",
      "\(definition.profile).\(suffix)",
    ]
    for base in [
      installDirectory.appending("custom").appending(folder), sharedLists.appending(folder),
    ] {
      // rhels8.5.0, rhels8.5., … rh, r, and at last the base folder itself.
      var chopped = version.contains("win") ? "windows" : version
      while !chopped.isEmpty, try view.kind(base.appending(chopped)) != .directory {
        chopped.removeLast()
      }
      let directory = chopped.isEmpty ? base : base.appending(chopped)
      for name in names where !name.contains("/") {
        let path = directory.appending(name)
        if try view.kind(path) == .file {
          return ImageFile(role: role, path: path, isNamed: false)
        }
      }
    }
    return nil
  }
}

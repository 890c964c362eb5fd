// Which files belong to an image (xcat.md sections 2 and 4): the boot files in its folder, its root
// tree, and the files that its attributes name.

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
  public static let extra = "extra"

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
  static let otherPackedNames = ["rootimg-statelite.gz", "rootimg.cpio.zst", "rootimg.tar.zst"]

  /// The folder of kernel, ramdisks and root image.
  public static func bootDirectory(
    _ definition: ImageDefinition, installDirectory: AbsolutePath
  ) -> AbsolutePath? {
    if let text = definition.linuximage["rootimgdir"] { return AbsolutePath(text) }
    guard !definition.osVersion.isEmpty, !definition.architecture.isEmpty,
      !definition.profile.isEmpty
    else { return nil }
    return AbsolutePath(
      installDirectory.text + "/netboot/\(definition.osVersion)/\(definition.architecture)/"
        + definition.profile)
  }

  /// All files, each path once.
  public static func all(
    _ definition: ImageDefinition, installDirectory: AbsolutePath
  ) -> [ImageFile] {
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
      add("hypervisor", ["hypervisor"])
    }
    for attribute in listAttributes + ["partitionfile"] {
      for path in paths(of: attribute, definition) {
        files.append(ImageFile(role: attribute, path: path, isNamed: true))
      }
    }
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
}

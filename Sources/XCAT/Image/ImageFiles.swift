// Finds the files of an image: the boot files in its directory, its root tree, the files that its
// attributes name, and the list that xCAT searches for if none is named
// (docs/xcat-contract.md#image-files, docs/xcat-contract.md#list-search).

import Platform
import Store

/// A file or tree that belongs, or may belong, to an image.
public struct ImageFile: Sendable, Hashable {
  public let role: Role
  public let path: AbsolutePath
  /// Whether an attribute names it, so that its absence is worth a message.
  public let isNamed: Bool

  /// Creates a file.
  public init(role: Role, path: AbsolutePath, isNamed: Bool) {
    self.role = role
    self.path = path
    self.isNamed = isNamed
  }
}

/// Finds the files of a definition.
public enum ImageFiles {
  static let ramdiskNames = [
    "initrd-stateless.gz", "initrd-statelite.gz", "initrd.gz", "initrd-diskless.gz",
  ]
  /// The packed images, in the order of xCAT's preference (docs/xcat-contract.md#packed-image-formats).
  public static let packedNames = [
    "rootimg.cpio.gz", "rootimg.cpio.xz", "rootimg.tar.gz", "rootimg.tar.xz", "rootimg.sfs",
    "rootimg.gz",
  ]
  /// The packed images that xCAT does not look for.
  public static let unpreferredPackedNames = ["rootimg.cpio.zst", "rootimg.tar.zst"]
  /// The packed image of statelite images whose root is a ramdisk.
  public static let statelitePackedName = "rootimg-statelite.gz"
  static let otherPackedNames = [statelitePackedName] + unpreferredPackedNames
  /// The name of the root tree in an image's directory.
  public static let rootTreeName = Array("rootimg".utf8)
  /// The names of kernel, ramdisks and packed images there.
  public static let bootNames = Set(
    (["kernel"] + ramdiskNames + packedNames + otherPackedNames).map { Array($0.utf8) })

  /// Returns the directory of kernel, ramdisks and root image; nil for a kind that has none.
  public static func bootDirectory(
    _ definition: ImageDefinition, installDirectory: AbsolutePath
  ) -> AbsolutePath? {
    // xCAT's tools accept blanks around a value; they are not part of it.
    if let text = definition.rootImageDirectory { return AbsolutePath(trimmed(text)) }
    guard definition.provisioning.isDiskless else { return nil }
    return directory(.netboot, definition, installDirectory)
  }

  /// Returns the reason that `rootimgdir` does not name a directory; nil if it is unset, or names one.
  public static func rootDirectoryFault(_ definition: ImageDefinition) -> String? {
    guard let text = definition.rootImageDirectory else { return nil }
    let plain = trimmed(text)
    if let path = AbsolutePath(plain) {
      return path.isRoot
        ? "rootimgdir is '\(text)', which cannot be the directory of an image" : nil
    }
    let shown = printable(text.utf8.prefix(255))
    if !plain.hasPrefix("/") {
      return "rootimgdir is '\(shown)', which does not begin with '/'"
    }
    if plain.split(separator: "/").contains("..") {
      return "rootimgdir is '\(shown)', which has '..' in it: write the path without it"
    }
    return "rootimgdir is '\(shown)', which is not a valid path"
  }

  /// Returns the directory of an s390x image's disk images.
  public static func rawDirectory(
    _ definition: ImageDefinition, installDirectory: AbsolutePath
  ) -> AbsolutePath? {
    guard definition.architecture.contains("s390x"),
      [.netboot, .raw, .sysclone].contains(definition.provisioning)
    else { return nil }
    return directory(definition.provisioning, definition, installDirectory)
  }

  private static func directory(
    _ family: ProvisioningMethod, _ definition: ImageDefinition, _ installDirectory: AbsolutePath
  ) -> AbsolutePath? {
    guard !definition.osVersion.isEmpty, !definition.architecture.isEmpty,
      !definition.profile.isEmpty
    else { return nil }
    return AbsolutePath(
      installDirectory.text + "/\(family.text)/\(definition.osVersion)/\(definition.architecture)/"
        + definition.profile)
  }

  /// Returns all files, each path once.
  /// - Throws: the errors of `view`.
  public static func all(
    _ definition: ImageDefinition, installDirectory: AbsolutePath, in view: FileProvider
  ) throws -> [ImageFile] {
    if definition.isDirectory {
      return definition.directoryPath.map { [ImageFile(role: .rootTree, path: $0, isNamed: true)] }
        ?? []
    }
    var files: [ImageFile] = []
    if let directory = bootDirectory(definition, installDirectory: installDirectory) {
      func add(_ role: Role, _ names: [String]) {
        files += names.map {
          ImageFile(role: role, path: directory.appending($0), isNamed: false)
        }
      }
      add(.rootTree, ["rootimg"])
      add(.kernel, ["kernel"])
      add(.ramdisk, ramdiskNames)
      add(.packed, packedNames + otherPackedNames)
      add(.litefile, ["litefile.csv"])
      add(.hypervisor, ["hypervisor"])
    }
    if let directory = rawDirectory(definition, installDirectory: installDirectory) {
      for name in try view.list(directory) where name.suffix(4) == Array(".img".utf8)[...] {
        files.append(ImageFile(role: .rawImage, path: directory.appending(name), isNamed: false))
      }
    }
    for attribute in FileAttribute.allCases {
      for path in paths(of: attribute, definition) {
        files.append(ImageFile(role: .attribute(attribute), path: path, isNamed: true))
      }
    }
    if let list = try searchedList(definition, installDirectory, view) { files.append(list) }
    var seen: Set<AbsolutePath> = []
    return files.filter { seen.insert($0.path).inserted }
  }

  /// Returns the absolute paths that an attribute names.
  public static func paths(of attribute: FileAttribute, _ definition: ImageDefinition)
    -> [AbsolutePath]
  {
    definition.items(of: attribute.rawValue).compactMap { item in
      var text = item.drop { $0 == " " }
      if attribute == .partitionfile {
        // "s:" is a script; "d:", "s:d:", "c:" and "s:c:" name disks and kernel arguments.
        if text.hasPrefix("s:") { text = text.dropFirst(2) }
      }
      // Items of postinstall may have arguments.
      guard let path = text.split(separator: " ").first else { return nil }
      return AbsolutePath(String(path))
    }
  }

  // MARK: Lists that no attribute names

  private static let sharedLists = AbsolutePath(
    components: ["opt", "xcat", "share", "xcat"].map { Array($0.utf8) })

  /// Returns the install template, or the package list, that xCAT would find
  /// (docs/xcat-contract.md#list-search).
  static func searchedList(
    _ definition: ImageDefinition, _ installDirectory: AbsolutePath, _ view: FileProvider
  ) throws -> ImageFile? {
    let (attribute, suffix, subdirectory): (FileAttribute, String, String)
    switch definition.provisioning {
    case .install: (attribute, suffix, subdirectory) = (.template, "tmpl", "install")
    case .netboot, .statelite:
      (attribute, suffix, subdirectory) = (.pkglist, "pkglist", "netboot")
    case .sysclone, .raw, .boottarget, .other: return nil
    }
    guard paths(of: attribute, definition).isEmpty, !definition.osVersion.isEmpty else {
      return nil
    }
    let version = definition.osVersion
    let names = [
      "\(definition.profile).\(version).\(definition.architecture).\(suffix)",
      "\(definition.profile).\(version).\(suffix)",
      "\(definition.profile).\(definition.architecture).\(suffix)",
      "\(definition.profile).\(suffix)",
    ]
    for base in [
      installDirectory.appending("custom").appending(subdirectory),
      sharedLists.appending(subdirectory),
    ] {
      // rhels8.5.0, rhels8.5., … rh, r, and finally the base directory itself.
      var chopped = version.contains("win") ? "windows" : version
      while !chopped.isEmpty, try view.kind(base.appending(chopped)) != .directory {
        chopped.removeLast()
      }
      let directory = chopped.isEmpty ? base : base.appending(chopped)
      for name in names where !name.contains("/") {
        let path = directory.appending(name)
        if try view.kind(path) == .file {
          return ImageFile(role: .attribute(attribute), path: path, isNamed: false)
        }
      }
    }
    return nil
  }
}

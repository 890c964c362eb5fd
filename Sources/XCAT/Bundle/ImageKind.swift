// The kinds of image that xCAT can export and import (xcat.md sections 2 and 3), told apart by the
// definition. What a bundle of each kind must have follows from here and from nowhere else.

/// A kind of image.
public enum ImageKind: Sendable, Hashable, CaseIterable {
  /// netboot: kernel, ramdisk and one packed root image.
  case stateless
  /// Kernel, ramdisk and the whole root tree, with rows of litefile.
  case statelite
  /// An install template and lists; packages come from media that the site has.
  case install
  /// s390x: disk images.
  case raw
  /// VMware ESXi: the definition and its lists; xCAT makes the rest from media.
  case esx
  /// A directory that is none of xCAT's osimages: the tree itself.
  case directory

  /// What the definition of an image says it is.
  /// - Parameter verb: "Exporting" or "Importing", for the error.
  /// - Throws: `XCATError` for a kind that no bundle can hold, in xCAT's words where it has some.
  public init(_ definition: ImageDefinition, verb: String) throws(XCATError) {
    if definition.isDirectory {
      self = .directory
      return
    }
    let method = definition.provisioning
    let type = (definition.osimage["imagetype"] ?? "").lowercased()
    let object = verb == "Exporting" ? "the definition" : "manifest.xml"
    // xCAT spells the word wrong in one message and right in the other; scripts look for them.
    let word = verb == "Exporting" ? "provemethod" : "provmethod"
    if type == "windows" || definition.osVersion.lowercased().hasPrefix("win") {
      throw XCATError(
        object, "\(verb) Windows images is not supported: xCAT's bundles hold Linux images",
        advice: "Copy the answer files and the definition by hand")
    }
    if type == "nim" || type == "aix" || definition.osimage["osname"]?.lowercased() == "aix" {
      throw XCATError(
        object, "\(verb) AIX images is not supported: NIM keeps their files",
        advice: "Use NIM's own tools for this image")
    }
    if method == "boottarget" {
      throw XCATError(
        object,
        "\(verb) boottarget images is not supported: their kernel and ramdisk are rows of the "
          + "boottarget table, which no bundle holds",
        advice: "Copy the row with 'tabdump boottarget' and the definition with 'lsdef -z'")
    }
    let isZ = definition.architecture.contains("s390x")
    switch method {
    case "install": self = .install
    case "statelite": self = .statelite
    case "netboot" where isZ, "raw" where isZ, "sysclone" where isZ: self = .raw
    case "netboot": self = definition.osVersion.contains("esx") ? .esx : .stateless
    case "sysclone":
      throw XCATError.sentence(
        "\(verb) images with '\(word)' sysclone is not supported for osarch "
          + "'\(definition.architecture)'",
        advice: "A sysclone image can be bundled on s390x only")
    case "raw":
      throw XCATError.sentence(
        "\(verb) images with '\(word)' raw is not supported for osarch "
          + "'\(definition.architecture)'",
        advice: "Disk images can be bundled on s390x only")
    default:
      throw XCATError.sentence(
        "\(verb) images with '\(word)' \(method) is not supported. Hint: install, netboot, "
          + "statelite, \(verb == "Exporting" ? "or raw" : "sysclone or raw")",
        advice: "Correct the definition's provmethod")
    }
  }

  /// The folder below `custom/` and xCAT's own share that its lists live in.
  var listFolder: String { self == .install ? "install" : "netboot" }

  /// The ramdisk's file name; nil where there is none.
  var ramdiskName: String? {
    switch self {
    case .stateless: "initrd-stateless.gz"
    case .statelite: "initrd-statelite.gz"
    case .install, .raw, .esx, .directory: nil
    }
  }
}

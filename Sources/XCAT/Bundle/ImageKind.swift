// The kinds of images that xCAT can export and import, by their definition
// (docs/xcat-contract.md#image-kinds). This is the only place that decides which parts a bundle of
// each kind must have.

/// A kind of image.
public enum ImageKind: Sendable, Hashable, CaseIterable {
  /// netboot: kernel, ramdisk and one packed root image.
  case stateless
  /// Kernel, ramdisk and the whole root tree, with rows of litefile.
  case statelite
  /// An install template and lists; packages come from the site's media.
  case install
  /// s390x disk images.
  case raw
  /// VMware ESXi: the definition and its lists; xCAT takes the rest from media.
  case esx
  /// A directory that is not an osimage of xCAT: the tree itself.
  case directory

  /// Determines the kind from a definition.
  /// - Parameter verb: "Exporting" or "Importing", for the error.
  /// - Throws: `XCATError` for a kind that no bundle can hold, in xCAT's words where xCAT has a message.
  public init(_ definition: ImageDefinition, verb: String) throws(XCATError) {
    if definition.isDirectory {
      self = .directory
      return
    }
    let method = definition.provisioning
    let type = definition.imageType.lowercased()
    let object = verb == "Exporting" ? "the definition" : "manifest.xml"
    // xCAT misspells the word in one of its messages only; scripts look for both
    // (docs/xcat-contract.md#messages).
    let word = verb == "Exporting" ? "provemethod" : "provmethod"
    if type == "windows" || definition.osVersion.lowercased().hasPrefix("win") {
      throw XCATError(
        .unsupported,
        object, "\(verb) Windows images is not supported: xCAT's bundles hold Linux images",
        hint: "Copy the answer files and the definition by hand")
    }
    if type == "nim" || type == "aix" || definition.osName.lowercased() == "aix" {
      throw XCATError(
        .unsupported,
        object, "\(verb) AIX images is not supported: NIM keeps their files",
        hint: "Use NIM's own tools for this image")
    }
    if method == .boottarget {
      throw XCATError(
        .unsupported,
        object,
        "\(verb) boottarget images is not supported: their kernel and ramdisk are rows of the "
          + "boottarget table, which no bundle holds",
        hint: "Copy the row with 'tabdump boottarget' and the definition with 'lsdef -z'")
    }
    let isZ = definition.architecture.contains("s390x")
    switch method {
    case .install: self = .install
    case .statelite: self = .statelite
    case .netboot where isZ, .raw where isZ, .sysclone where isZ: self = .raw
    case .netboot: self = definition.osVersion.contains("esx") ? .esx : .stateless
    case .sysclone:
      throw XCATError.sentence(
        "\(verb) images with '\(word)' sysclone is not supported for osarch "
          + "'\(definition.architecture)'",
        hint: "A sysclone image can be bundled on s390x only")
    case .raw:
      throw XCATError.sentence(
        "\(verb) images with '\(word)' raw is not supported for osarch "
          + "'\(definition.architecture)'",
        hint: "Disk images can be bundled on s390x only")
    case .boottarget, .other:
      throw XCATError.sentence(
        "\(verb) images with '\(word)' \(method.text) is not supported. Hint: install, netboot, "
          + "statelite, \(verb == "Exporting" ? "or raw" : "sysclone or raw")",
        hint: "Correct the definition's provmethod")
    }
  }

  /// The ramdisk's file name; nil if the kind has none.
  var ramdiskName: String? {
    switch self {
    case .stateless: "initrd-stateless.gz"
    case .statelite: "initrd-statelite.gz"
    case .install, .raw, .esx, .directory: nil
    }
  }
}

// The roles of components: the words that snapshots have on disk (docs/format.md#components-and-roles).
//
// 1. `Role(text).text == text` for every text. A role that this version does not know is kept as it is, so
//    that a snapshot keeps its bytes and its id.

import Platform

/// An attribute of a definition that names files of the image. The raw values are xCAT's names.
public enum FileAttribute: String, Sendable, CaseIterable {
  case template, pkglist, synclists, otherpkglist, postinstall, exlist, partitionfile

  /// The attributes that are comma lists of files, in the order in which xCAT places them.
  public static let lists: [FileAttribute] = [
    .template, .pkglist, .synclists, .otherpkglist, .postinstall, .exlist,
  ]
}

/// The role of a component in its image.
public enum Role: Hashable, Sendable {
  case rootTree
  /// A directory that did not belong to the image, before a move of the image replaced it.
  case formerTree
  case kernel, ramdisk, hypervisor
  /// A packed image.
  case packed
  /// A disk image.
  case rawImage
  case litefile
  /// A file that an attribute names.
  case attribute(FileAttribute)
  case kit
  /// A file of a bundle's manifest that is none of the above.
  case extra
  /// A file of a complete bundle that generating the image again needs.
  case closure
  /// The target of the symbolic link at a path, in its printed form. Other links and other images may have
  /// the same target.
  case linkTarget(of: String)
  /// A role that this version does not know.
  case other(String)

  private static let linkTargetPrefix = "target of "
  private static let named: [String: Role] = {
    let roles: [Role] = [
      .rootTree, .formerTree, .kernel, .ramdisk, .hypervisor, .packed, .rawImage, .litefile, .kit,
      .extra, .closure,
    ]
    let all = roles + FileAttribute.allCases.map(Role.attribute)
    return Dictionary(uniqueKeysWithValues: all.map { ($0.text, $0) })
  }()

  /// Reads a role as a snapshot has it.
  public init(_ text: String) {
    if let role = Role.named[text] {
      self = role
    } else if text.utf8.starts(with: Role.linkTargetPrefix.utf8) {
      let link = text.utf8.dropFirst(Role.linkTargetPrefix.utf8.count)
      self = .linkTarget(of: String(Substring(link)))
    } else {
      self = .other(text)
    }
  }

  /// The role as a snapshot has it.
  public var text: String {
    switch self {
    case .rootTree: "rootimg"
    case .formerTree: "formertree"
    case .kernel: "kernel"
    case .ramdisk: "ramdisk"
    case .hypervisor: "hypervisor"
    case .packed: "packed"
    case .rawImage: "rawimage"
    case .litefile: "litefile"
    case .attribute(let attribute): attribute.rawValue
    case .kit: "kit"
    case .extra: "extra"
    case .closure: "closure"
    case .linkTarget(let link): Role.linkTargetPrefix + link
    case .other(let text): text
    }
  }

  /// Returns the role of the target of the link at a path.
  public static func target(of link: [UInt8]) -> Role { .linkTarget(of: printable(link)) }

  /// Whether the component is the target of a link.
  public var isLinkTarget: Bool {
    if case .linkTarget = self { true } else { false }
  }

  /// The attribute that names the file; nil for other roles.
  public var attribute: FileAttribute? {
    if case .attribute(let attribute) = self { attribute } else { nil }
  }

  /// Whether an attribute that is a list of files names the file.
  public var isList: Bool { attribute.map(FileAttribute.lists.contains) ?? false }

  /// Whether the file belongs to one image alone, so that a revert deletes it when the image loses it.
  public var isOwned: Bool {
    switch self {
    case .rootTree, .kernel, .ramdisk, .hypervisor, .packed, .rawImage, .litefile: true
    case .formerTree, .attribute, .kit, .extra, .closure, .linkTarget, .other: false
    }
  }

  /// Whether the file came with a bundle. A capture of the live image keeps such files, because nothing in
  /// the definition names them.
  public var isCarried: Bool {
    switch self {
    case .kit, .extra, .closure: true
    default: false
    }
  }
}

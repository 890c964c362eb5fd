// Lists the boot files of a snapshot: the files of the image's directory, the forms that `pack` makes of its root
// tree, and the bundle that `export` makes.

import Platform
import Render
import Store
import XCAT

extension Workspace {
  /// Returns the boot files of a snapshot.
  /// - Throws: errors of reading the store and xCAT's site table.
  public func bootFiles(of snapshot: CommittedSnapshot) throws -> BootFileList {
    try BootFileLister(context).list(snapshot)
  }

  /// Returns whether a reference names a snapshot that existed and was removed: its number was used, or its
  /// image had snapshots.
  public func wasForgotten(_ reference: Reference) throws -> Bool {
    try BootFileLister(context).wasForgotten(reference)
  }
}

/// Lists boot files.
struct BootFileLister: Collaborator {
  let context: Context

  /// The forms of packed images, in the order of xCAT's preference, then those that xCAT does not look for.
  static let packedForms: [(name: String, method: PackMethod, codec: SegmentCodec)] = [
    ("rootimg.cpio.gz", .cpio, .gzip), ("rootimg.cpio.xz", .cpio, .xz),
    ("rootimg.tar.gz", .tar, .gzip), ("rootimg.tar.xz", .tar, .xz),
    ("rootimg.sfs", .squashfs, .gzip), ("rootimg.cpio.zst", .cpio, .zstd),
    ("rootimg.tar.zst", .tar, .zstd),
  ]
  /// The name under which nodes find the ramdisk of the image's kind.
  static let ramdiskAlias = "initrd"

  func list(_ snapshot: CommittedSnapshot) throws -> BootFileList {
    let definition = snapshot.snapshot.definition
    var (files, unavailable) = try storedFiles(snapshot)
    if let ramdisk = files[BootFiles.ramdisk(of: definition)] ?? files["initrd.gz"],
      case .stored = ramdisk.source, definition.provisioning.isDiskless
    {
      files[BootFileLister.ramdiskAlias] = BootFile(
        BootFileLister.ramdiskAlias, .ramdisk, ramdisk.source)
    }
    let stored = files
    let packable = packObstacle(snapshot)
    for form in BootFileLister.packedForms where files[form.name] == nil {
      if let packable {
        unavailable.append((form.name, packable))
      } else {
        files[form.name] = BootFile(form.name, .rootImage, .packed(form.method, form.codec))
      }
    }
    for (name, kind, source) in [
      ("bundle.tgz", BootFile.Kind.bundle, BootFile.Source.bundle),
      ("manifest.xml", .manifest, .manifest),
    ] where files[name] == nil {
      files[name] = BootFile(name, kind, source)
    }
    if definition.isDirectory {
      for name in ["kernel", BootFileLister.ramdiskAlias] {
        unavailable.append((name, "the image is a directory, which has no boot files of xCAT"))
      }
    }
    let root = rootImage(stored, definition, isPackable: packable == nil)
    return BootFileList(
      files: files.values.sorted { precedes(Array($0.name.utf8), Array($1.name.utf8)) },
      unavailable: unavailable, snapshot: snapshot.name, rootImage: root,
      bootObstacle: bootObstacle(files, definition, root))
  }

  func wasForgotten(_ reference: Reference) throws -> Bool {
    guard let image = try? ImageName(reference.image), let store = try context.storeIfPresent()
    else { return false }
    let refs = store.refs
    let next = try refs.nextNumber(of: image)
    switch reference.selector {
    case .latest, .live: return try next > 1 && refs.numbers(of: image).isEmpty
    default:
      guard let number = reference.number, number > 0, number < next else { return false }
      return try !refs.numbers(of: image).contains(number)
    }
  }

  // MARK: Files

  /// Returns the files of the snapshot in the image's directory, and disk images. The target of a link is served
  /// only if it lies in the image's directory or in xCAT's install directory: a link must not publish another file
  /// of the management node.
  private func storedFiles(
    _ snapshot: CommittedSnapshot
  ) throws -> (files: [String: BootFile], unavailable: [(name: String, reason: String)]) {
    let state = snapshot.snapshot
    guard !state.definition.isDirectory else { return ([:], []) }
    let install = try context.installDirectory(try context.tables())
    let directories = [
      ImageFiles.bootDirectory(state.definition, installDirectory: install),
      ImageFiles.rawDirectory(state.definition, installDirectory: install),
    ].compactMap(\.self)
    var files: [String: BootFile] = [:]
    var unavailable: [(name: String, reason: String)] = []
    for component in state.components where !component.role.isLinkTarget {
      guard let path = AbsolutePath(component.path), directories.contains(path.parent),
        let name = String(validating: path.lastComponent, as: UTF8.self),
        let target = state.components.followed(component), target.entry.blob != nil,
        let targetPath = AbsolutePath(target.path)
      else { continue }
      guard ([install] + directories).contains(where: { targetPath.isInside($0) }) else {
        unavailable.append((name, "it is a link to \(targetPath.text), outside of \(install.text)"))
        continue
      }
      files[name] = BootFile(name, BootFileLister.kind(component.role), .stored(target.entry))
    }
    return (files, unavailable)
  }

  private static func kind(_ role: Role) -> BootFile.Kind {
    switch role {
    case .kernel: .kernel
    case .ramdisk: .ramdisk
    case .hypervisor: .hypervisor
    case .packed, .rawImage: .rootImage
    default: .other
    }
  }

  /// Returns the reason why the root tree cannot be packed; nil if it can.
  private func packObstacle(_ snapshot: CommittedSnapshot) -> String? {
    let state = snapshot.snapshot
    if !state.definition.isDirectory, !state.definition.provisioning.isDiskless {
      return
        "an image with provmethod '\(state.definition.provisioning.text)' has no root tree to pack"
    }
    guard state.components.rootTree?.entry.ids != nil else {
      return "\(snapshot.name) has no root tree"
    }
    return nil
  }

  // MARK: Booting

  /// Returns the root image that nodes load: the one in the snapshot that xCAT prefers, else one that is rendered.
  private func rootImage(
    _ stored: [String: BootFile], _ definition: ImageDefinition, isPackable: Bool
  ) -> String? {
    if definition.provisioning == .statelite {
      let name = ImageFiles.statelitePackedName
      return definition.rootFileSystem == "ramdisk" && stored[name] != nil ? name : nil
    }
    return ImageFiles.packedNames.first { stored[$0] != nil }
      ?? (isPackable ? BootFileLister.packedForms.first?.name : nil)
  }

  private func bootObstacle(
    _ files: [String: BootFile], _ definition: ImageDefinition, _ root: String?
  ) -> String? {
    guard definition.provisioning.isDiskless else {
      return "only netboot and statelite images boot this way"
    }
    if files["kernel"] == nil { return "the snapshot has no kernel" }
    if files["hypervisor"] != nil {
      return "a Xen image needs pxelinux, as xCAT's nodeset sets it up"
    }
    if files[BootFileLister.ramdiskAlias] == nil {
      return "the snapshot has no \(BootFiles.ramdisk(of: definition))"
    }
    if root != nil { return nil }
    return definition.provisioning == .statelite
      ? (definition.rootFileSystem == "ramdisk"
        ? "the snapshot has no \(ImageFiles.statelitePackedName); 'imgstore lite' packs it"
        : "nodes of a statelite image mount their root tree by NFS")
      : "the snapshot has no root image"
  }
}

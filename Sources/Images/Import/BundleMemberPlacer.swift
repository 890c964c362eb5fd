// Turns the members that a manifest names into components: each file, tree and directory with its path.

import Glibc
import Ingest
import Platform
import Store
import XCAT

/// Collects the components of one image of a bundle. Nothing on the machine is changed.
struct BundleMemberPlacer {
  private let preparation: ImportPreparation
  private let bundled: BundledImage
  /// The owner of placed files: root, or the caller if it is not root. A user number of the exporting site
  /// belongs to another user here, who could then change files that nodes run as root.
  private let owner: (uid: UInt32, gid: UInt32)?
  /// The members that the manifest names.
  private var used: Set<String> = []

  private(set) var components: [Snapshot.Component] = []
  /// The paths where an existing file stays, unless the import replaces.
  private(set) var keepExistingPaths: Set<[UInt8]> = []
  private(set) var extraMembers: [(name: String, path: String)] = []
  /// The entries in trees.
  private(set) var entryCount: UInt64 = 0
  /// The bytes of file content in trees.
  private(set) var treeBytes: UInt64 = 0
  private(set) var remarks: [String] = []
  /// Attributes in archived trees that were not kept.
  private(set) var notes: [Snapshot.Note] = []

  init(_ preparation: ImportPreparation, _ bundled: BundledImage) {
    self.preparation = preparation
    self.bundled = bundled
    owner = (geteuid(), isRoot ? 0 : getegid())
    remarks = bundled.remarks
  }

  /// Places one member of the manifest.
  /// - Throws: `BundleError` if the member is absent or has a forbidden path.
  mutating func place(_ member: BundleMember) throws {
    switch member.shape {
    case .file: try placeFile(member)
    case .archivedTree:
      try preparation.targets.check(member.path, role: member.role, member: member.name)
      let entry = try require(member.name)
      guard case .tree(let tree) = entry.content else { throw missingMember(member.name) }
      used.insert(member.name)
      entryCount += tree.entryCount
      treeBytes &+= tree.contentBytes
      notes += tree.losses.map { loss in
        let path = loss.path.isEmpty ? member.path : member.path.appending(loss.path)
        let more = loss.count > 1 ? "; also of \(loss.count - 1) more" : ""
        return Snapshot.Note(.attributesLost, path: path.bytes, detail: loss.what + more)
      }
      add(member.role, member.path, tree.entry)
    case .directory:
      try preparation.targets.check(member.path, role: member.role, member: member.name)
      guard bundled.isDirectory(member.name) else { throw missingMember(member.name) }
      for name in bundled.names(below: member.name) { used.insert("\(member.name)/\(name)") }
      // xCAT makes a kit's scripts executable in the kit's directory, too.
      let scripts = member.role == .kit ? "\(member.name)/other_files/" : nil
      add(
        member.role, member.path,
        try bundled.tree(
          member.name, into: preparation.session, owner: owner,
          mode: { name, mode in
            scripts.map { name.hasPrefix($0) } == true && BundleMemberPlacer.isScript(name)
              ? 0o755 : mode
          }))
    case .mergedDirectory: try placeMerged(member)
    }
  }

  private mutating func placeFile(_ member: BundleMember) throws {
    if member.isOptional, bundled.entries[member.name] == nil {
      remarks.append(
        "\(member.path.text) is not in the bundle: xCAT's export leaves scripts with arguments out")
      return
    }
    // A complete bundle may have files for paths outside the install directory. Only --allow admits them.
    if member.role == .closure,
      preparation.targets.allowedDirectory(of: member.path, role: member.role) == nil
    {
      used.insert(member.name)
      remarks.append(
        "\(member.path.text) was left out, because it is outside "
          + "\(preparation.targets.install.text); --allow \(member.path.parent.text) takes it")
      return
    }
    try preparation.targets.check(member.path, role: member.role, member: member.name)
    let item = try require(member.name)
    guard case .file = item.content, let entry = item.entry(name: [], owner: owner) else {
      throw missingMember(member.name)
    }
    used.insert(member.name)
    if member.role == .extra { extraMembers.append((member.name, member.path.text)) }
    if member.role == .closure { keepExistingPaths.insert(member.path.bytes) }
    add(member.role, member.path, entry)
  }

  /// Places the content of a directory among the existing entries of its target.
  private mutating func placeMerged(_ member: BundleMember) throws {
    let isSide = member.name.hasPrefix("extra/\(ExportLayout.sideDirectory)")
    for name in bundled.names(below: member.name) {
      let full = "\(member.name)/\(name)"
      used.insert(full)
      guard let item = bundled.entries[full] else { continue }
      let path = member.path.appending(name)
      try preparation.targets.check(path, role: member.role, member: full)
      if case .symlink(let target) = item.content {
        try checkLink(target, name, full)
      }
      if let entry = item.entry(name: [], owner: owner) {
        add(member.role, path, entry)
        extraMembers.append((full, path.text))
        if isSide { keepExistingPaths.insert(path.bytes) }
      } else if !bundled.hasNames(below: full),
        try ImageCapturer(preparation.context).statLive(path) == nil
      {
        add(
          member.role, path, try bundled.tree(full, into: preparation.session, owner: owner))
      }
    }
  }

  /// Refuses a link that leads out of its extra. The bundle reader keeps links inside `extra/NAME`, but a
  /// manifest may name a deeper directory as the extra. A link out of that directory would lead out of the
  /// extra's target.
  private func checkLink(_ target: [UInt8], _ name: String, _ full: String) throws(BundleError) {
    let ups = target.split(separator: 0x2f).count { Array($0) == [0x2e, 0x2e] }
    guard ups < name.utf8.split(separator: UInt8(ascii: "/")).count else {
      throw BundleError(
        "member \(full)",
        "is a link that may lead out of its directory, to \(printable(target.prefix(255)))",
        hint: "Nothing was imported; do not trust this bundle")
    }
  }

  /// Places the copies that xCAT makes of a kit's files: scripts among the postscripts, plugins for xcatd.
  /// Plugins are code that xcatd runs as root, so only `--trust-plugins` installs them.
  mutating func placeKit(_ kit: BundleMember) throws {
    let install = preparation.targets.install
    for name in bundled.names(below: "\(kit.name)/other_files") {
      guard BundleMemberPlacer.isScript("other_files/\(name)") else { continue }
      let path = install.appending("postscripts").appending(name)
      try copy("\(kit.name)/other_files/\(name)", path, .script)
    }
    let plugins = bundled.names(below: "\(kit.name)/plugins")
    if plugins.isEmpty { return }
    guard preparation.request.trustsPlugins else {
      remarks.append(
        "the kit \(kit.path.lastComponentText) has plugins, code that would run as root in xcatd: "
          + "they were not installed; --trust-plugins installs them")
      return
    }
    for name in plugins {
      try copy(
        "\(kit.name)/plugins/\(name)", ImportTargets.plugins.appending(name), .plugin)
    }
    remarks.append(
      "the plugins of the kit \(kit.path.lastComponentText) are installed: restart xcatd")
  }

  /// Returns whether xCAT treats a file of a kit as a script. Scripts are in other_files, and the name
  /// directly in it has no leading dot and no ending `.env` or `.exlist`.
  private static func isScript(_ name: String) -> Bool {
    guard
      let inside = name.split(separator: "/").drop(while: { $0 != "other_files" }).dropFirst()
        .first?.lowercased()
    else { return false }
    return !inside.hasPrefix(".") && !inside.hasSuffix(".env") && !inside.hasSuffix(".exlist")
  }

  /// A file that xCAT copies out of a kit.
  private enum KitFile {
    case script, plugin
    var mode: UInt16 { self == .script ? 0o755 : 0o644 }
  }

  /// Places a copy of a kit's file. A link is replaced by its target. xCAT's `cp -rf` of a directory keeps
  /// the link, and its target may not exist next to the copy.
  private mutating func copy(
    _ name: String, _ path: AbsolutePath, _ kind: KitFile
  ) throws {
    guard let item = bundled.entries[name] else { return }
    var source = item
    if case .symlink = item.content {
      guard let target = bundled.target(ofLink: name) else {
        remarks.append(
          "the link \(name) does not lead to a file of the bundle: \(path.text) was not placed")
        return
      }
      // A link to a directory: each file of the directory is copied.
      if bundled.isDirectory(target) {
        for inner in bundled.names(below: target) {
          try copy("\(target)/\(inner)", path.appending(inner), kind)
        }
        return
      }
      guard let file = bundled.entries[target] else { return }
      source = file
    }
    guard case .file = source.content, var entry = source.entry(name: [], owner: owner) else {
      return
    }
    entry.mode = kind.mode
    try preparation.targets.check(path, role: .kit, isPlugin: kind == .plugin, member: name)
    add(.kit, path, entry)
  }

  /// Completes the components: reports members that the manifest does not name, and checks all targets.
  /// - Throws: `BundleError` if a file was lost in the export, or two components conflict.
  mutating func finish(_ layout: BundleLayout) throws {
    let placed = Set(components.map(\.path))
    for path in layout.secondFiles where !placed.contains(path.bytes) {
      throw BundleError(
        path.text, "shares its file name with another file, and a bundle holds one of that name",
        hint: "Nothing was imported; xCAT's export loses one of them: rename it there")
    }
    let unnamed = bundled.entries.filter { name, item in
      if case .directory = item.content { return false }
      return !used.contains(name)
    }
    for name in unnamed.keys.sorted() {
      remarks.append(
        "the manifest does not name the bundle's file \(name), which was left out")
    }
    try checkTargets()
    components.sort { precedes($0.path, $1.path) }
  }

  /// Checks that no path has two contents and that no file lies below another, and removes duplicates.
  private mutating func checkTargets() throws {
    let paths = components.compactMap { component in
      AbsolutePath(component.path).map { PlacedContent(path: $0, content: component.entry.content) }
    }
    do throws(PlacementConflict) {
      let isFirst = try BundlePlacement.check(paths)
      components = zip(components, isFirst).filter { $0.1 }.map { $0.0 }
    } catch {
      throw BundleError("manifest.xml", error.reason, hint: BundleError.distrust)
    }
  }

  // MARK: Helpers

  private mutating func add(_ role: Role, _ path: AbsolutePath, _ entry: Entry) {
    components.append(Snapshot.Component(role: role, path: path.bytes, entry: entry))
  }

  private func require(_ name: String) throws(BundleError) -> BundleEntry {
    guard let entry = bundled.entries[name] else { throw missingMember(name) }
    return entry
  }

  private func missingMember(_ name: String) -> BundleError {
    BundleError(
      "member \(name)", "is named by the manifest, but is not in the bundle",
      hint: "Nothing was imported; export the image again at its source")
  }
}

extension AbsolutePath {
  fileprivate var lastComponentText: String { printable(lastComponent) }
}

// From the members that a manifest names to pieces: each file, tree and folder with its place.

import Glibc
import Ingest
import Platform
import Store
import XCAT

/// The members of one image, being placed.
struct BundleMemberPlacer {
  private let preparation: ImportPreparation
  private let bundled: BundledImage
  /// Who gets the files: root, or ourselves where we are another. A number that another site gave to a user
  /// is somebody else here, who could then change what nodes run as root.
  private let owner: (uid: UInt32, gid: UInt32)?
  private var used: Set<String> = []

  private(set) var pieces: [Snapshot.Component] = []
  private(set) var keepExistingPaths: Set<[UInt8]> = []
  private(set) var extraMembers: [(name: String, path: String)] = []
  private(set) var entryCount: UInt64 = 0
  private(set) var treeBytes: UInt64 = 0
  private(set) var remarks: [String] = []
  /// What archives of trees said and was not kept.
  private(set) var notes: [Snapshot.Note] = []

  init(_ preparation: ImportPreparation, _ bundled: BundledImage) {
    self.preparation = preparation
    self.bundled = bundled
    owner = (geteuid(), isRoot ? 0 : getegid())
    remarks = bundled.remarks
  }

  /// Places what the manifest names as one member.
  mutating func place(_ member: BundleMember) throws {
    switch member.shape {
    case .file: try placeFile(member)
    case .archivedTree:
      try preparation.targets.check(member.path, role: member.role, member: member.name)
      let entry = try require(member.name)
      guard case .tree(let tree) = entry.content else { throw notThere(member.name) }
      used.insert(member.name)
      entryCount += tree.entryCount
      treeBytes &+= tree.contentBytes
      notes += tree.losses.map { loss in
        let place = loss.path.isEmpty ? member.path.bytes : member.path.bytes + [0x2f] + loss.path
        let more = loss.count > 1 ? "; also of \(loss.count - 1) more" : ""
        return Snapshot.Note(.attributesLost, path: place, detail: loss.what + more)
      }
      add(member.role, member.path, tree.entry)
    case .folder:
      try preparation.targets.check(member.path, role: member.role, member: member.name)
      guard bundled.isFolder(member.name) else { throw notThere(member.name) }
      for name in bundled.names(below: member.name) { used.insert("\(member.name)/\(name)") }
      // xCAT makes a kit's scripts executable where they lie, too.
      let scripts = member.role == ImageFiles.kit ? "\(member.name)/other_files/" : nil
      add(
        member.role, member.path,
        try bundled.tree(
          member.name, into: preparation.session, owner: owner,
          mode: { name, mode in
            scripts.map { name.hasPrefix($0) } == true && BundleMemberPlacer.isScript(name)
              ? 0o755 : mode
          }))
    case .mergedFolder: try placeMerged(member)
    }
  }

  private mutating func placeFile(_ member: BundleMember) throws {
    if member.isOptional, bundled.entries[member.name] == nil {
      remarks.append(
        "\(member.path.text) is not in the bundle: xCAT's export leaves scripts with arguments out")
      return
    }
    // What a complete bundle has from outside the install folder comes in by the administrator's word.
    if member.role == ImageFiles.closure,
      preparation.targets.folder(of: member.path, role: member.role) == nil
    {
      used.insert(member.name)
      remarks.append(
        "\(member.path.text) was left out, as it is outside "
          + "\(preparation.targets.install.text); --allow \(member.path.parent.text) takes it")
      return
    }
    try preparation.targets.check(member.path, role: member.role, member: member.name)
    let found = try require(member.name)
    guard case .file = found.content, let entry = found.entry(name: [], owner: owner) else {
      throw notThere(member.name)
    }
    used.insert(member.name)
    if member.role == ImageFiles.extra { extraMembers.append((member.name, member.path.text)) }
    if member.role == ImageFiles.closure { keepExistingPaths.insert(member.path.bytes) }
    add(member.role, member.path, entry)
  }

  /// The content of a folder, beside what its place has already.
  private mutating func placeMerged(_ member: BundleMember) throws {
    let isSide = member.name.hasPrefix("extra/\(ExportLayout.sideFolder)")
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
        try preparation.workspace.statLive(path) == nil
      {
        add(
          member.role, path, try bundled.tree(full, into: preparation.session, owner: owner))
      }
    }
  }

  /// The reader holds links inside `extra/NAME`; a manifest may call a folder further down an extra,
  /// and what leads out of that one leads out of the place where it is put.
  private func checkLink(_ target: [UInt8], _ name: String, _ full: String) throws(BundleError) {
    let ups = target.split(separator: 0x2f).count { Array($0) == [0x2e, 0x2e] }
    guard ups < name.utf8.split(separator: UInt8(ascii: "/")).count else {
      throw BundleError(
        "member \(full)",
        "is a link that may lead out of its folder, to \(printable(target.prefix(255)))",
        advice: "Nothing was imported; do not trust this bundle")
    }
  }

  /// What xCAT does with a kit's folder beside placing it: scripts go to the postscripts, plugins
  /// into xcatd (by the administrator's word only: they are code that runs there as root).
  mutating func placeKit(_ kit: BundleMember) throws {
    let install = preparation.targets.install
    for name in bundled.names(below: "\(kit.name)/other_files") {
      guard BundleMemberPlacer.isScript("other_files/\(name)") else { continue }
      let path = install.appending("postscripts").appending(name)
      try copy("\(kit.name)/other_files/\(name)", path, ImageFiles.kit, mode: 0o755)
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
        "\(kit.name)/plugins/\(name)", ImportTargets.plugins.appending(name),
        ImportTargets.pluginRole, mode: 0o644)
    }
    remarks.append("plugins of the kit \(kit.path.lastComponentText) are in: restart xcatd")
  }

  /// xCAT takes for scripts what lies in a kit's other_files, but for some names at its top.
  private static func isScript(_ name: String) -> Bool {
    guard
      let inside = name.split(separator: "/").drop(while: { $0 != "other_files" }).dropFirst()
        .first?.lowercased()
    else { return false }
    return !inside.hasPrefix(".") && !inside.hasSuffix(".env") && !inside.hasSuffix(".exlist")
  }

  /// Places a copy of a kit's file. A link is placed as what it leads to, since xCAT's `cp -rf` of a
  /// folder keeps it, and its target need not lie next to the copy.
  private mutating func copy(
    _ name: String, _ path: AbsolutePath, _ role: String, mode: UInt16
  ) throws {
    guard let item = bundled.entries[name] else { return }
    var source = item
    if case .symlink = item.content {
      guard let target = bundled.target(ofLink: name) else {
        remarks.append(
          "the link \(name) leads to no file of the bundle: \(path.text) was not placed")
        return
      }
      // A folder that is reached by a link: each of its files.
      if bundled.isFolder(target) {
        for inner in bundled.names(below: target) {
          try copy("\(target)/\(inner)", path.appending(inner), role, mode: mode)
        }
        return
      }
      guard let file = bundled.entries[target] else { return }
      source = file
    }
    guard case .file = source.content, var entry = source.entry(name: [], owner: owner) else {
      return
    }
    entry.mode = mode
    try preparation.targets.check(path, role: role, member: name)
    add(role, path, entry)
  }

  /// Says what was named by nothing, and that every named file has been found.
  mutating func finish(_ layout: BundleLayout) throws {
    let placed = Set(pieces.map(\.path))
    for path in layout.secondFiles where !placed.contains(path.bytes) {
      throw BundleError(
        path.text, "shares its file name with another file, and a bundle holds one of that name",
        advice: "Nothing was imported; xCAT's export loses one of them: rename it there")
    }
    let left = bundled.entries.filter { name, item in
      if case .directory = item.content { return false }
      return !used.contains(name)
    }
    for name in left.keys.sorted() {
      remarks.append(
        "the bundle's file \(name) is named by nothing in its manifest and was left out")
    }
    try checkTargets()
    pieces.sort { precedes($0.path, $1.path) }
  }

  /// No two contents in one place, and no file below another.
  private mutating func checkTargets() throws {
    let paths = pieces.compactMap { piece in
      AbsolutePath(piece.path).map { PlacedContent(path: $0, content: piece.entry.content) }
    }
    do throws(PlacementConflict) {
      let isFirst = try BundlePlacement.check(paths)
      pieces = zip(pieces, isFirst).filter { $0.1 }.map { $0.0 }
    } catch {
      throw BundleError("manifest.xml", error.finding, advice: BundleError.distrust)
    }
  }

  // MARK: Small things

  private mutating func add(_ role: String, _ path: AbsolutePath, _ entry: Entry) {
    pieces.append(
      Snapshot.Component(
        role: role == ImportTargets.pluginRole ? ImageFiles.kit : role, path: path.bytes,
        entry: entry))
  }

  private func require(_ name: String) throws(BundleError) -> BundleEntry {
    guard let entry = bundled.entries[name] else { throw notThere(name) }
    return entry
  }

  private func notThere(_ name: String) -> BundleError {
    BundleError(
      "member \(name)", "is named by the manifest and is not in the bundle",
      advice: "Nothing was imported; export the image again where it came from")
  }
}

extension AbsolutePath {
  fileprivate var lastComponentText: String { printable(lastComponent) }
}

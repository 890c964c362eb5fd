// Where an import may write, and what it finds there.
//
// 1. A path that a manifest chose lies below an allowed folder: the install folder, what the
//    administrator adds, and for lists xCAT's own share. Below that folder only the administrator's
//    own links are followed (`ImportLinks`): a bundle writes where bundles may.
// 2. Another image's files are not overwritten unless the import may replace.

import Ingest
import Platform
import Store
import XCAT

/// The folders that a bundle may write below.
struct ImportTargets {
  let workspace: Workspace
  let install: AbsolutePath
  let allowed: [AbsolutePath]
  /// The place of a tree that the administrator named.
  let directory: AbsolutePath?
  private let links: ImportLinks

  static let sharedLists = folder("opt", "xcat", "share", "xcat")
  static let plugins = folder("opt", "xcat", "lib", "perl", "xCAT_plugin")

  private static func folder(_ names: String...) -> AbsolutePath {
    AbsolutePath(components: names.map { Array($0.utf8) })
  }

  init(_ workspace: Workspace, _ request: ImportRequest) throws {
    self.workspace = workspace
    install = try workspace.installDirectory(try workspace.tables())
    allowed = try request.allowed.map { text in
      guard let path = AbsolutePath(text), !path.components.isEmpty else {
        throw ImageError(
          .usage, "--allow \(text)", "is not an absolute path below /",
          advice: "Name the folder that the bundle may write below")
      }
      return path
    }
    directory = try request.directory.map { text in
      guard let path = AbsolutePath(text), !path.components.isEmpty else {
        throw ImageError(
          .usage, "--to \(text)", "is not an absolute path below /",
          advice: "Name the directory that the tree shall become")
      }
      return path
    }
    links = ImportLinks(
      fileSystem: workspace.fileSystem, root: workspace.resolver.root,
      imported: try ImportTargets.importedPaths(workspace))
  }

  /// Trees, kits and links that the newest snapshot of each image has.
  private static func importedPaths(_ workspace: Workspace) throws -> Set<AbsolutePath> {
    guard let store = try? workspace.store() else { return [] }
    var paths: Set<AbsolutePath> = []
    for image in try store.refs.images() {
      guard let latest = try? store.refs.latestReadable(of: image) else { continue }
      for piece in latest.snapshot.pieces {
        let isFromBundle = [ImageFiles.extra, ImageFiles.closure, ImageFiles.kit].contains(
          piece.role)
        guard piece.entry.kind == .directory || piece.entry.kind == .symlink && isFromBundle,
          !CaptureRoot.isTargetRole(piece.role), let path = AbsolutePath(piece.path)
        else { continue }
        paths.insert(path)
      }
    }
    return paths
  }

  /// The allowed folder that holds a path; nil where there is none.
  func folder(of path: AbsolutePath, role: String) -> AbsolutePath? {
    // Never by way of a folder above it.
    guard !path.components.contains([0x2e, 0x2e]) else { return nil }
    if let directory, path == directory, role == ImageFiles.rootTree { return path.parent }
    var folders = [install] + allowed
    if ImageFiles.listAttributes.contains(role) { folders.append(ImportTargets.sharedLists) }
    if role == ImportTargets.pluginRole { folders.append(ImportTargets.plugins) }
    return folders.filter { path.isInside($0) && path != $0 }
      .max { $0.components.count < $1.components.count }
  }

  /// Kit plugins, which only the administrator's word lets in.
  static let pluginRole = "plugin"

  /// As long as a path may be that programs open (PATH_MAX), and as deep as two bundles' members.
  private static let maxPathBytes = 4095
  private static let maxDepth = 128

  /// - Throws: `BundleError` where the path lies below no allowed folder, or where no program could
  ///   reach it.
  func check(_ path: AbsolutePath, role: String, member: String) throws {
    guard path.bytes.count <= ImportTargets.maxPathBytes,
      path.components.count <= ImportTargets.maxDepth
    else {
      throw BundleError(
        "member \(member)",
        "would be written too deep, or to a path that is too long: "
          + "\(printable(path.bytes.prefix(255)))…",
        advice: "Nothing was imported; do not trust this bundle")
    }
    guard folder(of: path, role: role) != nil else {
      throw BundleError(
        "member \(member)",
        "would be written to \(path.text), which is outside \(install.text)",
        advice: "Nothing was imported; a bundle may write below the install folder only, and below "
          + "what you name with --allow")
    }
  }

  // MARK: On the disk

  /// Where a target is, making missing folders; no link is followed below the allowed folder.
  func resolve(_ path: AbsolutePath) throws -> ResolvedPath {
    try resolve(path, create: true)
  }

  private func resolve(_ path: AbsolutePath, create: Bool) throws -> ResolvedPath {
    // Roles have been checked: here any folder that may hold some role will do.
    if let directory, path == directory {
      return try workspace.locate(path, create: create)
    }
    let folders = [install, ImportTargets.sharedLists, ImportTargets.plugins] + allowed
    let top =
      folders.filter { path.isInside($0) && path != $0 }
      .max { $0.components.count < $1.components.count } ?? install
    do {
      return try links.resolve(path, below: top, create: create)
    } catch let refusal as ImportLinks.Refusal {
      throw ImageError(
        "target \(path.text)",
        "is reached through a symbolic link below \(top.text), \(refusal.link.text): \(refusal.reason)",
        advice:
          "Let root own the link and its folder, which nobody else may write to, or replace it by a "
          + "folder or a bind mount, and import again")
    }
  }

  /// A target can be reached, as far as it is there already, and nothing of another kind is there.
  private func checkReachable(_ piece: Snapshot.Component, _ path: AbsolutePath) throws {
    do {
      let place = try resolve(path, create: false)
      guard
        let stat = try workspace.fileSystem.statIfPresent(at: place.directory.raw, place.name)
      else { return }
      let isTree = piece.entry.kind == .directory
      // A link in the place of a file is replaced by the file; nothing is written through it.
      let isReplaced = stat.kind == .file || stat.kind == .symlink
      guard (stat.kind == .directory) == isTree,
        stat.kind == piece.entry.kind || isReplaced && !isTree
      else {
        throw ImageError(
          "target \(path.text)",
          "is a \(stat.kind.noun), and the bundle has a \(piece.entry.kind.noun) for it",
          advice: "Nothing was imported; move what is there, or do not trust this bundle")
      }
    } catch let error as SystemError {
      guard error.isAbsent else { throw error }
    }
  }

  /// The pieces that will be live, once it is known what is there now.
  func settle(
    _ prepared: PreparedImage, _ live: LiveImage
  ) throws -> (all: [Snapshot.Component], remarks: [String]) {
    var remarks: [String] = []
    var all: [Snapshot.Component] = []
    let now = Dictionary(uniqueKeysWithValues: live.capture.pieces.map { ($0.path, $0) })
    for piece in prepared.pieces {
      guard let path = AbsolutePath(piece.path) else { continue }
      if let there = now[piece.path], prepared.keepExistingPaths.contains(piece.path),
        there.entry.content != piece.entry.content
      {
        remarks.append(
          "\(path.text) was kept: it differs from the bundle's; --force takes the bundle's")
        var kept = there
        kept.role = piece.role
        all.append(kept)
        continue
      }
      try checkReachable(piece, path)
      if piece.entry.kind == .file, let there = now[piece.path], there.entry.kind == .symlink {
        if let target = linkedFile(there, now), target.last?.entry.content == piece.entry.content {
          // What the link leads to is what the bundle has: the link stays.
          var link = there
          link.role = piece.role
          all.append(link)
          all += target.filter { other in !prepared.pieces.contains { $0.path == other.path } }
          continue
        }
        remarks.append(
          "\(path.text) was a symbolic link; the bundle's file takes its place, and what the link leads "
            + "to stays as it is")
      }
      all.append(piece)
    }
    // A bundle without the tree says nothing of it: generated images keep theirs.
    let bringsTree = prepared.pieces.contains { $0.role == ImageFiles.rootTree }
    for piece in live.capture.pieces
    where piece.role == ImageFiles.rootTree && !bringsTree
      && !all.contains(where: { $0.path == piece.path })
    {
      remarks.append(
        "\(printable(piece.path)) was kept: the bundle has no root tree; packing it again would "
          + "replace the imported root image")
      all.append(piece)
    }
    var seen: Set<[UInt8]> = []
    all = all.filter { seen.insert($0.path).inserted }
    return (all.sorted { precedes($0.path, $1.path) }, remarks)
  }

  /// The pieces that a link leads to, over other links; nil where the last is no file.
  private func linkedFile(
    _ link: Snapshot.Component, _ pieces: [[UInt8]: Snapshot.Component]
  ) -> [Snapshot.Component]? {
    var chain: [Snapshot.Component] = []
    var path = link.path
    while let next = pieces.values.first(where: { $0.role == CaptureRoot.targetRole(of: path) }) {
      chain.append(next)
      guard next.entry.kind == .symlink else { break }
      guard chain.count < 40 else { return nil }
      path = next.path
    }
    return chain.last?.entry.kind == .file ? chain : nil
  }

  // MARK: Originals

  /// Links `FILE.ORIG` to each file that is about to be replaced (`--orig`); an older one stays, and
  /// the new one gets a number.
  /// - Returns: the files that were kept, and what they are called now.
  func keepOriginals(
    _ pieces: [Snapshot.Component], _ live: LiveImage, _ request: ImportRequest
  ) throws -> [(path: String, copy: String)] {
    guard request.keepsOriginals else { return [] }
    var kept: [(path: String, copy: String)] = []
    for piece in pieces where piece.entry.kind == .file {
      guard let path = AbsolutePath(piece.path),
        let there = live.capture.pieces.first(where: { $0.path == piece.path }),
        [.file, .symlink].contains(there.entry.kind), there.entry.content != piece.entry.content
      else { continue }
      let place = try resolve(path, create: false)
      let fileSystem = workspace.fileSystem
      var name = place.name + Array(".ORIG".utf8)
      var number = 0
      let own = try fileSystem.stat(at: place.directory.raw, place.name, followLink: false)
      var isKept = false
      while let other = try fileSystem.statIfPresent(at: place.directory.raw, name) {
        // An import that is gone on with has linked it before.
        isKept = isKept || other.inode == own.inode && other.device == own.device
        number += 1
        name = place.name + Array(".ORIG.\(number)".utf8)
      }
      if isKept { continue }
      try fileSystem.link(
        at: place.directory.raw, place.name, to: place.directory.raw, name)
      kept.append((path.text, path.parent.appending(name).text))
    }
    return kept
  }
}

// The directories that an import may write to, and the existing entries there.
//
// 1. Each path from a manifest must lie below an allowed directory: the install directory, a directory of
//    `--allow`, for lists xCAT's share directory, and for plugins of trusted kits xcatd's plugin directory.
//    A root tree may also be the path of `--to`. Below an allowed directory only the administrator's links
//    are followed (`ImportLinks`).
// 2. Files of another image are overwritten only if the request allows replacements.

import Ingest
import Platform
import Store

/// The directories that a bundle may write below.
struct ImportTargets {
  let context: Context
  let install: AbsolutePath
  /// The directories of `--allow`.
  let allowed: [AbsolutePath]
  /// The directory of `--to`; nil if the option is not given.
  let directory: AbsolutePath?
  private let links: ImportLinks

  static let sharedLists = systemPath("opt", "xcat", "share", "xcat")
  static let plugins = systemPath("opt", "xcat", "lib", "perl", "xCAT_plugin")

  private static func systemPath(_ names: String...) -> AbsolutePath {
    AbsolutePath(components: names.map { Array($0.utf8) })
  }

  init(_ context: Context, _ request: ImportRequest) throws {
    self.context = context
    install = try context.installDirectory(try context.tables())
    func directory(_ text: String, of option: String, hint: String) throws -> AbsolutePath {
      if let path = AbsolutePath(text), !path.isRoot { return path }
      throw ImageError(.usage, "\(option) \(text)", "is not an absolute path below /", hint: hint)
    }
    allowed = try request.allowed.map {
      try directory($0, of: "--allow", hint: "Name the directory that the bundle may write below")
    }
    self.directory = try request.directory.map {
      try directory($0, of: "--to", hint: "Name the directory for the tree")
    }
    links = ImportLinks(
      fileSystem: context.fileSystem, root: context.resolver.root,
      imported: try ImportTargets.importedPaths(context))
  }

  /// Returns the paths of trees, kits and links in the latest snapshot of each image.
  private static func importedPaths(_ context: Context) throws -> Set<AbsolutePath> {
    guard let store = try? context.store() else { return [] }
    var paths: Set<AbsolutePath> = []
    for image in try store.refs.images() {
      guard let latest = try? store.refs.latestReadable(of: image) else { continue }
      for component in latest.snapshot.components {
        guard
          component.entry.kind == .directory
            || component.entry.kind == .symlink && component.role.isCarried,
          !component.role.isLinkTarget, let path = AbsolutePath(component.path)
        else { continue }
        paths.insert(path)
      }
    }
    return paths
  }

  /// Returns the deepest allowed directory that contains a path; nil if none does.
  /// - Parameter isPlugin: whether the file is a kit's plugin, which only `--trust-plugins` installs.
  func allowedDirectory(of path: AbsolutePath, role: Role, isPlugin: Bool = false)
    -> AbsolutePath?
  {
    // A path with ".." could leave the directory.
    guard !path.components.contains([0x2e, 0x2e]) else { return nil }
    if let directory, path == directory, role == .rootTree { return path.parent }
    var directories = [install] + allowed
    if role.isList { directories.append(ImportTargets.sharedLists) }
    if isPlugin { directories.append(ImportTargets.plugins) }
    return directories.filter { path.isInside($0) && path != $0 }
      .max { $0.components.count < $1.components.count }
  }

  /// The longest path that programs can open (PATH_MAX).
  private static let maxPathBytes = 4095
  /// The maximum number of components: twice the depth of a bundle's members.
  private static let maxDepth = 128

  /// Checks the path of a member.
  /// - Throws: `BundleError` if the path lies below no allowed directory, or if it is too long or too deep
  ///   for other programs.
  func check(_ path: AbsolutePath, role: Role, isPlugin: Bool = false, member: String) throws {
    guard path.bytes.count <= ImportTargets.maxPathBytes,
      path.components.count <= ImportTargets.maxDepth
    else {
      throw BundleError(
        "member \(member)",
        "would have a path that is too deep or too long: "
          + "\(printable(path.bytes.prefix(255)))…",
        hint: "Nothing was imported; do not trust this bundle")
    }
    guard allowedDirectory(of: path, role: role, isPlugin: isPlugin) != nil else {
      throw BundleError(
        "member \(member)",
        "would be written to \(path.text), which is outside \(install.text)",
        hint:
          "Nothing was imported; a bundle may only write below the install directory, and below "
          + "the directories that you name with --allow")
    }
  }

  // MARK: Existing entries

  /// Resolves a target, and creates missing directories. Below the allowed directory only the administrator's
  /// links are followed.
  /// - Throws: `ImageError` for another link there; `SystemError`.
  func resolve(_ path: AbsolutePath) throws -> ResolvedPath {
    try resolve(path, create: true)
  }

  private func resolve(_ path: AbsolutePath, create: Bool) throws -> ResolvedPath {
    // `check` has compared the path with its role: here the directories of all roles count.
    if let directory, path == directory {
      return try LivePaths(context).locate(path, create: create)
    }
    let directories = [install, ImportTargets.sharedLists, ImportTargets.plugins] + allowed
    let top =
      directories.filter { path.isInside($0) && path != $0 }
      .max { $0.components.count < $1.components.count } ?? install
    do {
      return try links.resolve(path, below: top, create: create)
    } catch let refusal as ImportLinks.RefusedLinkError {
      throw ImageError(
        .bundleInvalid,
        "target \(path.text)",
        "is reached through a symbolic link below \(top.text), \(refusal.link.text): "
          + refusal.reason,
        hint:
          "Let root own the link and its directory, which nobody else may write to, or replace it by "
          + "a directory or a bind mount, and import again")
    }
  }

  /// Checks that a target can be reached, and that no entry of another kind exists there. Absent directories
  /// are allowed.
  private func checkReachable(_ component: Snapshot.Component, _ path: AbsolutePath) throws {
    do {
      let resolved = try resolve(path, create: false)
      guard
        let stat = try context.fileSystem.statIfPresent(
          at: resolved.directory.raw, resolved.name)
      else { return }
      let isTree = component.entry.kind == .directory
      // A file replaces a link at its path; nothing is written through the link.
      let isReplaced = stat.kind == .file || stat.kind == .symlink
      guard (stat.kind == .directory) == isTree,
        stat.kind == component.entry.kind || isReplaced && !isTree
      else {
        throw ImageError(
          .bundleInvalid,
          "target \(path.text)",
          "is a \(stat.kind.noun), but the bundle has a \(component.entry.kind.noun) for it",
          hint: "Nothing was imported; move the existing entry, or do not trust this bundle")
      }
    } catch let error as SystemError {
      guard error.isAbsent else { throw error }
    }
  }

  /// Returns the components that will be live after the import. These are those of the bundle, except where
  /// existing files, links or trees stay.
  /// - Throws: `ImageError` if a target cannot be reached or has another kind of entry.
  func resolveComponents(
    _ prepared: PreparedImage, _ live: LiveImage
  ) throws -> (all: [Snapshot.Component], remarks: [String]) {
    var remarks: [String] = []
    var all: [Snapshot.Component] = []
    let current = Dictionary(uniqueKeysWithValues: live.capture.components.map { ($0.path, $0) })
    for component in prepared.components {
      guard let path = AbsolutePath(component.path) else { continue }
      if let existing = current[component.path],
        prepared.keepExistingPaths.contains(component.path),
        existing.entry.content != component.entry.content
      {
        remarks.append(
          "\(path.text) was kept: it differs from the bundle's; --force takes the bundle's")
        var kept = existing
        kept.role = component.role
        all.append(kept)
        continue
      }
      try checkReachable(component, path)
      if component.entry.kind == .file, let existing = current[component.path],
        existing.entry.kind == .symlink
      {
        if let target = linkedFile(existing, current),
          target.last?.entry.content == component.entry.content
        {
          // The link's target equals the bundle's file: the link stays.
          var link = existing
          link.role = component.role
          all.append(link)
          all += target.filter { other in !prepared.components.contains { $0.path == other.path } }
          continue
        }
        remarks.append(
          "\(path.text) was a symbolic link; the bundle's file replaces it, and the link's target "
            + "stays as it is")
      }
      all.append(component)
    }
    // A bundle without a root tree does not remove the existing one: generated images keep theirs.
    let bringsTree = prepared.components.contains { $0.role == .rootTree }
    for component in live.capture.components
    where component.role == .rootTree && !bringsTree
      && !all.contains(where: { $0.path == component.path })
    {
      remarks.append(
        "\(printable(component.path)) was kept: the bundle has no root tree; packing it again would "
          + "replace the imported root image")
      all.append(component)
    }
    var seen: Set<[UInt8]> = []
    all = all.filter { seen.insert($0.path).inserted }
    return (all.sorted { precedes($0.path, $1.path) }, remarks)
  }

  /// Returns the components on the way from a link to its file, over further links; nil if the last is not a
  /// file.
  private func linkedFile(
    _ link: Snapshot.Component, _ components: [[UInt8]: Snapshot.Component]
  ) -> [Snapshot.Component]? {
    var chain: [Snapshot.Component] = []
    var path = link.path
    while let next = components.values.first(where: { $0.role == Role.target(of: path) }) {
      chain.append(next)
      guard next.entry.kind == .symlink else { break }
      guard chain.count < 40 else { return nil }
      path = next.path
    }
    return chain.last?.entry.kind == .file ? chain : nil
  }

  // MARK: Originals

  /// Creates a hard link `FILE.ORIG` to each file that is about to be replaced (`--orig`). An older copy
  /// stays, and the new one gets a number.
  /// - Returns: the kept files, and the paths of their copies.
  func keepOriginals(
    _ components: [Snapshot.Component], _ live: LiveImage, _ request: ImportRequest
  ) throws -> [(path: String, copy: String)] {
    guard request.keepsOriginals else { return [] }
    var copies: [(path: String, copy: String)] = []
    for component in components where component.entry.kind == .file {
      guard let path = AbsolutePath(component.path),
        let existing = live.capture.components.first(where: { $0.path == component.path }),
        [.file, .symlink].contains(existing.entry.kind),
        existing.entry.content != component.entry.content
      else { continue }
      let resolved = try resolve(path, create: false)
      let fileSystem = context.fileSystem
      var name = resolved.name + Array(".ORIG".utf8)
      var number = 0
      let own = try fileSystem.stat(at: resolved.directory.raw, resolved.name, followLink: false)
      var isKept = false
      while let other = try fileSystem.statIfPresent(at: resolved.directory.raw, name) {
        // A resumed import has created the link before.
        isKept = isKept || other.inode == own.inode && other.device == own.device
        number += 1
        name = resolved.name + Array(".ORIG.\(number)".utf8)
      }
      if isKept { continue }
      try fileSystem.link(
        at: resolved.directory.raw, resolved.name, to: resolved.directory.raw, name)
      copies.append((path.text, path.parent.appending(name).text))
    }
    return copies
  }
}

// Finds files and rows outside the imported image that an import would replace: postscripts, packages, kit
// files and rows, lists of the site. Such a file affects more than the image: a postscript runs as root on
// nodes of every image. So the import lists each by name and replaces it only with --force.

import Platform
import Store
import XCAT

/// A file or row of the site that an import replaces.
public struct SiteReplacement: Sendable, Equatable {
  /// The kind of the effect on other images and nodes.
  public enum Effect: String, Sendable {
    case postscript
    case package
    case kit
    case kitRow = "kit-row"
    case list
    case other

    public var text: String {
      switch self {
      case .postscript: "a postscript, which nodes of every image run as root"
      case .package: "a package, from which images are generated"
      case .kit: "a file of a kit, which other images may use"
      case .kitRow: "a row of a kit, which other images may use"
      case .list: "a list that does not belong to this image"
      case .other: "a file that does not belong to this image"
      }
    }
  }

  /// A path, or the name of a table and the key of a row.
  public let name: String
  public let effect: Effect

  public init(name: String, effect: Effect) {
    self.name = name
    self.effect = effect
  }
}

/// Finds replacements without changing anything.
struct SiteReplacements {
  let context: Context
  let install: AbsolutePath
  let tables: any TableBackend

  func find(_ prepared: PreparedImage) throws -> [SiteReplacement] {
    let own = try ownPaths(prepared)
    var found: [SiteReplacement] = []
    for component in prepared.components where !prepared.keepExistingPaths.contains(component.path)
    {
      guard let path = AbsolutePath(component.path), !own.contains(where: { path.isInside($0) }),
        try !replacesEmptyDirectory(path, of: component),
        try SnapshotExcludes(context).differs(component, at: path)
      else { continue }
      found.append(
        SiteReplacement(name: path.text, effect: effect(of: path, role: component.role, prepared)))
    }
    return try found + rows(prepared)
  }

  /// Returns whether a tree would replace an empty directory.
  private func replacesEmptyDirectory(_ path: AbsolutePath, of component: Snapshot.Component) throws
    -> Bool
  {
    try component.entry.kind == .directory
      && ImageCapturer(context).statLive(path)?.kind == .directory
      && ImageCapturer(context).fileView.list(path).isEmpty
  }

  /// Returns the directories and files of the image by its current definition, and those of its latest
  /// snapshot.
  private func ownPaths(_ prepared: PreparedImage) throws -> Set<AbsolutePath> {
    var own: Set<AbsolutePath> = []
    if let existing = try tables.definition(of: prepared.image.text) {
      own = Set(try ImageCapturer(context).imageFiles(existing, install).map(\.path))
      let directories = [
        ImageFiles.bootDirectory(existing, installDirectory: install),
        ImageFiles.rawDirectory(existing, installDirectory: install),
        existing.directoryPath,
      ]
      own.formUnion(directories.compactMap { $0 })
    }
    let latest = try context.store().refs.latestReadable(of: prepared.image)
    own.formUnion(latest?.snapshot.components.compactMap { AbsolutePath($0.path) } ?? [])
    return own
  }

  private func effect(
    of path: AbsolutePath, role: Role, _ prepared: PreparedImage
  ) -> SiteReplacement.Effect {
    let definition = prepared.definition
    if path.isInside(install.appending("postscripts")) { return .postscript }
    if role == .kit { return .kit }
    if role.isList { return .list }
    let packages =
      [
        install.appending(definition.osVersion).appending(definition.architecture),
        install.appending("post"),
      ]
      + (definition.packageDirectories + (definition.otherPackageDirectories ?? []))
      .compactMap { AbsolutePath(String($0)) }
    return packages.contains { path.isInside($0) } ? .package : .other
  }

  /// Returns the existing rows of kits that would get other values.
  private func rows(_ prepared: PreparedImage) throws -> [SiteReplacement] {
    try prepared.rows.kitChanges.compactMap { change in
      guard let columns = change.columns, let column = change.schema.keys.first,
        let value = change.key[column]
      else { return nil }
      let there = try tables.rows(change.schema.name, where: (column, value)).filter { row in
        change.key.allSatisfy { (row[$0.key] ?? "") == $0.value }
      }
      guard let row = there.first else { return nil }
      let desired = columns.filter { !$0.value.isEmpty }
      let isSame = row.filter { change.key[$0.key] == nil } == desired
      let key = change.schema.keys.map { "\($0)=\(change.key[$0] ?? "")" }
      return isSame
        ? nil
        : SiteReplacement(
          name: "\(change.schema.name) \(key.joined(separator: ","))", effect: .kitRow)
    }
  }
}

extension [SiteReplacement] {
  /// Refuses the replacements before anything is changed.
  /// - Throws: `ImageError` with the first replacements.
  func refuse() throws {
    guard let first else { return }
    let others = dropFirst().prefix(4).map(\.name).joined(separator: ", ")
    let more = count > 5 ? " and \(count - 5) more" : ""
    throw ImageError(
      .alreadyExists,
      first.name, "already exists with other content; it is \(first.effect.text)",
      hint: "Nothing was imported. Use --force to replace it"
        + (count > 1 ? " (also \(others)\(more))" : "") + "; a snapshot keeps the old content")
  }
}

// What an import would replace that is not of the image that it brings: postscripts, packages, files and
// rows of kits, lists of the site. Such a file reaches more than the image: a postscript runs as root on
// nodes of every image. So it is replaced by the administrator's word only, and is listed by name.

import Platform
import Store
import XCAT

/// A file or row of the site that an import replaces.
public struct SiteReplacement: Sendable, Equatable {
  /// What others would notice.
  public enum Effect: String, Sendable {
    case postscript
    case package
    case kit
    case kitRow = "kit-row"
    case list
    case other

    public var text: String {
      switch self {
      case .postscript: "a postscript: nodes run it as root, whatever image they boot"
      case .package: "a package: images are generated from it"
      case .kit: "a file of a kit, which other images may use"
      case .kitRow: "a row of a kit, which other images may use"
      case .list: "a list that belongs to no image, or to another one"
      case .other: "it belongs to no image, or to another one"
      }
    }
  }

  /// A path, or a table with a row's key.
  public let name: String
  public let effect: Effect

  public init(name: String, effect: Effect) {
    self.name = name
    self.effect = effect
  }
}

/// Finds them, and changes nothing.
struct SiteReplacements {
  let workspace: Workspace
  let install: AbsolutePath
  let tables: any TableBackend

  func find(_ prepared: PreparedImage) throws -> [SiteReplacement] {
    let own = try ownPaths(prepared)
    var found: [SiteReplacement] = []
    for piece in prepared.pieces where !prepared.keepExistingPaths.contains(piece.path) {
      guard let path = AbsolutePath(piece.path), !own.contains(where: { path.isInside($0) }),
        try !isEmptyPlace(path, of: piece), try workspace.differs(piece, at: path)
      else { continue }
      found.append(
        SiteReplacement(name: path.text, effect: effect(of: path, role: piece.role, prepared)))
    }
    return try found + rows(prepared)
  }

  /// A directory without entries is a place for a tree.
  private func isEmptyPlace(_ path: AbsolutePath, of piece: Snapshot.Component) throws -> Bool {
    try piece.entry.kind == .directory && workspace.statLive(path)?.kind == .directory
      && workspace.fileView.list(path).isEmpty
  }

  /// The folder and lists of the image as it is defined now, and what its newest snapshot has.
  private func ownPaths(_ prepared: PreparedImage) throws -> Set<AbsolutePath> {
    var own: Set<AbsolutePath> = []
    if let existing = try tables.definition(of: prepared.image.text) {
      own = Set(try workspace.imageFiles(existing, install).map(\.path))
      let folders = [
        ImageFiles.bootDirectory(existing, installDirectory: install),
        ImageFiles.rawDirectory(existing, installDirectory: install),
        existing.directoryPath,
      ]
      own.formUnion(folders.compactMap { $0 })
    }
    let latest = try workspace.store().refs.latestReadable(of: prepared.image)
    own.formUnion(latest?.snapshot.pieces.compactMap { AbsolutePath($0.path) } ?? [])
    return own
  }

  private func effect(
    of path: AbsolutePath, role: String, _ prepared: PreparedImage
  ) -> SiteReplacement.Effect {
    let definition = prepared.definition
    if path.isInside(install.appending("postscripts")) { return .postscript }
    if role == ImageFiles.kit { return .kit }
    if ImageFiles.listAttributes.contains(role) { return .list }
    let packages =
      [
        install.appending(definition.osVersion).appending(definition.architecture),
        install.appending("post"),
      ]
      + ["pkgdir", "otherpkgdir"].flatMap {
        (definition.linuximage[$0] ?? "").split(separator: ",")
      }.compactMap { AbsolutePath(String($0)) }
    return packages.contains { path.isInside($0) } ? .package : .other
  }

  /// Rows of kits that are there with other values.
  private func rows(_ prepared: PreparedImage) throws -> [SiteReplacement] {
    try prepared.rows.kitChanges.compactMap { change in
      guard let columns = change.columns, let column = change.schema.keys.first,
        let value = change.key[column]
      else { return nil }
      let there = try tables.rows(change.schema.name, where: (column, value)).filter { row in
        change.key.allSatisfy { (row[$0.key] ?? "") == $0.value }
      }
      guard let row = there.first else { return nil }
      let wanted = columns.filter { !$0.value.isEmpty }
      let isSame = row.filter { change.key[$0.key] == nil } == wanted
      let key = change.schema.keys.map { "\($0)=\(change.key[$0] ?? "")" }
      return isSame
        ? nil
        : SiteReplacement(
          name: "\(change.schema.name) \(key.joined(separator: ","))", effect: .kitRow)
    }
  }
}

extension [SiteReplacement] {
  /// - Throws: `ImageError` that names the first ones. Nothing was changed then.
  func refuse() throws {
    guard let first else { return }
    let others = dropFirst().prefix(4).map(\.name).joined(separator: ", ")
    let more = count > 5 ? " and \(count - 5) more" : ""
    throw ImageError(
      first.name, "is there already and differs; it is \(first.effect.text)",
      advice: "Nothing was imported; --force replaces it"
        + (count > 1 ? ", and \(others)\(more)," : "") + " and keeps what was there as a snapshot")
  }
}

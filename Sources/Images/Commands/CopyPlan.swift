// The definition, components and rows of a copy, derived from a snapshot of the source image.

import Platform
import Store
import XCAT

/// The planned state of a copy.
struct CopyPlan {
  let definition: ImageDefinition
  let directory: AbsolutePath
  private(set) var components: [Snapshot.Component] = []
  private(set) var rows = TableRowSet()
  /// The source's notes about entries that it lacks, with the paths of the copy.
  private(set) var notes: [Snapshot.Note] = []
  /// The paths of the copy, with the paths in the source image that their contents come from.
  private(set) var origins: [[UInt8]: [UInt8]] = [:]

  /// Plans the copy of an image that is a directory.
  /// - Throws: `ImageError`: `definitionInvalid` if the snapshot has no tree, `usage` if one directory is
  ///   inside the other.
  init(directory source: Snapshot, at old: AbsolutePath, to new: AbsolutePath) throws {
    guard let tree = source.components.rootTree else {
      throw ImageError(
        .definitionInvalid,
        "image \(source.image)", "has no tree in that snapshot", hint: "Copy another snapshot")
    }
    guard !new.isInside(old), !old.isInside(new) else {
      throw ImageError(
        .usage, "directory \(new.text)",
        "is inside the directory of \(source.image), or contains it",
        hint: "Name another directory with --to DIR")
    }
    directory = new
    definition = ImageDefinition(directory: new, excludes: source.definition.excludes)
    components = [Snapshot.Component(role: .rootTree, path: new.bytes, entry: tree.entry)]
    origins[new.bytes] = tree.path
    notes = source.notes.filter { $0.isProblem && $0.path.starts(with: tree.path) }.map {
      Snapshot.Note(
        $0.kind, path: new.bytes + $0.path.dropFirst(tree.path.count), detail: $0.detail)
    }
  }

  /// Plans the copy of an osimage.
  /// - Parameter newDirectory: the directory of the copy; nil for the one that follows from the profile.
  /// - Throws: `ImageError` if the copy would use the directory of the source or none, or if two files would
  ///   have the same path.
  init(
    _ source: Snapshot, as image: ImageName, profile: String, directory newDirectory: AbsolutePath?,
    installDirectory: AbsolutePath
  ) throws {
    var old = source.definition
    // xCAT finds some lists by the name of the profile. The copy has another profile, so it names them.
    for component in source.components {
      guard component.role.isList, let attribute = component.role.attribute,
        ImageFiles.paths(of: attribute, old).isEmpty
      else { continue }
      try old.set(attribute.rawValue, printable(component.path))
    }
    var renamed = try ProfileRename.apply(
      Manifest(osimage: old.osimage, linuximage: old.linuximage), to: profile,
      installDirectory: installDirectory)
    if let newDirectory { renamed.setRootImageDirectory(newDirectory.text) }
    definition = renamed.definition
    guard let from = ImageFiles.bootDirectory(old, installDirectory: installDirectory),
      let to = ImageFiles.bootDirectory(definition, installDirectory: installDirectory)
    else {
      throw ImageError(
        .definitionInvalid,
        "image \(source.image)", "has no rootimgdir, and lacks osvers, osarch or profile",
        hint: "Set it with 'imgstore define \(source.image) rootimgdir=…', and take a snapshot")
    }
    guard from != to else {
      throw ImageError(
        .definitionInvalid,
        "image \(image)", "would use the directory of \(source.image), \(from.text)",
        hint: "Give it another profile with --profile")
    }
    directory = to
    try addComponents(
      of: source, in: from,
      newPaths: CopyPlan.newPaths(source, old, definition, installDirectory))
    for (key, columns) in source.keptRows.present where key.table == TableSchema.litefile.name {
      var moved = key.key
      moved["image"] = image.text
      rows.present[RowKey(table: key.table, key: moved)] = columns
    }
  }

  /// Returns the paths in the copy of files outside its directory.
  private static func newPaths(
    _ source: Snapshot, _ old: ImageDefinition, _ definition: ImageDefinition,
    _ installDirectory: AbsolutePath
  ) -> [AbsolutePath: AbsolutePath] {
    var newPaths: [AbsolutePath: AbsolutePath] = [:]
    for attribute in FileAttribute.lists {
      for (oldPath, newPath) in zip(
        ImageFiles.paths(of: attribute, old), ImageFiles.paths(of: attribute, definition))
      { newPaths[oldPath] = newPath }
    }
    if let oldRaw = ImageFiles.rawDirectory(old, installDirectory: installDirectory),
      let newRaw = ImageFiles.rawDirectory(definition, installDirectory: installDirectory)
    {
      for path in source.components.compactMap({ AbsolutePath($0.path) })
      where path.isInside(oldRaw) {
        newPaths[path] = CopyPlan.moved(path, from: oldRaw, to: newRaw)
      }
    }
    return newPaths
  }

  /// Adds the components that the copy does not share with the source. It has the targets of links instead of
  /// the links, so it shares no file that the source may change.
  private mutating func addComponents(
    of source: Snapshot, in from: AbsolutePath, newPaths: [AbsolutePath: AbsolutePath]
  ) throws {
    for link in source.components where !link.role.isLinkTarget {
      guard let path = AbsolutePath(link.path), let component = source.components.followed(link)
      else {
        continue
      }
      let newPath =
        path.isInside(from)
        ? CopyPlan.moved(path, from: from, to: directory) : newPaths[path] ?? path
      guard newPath != path else { continue }
      if let other = origins[newPath.bytes],
        source.component(at: other)?.entry.content != component.entry.content
      {
        throw ImageError(
          .definitionInvalid,
          newPath.text, "would be the copy of \(printable(other)) and of \(path.text)",
          hint: "Rename one of the lists first")
      }
      guard origins.updateValue(component.path, forKey: newPath.bytes) == nil else { continue }
      components.append(
        Snapshot.Component(role: link.role, path: newPath.bytes, entry: component.entry))
      for note in source.notes where note.isProblem && isInside(note.path, component.path) {
        let rest = note.path.dropFirst(component.path.count)
        notes.append(Snapshot.Note(note.kind, path: newPath.bytes + rest, detail: note.detail))
      }
    }
  }

  /// Returns a path with its directory `from` replaced.
  private static func moved(
    _ path: AbsolutePath, from: AbsolutePath, to: AbsolutePath
  ) -> AbsolutePath {
    path.relative(to: from).map { to.appending($0) } ?? path
  }
}

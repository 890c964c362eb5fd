// The copy of an image, before it is made.

import Ingest
import Platform
import Store
import XCAT

/// The copy as it shall be.
struct CopyPlan {
  let definition: ImageDefinition
  let folder: AbsolutePath
  private(set) var pieces: [Snapshot.Component] = []
  private(set) var rows = TableRowSet()
  /// What the source says of its pieces and could not read, at the copy's paths.
  private(set) var notes: [Snapshot.Note] = []
  /// New paths, and where their content was in the source image.
  private(set) var origins: [[UInt8]: [UInt8]] = [:]

  /// Makes the draft of an image that is a directory.
  init(directory source: Snapshot, at old: AbsolutePath, to new: AbsolutePath) throws {
    guard let tree = source.pieces.rootTree else {
      throw ImageError(
        "image \(source.image)", "has no tree in that snapshot", advice: "Copy another snapshot")
    }
    guard !new.isInside(old), !old.isInside(new) else {
      throw ImageError(
        .usage, "directory \(new.text)", "lies in the directory of \(source.image), or holds it",
        advice: "Name another place with --to DIR")
    }
    folder = new
    definition = ImageDefinition(directory: new, excludes: source.definition.excludes)
    pieces = [Snapshot.Component(role: ImageFiles.rootTree, path: new.bytes, entry: tree.entry)]
    origins[new.bytes] = tree.path
    notes = source.notes.filter { $0.isProblem && $0.path.starts(with: tree.path) }.map {
      Snapshot.Note(
        $0.kind, path: new.bytes + $0.path.dropFirst(tree.path.count), detail: $0.detail)
    }
  }

  /// - Parameter place: the new folder; nil for the one that follows from the profile.
  /// - Throws: `ImageError` where the copy would have the source's own folder, or none.
  init(
    _ source: Snapshot, as image: ImageName, profile: String, folder place: AbsolutePath?,
    installDirectory: AbsolutePath
  ) throws {
    var old = source.definition
    // A list that xCAT finds by the profile's name is named by the copy, whose profile is another.
    for piece in source.pieces
    where ImageFiles.listAttributes.contains(piece.role)
      && ImageFiles.paths(of: piece.role, old).isEmpty
    {
      try old.set(piece.role, printable(piece.path))
    }
    var renamed = try ProfileRename.apply(
      Manifest(osimage: old.osimage, linuximage: old.linuximage), to: profile,
      installDirectory: installDirectory)
    if let place { renamed.linuximage["rootimgdir"] = place.text }
    definition = renamed.definition
    guard let from = ImageFiles.bootDirectory(old, installDirectory: installDirectory),
      let to = ImageFiles.bootDirectory(definition, installDirectory: installDirectory)
    else {
      throw ImageError(
        "image \(source.image)", "has no rootimgdir, and not all of osvers, osarch and profile",
        advice: "Set it: 'imgstore define \(source.image) rootimgdir=…', and take a snapshot")
    }
    guard from != to else {
      throw ImageError(
        "image \(image)", "would have the folder of \(source.image), \(from.text)",
        advice: "Give it a profile of its own with --profile")
    }
    folder = to
    var places: [AbsolutePath: AbsolutePath] = [:]
    for attribute in ImageFiles.listAttributes {
      for (was, becomes) in zip(
        ImageFiles.paths(of: attribute, old), ImageFiles.paths(of: attribute, definition))
      { places[was] = becomes }
    }
    if let was = ImageFiles.rawDirectory(old, installDirectory: installDirectory),
      let becomes = ImageFiles.rawDirectory(definition, installDirectory: installDirectory)
    {
      for path in source.pieces.compactMap({ AbsolutePath($0.path) }) where path.isInside(was) {
        places[path] = CopyPlan.moved(path, from: was, to: becomes)
      }
    }
    // The copy has what links lead to, in their stead: it shares nothing that the source may change.
    for link in source.pieces where !CaptureRoot.isTargetRole(link.role) {
      guard let path = AbsolutePath(link.path), let piece = source.pieces.followed(link) else {
        continue
      }
      let place =
        path.isInside(from) ? CopyPlan.moved(path, from: from, to: to) : places[path] ?? path
      guard place != path else { continue }
      if let other = origins[place.bytes],
        source.piece(at: other)?.entry.content != piece.entry.content
      {
        throw ImageError(
          place.text, "would be the copy of \(printable(other)) and of \(path.text)",
          advice: "Rename one of the lists first")
      }
      guard origins.updateValue(piece.path, forKey: place.bytes) == nil else { continue }
      pieces.append(Snapshot.Component(role: link.role, path: place.bytes, entry: piece.entry))
      for note in source.notes where note.isProblem && note.path.starts(with: piece.path) {
        let rest = note.path.dropFirst(piece.path.count)
        guard rest.isEmpty || rest.first == 0x2f else { continue }
        notes.append(Snapshot.Note(note.kind, path: place.bytes + rest, detail: note.detail))
      }
    }
    for (key, columns) in source.keptRows.present where key.table == TableSchema.litefile.name {
      var moved = key.key
      moved["image"] = image.text
      rows.present[RowKey(table: key.table, key: moved)] = columns
    }
  }

  private static func moved(
    _ path: AbsolutePath, from: AbsolutePath, to: AbsolutePath
  ) -> AbsolutePath {
    AbsolutePath(
      components: to.components + path.components.dropFirst(from.components.count))
  }
}

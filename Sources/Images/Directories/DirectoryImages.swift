// Images that are directories: making them, and finding them by their place.
//
// 1. The directory itself is the root tree; nothing is written into it, and nothing of xCAT's is asked for.
// 2. A directory belongs to one image, and is in no other one. A name that another image has is never taken over.

import Ingest
import Platform
import Store
import XCAT

/// What `imgstore add` did.
public struct AddedDirectory: Sendable {
  public let name: String
  public let path: String
  public let excludes: [String]
  /// The image was not there before.
  public let isNew: Bool
  /// Where it was before; nil where it is new or has not moved.
  public let movedFrom: String?
  /// Entries at the top of the directory.
  public let entryCount: Int
  /// Patterns that were given and that leave out nothing that is there now.
  public let unmatched: [String]
  /// What its etc/os-release calls itself; empty where there is none.
  public let system: String
}

extension Workspace {
  /// Makes a directory an image, or changes what is left out of one that is there.
  /// - Parameters:
  ///   - name: nil for the directory's own name.
  ///   - text: a path of the command line.
  ///   - excludes: lines of gitignore(5); nil to keep those that the image has.
  /// - Throws: `ImageError` where the directory is not there or another image's, or the name is.
  public func addDirectory(
    _ name: String?, at text: String, excludes: [String]? = nil
  ) throws -> AddedDirectory {
    let path = try name == nil ? knownDirectory(text) ?? directoryPath(text) : directoryPath(text)
    guard try statLive(path)?.kind == .directory else {
      throw ImageError(
        .notFound, "directory \(path.text)", "is not there, or is no directory",
        advice: "Nothing was added; name the directory that is the root of the tree")
    }
    try requireUsefulPatterns(excludes ?? [], path)
    let owner = try directoryOwner(path)
    if owner == nil { try requireUsable(path) }
    let image = try name.map { try ImageName($0) } ?? owner ?? ownName(of: path)
    if let owner, owner != image {
      throw ImageError(
        "directory \(path.text)", "is the image \(owner) already",
        advice: "'imgstore snapshot \(owner)' keeps it; a second image would keep it twice")
    }
    if owner == nil { try requireNotNested(path, as: image) }
    let store = try store(create: true)
    let lock = try lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    let tables = try tables()
    let old = try tables.definition(of: image.text)
    try requireFree(image, path, old)
    try requirePlain(image, tables)
    let kept = try old ?? store.refs.latestReadable(of: image)?.snapshot.definition
    let lines = excludes ?? kept?.excludes ?? []
    do throws(ExcludePattern.Malformed) {
      _ = try ExcludePatterns(lines)
    } catch {
      throw ImageError(.usage, "--exclude", error.reason, advice: "See gitignore(5)")
    }
    let definition = ImageDefinition(directory: path, excludes: lines)
    if definition != old {
      try applyRows(definition.rowChanges(of: image.text, replacing: old ?? ImageDefinition()))
    }
    return AddedDirectory(
      name: image.text, path: path.text, excludes: lines, isNew: old == nil,
      movedFrom: old?.directoryPath.flatMap { $0 == path ? nil : $0.text },
      entryCount: try fileView.list(path).count,
      unmatched: try excludes.map { try unmatchedPatterns($0, in: path) } ?? [],
      system: try systemName(in: path))
  }

  /// The directory of an image that a text names; nil where it is a path.
  private func knownDirectory(_ text: String) throws -> AbsolutePath? {
    guard !Workspace.isPath(text), let image = try? ImageName(text),
      let definition = try tables().definition(of: image.text),
      try statLive(directoryPath("./\(text)"))?.kind != .directory
    else { return nil }
    return definition.directoryPath
  }

  /// The image that a text of the command line means; a directory that is no image yet becomes one.
  /// - Returns: the image, and the directory where it has just become one.
  func adoptedImage(_ text: String) throws -> (image: ImageName, new: AddedDirectory?) {
    guard Workspace.isPath(text) else { return (try image(named: text), nil) }
    if let owner = try directoryOwner(directoryPath(text)) { return (owner, nil) }
    let added = try addDirectory(nil, at: text)
    return (try ImageName(added.name), added.isNew ? added : nil)
  }

  /// Whether a text can only be a path, as names have no '/'. Behind '@' or ':' a '/' belongs to a tag, or to a path in
  /// a snapshot.
  static func isPath(_ text: String) -> Bool {
    text == "." || text == ".." || text.first { "/@:".contains($0) } == "/"
  }

  /// Whether a text is a path, and not that of an image.
  public func isPathInImage(_ text: String) throws -> Bool {
    guard Workspace.isPath(text), !text.contains("@") else { return false }
    guard let path = try? directoryPath(text) else { return true }
    return try directoryOwner(path) == nil
  }

  /// The image whose directory, or whose folder, a path is; nil where it is nobody's.
  func directoryOwner(_ path: AbsolutePath) throws -> ImageName? {
    let tables = try tables()
    let identity = try statLive(path).map { FileIdentity($0) }
    func isSame(_ other: AbsolutePath?) throws -> Bool {
      guard let other else { return false }
      if other == path { return true }
      guard let identity else { return false }
      return try statLive(other).map { FileIdentity($0) } == identity
    }
    for (name, definition) in try tables.definitions().sorted(by: { $0.key < $1.key }) {
      if definition.isDirectory {
        if try isSame(definition.directoryPath) { return try ImageName(name) }
        continue
      }
      let folder = ImageFiles.bootDirectory(
        definition, installDirectory: try installDirectory(tables))
      if try isSame(folder) || isSame(folder?.appending(ImageFiles.rootTreeName)) {
        return try ImageName(name)
      }
    }
    return nil
  }

  /// A path of the command line as the management node has it.
  func directoryPath(_ text: String) throws -> AbsolutePath {
    guard let path = AbsolutePath(try managementPath(text)), !path.components.isEmpty else {
      throw ImageError(
        .usage, "directory '\(text)'", "cannot be an image",
        advice: "Name the directory that is the root of the tree, for example /srv/images/compute")
    }
    return path
  }

  private func ownName(of path: AbsolutePath) throws -> ImageName {
    let text = printable(path.lastComponent)
    guard let image = try? ImageName(text), image.isPlain else {
      throw ImageError(
        .usage, "directory \(path.text)", "has a name that no image can have",
        advice: "Give the image a name: 'imgstore add NAME \(path.text)'")
    }
    return image
  }

  /// - Throws: `ImageError` where the name is of another image, or of the history of one.
  private func requireFree(
    _ image: ImageName, _ path: AbsolutePath, _ old: ImageDefinition?
  ) throws {
    let latest = try store().refs.latestReadable(of: image)
    guard let other = old ?? latest?.snapshot.definition, other.directoryPath != path else {
      return
    }
    // The image was moved: its old place is empty.
    if other.isDirectory, let place = other.directoryPath, try statLive(place) == nil { return }
    throw ImageError(
      "image \(image)",
      other.isDirectory
        ? "is the directory \(other.directoryPath?.text ?? "")"
        : "is there already, and is no directory",
      advice: "Give the new image another name: 'imgstore add NAME \(path.text)'")
  }

  /// PRETTY_NAME of os-release(5).
  private func systemName(in path: AbsolutePath) throws -> String {
    for name in ["etc/os-release", "usr/lib/os-release"] {
      guard let bytes = try? fileView.read(path.appending(name)) else { continue }
      for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      where line.hasPrefix("PRETTY_NAME=") {
        let value = line.dropFirst("PRETTY_NAME=".count)
        return printable(value.utf8.filter { $0 != UInt8(ascii: "\"") }.prefix(80))
      }
    }
    return ""
  }
}

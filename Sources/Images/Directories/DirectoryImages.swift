// Creates directory images, and finds images by their paths.
//
// 1. The directory itself is the root tree. Nothing is written into it, and xCAT is not needed.
// 2. A directory belongs to one image and is in no other image. The name of another image is never reused.

import Platform
import Store
import XCAT

/// The result of `imgstore add`.
public struct AddOutcome: Sendable {
  /// The image's name.
  public let name: String
  /// The directory.
  public let path: String
  /// The exclude patterns of the definition: lines of gitignore(5).
  public let excludes: [String]
  /// Whether the image was created. False if it existed.
  public let isNew: Bool
  /// The previous directory; nil for a new image or one that was not moved.
  public let movedFrom: String?
  /// The number of entries at the top of the directory.
  public let entryCount: Int
  /// The patterns of the request that exclude no present entry.
  public let unmatched: [String]
  /// The PRETTY_NAME of its os-release(5); empty if it has none.
  public let system: String
}

extension Workspace {
  /// Makes a directory an image, or changes the excludes of an existing image.
  /// - Parameters:
  ///   - name: the image's name; nil for that of the directory.
  ///   - text: a path of the command line, or without `name` a directory image.
  ///   - excludes: lines of gitignore(5); nil to keep those of the image.
  /// - Throws: `ImageError`: `notFound` if the directory does not exist; `usage`, `invalidName` or
  ///   `invalidPattern` if it cannot be an image; `alreadyExists` if the directory or the name belongs to
  ///   another image; `failed` if the directory is inside another image or contains one.
  public func addDirectory(
    _ name: String?, at text: String, excludes: [String]? = nil
  ) throws -> AddOutcome {
    try DirectoryImages(context).addDirectory(name, at: text, excludes: excludes)
  }

  /// Returns whether a text is a path that is not the directory of an image.
  public func isPathInImage(_ text: String) throws -> Bool {
    try DirectoryImages(context).isPathInImage(text)
  }
}

/// Makes images of directories.
struct DirectoryImages: Collaborator {
  let context: Context

  func addDirectory(
    _ name: String?, at text: String, excludes: [String]? = nil
  ) throws -> AddOutcome {
    let (image, path) = try directoryToAdd(name, at: text, excludes: excludes)
    let store = try context.store(create: true)
    let lock = try ImageLocks(context).lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    let (definition, old) = try directoryDefinition(image, path, excludes: excludes, store)
    if definition != old {
      try LiveRows(context).applyRows(
        definition.rowChanges(of: image.text, replacing: old ?? ImageDefinition()))
    }
    return AddOutcome(
      name: image.text, path: path.text, excludes: definition.excludes, isNew: old == nil,
      movedFrom: old?.directoryPath.flatMap { $0 == path ? nil : $0.text },
      entryCount: try ImageCapturer(context).fileView.list(path).count,
      unmatched: try excludes.map { try PatternChecks(context).unmatchedPatterns($0, in: path) }
        ?? [],
      system: try systemName(in: path))
  }

  /// Returns the image that a directory would become or is, and its path. See `addDirectory`.
  private func directoryToAdd(
    _ name: String?, at text: String, excludes: [String]?
  ) throws -> (image: ImageName, path: AbsolutePath) {
    let path = try name == nil ? knownDirectory(text) ?? directoryPath(text) : directoryPath(text)
    guard try ImageCapturer(context).statLive(path)?.kind == .directory else {
      throw ImageError(
        .notFound, "directory \(path.text)", "does not exist, or is not a directory",
        hint: "Nothing was added; name the directory that is the root of the tree")
    }
    try PatternChecks(context).requireUsefulPatterns(excludes ?? [], path)
    let owner = try directoryOwner(path)
    if owner == nil { try DirectoryChecks(context).requireUsable(path) }
    let image = try name.map { try ImageName($0) } ?? owner ?? ownName(of: path)
    if let owner, owner != image {
      throw ImageError(
        .alreadyExists,
        "directory \(path.text)", "is already the image \(owner)",
        hint: "Run 'imgstore snapshot \(owner)'; a second image would store it twice")
    }
    if owner == nil { try DirectoryChecks(context).requireNotNested(path, as: image) }
    return (image, path)
  }

  /// Returns the definition of a directory image, and the present one if there is one. A caller that writes
  /// it holds the image's lock.
  private func directoryDefinition(
    _ image: ImageName, _ path: AbsolutePath, excludes: [String]?, _ store: ObjectStore
  ) throws -> (new: ImageDefinition, old: ImageDefinition?) {
    let tables = try context.tables()
    let old = try tables.definition(of: image.text)
    try requireFree(image, path, old)
    try DefinitionTextReader(context).requirePlain(image, tables)
    let known = try old ?? store.refs.latestReadable(of: image)?.snapshot.definition
    let lines = excludes ?? known?.excludes ?? []
    do throws(ExcludePattern.SyntaxError) {
      _ = try ExcludePatterns(lines)
    } catch {
      throw ImageError(.invalidPattern, "--exclude", error.reason, hint: "See gitignore(5)")
    }
    return (ImageDefinition(directory: path, excludes: lines), old)
  }

  /// Returns the image that a text of the command line means, and its definition, without adding anything.
  /// - Returns: the directory that would become an image; nil for an existing image.
  func adoptableImage(
    _ text: String, _ store: ObjectStore
  ) throws -> (image: ImageName, definition: ImageDefinition, new: AbsolutePath?) {
    if DirectoryImages.isPath(text), try directoryOwner(directoryPath(text)) == nil {
      let (image, path) = try directoryToAdd(nil, at: text, excludes: nil)
      let (definition, old) = try directoryDefinition(image, path, excludes: nil, store)
      return (image, definition, old == nil ? path : nil)
    }
    let image =
      try DirectoryImages.isPath(text)
      ? directoryOwner(directoryPath(text)) ?? ImageResolver(context).image(named: text)
      : ImageResolver(context).image(named: text, mayAdd: true)
    return (image, try ImageCapturer(context).definition(of: image), nil)
  }

  /// Returns the directory of the image that a text names; nil if the text is a path.
  private func knownDirectory(_ text: String) throws -> AbsolutePath? {
    guard !DirectoryImages.isPath(text), let image = try? ImageName(text),
      let definition = try context.tables().definition(of: image.text),
      try ImageCapturer(context).statLive(directoryPath("./\(text)"))?.kind != .directory
    else { return nil }
    return definition.directoryPath
  }

  /// Returns the image that a text of the command line means. A directory that is not an image yet becomes
  /// one.
  /// - Returns: the image, and the result of adding it if it is new.
  func adoptedImage(_ text: String) throws -> (image: ImageName, new: AddOutcome?) {
    guard DirectoryImages.isPath(text) else {
      return (try ImageResolver(context).image(named: text, mayAdd: true), nil)
    }
    if let owner = try directoryOwner(directoryPath(text)) { return (owner, nil) }
    let added = try addDirectory(nil, at: text)
    return (try ImageName(added.name), added.isNew ? added : nil)
  }

  /// Returns whether a text can only be a path, because names have no '/'. After '@' or ':', a '/' belongs to
  /// a tag or to a path in a snapshot.
  static func isPath(_ text: String) -> Bool {
    text == "." || text == ".." || text.first { "/@:".contains($0) } == "/"
  }

  func isPathInImage(_ text: String) throws -> Bool {
    guard DirectoryImages.isPath(text), !text.contains("@") else { return false }
    guard let path = try? directoryPath(text) else { return true }
    return try directoryOwner(path) == nil
  }

  /// Returns the image whose directory, boot directory or root tree a path is; nil if there is none.
  func directoryOwner(_ path: AbsolutePath) throws -> ImageName? {
    let tables = try context.tables()
    let identity = try ImageCapturer(context).statLive(path).map { FileIdentity($0) }
    func isSame(_ other: AbsolutePath?) throws -> Bool {
      guard let other else { return false }
      if other == path { return true }
      guard let identity else { return false }
      return try ImageCapturer(context).statLive(other).map { FileIdentity($0) } == identity
    }
    for (name, definition) in try tables.definitions().sorted(by: { $0.key < $1.key }) {
      if definition.isDirectory {
        if try isSame(definition.directoryPath) { return try ImageName(name) }
        continue
      }
      let directory = ImageFiles.bootDirectory(
        definition, installDirectory: try context.installDirectory(tables))
      if try isSame(directory) || isSame(directory?.appending(ImageFiles.rootTreeName)) {
        return try ImageName(name)
      }
    }
    return nil
  }

  /// Returns a directory of the command line as a path of the management node.
  /// - Throws: `ImageError` (`usage`) for an invalid path or the root.
  func directoryPath(_ text: String) throws -> AbsolutePath {
    guard let path = AbsolutePath(try LivePaths(context).managementPath(text)),
      !path.isRoot
    else {
      throw ImageError(
        .usage, "directory '\(text)'", "cannot be an image",
        hint: "Name the directory that is the root of the tree, for example /srv/images/compute")
    }
    return path
  }

  private func ownName(of path: AbsolutePath) throws -> ImageName {
    let text = printable(path.lastComponent)
    guard let image = try? ImageName(text), image.isPlain else {
      throw ImageError(
        .invalidName, "directory \(path.text)", "has a name that is not valid for an image",
        hint: "Give the image a name: 'imgstore add \(DirectoryName.proposal(for: text)) "
          + "\(shellQuoted(path.text))'")
    }
    return image
  }

  /// Checks that no other image, and no history of another image, has the name.
  /// - Throws: `ImageError` if one has.
  private func requireFree(
    _ image: ImageName, _ path: AbsolutePath, _ old: ImageDefinition?
  ) throws {
    let latest = try context.store().refs.latestReadable(of: image)
    guard let other = old ?? latest?.snapshot.definition, other.directoryPath != path else {
      return
    }
    // The latest snapshot of an image whose creation was undone has no definition.
    if old == nil, other == ImageDefinition() { return }
    // The image was moved: its old directory does not exist.
    if other.isDirectory, let oldPath = other.directoryPath,
      try ImageCapturer(context).statLive(oldPath) == nil
    {
      return
    }
    throw ImageError(
      .alreadyExists,
      "image \(image)",
      other.isDirectory
        ? "is the directory \(other.directoryPath?.text ?? "")"
        : "exists already, and is not a directory",
      hint: "Give the new image another name: 'imgstore add NAME \(shellQuoted(path.text))'")
  }

  /// Returns PRETTY_NAME of os-release(5); empty if there is none.
  private func systemName(in path: AbsolutePath) throws -> String {
    for name in ["etc/os-release", "usr/lib/os-release"] {
      guard let bytes = try? ImageCapturer(context).fileView.read(path.appending(name)) else {
        continue
      }
      for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      where line.hasPrefix("PRETTY_NAME=") {
        let value = line.dropFirst("PRETTY_NAME=".count)
        return printable(value.utf8.filter { $0 != UInt8(ascii: "\"") }.prefix(80))
      }
    }
    return ""
  }
}

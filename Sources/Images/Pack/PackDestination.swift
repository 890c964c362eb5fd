// The destination of a packed image, and the files that it replaces.
//
// 1. A packed image that imgstore rendered is not snapshotted before it is replaced, because it can be
//    rendered again. A marker in the store's cache (device, inode, size and times) identifies it. A file
//    without a marker is snapshotted like any other file.
// 2. The same rule holds for the packed images of other forms, which packimage removes.

import Codec
import Glibc
import Platform
import Store
import XCAT

/// The destination of a packed image.
struct PackDestination {
  let resolved: ResolvedPath
  let text: String
  /// Whether the file is the image's own packed image, in its directory.
  let isOwn: Bool
  let mode: PackedFileMode
}

/// Finds the place of a packed file.
struct PackDestinations: Collaborator {
  let context: Context

  /// Returns the destination that the request names, or the image's own.
  /// - Throws: `ImageError` for a file in the store or in the image, and for a path where another kind of
  ///   entry exists.
  func packDestination(
    _ source: PackInput, _ request: PackRequest
  ) throws -> PackDestination {
    let ownOutput = directoryOutput(source, request)
    guard let output = request.output ?? ownOutput else {
      return try packDestination(request.fileName, source.directory)
    }
    let object = "output \(output)"
    let location =
      try request.output == nil
      ? OutputLocator(context).outputFileLocation(output, object)
      : OutputLocator(context).outputLocation(
        output, named: ownOutput?.split(separator: "/").last.map(String.init) ?? request.fileName,
        object)
    try StoreProtection(context).requireOutsideStore(location.resolved.directory, object)
    try StoreProtection(context).requireOutside(
      ImageCapturer(context).requests(source.definition, latest: nil).all.map(\.path),
      location.resolved, object)
    return PackDestination(
      resolved: location.resolved, text: location.path.text, isOwn: false,
      mode: try outputMode(location.resolved))
  }

  /// Returns the mode for a packed file outside of xCAT's directories. It is private, unless the file
  /// replaces one of the caller's: the administrator may have let nodes read that file.
  private func outputMode(_ output: ResolvedPath) throws -> PackedFileMode {
    guard let old = try context.fileSystem.statIfPresent(at: output.directory.raw, output.name),
      old.kind == .file, old.uid == geteuid()
    else { return .private }
    return .asBefore(old.mode & 0o777)
  }

  /// Returns the packed image next to a directory image; nil for other images.
  private func directoryOutput(_ source: PackInput, _ request: PackRequest) -> String? {
    guard let directory = source.definition.directoryPath else { return nil }
    let root = context.rootPath == [0x2f] ? "" : String(decoding: context.rootPath, as: UTF8.self)
    return root + directory.text + request.fileName.dropFirst(ImageFiles.rootTreeName.count)
  }

  /// Returns a destination in the image's own directory.
  /// - Throws: `ImageError` (`notFound`) if the directory does not exist.
  func packDestination(_ name: String, _ directory: AbsolutePath) throws -> PackDestination {
    let path = directory.appending(name)
    let resolved: ResolvedPath
    do throws(SystemError) {
      resolved = try context.resolver.resolve(path, followLast: false)
    } catch {
      guard error.isAbsent else { throw error }
      throw ImageError(
        .notFound, "image directory \(directory.text)", "does not exist",
        hint: "Run genimage first, or set rootimgdir")
    }
    if let old = try context.fileSystem.statIfPresent(at: resolved.directory.raw, resolved.name),
      old.kind != .file, old.kind != .symlink
    {
      throw ImageError(
        .alreadyExists, "packed image \(path.text)",
        "is a \(old.kind.noun), which a file cannot replace",
        hint: "Nothing was written; move it away, or name a file with --output")
    }
    return PackDestination(resolved: resolved, text: path.text, isOwn: true, mode: .readable)
  }

  /// Returns the packed images that are about to be replaced or removed and have no valid marker.
  func unreproducibleImages(
    _ destination: PackDestination, _ request: PackRequest, _ directory: AbsolutePath
  ) throws -> [AbsolutePath] {
    guard destination.isOwn else { return [] }
    let names =
      [destination.resolved.name] + (request.isPackimage ? try otherForms(destination) : [])
    return try names.filter { name in
      guard let stat = try packedStat(destination, name) else { return false }
      return packMarker(destination, name) != marker(of: stat)
    }.map { directory.appending($0) }
  }

  // MARK: The marker

  /// Records that imgstore rendered the file at this destination. A marker that cannot be written is no
  /// error.
  func recordPackMarker(_ destination: PackDestination) {
    guard let stat = try? packedStat(destination, destination.resolved.name),
      let store = try? context.store(),
      let name = markerName(destination, destination.resolved.name)
    else { return }
    let layout = store.layout
    let temporary = name + Array(".\(randomName())".utf8)
    do {
      let file = try context.fileSystem.openFile(
        at: layout.cache.raw, temporary, [.write, .create, .exclusive])
      try marker(of: stat).withUnsafeBytes { try context.fileSystem.write(file.raw, $0) }
      try context.fileSystem.rename(
        at: layout.cache.raw, temporary, to: layout.cache.raw, name, exclusively: false)
    } catch {
      try? context.fileSystem.remove(at: layout.cache.raw, temporary, isDirectory: false)
    }
  }

  private func packMarker(_ destination: PackDestination, _ name: [UInt8]) -> [UInt8]? {
    guard let layout = try? context.store().layout, let marker = markerName(destination, name)
    else {
      return nil
    }
    return try? context.fileSystem.readSmallFile(at: layout.cache.raw, marker, limitBytes: 4096)
  }

  private func marker(of stat: FileStat) -> [UInt8] {
    Array(
      """
      packed 1 \(stat.device) \(stat.inode) \(stat.size) \(stat.modified.seconds) \
      \(stat.modified.nanoseconds) \(stat.changed.seconds) \(stat.changed.nanoseconds)

      """.utf8)
  }

  /// Returns the name of a marker, which depends on the directory's inode and not on its path.
  private func markerName(_ destination: PackDestination, _ name: [UInt8]) -> [UInt8]? {
    guard let directory = try? context.fileSystem.stat(destination.resolved.directory.raw) else {
      return nil
    }
    let key = Array("\(directory.device) \(directory.inode) ".utf8) + name
    return Array("packed-\(SHA256.digest(of: key).hex)".utf8)
  }

  private func packedStat(_ destination: PackDestination, _ name: [UInt8]) throws -> FileStat? {
    try context.fileSystem.statIfPresent(at: destination.resolved.directory.raw, name)
  }

  // MARK: Other forms

  /// Returns the names of packed images of other forms in the same directory.
  private func otherForms(_ destination: PackDestination) throws -> [[UInt8]] {
    let known = Set(
      (ImageFiles.packedNames + ImageFiles.unpreferredPackedNames).map { Array($0.utf8) })
    return try context.fileSystem.names(of: destination.resolved.directory.raw)
      .filter { known.contains($0) && $0 != destination.resolved.name }.sorted(by: precedes)
  }

  /// Removes packed images of other forms, which nodes might load instead of the new one, and like xCAT the
  /// torrent descriptions.
  /// - Returns: a remark for each removed file.
  func removeOtherForms(_ destination: PackDestination) throws -> [String] {
    let torrents = try context.fileSystem.names(of: destination.resolved.directory.raw).filter {
      $0.starts(with: Array("rootimg.".utf8)) && $0.suffix(9) == Array(".metainfo".utf8)[...]
    }
    return try (otherForms(destination) + torrents).map { name in
      try context.fileSystem.remove(
        at: destination.resolved.directory.raw, name, isDirectory: false)
      return "\(printable(name)) of an earlier packing was removed"
    }
  }

  /// Returns remarks on packed images of other forms that nodes would load instead of the new one.
  func conflictingImages(_ destination: PackDestination) -> [String] {
    guard destination.isOwn else { return [] }
    let own = String(decoding: destination.resolved.name, as: UTF8.self)
    return ImageFiles.packedNames.prefix { $0 != own }.compactMap { name in
      guard (try? packedStat(destination, Array(name.utf8))) ?? nil != nil else { return nil }
      return "\(name) exists too, and xCAT prefers it to \(own): remove it to boot the new image"
    }
  }
}

// Where a packed image goes, and what it replaces there.
//
// 1. A packed image that this program made is not kept before it is replaced: it can be made again. It
//    is known by a mark in the store's cache (device, inode, size and times); without the mark it is
//    kept like any other file.
// 2. What packimage removes beside it, packed images of other forms, is kept by the same rule.

import Codec
import Glibc
import Platform
import Store
import XCAT

/// Where the packed image goes.
struct PackDestination {
  let resolved: ResolvedPath
  let text: String
  /// It is the image's own, in its folder.
  let isOwn: Bool
  let mode: PackedFileMode
}

extension Workspace {
  func packPlace(
    _ source: PackInput, _ request: PackRequest
  ) throws -> PackDestination {
    let ownOutput = directoryOutput(source, request)
    guard let output = request.output ?? ownOutput else {
      return try packPlace(request.fileName, source.folder)
    }
    let object = "output \(output)"
    let place =
      try request.output == nil
      ? outputFilePlace(output, object)
      : outputPlace(
        output, named: ownOutput?.split(separator: "/").last.map(String.init) ?? request.fileName,
        object)
    try requireOutsideStore(place.resolved.directory, object)
    try requireOutside(
      requests(source.definition, latest: nil).all.map(\.path), place.resolved, object)
    return PackDestination(
      resolved: place.resolved, text: place.path.text, isOwn: false,
      mode: request.output == nil ? .readable : try outputMode(place.resolved))
  }

  /// The mode of the caller's file that is replaced: the administrator may have let nodes read it.
  private func outputMode(_ place: ResolvedPath) throws -> PackedFileMode {
    guard let old = try fileSystem.statIfPresent(at: place.directory.raw, place.name),
      old.kind == .file, old.uid == geteuid()
    else { return .private }
    return .asBefore(old.mode & 0o777)
  }

  /// The file next to an image that is a directory; nil for others.
  private func directoryOutput(_ source: PackInput, _ request: PackRequest) -> String? {
    guard let directory = source.definition.directoryPath else { return nil }
    let root = rootPath == [0x2f] ? "" : String(decoding: rootPath, as: UTF8.self)
    return root + directory.text + request.fileName.dropFirst(ImageFiles.rootTreeName.count)
  }

  /// A packed image in the image's own folder.
  func packPlace(_ name: String, _ folder: AbsolutePath) throws -> PackDestination {
    let path = folder.appending(name)
    let place: ResolvedPath
    do throws(SystemError) {
      place = try resolver.resolve(path, followLast: false)
    } catch {
      guard error.isAbsent else { throw error }
      throw ImageError(
        .notFound, "image folder \(folder.text)", "is not there",
        advice: "Run genimage first, or set rootimgdir")
    }
    if let old = try fileSystem.statIfPresent(at: place.directory.raw, place.name),
      old.kind != .file, old.kind != .symlink
    {
      throw ImageError(
        "packed image \(path.text)", "is a \(old.kind.noun), which no file replaces",
        advice: "Nothing was written; move it away, or name a file with --output")
    }
    return PackDestination(resolved: place, text: path.text, isOwn: true, mode: .readable)
  }

  /// Packed images of this folder that are about to go and that the mark does not vouch for.
  func unreproducibleImages(
    _ place: PackDestination, _ request: PackRequest, _ folder: AbsolutePath
  ) throws -> [AbsolutePath] {
    guard place.isOwn else { return [] }
    let names = [place.resolved.name] + (request.isPackimage ? try otherForms(place) : [])
    return try names.filter { name in
      guard let stat = try packedStat(place, name) else { return false }
      return packMarker(place, name) != mark(of: stat)
    }.map { folder.appending($0) }
  }

  // MARK: The mark

  /// Remembers that the file at this place is a rendering of ours.
  func recordPackMarker(_ place: PackDestination) {
    guard let stat = try? packedStat(place, place.resolved.name), let store = try? store(),
      let name = markName(place, place.resolved.name)
    else { return }
    let layout = store.layout
    let temporary = name + Array(".\(randomName())".utf8)
    do {
      let file = try fileSystem.openFile(
        at: layout.cache.raw, temporary, [.write, .create, .exclusive])
      try mark(of: stat).withUnsafeBytes { try fileSystem.write(file.raw, $0) }
      try fileSystem.rename(
        at: layout.cache.raw, temporary, to: layout.cache.raw, name, exclusively: false)
    } catch {
      try? fileSystem.remove(at: layout.cache.raw, temporary, isDirectory: false)
    }
  }

  private func packMarker(_ place: PackDestination, _ name: [UInt8]) -> [UInt8]? {
    guard let layout = try? store().layout, let mark = markName(place, name) else { return nil }
    return try? fileSystem.readSmallFile(at: layout.cache.raw, mark, limitBytes: 4096)
  }

  private func mark(of stat: FileStat) -> [UInt8] {
    Array(
      """
      packed 1 \(stat.device) \(stat.inode) \(stat.size) \(stat.modified.seconds) \
      \(stat.modified.nanoseconds) \(stat.changed.seconds) \(stat.changed.nanoseconds)

      """.utf8)
  }

  /// By the folder itself, whatever it is called.
  private func markName(_ place: PackDestination, _ name: [UInt8]) -> [UInt8]? {
    guard let folder = try? fileSystem.stat(place.resolved.directory.raw) else { return nil }
    let key = Array("\(folder.device) \(folder.inode) ".utf8) + name
    return Array("packed-\(SHA256.digest(of: key).hex)".utf8)
  }

  private func packedStat(_ place: PackDestination, _ name: [UInt8]) throws -> FileStat? {
    try fileSystem.statIfPresent(at: place.resolved.directory.raw, name)
  }

  // MARK: Other forms

  /// Packed images beside this one.
  private func otherForms(_ place: PackDestination) throws -> [[UInt8]] {
    let known = Set(
      (ImageFiles.packedNames + ImageFiles.unpreferredPackedNames).map { Array($0.utf8) })
    return try fileSystem.names(of: place.resolved.directory.raw)
      .filter { known.contains($0) && $0 != place.resolved.name }.sorted(by: precedes)
  }

  /// Removes packed images of other forms, which nodes might load in place of the new one. Torrent
  /// descriptions go along, as with xCAT.
  func removeOtherForms(_ place: PackDestination) throws -> [String] {
    let torrents = try fileSystem.names(of: place.resolved.directory.raw).filter {
      $0.starts(with: Array("rootimg.".utf8)) && $0.suffix(9) == Array(".metainfo".utf8)[...]
    }
    return try (otherForms(place) + torrents).map { name in
      try fileSystem.remove(at: place.resolved.directory.raw, name, isDirectory: false)
      return "\(printable(name)) of an earlier packing is removed"
    }
  }

  /// Packed images of other forms that nodes would load in place of the new one.
  func conflictingImages(_ place: PackDestination) -> [String] {
    guard place.isOwn else { return [] }
    let own = String(decoding: place.resolved.name, as: UTF8.self)
    return ImageFiles.packedNames.prefix { $0 != own }.compactMap { name in
      guard (try? packedStat(place, Array(name.utf8))) ?? nil != nil else { return nil }
      return "\(name) is there too, and xCAT prefers it to \(own): remove it to boot the new image"
    }
  }
}

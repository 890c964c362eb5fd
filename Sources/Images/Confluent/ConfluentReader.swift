// Reads a squashfs image, or a Confluent profile with one, as one tree. The rules are those of `LayerReader`,
// with one layer for each squashfs image.

import Archive
import Codec
import Ingest
import Platform
import Render
import Store
import XCAT

/// Reads squashfs images for an import.
struct ConfluentReader: Collaborator {
  let context: Context
  private static let fileName = Array("rootimg.sfs".utf8)
  private static let maxKeyBytes = 4096

  /// Returns the squashfs image that a request names, in a profile's directory or by itself; nil if it names
  /// something else.
  /// - Throws: `SystemError`.
  func file(_ request: ImportRequest) throws -> (file: Descriptor, path: AbsolutePath)? {
    let files = context.fileSystem
    guard request.form == .automatic, request.bundle != "-",
      var path = AbsolutePath(absolute(request.bundle)),
      // A pipe can be opened only once, by the reader of bundles.
      let kind = try? files.statIfPresent(
        at: files.workingDirectory, path.bytes, followLink: true)?.kind,
      kind == .file || kind == .directory,
      var file = try? files.openFile(
        at: files.workingDirectory, Array(path.bytes), [.read, .nonBlocking])
    else { return nil }
    if kind == .directory {
      guard
        let image = try? files.openFile(
          at: file.raw, ConfluentReader.fileName, [.read, .noFollow, .nonBlocking])
      else { return nil }
      (file, path) = (image, path.appending(ConfluentReader.fileName))
    }
    guard try files.stat(file.raw).kind == .file else { return nil }
    var head = [UInt8](repeating: 0, count: 16)
    let count = try head.withUnsafeMutableBytes { try files.readFully(file.raw, at: 0, into: $0) }
    return ConfluentImage.isImage(Array(head[..<count])) ? (file, path) : nil
  }

  /// Reads an image.
  /// - Throws: `BundleError` for an invalid image; `ImageError` (`keyNotFound`) without the key.
  func read(
    _ source: (file: Descriptor, path: AbsolutePath), _ request: ImportRequest,
    into session: WriteSession
  ) throws -> DefinitionlessImage {
    let files = context.fileSystem
    let sizeBytes = try files.stat(source.file.raw).size
    let destination = try OCIDestinationFinder(context).destination(named: nil, request)
    let key = try key(request, source.path)
    let progress = context.progress
    context.progress.begin("importing", totalBytes: 0)
    let earlier = EarlierVersions(context).tree(for: destination)
    let tree = try session.runOnce { worker in
      do {
        let image = try ConfluentImage(sizeBytes: sizeBytes, key: key) { offset, target in
          guard try files.readFully(source.file.raw, at: offset, into: target) == target.count
          else {
            throw ArchiveError("the squashfs image is cut off")
          }
        }
        var reader = LayerReader(
          worker: worker, progress: progress, hasWhiteouts: false, following: earlier)
        for part in try image.parts() {
          let top = part.path.isEmpty ? [0x2e] : part.path
          _ = try reader.apply(
            try part.reader.tarStream(top: top), expandedFrom: part.reader.imageBytes)
        }
        return try reader.finish()
      } catch let error as ArchiveError {
        throw BundleError(
          error.remedy.isEmpty ? BundleDomain.usualCode : .unsupported, "the squashfs image",
          error.reason,
          hint: error.remedy.isEmpty
            ? ConfluentReader.advice : "Nothing was imported. \(error.remedy)", form: .clause)
      }
    }
    return DefinitionlessImage(
      tree: tree, destination: destination, facts: [], remarks: [], sizeBytes: sizeBytes)
  }

  private static let advice = "Nothing was imported; compare the checksum with its origin's"

  /// Returns the content of the key file: that of the request, or the one where imgutil puts it; nil if there
  /// is none.
  private func key(_ request: ImportRequest, _ image: AbsolutePath) throws -> [UInt8]? {
    let files = context.fileSystem
    if let path = request.imageKey {
      return try files.readSmallFile(
        at: files.workingDirectory, Array(absolute(path).utf8),
        limitBytes: ConfluentReader.maxKeyBytes)
    }
    // public/os/PROFILE/rootimg.sfs and private/os/PROFILE/pending/rootimg.key.
    let parts = image.components
    guard parts.count >= 4, parts[parts.count - 4] == Array("public".utf8),
      parts[parts.count - 3] == Array("os".utf8)
    else { return nil }
    let directory = parts.dropLast(4) + ["private", "os"].map { Array($0.utf8) }
    let key = AbsolutePath(
      components: directory + [parts[parts.count - 2]]
        + ["pending", "rootimg.key"].map { Array($0.utf8) })
    return try? files.readSmallFile(
      at: files.workingDirectory, Array(key.bytes), limitBytes: ConfluentReader.maxKeyBytes)
  }
}

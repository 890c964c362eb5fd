// Tells OCI images from bundles by their content.
//
// 1. A directory is an OCI image if it contains `oci-layout` or `index.json`.
// 2. An archive is one if its first regular file is one of those that OCI layouts and archives of Docker
//    begin with. A bundle begins with manifest.xml in the image's directory. Only the first members are read.
// 3. Standard input is recognized by the user's choice only.

import Archive
import Codec
import OCI
import Platform
import Store

/// Opens OCI images.
struct OCIRecognition: Collaborator {
  let context: Context
  /// The maximum number of members before the first regular file.
  private static let maxMembers = 1000

  /// Returns the files of the OCI image that a request names; nil if it names a bundle.
  /// - Throws: `OCIError` for a damaged archive; `ImageError`; `SystemError`; `StoreError`.
  func files(_ request: ImportRequest) throws -> (any OCIFiles)? {
    if request.form == .bundle { return nil }
    let fileSystem = context.fileSystem
    let isWanted = request.form == .oci
    if request.bundle == "-" {
      guard isWanted else { return nil }
      return try OCIArchiveFiles(nil, context.store(), context.progress)
    }
    let path = Array(absolute(request.bundle).utf8)
    // The reader of bundles reports what cannot be examined. A pipe can be opened only once.
    guard
      let kind = try? fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, path, followLink: true)?.kind,
      isWanted || kind == .file || kind == .directory
    else { return nil }
    let file = try fileSystem.openFile(at: fileSystem.workingDirectory, path, [.read])
    guard kind != .directory else {
      let files = OCIDirectoryFiles(fileSystem: fileSystem, directory: file)
      let isLayout = try files.file("oci-layout") != nil || files.file("index.json") != nil
      return isLayout || isWanted ? files : nil
    }
    guard isWanted || isArchiveOfImage(file) else { return nil }
    return try OCIArchiveFiles(file, context.store(), context.progress)
  }

  /// Returns whether the first regular file of an archive belongs to an OCI image. The file's position does
  /// not change.
  private func isArchiveOfImage(_ file: Descriptor) -> Bool {
    guard (try? context.fileSystem.stat(file.raw).kind) == .file else { return false }
    var offset: UInt64 = 0
    let plain = DecompressingReader { target in
      let n = try context.fileSystem.readFully(file.raw, at: offset, into: target)
      offset += UInt64(n)
      return n
    }
    let tar = TarReader { try plain.read($0) }
    for _ in 0..<OCIRecognition.maxMembers {
      guard let member = try? tar.next() else { return false }
      if case .directory = member.kind { continue }
      return OCIRecognition.isName(member.path)
    }
    return false
  }

  /// Returns whether an image's archive has a file of this name.
  static func isName(_ path: [UInt8]) -> Bool {
    let text = String(decoding: path, as: UTF8.self)
    let parts = text.split(separator: "/").filter { $0 != "." }
    guard let first = parts.first, let last = parts.last else { return false }
    func isDigest(_ text: Substring) -> Bool { Digest(hex: text) != nil }
    switch parts.count {
    case 1:
      return ["oci-layout", "index.json", "manifest.json", "repositories"].contains(String(first))
        || [".json", ".tar"].contains { first.hasSuffix($0) && isDigest(first.dropLast($0.count)) }
    case 2:
      return isDigest(first) && ["VERSION", "json", "layer.tar"].contains(String(last))
    case 3: return first == "blobs" && parts[1] == "sha256" && isDigest(last)
    default: return false
    }
  }
}

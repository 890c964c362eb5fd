// The content of a file of a snapshot as an answer.
//
// 1. A browser never shows it as a page: it is a download, without a type that could be executed.
// 2. A small content is sent from memory. A large one is written to a file without a name, which clients follow
//    while it grows. The number of such files is bounded, and requests for one content share its file. HEAD needs
//    no file.

import Codec
import HTTPServer
import Images
import Platform

/// Makes answers of file contents. A server has one.
public final class FileContents: Sendable {
  private static let maxBytesInMemory: UInt64 = 4 << 20
  private static let maxFiles = 4

  /// The files with large contents, which later requests and parts of one download share.
  private let kept = Monitor<[(id: String, file: GrowingFile)]>([])

  /// Creates an empty list of contents.
  public init() {}

  /// The number of files with large contents.
  public var keptFiles: Int { kept.withLock { $0.count } }

  /// Returns the answer with the content of a file.
  /// - Throws: `ImageError` (`busy`) if too many contents are being written, `SystemError`, `StoreError`.
  func response(
    to method: HTTPMethod, _ workspace: Workspace, _ reader: SnapshotReader, _ file: LocatedEntry
  ) throws -> HTTPResponse {
    var response = HTTPResponse(
      .ok, contentType: "application/octet-stream",
      entityTag: file.entry.mayHaveSparseID ? nil : file.entry.blob?.hex,
      headers: HTTPResponse.safetyFields + [
        ("Cache-Control", "no-cache"), ("Content-Security-Policy", "default-src 'none'; sandbox"),
        ("Content-Disposition", FileContents.disposition(file.address.name)),
      ])
    guard file.entry.kind == .file else {
      throw ImageError(
        .unsupported, printable(file.path), "is a \(file.entry.kind.noun), not a file")
    }
    if file.entry.sizeBytes <= FileContents.maxBytesInMemory {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(Int(file.entry.sizeBytes))
      try reader.read(file) { bytes.append(contentsOf: $0) }
      response.body = .bytes(bytes)
    } else if method == .head {
      response.body = .absent(sizeBytes: file.entry.sizeBytes)
    } else {
      response.body = .growing(try growing(workspace, reader, file))
    }
    return response
  }

  private func growing(
    _ workspace: Workspace, _ reader: SnapshotReader, _ file: LocatedEntry
  ) throws -> GrowingFile {
    let id = file.entry.blob?.hex ?? ""
    let (growing, isNew) = try kept.withLock { kept in
      kept.removeAll { $0.file.progress == .failed }
      if let known = kept.first(where: { $0.id == id }) { return (known.file, false) }
      if kept.count >= FileContents.maxFiles {
        // A file that clients still follow stays on disk until the last one has it.
        let complete = kept.firstIndex {
          if case .finished = $0.file.progress { true } else { false }
        }
        guard let complete else {
          throw ImageError(
            .busy, "the server", "is writing \(FileContents.maxFiles) large files already",
            hint: "Repeat the request in some seconds")
        }
        kept.remove(at: complete)
      }
      let new = GrowingFile(
        try KernelFileSystem.shared.openNamelessFile(in: temporaryDirectoryPath),
        totalBytes: file.entry.sizeBytes)
      kept.append((id, new))
      return (new, true)
    }
    guard isNew else { return growing }
    do {
      try startDetachedThread {
        // The workspace holds the lease of the store until the last byte is read.
        withExtendedLifetime(workspace) { FileContents.write(file, reader, to: growing) }
      }
    } catch {
      growing.report(.failed)
      throw error
    }
    return growing
  }

  private static func write(
    _ file: LocatedEntry, _ reader: SnapshotReader, to growing: GrowingFile
  ) {
    do {
      var written: UInt64 = 0
      try reader.read(file) { part in
        try KernelFileSystem.shared.write(growing.descriptor.raw, part)
        written += UInt64(part.count)
        growing.report(.growing(availableBytes: written))
      }
      growing.report(written == file.entry.sizeBytes ? .finished(sizeBytes: written) : .failed)
    } catch {
      growing.report(.failed)
    }
  }

  /// Returns the value of Content-Disposition (RFC 6266) for a file name.
  static func disposition(_ name: [UInt8]) -> String {
    let isPlain = name.allSatisfy { byte in
      (0x20...0x7e).contains(byte) && !"\"\\%".utf8.contains(byte)
    }
    let fallback = isPlain ? String(decoding: name, as: UTF8.self) : "file"
    // RFC 8187: only UTF-8 can be spelled.
    guard !isPlain, String(validating: name, as: UTF8.self) != nil else {
      return "attachment; filename=\"\(fallback)\""
    }
    return "attachment; filename=\"\(fallback)\"; filename*=UTF-8''\(PercentEncoding.encode(name))"
  }
}

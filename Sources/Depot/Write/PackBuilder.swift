// A pack before its upload: its frames in memory or in a temporary file, its SHA-256 and its directory.

import Codec
import ObjectStorage
import Platform
import Store

/// A pack that is complete.
struct BuiltPack: Sendable {
  let directory: PackDirectory
  let body: ObjectBody
  /// Whether a frame has a base.
  let hasBases: Bool
  /// Keeps the file of `body` open.
  let file: Descriptor?
}

/// Collects the frames of one pack. Belongs to one thread at a time.
final class PackBuilder {
  private let options: DepotOptions
  private let writer: WriterID
  private var hash = SHA256()
  private var bytes: [UInt8] = []
  private var file: Descriptor?
  private var headers: [UInt8] = []
  private var frameCount = 0
  private var hasBases = false
  private(set) var objects: [ObjectName] = []
  private(set) var sizeBytes: UInt64 = 0

  init(_ options: DepotOptions, writer: WriterID) {
    (self.options, self.writer) = (options, writer)
  }

  var isEmpty: Bool { frameCount == 0 }
  var isFull: Bool { sizeBytes >= UInt64(options.packBytes) }

  /// Appends a frame.
  /// - Throws: `SystemError` if the temporary file cannot be written.
  func append(_ frame: RawFrame) throws(SystemError) {
    if isEmpty { try write(PackFormat.header(level: 0)) }
    try write(frame.bytes)
    headers += PackDirectory.front(of: frame)
    frameCount += 1
    if frame.header.base != nil { hasBases = true }
    for object in frame.header.objects {
      objects.append(ObjectName(kind: object.kind, id: object.id))
    }
  }

  private func write(_ part: [UInt8]) throws(SystemError) {
    hash.update(part)
    sizeBytes += UInt64(part.count)
    if file == nil, bytes.count + part.count > options.memoryPackBytes {
      let file = try options.fileSystem.openNamelessFile(in: options.temporaryPath)
      try options.fileSystem.write(file.raw, bytes)
      bytes = []
      self.file = file
    }
    if let file { try options.fileSystem.write(file.raw, part) } else { bytes += part }
  }

  /// Returns the complete pack. Nothing may be appended afterwards.
  func finish() -> BuiltPack {
    let digest = hash.finish()
    let body =
      file.map { ObjectBody.file(descriptor: $0.raw, sizeBytes: sizeBytes, sha256: digest) }
      ?? .bytes(bytes)
    return BuiltPack(
      directory: PackDirectory(
        pack: DepotPack(digest: digest, writer: writer), sizeBytes: sizeBytes, headers: headers,
        frameCount: frameCount),
      body: body, hasBases: hasBases, file: file)
  }
}

// One rendering of a boot file, as the cache of rendered files runs it.

import Codec
import Images
import Platform

/// What renders one boot file. It holds the workspace, and so the lease that keeps gc from its packs.
struct FileRendering: Sendable {
  let file: BootFile
  let key: RenderingKey
  let snapshot: CommittedSnapshot
  let workspace: Workspace

  /// The file, for messages.
  var name: String { "\(snapshot.name)/\(file.name)" }

  /// The number of bytes that the file will probably take at most.
  var estimatedBytes: UInt64 { file.sizeBytes ?? snapshot.snapshot.contentBytes / 2 }

  /// The size and the checksum of a stored file; nil for others.
  var record: RenderedRecord? {
    guard let digest = file.digest, let size = file.sizeBytes else { return nil }
    return RenderedRecord(digest: digest, sizeBytes: size)
  }

  func render(to output: BootFileOutput, threads: Int) throws {
    try workspace.render(file, of: snapshot, to: output, threads: threads)
  }

  /// Whether the management node's data is still what it was when the key was computed.
  func isCurrent() throws -> Bool {
    try key.isFixed || workspace.renderingKey(of: file, in: snapshot) == key
  }
}

/// The size and the checksum of a rendered file.
struct RenderedRecord: Sendable, Equatable {
  let digest: Digest
  let sizeBytes: UInt64
  private static let title = "imgstore rendered file 1"

  init(digest: Digest, sizeBytes: UInt64) {
    self.digest = digest
    self.sizeBytes = sizeBytes
  }

  /// Parses a record; nil for anything but what `text` writes.
  init?(_ bytes: [UInt8]) {
    let lines = String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count == 4, lines[0] == RenderedRecord.title,
      let digest = Digest(hex: String(lines[1])), let size = UInt64(lines[2])
    else { return nil }
    self.init(digest: digest, sizeBytes: size)
    guard Array(text.utf8) == bytes else { return nil }
  }

  var text: String { "\(RenderedRecord.title)\n\(digest.hex)\n\(sizeBytes)\n" }
}

// Render produces files from snapshots. This file writes xCAT's bundle as a stream directly from
// the store. It needs no copy of the image, and its memory is bounded by the pending segments.
//
// 1. Equal members give equal bytes: order, times and owners come from the snapshot.
// 2. Compressed contents are not compressed again; they go into stored blocks. All other content is
//    split into segments, which are compressed on all processors or copied from the cache.
// 3. Every file's header contains the SHA-256 of its content in a comment (POSIX pax: "comment").
//    Other programs ignore it, and `import` verifies it.

import Archive
import Codec
import Platform
import Store

/// A member of a bundle to write.
public struct RenderedFile: Sendable {
  /// The source of the member's attributes and content.
  public enum Source: Sendable {
    /// An entry of a snapshot.
    case entry(Entry)
    /// Bytes in memory.
    case bytes([UInt8])
    /// A rendered file.
    case spool(Spool)
    /// An entry's attributes with other bytes.
    case edited(Entry, [UInt8])
    /// An entry's attributes with a rendered file.
    case rewritten(Entry, Spool)
  }

  /// The path inside the image's directory.
  public let name: String
  /// The path of the source, for messages.
  public let path: String
  /// The attributes and content.
  public let source: Source

  /// Creates a member.
  /// - Parameter path: the path of the source; nil for the name.
  public init(name: String, path: String? = nil, source: Source) {
    self.name = name
    self.path = path ?? name
    self.source = source
  }

  /// The size of the content in bytes.
  public var sizeBytes: UInt64 {
    switch source {
    case .entry(let entry): entry.sizeBytes
    case .bytes(let bytes): UInt64(bytes.count)
    case .spool(let spool), .rewritten(_, let spool): spool.sizeBytes
    case .edited(_, let bytes): UInt64(bytes.count)
    }
  }
}

/// Writes bundles.
public struct BundleWriter {
  private let store: ObjectStore
  private let progress: Progress
  private let cache: SegmentCache?
  private let threads: Int

  /// Creates a writer.
  /// - Parameters:
  ///   - cache: the store's segment cache; nil compresses everything.
  ///   - threads: the number of threads that compress.
  public init(
    _ store: ObjectStore, progress: Progress, cache: SegmentCache? = nil,
    threads: Int = processorCount
  ) {
    self.store = store
    self.progress = progress
    self.cache = cache
    self.threads = threads
  }

  /// Writes a gzip-compressed tar with the layout of `tar czf F .`: "./", "./DIRECTORY/", and the
  /// files below it.
  /// - Parameters:
  ///   - directory: the image's directory.
  ///   - manifest: the bytes of manifest.xml.
  ///   - files: the files, named relative to the directory.
  ///   - modified: the time of members without their own.
  ///   - leading: files that precede all others except the manifest.
  ///   - sink: receives the compressed bundle.
  /// - Throws: `StoreError`; the errors of `sink`.
  public func write(
    directory: String, manifest: [UInt8], files: [RenderedFile], modified: Timestamp,
    leading: [RenderedFile] = [], to sink: @escaping ByteSink
  ) throws {
    progress.begin("exporting", totalBytes: files.reduce(0) { $0 &+ $1.sizeBytes })
    let renderer = SegmentRenderer(
      store, cache: cache, codec: .gzip, threads: threads, progress: progress)
    _ = try renderer.render(
      { try members(directory, manifest, files, leading, modified, $0) }, to: sink)
  }

  /// Calls `body` with each member.
  /// - Returns: the end of the archive.
  private func members(
    _ directory: String, _ manifest: [UInt8], _ files: [RenderedFile], _ leading: [RenderedFile],
    _ modified: Timestamp, _ body: (ArchiveEntry) throws -> Void
  ) throws -> [UInt8] {
    var totalBytes: UInt64 = 0
    func emit(_ member: TarMember, _ content: ArchiveEntryContent = .none) throws {
      let entry = ArchiveEntry(
        path: member.path, header: try member.header(), content: content,
        paddingBytes: TarMember.paddingBytes(after: content.sizeBytes),
        isCompressed: try isCompressed(content))
      totalBytes += entry.sizeBytes
      try body(entry)
    }
    func emitDirectory(_ path: String, _ mode: UInt16, _ time: Timestamp? = nil) throws {
      try emit(
        TarMember(
          path: Array(path.utf8), kind: .directory, mode: mode,
          modifiedSeconds: (time ?? modified).seconds))
    }
    func file(_ file: RenderedFile) throws {
      let (member, content) = try describe(file, directory, modified)
      try emit(member, content)
    }
    try emitDirectory("./", 0o700)
    try emitDirectory("./\(directory)/", 0o755)
    // The manifest comes first, so that a reader of the stream knows its contents at once.
    try file(RenderedFile(name: "manifest.xml", source: .bytes(manifest)))
    var directories: Set<String> = []
    for next in leading + files.sorted(by: { byBytes($0.name, $1.name) }) {
      let parts = next.name.split(separator: "/").dropLast()
      for depth in parts.indices {
        let path = parts[...depth].joined(separator: "/")
        if directories.insert(path).inserted { try emitDirectory("./\(directory)/\(path)/", 0o755) }
      }
      if case .entry(let entry) = next.source, entry.kind == .directory {
        if directories.insert(next.name).inserted {
          try emitDirectory("./\(directory)/\(next.name)/", entry.mode, entry.modified)
        }
        continue
      }
      try file(next)
    }
    return TarMember.end(after: totalBytes)
  }

  private func describe(
    _ file: RenderedFile, _ directory: String, _ modified: Timestamp
  ) throws -> (TarMember, ArchiveEntryContent) {
    var member = TarMember(
      path: Array("./\(directory)/\(file.name)".utf8), kind: .file, mode: 0o644,
      sizeBytes: file.sizeBytes, modifiedSeconds: modified.seconds)
    switch file.source {
    case .bytes(let bytes):
      member.comment = checksum(SHA256.digest(of: bytes))
      return (member, bytes.isEmpty ? .none : .bytes(bytes))
    case .spool(let spool):
      member.comment = checksum(spool.digest)
      return (member, spool.sizeBytes == 0 ? .none : .spool(spool))
    case .edited(let entry, let bytes):
      member.describe(entry)
      member.comment = checksum(SHA256.digest(of: bytes))
      return (member, bytes.isEmpty ? .none : .bytes(bytes))
    case .rewritten(let entry, let spool):
      member.describe(entry)
      member.comment = checksum(spool.digest)
      return (member, spool.sizeBytes == 0 ? .none : .spool(spool))
    case .entry(let entry):
      guard !entry.content.isMissing else {
        throw StoreError(
          .refused, "\(entry.kind.noun) \(file.name)",
          "could not be read when the snapshot was taken",
          hint: "Take another snapshot and export again", code: .unsupported)
      }
      member.describe(entry)
      switch entry.content {
      case .symlink(let target):
        member.kind = .symlink(target: target)
        return (member, .none)
      case .file(let blob, let size):
        member.comment = checksum(try store.rawDigest(of: blob, sizeBytes: size))
        return (member, size == 0 ? .none : .blob(blob, sizeBytes: size))
      default:
        throw StoreError(
          .refused, "file \(file.name)",
          "is a \(entry.kind.noun), but a bundle can contain only files", code: .unsupported)
      }
    }
  }

  private func checksum(_ digest: Digest) -> String { TarMember.checksumPrefix + "\(digest)" }

  private func byBytes(_ a: String, _ b: String) -> Bool {
    Array(a.utf8).lexicographicallyPrecedes(Array(b.utf8))
  }

  /// Returns whether the content starts like a compressed format.
  private func isCompressed(_ content: ArchiveEntryContent) throws -> Bool {
    switch content {
    case .none, .bytes: return false
    case .spool(let spool):
      var answer = false
      try spool.read(0..<min(spool.sizeBytes, 16)) { answer = answer || isCompressed($0) }
      return answer
    case .blob(let blob, let size):
      guard let first = try store.parts(of: blob, sizeBytes: size).first(where: { _ in true })
      else { return false }
      var answer = false
      try store.read(first) { _, bytes in answer = isCompressed(bytes) }
      return answer
    }
  }

  /// Returns whether the bytes start like a compressed format: gzip, xz, zstd, bzip2, squashfs.
  private func isCompressed(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let magics: [[UInt8]] = [
      [0x1f, 0x8b], [0xfd, 0x37, 0x7a, 0x58, 0x5a], [0x28, 0xb5, 0x2f, 0xfd], [0x42, 0x5a, 0x68],
      [0x68, 0x73, 0x71, 0x73],
    ]
    return magics.contains { bytes.starts(with: $0) }
  }
}

extension TarMember {
  fileprivate mutating func describe(_ entry: Entry) {
    mode = entry.mode
    uid = entry.uid
    gid = entry.gid
    modifiedSeconds = entry.modified.seconds
  }
}

// Render: bytes made from a snapshot. This file: xCAT's bundle as a stream, straight from the
// store, with no copy of the image anywhere and memory bounded by one frame.
//
// 1. The same members give the same bytes: order, times and owners come from the snapshot.
// 2. What is compressed already is not compressed again: it goes into stored blocks.
// 3. Every file's header carries the SHA-256 of its content in a comment, which other programs
//    ignore (POSIX pax: "comment") and our import checks.

import Archive
import Codec
import Platform
import Store

/// A member to put into a bundle.
public struct RenderedFile: Sendable {
  public enum Source: Sendable {
    case entry(Entry)
    case bytes([UInt8])
    case spool(Spool)
  }

  /// The path inside the image's folder.
  public let name: String
  public let source: Source

  public init(name: String, source: Source) {
    self.name = name
    self.source = source
  }

  public var sizeBytes: UInt64 {
    switch source {
    case .entry(let entry): entry.sizeBytes
    case .bytes(let bytes): UInt64(bytes.count)
    case .spool(let spool): spool.sizeBytes
    }
  }
}

/// Writes bundles.
public struct BundleWriter {
  private let store: ObjectStore
  private let progress: Progress

  public init(_ store: ObjectStore, progress: Progress) {
    self.store = store
    self.progress = progress
  }

  /// Writes a gzip'ed tar as `tar czf F .` makes it: "./", "./FOLDER/", and the files below it.
  /// - Parameters:
  ///   - folder: the image's folder.
  ///   - manifest: the bytes of manifest.xml.
  ///   - files: named relative to the folder.
  ///   - modified: the time of what has none of its own.
  public func write(
    folder: String, manifest: [UInt8], files: [RenderedFile], modified: Timestamp,
    to sink: @escaping ByteSink
  ) throws {
    progress.begin("exporting", totalBytes: files.reduce(0) { $0 &+ $1.sizeBytes })
    let gzip = try GzipWriter(sink)
    let tar = TarWriter { try gzip.write($0) }
    func directory(_ path: String, _ mode: UInt16, _ time: Timestamp? = nil) throws {
      try tar.begin(
        TarMember(
          path: Array(path.utf8), kind: .directory, mode: mode,
          modifiedSeconds: (time ?? modified).seconds))
    }
    try directory("./", 0o700)
    try directory("./\(folder)/", 0o755)
    // The manifest first: who reads the stream knows at once what is coming.
    try write(
      RenderedFile(name: "manifest.xml", source: .bytes(manifest)), folder, modified, tar, gzip)
    var folders: Set<String> = []
    for file in files.sorted(by: { byBytes($0.name, $1.name) }) {
      let parts = file.name.split(separator: "/").dropLast()
      for depth in parts.indices {
        let path = parts[...depth].joined(separator: "/")
        if folders.insert(path).inserted { try directory("./\(folder)/\(path)/", 0o755) }
      }
      if case .entry(let entry) = file.source, entry.kind == .directory {
        if folders.insert(file.name).inserted {
          try directory("./\(folder)/\(file.name)/", entry.mode, entry.modified)
        }
        continue
      }
      try write(file, folder, modified, tar, gzip)
    }
    try gzip.setCompressing(true)
    try tar.finish()
    try gzip.finish()
  }

  private func write(
    _ file: RenderedFile, _ folder: String, _ modified: Timestamp, _ tar: TarWriter,
    _ gzip: GzipWriter
  ) throws {
    var member = TarMember(
      path: Array("./\(folder)/\(file.name)".utf8), kind: .file, mode: 0o644,
      sizeBytes: file.sizeBytes, modifiedSeconds: modified.seconds)
    var isBegun = false
    func content(_ bytes: UnsafeRawBufferPointer) throws {
      if !isBegun {
        try gzip.setCompressing(true)
        try tar.begin(member)
        try gzip.setCompressing(!isCompressed(bytes))
        isBegun = true
      }
      try tar.write(bytes)
      progress.add(bytes: UInt64(bytes.count))
    }
    switch file.source {
    case .bytes(let bytes):
      member.comment = checksum(SHA256.digest(of: bytes))
      try bytes.withUnsafeBytes { if !$0.isEmpty { try content($0) } }
    case .spool(let spool):
      member.comment = checksum(spool.digest)
      try spool.read(content)
    case .entry(let entry):
      member.mode = entry.mode
      member.uid = entry.uid
      member.gid = entry.gid
      member.modifiedSeconds = entry.modified.seconds
      switch entry.content {
      case .symlink(let target): member.kind = .symlink(target: target)
      case .file(let blob, let size):
        member.comment = checksum(blob)
        for part in try store.parts(of: blob, sizeBytes: size) {
          try store.read(part) { _, bytes in try content(bytes) }
        }
      default:
        throw StoreError(
          .refused, "file \(file.name)", "is a \(entry.kind.noun), and a bundle holds files")
      }
    }
    if !isBegun { try tar.begin(member) }
  }

  private func checksum(_ digest: Digest) -> String { TarMember.checksumPrefix + "\(digest)" }

  private func byBytes(_ a: String, _ b: String) -> Bool {
    Array(a.utf8).lexicographicallyPrecedes(Array(b.utf8))
  }

  /// The bytes begin as a compressed format does: gzip, xz, zstd, bzip2, squashfs.
  private func isCompressed(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let magics: [[UInt8]] = [
      [0x1f, 0x8b], [0xfd, 0x37, 0x7a, 0x58, 0x5a], [0x28, 0xb5, 0x2f, 0xfd], [0x42, 0x5a, 0x68],
      [0x68, 0x73, 0x71, 0x73],
    ]
    return magics.contains { bytes.starts(with: $0) }
  }
}

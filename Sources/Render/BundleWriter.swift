// Render: bytes made from a snapshot. This file: xCAT's bundle as a stream, straight from the
// store, with no copy of the image anywhere and memory bounded by one frame.
//
// 1. The same members give the same bytes: order, times and owners come from the snapshot.
// 2. What is compressed already is not compressed again: it goes into stored blocks.

import Archive
import Codec
import Platform
import Store

/// A file to put into a bundle.
public struct RenderedFile: Sendable {
  /// The path inside the archive, without "./".
  public let name: String
  public let entry: Entry
  public init(name: String, entry: Entry) {
    self.name = name
    self.entry = entry
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
    progress.begin(
      "exporting", totalBytes: files.reduce(0) { $0 &+ $1.entry.sizeBytes })
    let gzip = try GzipWriter(sink)
    let tar = TarWriter { try gzip.write($0) }
    func directory(_ path: String, _ mode: UInt16) throws {
      try tar.begin(
        TarMember(
          path: Array(path.utf8), kind: .directory, mode: mode, modifiedSeconds: modified.seconds))
    }
    try directory("./", 0o700)
    try directory("./\(folder)/", 0o755)
    // The manifest first: who reads the stream knows at once what is coming.
    try tar.begin(
      TarMember(
        path: Array("./\(folder)/manifest.xml".utf8), kind: .file, mode: 0o644,
        sizeBytes: UInt64(manifest.count), modifiedSeconds: modified.seconds))
    try manifest.withUnsafeBytes { try tar.write($0) }
    var folders: Set<String> = []
    for file in files.sorted(by: { $0.name < $1.name }) {
      let parts = file.name.split(separator: "/").dropLast()
      for depth in parts.indices {
        let path = parts[...depth].joined(separator: "/")
        if folders.insert(path).inserted { try directory("./\(folder)/\(path)/", 0o755) }
      }
      try write(file, folder, tar, gzip)
    }
    try gzip.setCompressing(true)
    try tar.finish()
    try gzip.finish()
  }

  private func write(
    _ file: RenderedFile, _ folder: String, _ tar: TarWriter, _ gzip: GzipWriter
  ) throws {
    guard case .file(let blob, let size) = file.entry.content else {
      throw StoreError(
        .refused, "file \(file.name)", "is a \(file.entry.kind.noun), and a bundle holds files")
    }
    let parts = try store.parts(of: blob, sizeBytes: size)
    var isFirst = true
    for part in parts {
      try store.read(part) { _, bytes in
        if isFirst {
          try gzip.setCompressing(!isCompressed(bytes))
          try tar.begin(
            TarMember(
              path: Array("./\(folder)/\(file.name)".utf8), kind: .file, mode: file.entry.mode,
              uid: file.entry.uid, gid: file.entry.gid, sizeBytes: size,
              modifiedSeconds: file.entry.modified.seconds))
          isFirst = false
        }
        try tar.write(bytes)
        progress.add(bytes: UInt64(bytes.count))
      }
    }
    if isFirst {
      try tar.begin(
        TarMember(
          path: Array("./\(folder)/\(file.name)".utf8), kind: .file, mode: file.entry.mode,
          uid: file.entry.uid, gid: file.entry.gid, modifiedSeconds: file.entry.modified.seconds))
    }
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

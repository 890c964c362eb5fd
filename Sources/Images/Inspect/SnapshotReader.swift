// Finding entries inside a state of an image, and reading what they hold, without touching any disk
// but the store's (for a live image: the file itself, where the store has not its content).
//
// 1. Links on the way are followed as in a chroot at the root tree: none leads out of it.
// 2. What a live file holds is compared with the digest that was captured: another content is an
//    error, never shown as the captured one.

import Codec
import Platform
import Store
import XCAT

/// One side of a comparison, or a snapshot that is looked into.
public struct SnapshotReader: Sendable {
  let state: ImageState
  let store: ObjectStore
  /// Where live files are; nil for a snapshot.
  let live: PathResolver?

  // MARK: Entries

  /// Where a path as a person wrote it leads: the piece, and the components below it.
  /// - Throws: `ImageError` for a spelling that is none, or a path outside an image without a tree.
  func locate(_ path: String) throws -> (piece: Snapshot.Component, parts: [[UInt8]]) {
    if let place = try locateIfPresent(path) { return place }
    throw ImageError(
      .notFound, "\(state.name):\(path)", "is no file of the image, and the image has no root tree",
      advice: "'imgstore show' lists the files of the image")
  }

  /// Like `locate`; nil for a path outside an image without a tree.
  func locateIfPresent(_ path: String) throws -> (piece: Snapshot.Component, parts: [[UInt8]])? {
    let object = "\(state.name):\(path)"
    guard let bytes = Platform.bytes(fromPrintable: path) else {
      throw ImageError(.usage, object, "holds a backslash that begins no \\xHH, \\n, \\t or \\\\")
    }
    let parts = bytes.split(separator: 0x2f).map(Array.init).filter { $0 != [0x2e] }
    if bytes.first == 0x2f {
      for piece in state.pieces {
        let own = piece.path.split(separator: 0x2f).map(Array.init)
        guard parts.starts(with: own) else { continue }
        let top = parts.count == own.count ? piece : state.pieces.followed(piece) ?? piece
        return (top, Array(parts.dropFirst(own.count)))
      }
    }
    guard let tree = state.pieces.rootTree else {
      return nil
    }
    return (tree, parts)
  }

  /// The entry at a path; nil where there is none. Folders that are links are followed, the last
  /// component only with `followLast`.
  public func find(_ path: String, followLast: Bool = false) throws -> FoundEntry? {
    guard let (piece, parts) = try locateIfPresent(path) else { return nil }
    return try descend(piece, parts, followLast: followLast)
  }

  /// Like `find`, where nothing there is an error.
  public func require(_ path: String, followLast: Bool = false) throws -> FoundEntry {
    _ = try locate(path)
    guard let found = try find(path, followLast: followLast) else {
      throw ImageError(
        .notFound, "\(state.name):\(path)", "is not in that snapshot",
        advice: "'imgstore log IMAGE -- PATH' lists the snapshots in which a path changed")
    }
    return found
  }

  private func descend(
    _ piece: Snapshot.Component, _ parts: [[UInt8]], followLast: Bool
  ) throws -> FoundEntry? {
    try TreeDescent(source: state.source).find(piece, parts, followLast: followLast)
  }

  /// The entries of a folder, in byte order; none for what is no folder.
  func children(of entry: Entry) throws -> [Entry] {
    try entry.ids.map { try Tree.entries($0, from: state.source) } ?? []
  }

  /// What is in a folder, in byte order; nothing for what is no folder.
  public func children(of found: FoundEntry) throws -> [FoundEntry] {
    try children(of: found.entry).map {
      FoundEntry(path: found.path + [0x2f] + $0.name, entry: $0)
    }
  }

  /// Calls `body` for `found` and all below it, parents first, in byte order.
  public func walk(_ found: FoundEntry, _ body: (FoundEntry) throws -> Void) throws {
    try body(found)
    for child in try children(of: found) { try walk(child, body) }
  }

  // MARK: Content

  /// Calls `body` with the content of a file, in order, a part at a time.
  public func read(_ file: FoundEntry, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    guard case .file(let blob, let size) = file.entry.content else {
      throw ImageError(
        "\(state.name):\(printable(file.path))",
        file.entry.content.isMissing
          ? "could not be read when the snapshot was taken" : "is a \(file.entry.kind.noun)")
    }
    if let live, try !store.holds(blob: blob) {
      try readLive(file.path, blob, sizeBytes: size, live, body)
    } else {
      try store.read(blob, sizeBytes: size) { _, bytes in try body(bytes) }
    }
  }

  /// The whole content of a file.
  /// - Throws: `ImageError` where it is longer than `limitBytes`.
  func bytes(of file: FoundEntry, limitBytes: Int) throws -> [UInt8] {
    guard file.entry.sizeBytes <= UInt64(limitBytes) else {
      throw ImageError(
        "\(state.name):\(printable(file.path))",
        "has \(file.entry.sizeBytes) bytes, more than the \(limitBytes) that are looked at")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(file.entry.sizeBytes))
    try read(file) { bytes.append(contentsOf: $0) }
    return bytes
  }

  private func readLive(
    _ path: [UInt8], _ blob: Digest, sizeBytes: UInt64, _ live: PathResolver,
    _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard let absolute = AbsolutePath(path) else { return }
    let place = try live.resolve(absolute, followLast: false)
    let file = try live.fileSystem.openFile(
      at: place.directory.raw, place.name, [.read, .noFollow, .nonBlocking])
    // What is handed out must be what was captured, so it is hashed before any of it is.
    for isProof in [true, false] {
      var hash = SHA256()
      var offset: UInt64 = 0
      var window = [UInt8](repeating: 0, count: 1 << 20)
      while true {
        let n = try window.withUnsafeMutableBytes {
          try live.fileSystem.readFully(file.raw, at: offset, into: $0)
        }
        if n == 0 { break }
        offset += UInt64(n)
        try window.withUnsafeBytes { buffer in
          let part = UnsafeRawBufferPointer(rebasing: buffer[..<n])
          if isProof { hash.update(part) } else { try body(part) }
        }
        guard offset <= sizeBytes else { break }
      }
      if isProof, hash.finish() != blob {
        throw ImageError(
          "live file \(printable(path))", "changed while it was looked at",
          advice: "Run the command again")
      }
    }
  }
}

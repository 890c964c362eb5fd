// Finds entries in one state of an image, a snapshot or the live image, and reads their content. Content
// comes from the store; content of a live file that the store lacks comes from the file.
//
// 1. Symbolic links on a path are followed as in a chroot at the root tree: none leads out of it.
// 2. The content of a live file is verified against the captured digest before any of it is returned.

import Codec
import Platform
import Store

/// Reads one side of a comparison, or a snapshot.
public struct SnapshotReader: Sendable {
  let state: ImageState
  let store: ObjectStore
  /// Resolves the paths of live files; nil for a snapshot.
  let live: PathResolver?

  // MARK: Entries

  /// Splits a path as a person wrote it into an image component and the path components below it.
  /// - Throws: `ImageError` (`usage`) for an invalid escape, and (`pathNotFound`) for a path that lies in
  ///   no component of an image without a root tree.
  func locate(_ path: String) throws -> (component: Snapshot.Component, below: [[UInt8]]) {
    if let location = try locateIfPresent(path) { return location }
    throw ImageError(
      .pathNotFound, "\(state.name):\(path)",
      "is not a file of the image, and the image has no root tree",
      hint: "'imgstore show' lists the files of the image")
  }

  /// Does the same as `locate`, but returns nil for a path in no component of an image without a root tree.
  func locateIfPresent(_ path: String) throws -> (component: Snapshot.Component, below: [[UInt8]])?
  {
    let object = "\(state.name):\(path)"
    guard let bytes = Platform.bytes(fromPrintable: path) else {
      throw ImageError(
        .usage, object, "contains a backslash that does not begin \\xHH, \\n, \\t or \\\\")
    }
    let parts = writtenComponents(bytes)
    if bytes.first == UInt8(ascii: "/"), let found = state.components.containing(parts) {
      return found
    }
    return state.components.rootTree.map { ($0, parts) }
  }

  /// Returns the entry at a path; nil if there is none. Symbolic links on the path are followed.
  /// - Parameter followLast: whether a link in the last path component is followed, too.
  public func find(_ path: String, followLast: Bool = false) throws -> LocatedEntry? {
    guard let (component, parts) = try locateIfPresent(path) else { return nil }
    return try descend(component, parts, followLast: followLast)
  }

  /// Returns the entry at a path.
  /// - Throws: `ImageError` (`pathNotFound`) if there is none.
  public func require(_ path: String, followLast: Bool = false) throws -> LocatedEntry {
    _ = try locate(path)
    guard let found = try find(path, followLast: followLast) else {
      throw ImageError(
        .pathNotFound, "\(state.name):\(path)", "is not in that snapshot",
        hint: "'imgstore log IMAGE -- PATH' lists the snapshots in which a path changed")
    }
    return found
  }

  private func descend(
    _ component: Snapshot.Component, _ parts: [[UInt8]], followLast: Bool
  ) throws -> LocatedEntry? {
    try TreeDescent(source: state.source).find(component, parts, followLast: followLast)
  }

  /// Returns the entries of a directory, in byte order. Another entry has none.
  func children(of entry: Entry) throws -> [Entry] {
    try entry.ids.map { try Tree.entries($0, from: state.source) } ?? []
  }

  /// Returns the entries of a directory with their paths, in byte order. Another entry has none.
  public func children(of found: LocatedEntry) throws -> [LocatedEntry] {
    try children(of: found.entry).map {
      LocatedEntry(address: found.address.appending($0.name), entry: $0)
    }
  }

  /// Calls `body` for `found` and every entry below it, parents first, in byte order.
  public func walk(_ found: LocatedEntry, _ body: (LocatedEntry) throws -> Void) throws {
    try body(found)
    for child in try children(of: found) { try walk(child, body) }
  }

  // MARK: Content

  /// Calls `body` with the content of a file, in order and in parts.
  /// - Throws: `ImageError` if the entry is not a file, lacks its content in the snapshot, or is a live file
  ///   that has changed since the capture.
  public func read(_ file: LocatedEntry, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
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

  /// The root tree; nil if the image has none.
  public var rootTree: LocatedEntry? {
    state.components.rootTree.map {
      LocatedEntry(address: ImagePath(component: $0.path), entry: $0.entry)
    }
  }

  /// Returns the beginning of a file: at most `limitBytes` bytes.
  /// - Throws: the errors of `read`.
  public func head(of file: LocatedEntry, limitBytes: Int) throws -> [UInt8] {
    struct LimitReached: Error {}
    var bytes: [UInt8] = []
    do {
      try read(file) { part in
        bytes.append(contentsOf: part.prefix(limitBytes - bytes.count))
        if bytes.count >= limitBytes { throw LimitReached() }
      }
    } catch is LimitReached {}
    return bytes
  }

  /// Returns the whole content of a file.
  /// - Throws: `ImageError` if it is longer than `limitBytes`.
  func bytes(of file: LocatedEntry, limitBytes: Int) throws -> [UInt8] {
    guard file.entry.sizeBytes <= UInt64(limitBytes) else {
      throw ImageError(
        "\(state.name):\(printable(file.path))",
        "has \(file.entry.sizeBytes) bytes, more than the limit of \(limitBytes)")
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
    let location = try live.resolve(absolute, followLast: false)
    let file = try live.fileSystem.openFile(
      at: location.directory.raw, location.name, [.read, .noFollow, .nonBlocking])
    // `body` must see only the captured content, so the first pass hashes the file and the second returns it.
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
          .imageChanged,
          "live file \(printable(path))", "changed while it was being read",
          hint: "Run the command again")
      }
    }
  }
}

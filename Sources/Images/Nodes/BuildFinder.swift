// Finds the snapshots that a packed image was made from.
//
// 1. A UUID: by the record that `pack` wrote, and by the root trees that contain it. xCAT's packimage writes
//    a random UUID into the live tree, which the next snapshot has.
// 2. A file: by the SHA-256 of its content, which is a blob id, among the components of all snapshots; then by
//    the UUID inside it.
// 3. All snapshots with the same root tree as a match are matches: they pack to the same image.

import Archive
import Codec
import Ingest
import Platform
import Recipes
import Render
import Store

/// A snapshot that a packed image was made from, or that has the file.
public struct BuildMatch: Sendable, Equatable {
  /// The evidence for a match.
  public enum Evidence: String, Sendable {
    /// `pack` recorded the UUID.
    case record
    /// The root tree contains the UUID.
    case tree
    /// The snapshot has the same root tree as one that was packed.
    case sameTree = "same-tree"
    /// The snapshot has the file itself.
    case file
  }

  public let snapshot: SnapshotName
  public let evidence: Evidence
  /// Whether the snapshot still exists.
  public let exists: Bool
}

/// What `which` found.
public struct BuildSearch: Sendable {
  /// The UUID or the file, as text.
  public let subject: String
  public internal(set) var uuid: ImageUUID?
  /// The SHA-256 of a file.
  public internal(set) var digest: Digest?
  /// Sorted by image and number.
  public internal(set) var matches: [BuildMatch] = []
}

/// Finds snapshots by the images that were packed from them.
struct BuildFinder: Collaborator {
  let context: Context

  /// Returns the snapshots of an image with this UUID.
  func matches(_ uuid: ImageUUID) throws -> [BuildMatch] {
    guard let store = try context.storeIfPresent() else { return [] }
    var found: [SnapshotName: BuildMatch.Evidence] = [:]
    var trees: Set<Entry> = []
    let record = store.builds.read(uuid)
    var known: [Entry: Bool] = [:]
    for (snapshot, committed) in try snapshots(of: store) {
      guard let tree = committed.snapshot.components.rootTree?.entry else { continue }
      if record?.snapshot == snapshot, record?.id == committed.id {
        found[snapshot] = .record
        trees.insert(tree)
      } else if try known.cached(tree, { try info(in: tree, store)?.uuid == uuid }) {
        found[snapshot] = .tree
      }
    }
    for (snapshot, committed) in try snapshots(of: store) where found[snapshot] == nil {
      if let tree = committed.snapshot.components.rootTree?.entry, trees.contains(tree) {
        found[snapshot] = .sameTree
      }
    }
    var matches = found.map { BuildMatch(snapshot: $0.key, evidence: $0.value, exists: true) }
    if let record, found[record.snapshot] != .record {
      matches.append(
        BuildMatch(snapshot: record.snapshot, evidence: .record, exists: false))
    }
    return sorted(matches)
  }

  /// Returns the snapshots with a component of this content.
  func matches(file digest: Digest) throws -> [BuildMatch] {
    guard let store = try context.storeIfPresent() else { return [] }
    return sorted(
      try snapshots(of: store).compactMap { snapshot, committed in
        committed.snapshot.components.contains { $0.entry.blob == digest }
          ? BuildMatch(snapshot: snapshot, evidence: .file, exists: true) : nil
      })
  }

  /// Searches for a packed image, or for a file of an image.
  /// - Parameter path: relative to the working directory.
  /// - Throws: `SystemError` if the file cannot be read.
  func search(file path: [UInt8]) throws -> BuildSearch {
    var search = BuildSearch(subject: printable(path))
    let file = try context.fileSystem.openFile(
      at: context.fileSystem.workingDirectory, path, [.read, .nonBlocking])
    let stat = try context.fileSystem.stat(file.raw)
    guard stat.kind == .file else {
      throw ImageError(.usage, printable(path), "is not a regular file")
    }
    context.progress.begin("reading \(printable(path))", totalBytes: stat.size)
    let source = RandomAccessSource.file(context.fileSystem, file, sizeBytes: stat.size)
    let digest = try digest(of: source)
    search.digest = digest
    search.matches = try matches(file: digest)
    if let info = try? PackedImageReader.info(in: source) {
      search.uuid = info.uuid
      let known = Set(search.matches.map(\.snapshot))
      search.matches = sorted(
        search.matches + (try matches(info.uuid)).filter { !known.contains($0.snapshot) })
    }
    return search
  }

  private func digest(of source: RandomAccessSource) throws -> Digest {
    var hash = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { buffer.deallocate() }
    let read = source.stream(from: 0)
    while case let count = try read(buffer), count > 0 {
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      context.progress.add(bytes: UInt64(count))
    }
    return hash.finish()
  }

  private func snapshots(
    of store: ObjectStore
  ) throws -> [(SnapshotName, CommittedSnapshot)] {
    try store.refs.images().flatMap { image in
      try store.refs.numbers(of: image).compactMap { number in
        (try? store.refs.read(image, number)).map {
          (SnapshotName(image: image, number: number), $0)
        }
      }
    }
  }

  /// Returns the identity that a root tree contains.
  private func info(in tree: Entry, _ store: ObjectStore) throws -> ImageInfo? {
    let view = EditableTree(tree, in: OverlayTree(store, modified: tree.modified))
    return try view.text(ImageInfo.path).flatMap { ImageInfo($0) }
  }

  private func sorted(_ matches: [BuildMatch]) -> [BuildMatch] {
    matches.sorted {
      ($0.snapshot.image, $0.snapshot.number) < ($1.snapshot.image, $1.snapshot.number)
    }
  }
}

extension Dictionary {
  /// Returns the value of a key, which `make` computes the first time.
  fileprivate mutating func cached(_ key: Key, _ make: () throws -> Value) rethrows -> Value {
    if let value = self[key] { return value }
    let value = try make()
    self[key] = value
    return value
  }
}

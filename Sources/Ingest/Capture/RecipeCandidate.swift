// Finds files of an image that may become recipes, before they are captured. The capture records
// them with their known content and does not store them. Whether each becomes a recipe is decided
// after the trees are in the store.

import Codec
import Platform
import Recipes
import Store

/// A file that a capture does not need to store.
public struct RecipeCandidate: Sendable {
  /// The file's absolute path.
  public let path: [UInt8]
  /// The file's content.
  public let blob: Digest
  /// The file's attributes before it was hashed.
  public let stat: FileStat
  /// Whether the image's latest snapshot has the same content at the same path, so that nothing
  /// must be stored.
  public let isKept: Bool
  fileprivate let fileSystem: any FileSystem
  fileprivate let file: Descriptor

  /// The file's bytes.
  public var source: RandomAccessSource {
    .file(fileSystem, file, sizeBytes: stat.size)
  }

  /// The file as input of a capture.
  public var verifiedFile: VerifiedFile {
    VerifiedFile(stat: stat, flags: fileSystem.inodeFlags(of: file.raw, stat), blob: blob)
  }

  /// Stores the file as chunks.
  /// - Returns: the growth of the store in bytes.
  /// - Throws: `FileChangedError` if the file has changed; `StoreError`, `SystemError`.
  public func storeRaw(_ store: ObjectStore) throws -> UInt64 {
    let session = try store.beginSession()
    try session.runOnce { worker in
      var ingester = BlobIngester(hashesConcurrently: true)
      let stored = try ingester.ingest(worker, from: source.stream(from: 0))
      guard stored.id == blob else {
        throw FileChangedError(
          printable(path), "changed while it was read", hint: "Take the snapshot again")
      }
    }
    try session.finish()
    return session.writtenBytes
  }
}

/// Finds recipe candidates among the files of an image.
public struct RecipeCandidateFinder {
  private let resolver: PathResolver
  private let store: ObjectStore
  private let progress: Progress

  /// Creates a finder.
  public init(_ resolver: PathResolver, _ store: ObjectStore, progress: Progress) {
    self.resolver = resolver
    self.store = store
    self.progress = progress
  }

  /// Finds candidates among the components of an image that are single files.
  ///
  /// A file that is stored as a recipe and was only touched would be stored again, as chunks. It is
  /// therefore hashed first, even if no recipes are requested.
  /// - Parameters:
  ///   - cache: the stat cache; files that it lists as unchanged are in the store.
  ///   - latest: the latest snapshot of the image, which is locked.
  ///   - includesNew: whether to include files that the latest snapshot does not contain.
  /// - Throws: `SystemError`, `StoreError`.
  public func find(
    _ requests: [CaptureRoot], cache: StatCache?, latest: Snapshot?, includesNew: Bool
  ) throws -> [RecipeCandidate] {
    let fileSystem = resolver.fileSystem
    var cached: [[UInt8]: StatCache.Entry] = [:]
    if var cursor = cache?.root.cursor() {
      while let entry = cursor.next() { cached[Array(entry.name)] = entry }
    }
    var candidates: [RecipeCandidate] = []
    for request in requests {
      // The capture reports files that cannot be examined.
      guard let location = try? resolver.resolve(request.path),
        let stat = try? fileSystem.stat(
          at: location.directory.raw, location.name, followLink: false),
        stat.kind == .file, stat.size >= RecipeFinder.minBytes,
        cached[request.path.bytes]?.confirmsContent(of: stat) != true,
        let file = try? fileSystem.openFile(
          at: location.directory.raw, location.name, [.read, .noFollow, .nonBlocking]),
        let opened = try? fileSystem.stat(file.raw), opened == stat
      else { continue }
      let latestBlob = keptBlob(
        request.path.bytes, stat.size, latest, alsoChunks: includesNew)
      guard includesNew || latestBlob != nil else { continue }
      let source = RandomAccessSource.file(fileSystem, file, sizeBytes: stat.size)
      guard
        let head = try? source.bytes(0..<min(stat.size, 512)),
        RecipeFinder.isCandidate(head, sizeBytes: stat.size)
      else { continue }
      progress.begin("reading \(printable(location.name))", totalBytes: stat.size)
      var ingester = BlobIngester()
      let stream = source.stream(from: 0)
      let blob = try ingester.identify { target in
        let n = try stream(target)
        progress.add(bytes: UInt64(n))
        return n
      }
      guard blob.sizeBytes == stat.size, includesNew || blob.id == latestBlob else { continue }
      candidates.append(
        RecipeCandidate(
          path: request.path.bytes, blob: blob.id, stat: stat, isKept: blob.id == latestBlob,
          fileSystem: fileSystem, file: file))
    }
    return candidates
  }

  /// Returns the blob at a path in the latest snapshot if it has the current size.
  private func keptBlob(
    _ path: [UInt8], _ sizeBytes: UInt64, _ latest: Snapshot?, alsoChunks: Bool
  ) -> Digest? {
    guard let component = latest?.components.first(where: { $0.path == path }),
      case .file(let blob, sizeBytes) = component.entry.content
    else { return nil }
    // An unreadable blob is stored again.
    guard let parts = try? store.parts(of: blob, sizeBytes: sizeBytes) else { return nil }
    return alsoChunks || parts.reconstruction != nil ? blob : nil
  }
}

// Files of an image that may become recipes, named before they are captured: the capture takes them as
// known and does not store them, and what comes of each is settled when the trees beside are in the store.

import Codec
import Platform
import Store

/// A file that a capture need not store.
public struct RecipeCandidate: Sendable {
  public let path: [UInt8]
  public let blob: Digest
  public let stat: FileStat
  /// The image's latest snapshot has it, in this very place: there is nothing to be done.
  public let isKept: Bool
  private let fileSystem: any FileSystem
  private let file: Descriptor

  public var source: RandomAccessSource {
    .file(fileSystem, file, sizeBytes: stat.size)
  }

  public var verifiedFiles: VerifiedFile { VerifiedFile(stat: stat, blob: blob) }

  /// Looks at single files among the pieces of an image.
  ///
  /// A file that is kept as a recipe and was only touched would be stored once more, as chunks: so it is
  /// hashed first, also where nobody asks for recipes.
  /// - Parameters:
  ///   - cache: what it vouches for is in the store.
  ///   - latest: the image's latest snapshot; its image is locked.
  ///   - includesNew: whether files are listed that the latest snapshot has not.
  public static func find(
    _ requests: [CaptureRoot], _ resolver: PathResolver, cache: StatCache?, latest: Snapshot?,
    _ store: ObjectStore, includesNew: Bool, progress: Progress
  ) throws -> [RecipeCandidate] {
    let fileSystem = resolver.fileSystem
    var cached: [[UInt8]: StatCache.Entry] = [:]
    if var cursor = cache?.root.cursor() {
      while let entry = cursor.next() { cached[Array(entry.name)] = entry }
    }
    var found: [RecipeCandidate] = []
    for request in requests {
      // What cannot be looked at is the capture's to tell of.
      guard let place = try? resolver.resolve(request.path),
        let stat = try? fileSystem.stat(at: place.directory.raw, place.name, followLink: false),
        stat.kind == .file, stat.size >= RecipeFinder.minBytes,
        cached[request.path.bytes]?.isUpToDate(with: stat) != true,
        let file = try? fileSystem.openFile(
          at: place.directory.raw, place.name, [.read, .noFollow, .nonBlocking]),
        let opened = try? fileSystem.stat(file.raw), opened == stat
      else { continue }
      let kept = try keptBlob(request.path.bytes, stat.size, latest, store, alsoChunks: includesNew)
      guard includesNew || kept != nil else { continue }
      let source = RandomAccessSource.file(fileSystem, file, sizeBytes: stat.size)
      guard
        let head = try? source.bytes(0..<min(stat.size, 512)),
        RecipeFinder.isCandidate(head, sizeBytes: stat.size)
      else { continue }
      progress.begin("reading \(printable(place.name))", totalBytes: stat.size)
      var ingester = BlobIngester()
      let stream = source.stream(from: 0)
      let blob = try ingester.identify { target in
        let n = try stream(target)
        progress.add(bytes: UInt64(n))
        return n
      }
      guard blob.sizeBytes == stat.size, includesNew || blob.id == kept else { continue }
      found.append(
        RecipeCandidate(
          path: request.path.bytes, blob: blob.id, stat: stat, isKept: blob.id == kept,
          fileSystem: fileSystem, file: file))
    }
    return found
  }

  /// What the latest snapshot has in a place, if it is as long as what is there now.
  private static func keptBlob(
    _ path: [UInt8], _ sizeBytes: UInt64, _ latest: Snapshot?, _ store: ObjectStore,
    alsoChunks: Bool
  ) throws -> Digest? {
    guard let piece = latest?.pieces.first(where: { $0.path == path }),
      case .file(let blob, sizeBytes) = piece.entry.content
    else { return nil }
    // One that cannot be read is stored again.
    guard let parts = try? store.parts(of: blob, sizeBytes: sizeBytes) else { return nil }
    return alsoChunks || parts.made != nil ? blob : nil
  }

  /// Stores the file as it is.
  /// - Returns: bytes that the store has grown by.
  /// - Throws: where it is no longer the file that it was.
  public func storeRaw(_ store: ObjectStore) throws -> UInt64 {
    let session = try store.beginSession()
    let isTaken = Monitor(false)
    try session.run { worker in
      let isFirst = isTaken.withLock { taken in
        defer { taken = true }
        return !taken
      }
      guard isFirst else { return }
      var ingester = BlobIngester(beside: true)
      let stored = try ingester.ingest(worker, from: source.stream(from: 0))
      guard stored.id == blob else {
        throw BundleError(
          printable(path), "changed while it was read", advice: "Take the snapshot again")
      }
    }
    try session.finish()
    return session.writtenBytes
  }
}

// Rewrites packed images, ramdisks and other archives without their secrets, in their original format.
//
// 1. A walk over the old archive writes the new one. A squashfs image is written from a tree in a temporary
//    store, so that the image's store does not change.
// 2. Equal input gives equal bytes.
// 3. The new archive is scanned again. If it still holds a secret, the export fails.

import Archive
import Codec
import Ingest
import Platform
import Render
import Store

/// Rewrites archives without their secrets.
struct ArchiveScrubbing {
  private let context: Context
  private let scan: SecretScan
  private var store: ObjectStore { scan.store }

  init(_ context: Context, _ scan: SecretScan) {
    self.context = context
    self.scan = scan
  }

  // MARK: Archives

  /// Returns a tar or cpio archive without its secrets.
  /// - Parameter path: the archive's path, for messages.
  /// - Throws: `ImageError` if the archive's format cannot be written or a secret is left in it.
  func archive(
    _ blob: Digest, _ size: UInt64, _ secrets: ArchiveSecrets, _ path: String
  ) throws -> Spool {
    context.progress.begin("removing secrets", totalBytes: size)
    do {
      let spool = try Spool(store) { sink in
        let visitor = ArchiveScrub(secrets, scan.examiner, .tree, top: ImageRootName.bytes)
        let walk = ArchiveWalk(visitor, compress: compressor)
        try walk.run(try scan.open(blob, size, isSquashfs: false), to: sink)
      }
      try requireClean(path, published: secrets) { spool.source() }
      return spool
    } catch let error as ArchiveError {
      throw ImageError(
        path, "cannot be rewritten without its secrets: \(error.reason)",
        hint: "Pack it again with gzip, xz or zstd, then export again")
    }
  }

  private func compressor(
    _ form: StreamFormat, _ write: (@escaping ByteSink) throws -> Void, _ sink: @escaping ByteSink
  ) throws {
    let codec: SegmentCodec
    switch form {
    case .gzip: codec = .gzip
    case .xz: codec = .xz
    // The kernel reads a single frame.
    case .zstd: codec = .zstdFrame
    case .bzip2, .lzma: throw ArchiveError("imgstore does not write bzip2 and lzma")
    }
    let renderer = SegmentRenderer(
      store, cache: nil, codec: codec, progress: context.progress)
    _ = try renderer.render(
      { body in
        try withoutActuallyEscaping(body) { body in
          let blocks = BlockCollector(codec.sizes.normalBytes) { bytes in
            try body(ArchiveEntry(path: [], header: bytes))
          }
          try write { try blocks.write($0) }
          try blocks.finish()
        }
        return []
      }, to: sink)
  }

  /// Scans a rewritten archive.
  /// - Throws: `ImageError` if the scan finds a secret that no package published.
  private func requireClean(
    _ path: String, published: ArchiveSecrets, _ open: () throws -> ByteSource
  ) throws {
    let kept = Set(published.found.filter { $0.treatment == .kept }.map(\.path))
    let left = try ArchiveScan(scan.examiner, .tree, top: ImageRootName.bytes).run(open)
    if let found = left.found.first(where: { !kept.contains($0.path) }) {
      throw ImageError(
        .secretsFound, path, "still holds a secret after the rewrite, in \(printable(found.path))",
        hint: "Nothing was exported. Remove the file from the image, and report this error")
    }
  }

  // MARK: squashfs

  /// Returns a squashfs image without its secrets.
  /// - Parameter path: the image's path, for messages.
  /// - Throws: `ImageError` if the image cannot be rewritten or a secret is left in it.
  func squashfs(
    _ blob: Digest, _ size: UInt64, _ secrets: ArchiveSecrets, _ path: String
  ) throws -> Spool {
    do {
      let reader = try scan.squashfs(blob, size)
      let spool = try withScratchStore { scratch in
        let session = try scratch.beginSession()
        let tree = try session.withWorker { worker in
          try ArchiveTreeReader(progress: context.progress).read(
            try reader.tarStream(top: ImageRootName.bytes), worker: worker,
            top: ImageRootName.bytes)
        }
        try session.finish()
        let found = try SecretScan(scratch, progress: context.progress).tree(tree.entry)
        let view = OverlayTree(scratch, modified: tree.entry.modified)
        let top = try view.regrouped(try view.apply(found.edits, to: tree.entry))
        let options = SquashfsOptions(
          compression: reader.compression, blockBytes: reader.blockBytes,
          madeSeconds: reader.madeSeconds)
        let file = try store.openNamelessFile()
        _ = try SquashfsWriter(
          view: view, options: options, cache: nil, progress: context.progress
        ).write(tree: top, to: file, on: store.layout.fileSystem)
        return try Spool(store.layout.fileSystem, file)
      }
      try requireClean(path, published: secrets) {
        let written = try SquashfsReader(sizeBytes: spool.sizeBytes) { offset, target in
          try spool.fill(target, at: offset)
        }
        return try written.tarStream(top: ImageRootName.bytes)
      }
      return spool
    } catch let error as ArchiveError {
      throw ImageError(
        path, "cannot be rewritten without its secrets: \(error.reason)",
        hint: "Run 'imgstore pack -m squashfs', then export again")
    } catch let error as BundleError {
      throw ImageError(
        path, "cannot be rewritten without its secrets: \(error.subject): \(error.reason)",
        hint: "Run 'imgstore pack -m squashfs', then export again")
    }
  }

  private static let scratchPrefix = "scrub-"

  /// Calls `body` with a temporary store and deletes it afterwards. Deletes stores of killed runs first.
  private func withScratchStore<R>(_ body: (ObjectStore) throws -> R) throws -> R {
    let fileSystem = store.layout.fileSystem
    let parent = store.scratchDirectory
    let temporary = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, parent, followLink: true)
    for name in (try? fileSystem.names(of: temporary.raw)) ?? []
    where name.starts(with: ArchiveScrubbing.scratchPrefix.utf8) {
      guard let directory = try? fileSystem.openDirectory(at: temporary.raw, name),
        (try? fileSystem.lock(directory.raw, exclusive: true, wait: false)) == true
      else { continue }
      removeDirectory(fileSystem, temporary, name)
    }
    return try ScratchDirectory.with(
      in: parent, named: String(ArchiveScrubbing.scratchPrefix.dropLast()), fileSystem
    ) { directory in
      _ = try? fileSystem.lock(directory.directory.raw, exclusive: true, wait: false)
      let scratch = try ObjectStore(
        fileSystem, path: directory.path + Array("/store".utf8), create: true, report: { _ in })
      return try body(scratch)
    }
  }
}

/// Collects a stream into blocks of one size. So the block boundaries do not depend on the writer's buffers.
private final class BlockCollector {
  private let blockBytes: Int
  private let output: ([UInt8]) throws -> Void
  private var held: [UInt8] = []

  init(_ blockBytes: Int, _ output: @escaping ([UInt8]) throws -> Void) {
    self.blockBytes = blockBytes
    self.output = output
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let n = min(rest.count, blockBytes - held.count)
      held.append(contentsOf: UnsafeRawBufferPointer(rebasing: rest[..<n]))
      rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      if held.count == blockBytes { try finish() }
    }
  }

  func finish() throws {
    if held.isEmpty { return }
    try output(held)
    held.removeAll(keepingCapacity: true)
  }
}

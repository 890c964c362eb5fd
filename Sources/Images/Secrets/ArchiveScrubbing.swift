// Writes packed images, ramdisks and other archives again without their secrets, in the form that they had.
//
// 1. An archive is written by a walk over the old one; a squashfs image from a tree that lies in a store of its
//    own, for as long as that takes: the image's store is not changed.
// 2. The same input gives the same bytes.
// 3. What was written is scanned once more. If a secret were left, nothing would be exported.

import Archive
import Codec
import Ingest
import Platform
import Render
import Store

/// Scrubs archives.
struct ArchiveScrubbing {
  private let workspace: Workspace
  private let scan: SecretScan
  private var store: ObjectStore { scan.store }

  init(_ workspace: Workspace, _ scan: SecretScan) {
    self.workspace = workspace
    self.scan = scan
  }

  // MARK: Archives

  /// - Parameter path: of the archive, for messages.
  /// - Throws: `ImageError` for a form that is read and cannot be written.
  func archive(
    _ blob: Digest, _ size: UInt64, _ secrets: ArchiveSecrets, _ path: String
  ) throws -> Spool {
    workspace.progress.begin("leaving secrets out", totalBytes: size)
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
        path, "cannot be written without its secrets: \(error.finding)",
        advice: "Pack it again with gzip, xz or zstd, and export again")
    }
  }

  private func compressor(
    _ form: StreamForm, _ write: (@escaping ByteSink) throws -> Void, _ sink: @escaping ByteSink
  ) throws {
    let codec: SegmentCodec
    switch form {
    case .gzip: codec = .gzip
    case .xz: codec = .xz
    // Kernels read one frame.
    case .zstd: codec = .zstdFrame
    case .bzip2, .lzma: throw ArchiveError("bzip2 and lzma are read, and never written")
    }
    let renderer = SegmentRenderer(
      store, cache: nil, codec: codec, progress: workspace.progress)
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

  /// - Throws: `ImageError` where a scan of what was written finds a secret that no package published.
  private func requireClean(
    _ path: String, published: ArchiveSecrets, _ open: () throws -> ByteSource
  ) throws {
    let kept = Set(published.found.filter { $0.treatment == .kept }.map(\.path))
    let left = try ArchiveScan(scan.examiner, .tree, top: ImageRootName.bytes).run(open)
    if let found = left.found.first(where: { !kept.contains($0.path) }) {
      throw ImageError(
        path, "would still hold a secret, in \(printable(found.path))",
        advice: "Nothing was exported. Take the file out of the image, and report this")
    }
  }

  // MARK: squashfs

  /// - Parameter path: of the image, for messages.
  /// - Throws: `ImageError` for an image that cannot be written again.
  func squashfs(
    _ blob: Digest, _ size: UInt64, _ secrets: ArchiveSecrets, _ path: String
  ) throws -> Spool {
    do {
      let reader = try scan.squashfs(blob, size)
      let spool = try withScratchStore { scratch in
        let session = try scratch.beginSession()
        let tree = try session.withWorker { worker in
          try ArchiveTreeReader(progress: workspace.progress).read(
            try reader.tarStream(top: ImageRootName.bytes), worker: worker,
            top: ImageRootName.bytes)
        }
        try session.finish()
        let found = try SecretScan(scratch, progress: workspace.progress).tree(tree.entry)
        let view = OverlayTree(scratch, modified: tree.entry.modified)
        let top = try view.regrouped(try view.apply(found.edits, to: tree.entry))
        let options = SquashfsOptions(
          compression: reader.compression, blockBytes: reader.blockBytes,
          madeSeconds: reader.madeSeconds)
        let file = try store.openNamelessFile()
        _ = try SquashfsWriter(
          view: view, options: options, cache: nil, progress: workspace.progress
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
        path, "cannot be written without its secrets: \(error.finding)",
        advice: "Pack it again: 'imgstore pack -m squashfs', and export again")
    } catch let error as BundleError {
      throw ImageError(
        path, "cannot be written without its secrets: \(error.object): \(error.finding)",
        advice: "Pack it again: 'imgstore pack -m squashfs', and export again")
    }
  }

  private static let scratchPrefix = "scrub-"

  /// Gives `body` a store that is gone afterwards. One that a killed run left goes first.
  private func withScratchStore<R>(_ body: (ObjectStore) throws -> R) throws -> R {
    let fileSystem = store.layout.fileSystem
    let parent = store.scratchDirectory
    let temporary = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, parent, followLink: true)
    for name in (try? fileSystem.names(of: temporary.raw)) ?? []
    where name.starts(with: ArchiveScrubbing.scratchPrefix.utf8) {
      guard let folder = try? fileSystem.openDirectory(at: temporary.raw, name),
        (try? fileSystem.lock(folder.raw, exclusive: true, wait: false)) == true
      else { continue }
      removeFolder(fileSystem, temporary, name)
    }
    return try ScratchFolder.with(
      in: parent, named: String(ArchiveScrubbing.scratchPrefix.dropLast()), fileSystem
    ) { folder in
      _ = try? fileSystem.lock(folder.directory.raw, exclusive: true, wait: false)
      let scratch = try ObjectStore(
        fileSystem, path: folder.path + Array("/store".utf8), create: true, report: { _ in })
      return try body(scratch)
    }
  }
}

/// Collects a stream into blocks of one size: where it is cut does not depend on who wrote it.
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

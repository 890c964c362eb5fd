// Reads the layers of an image into the store, one after another, as streams.
//
// 1. The layers are untrusted. `LayerTree` has the rules for their names, and nothing outside the store is
//    written. `ExpansionGuard` bounds the expansion of all layers together.
// 2. Nothing is dropped silently. An attribute that the tree cannot store is reported as a loss, with its
//    name and count.
// 3. The tree equals the one that a capture of the unpacked layers would give.

import Archive
import Codec
import Platform
import Store

/// Reads layers. Belongs to one thread.
public struct LayerReader: ~Copyable {
  private var reading: ArchiveReading<LayerTree>
  private let expansion: ExpansionGuard

  /// Creates a reader of an empty tree.
  /// - Parameters:
  ///   - worker: stores the objects.
  ///   - limits: the maximum size of the tree.
  ///   - hasWhiteouts: whether layers have whiteouts.
  ///   - earlier: a tree with earlier versions of the files; nil if none is known.
  public init(
    worker: SessionWorker, progress: Progress, limits: ArchiveTreeLimits = ArchiveTreeLimits(),
    hasWhiteouts: Bool = true, following earlier: EarlierTree? = nil
  ) {
    let expansion = ExpansionGuard(subject: "the image")
    self.expansion = expansion
    reading = ArchiveReading(
      worker: worker, progress: progress, top: [],
      tree: LayerTree(limits: limits, hasWhiteouts: hasWhiteouts), following: earlier,
      noteHoles: { try expansion.add(holes: $0) })
  }

  /// Applies a layer to the tree.
  /// - Parameters:
  ///   - source: the layer: a tar archive, plain or compressed. It is read to its end.
  ///   - storedBytes: the size of the file that the layer is expanded from; nil if `source` is that file.
  /// - Returns: the SHA-256 of the plain archive.
  /// - Throws: `BundleError` if the layer is rejected; `StoreError`; the errors of `source`.
  public mutating func apply(
    _ source: @escaping ReadAhead.Source, expandedFrom storedBytes: UInt64? = nil
  ) throws -> Digest {
    reading.tree.beginLayer()
    if let storedBytes { expansion.noteSource(Int(clamping: storedBytes)) }
    let countsSource = storedBytes == nil
    let hash = Monitor(LayerHash())
    let expansion = expansion
    let unchecked = UncheckedSource(read: source)
    let plain = ReadAhead {
      let plain = DecompressingReader { target in
        let n = try unchecked.read(target)
        if countsSource { expansion.noteSource(n) }
        return n
      }
      return { target in
        let n = try plain.read(target)
        try expansion.add(UInt64(n))
        hash.withLock { $0.update(UnsafeRawBufferPointer(rebasing: target[..<n])) }
        return n
      }
    }
    do {
      let next: ByteSource = { try plain.read($0) }
      try reading.read(TarReader(next), next, mayLackEnd: true)
    } catch let error as ArchiveError {
      let member = error.member.prefix(255)
      throw BundleError(
        member.isEmpty ? "the layer" : "member \(printable(member))", error.reason,
        hint: error.isExpansionLimit ? BundleError.expansionAdvice : BundleError.damagedAdvice,
        form: .clause)
    }
    return hash.withLock { $0.finish() }
  }

  /// Completes the tree and stores its directories.
  public mutating func finish() throws -> ArchiveTree {
    try reading.resolveLists()
    let worker = reading.worker
    let (top, directories) = reading.tree.finish()
    defer { for directory in directories { directory.releaseChildren() } }
    guard case .directory(let directory) = top.content else {
      preconditionFailure("the top is a directory")
    }
    var builder = TreeBuilder { try worker.add($0.kind, $0.id, $0.bytes) }
    let ids = try builder.build(directory)
    return ArchiveTree(
      entry: builder.entry(top, ids, name: []), entryCount: builder.entryCount + 1,
      contentBytes: builder.contentBytes, losses: reading.losses)
  }
}

/// A source. Only the thread of `ReadAhead` calls it, so it is never used by two at once.
private struct UncheckedSource: @unchecked Sendable {
  let read: ReadAhead.Source
}

/// The hash of a plain layer.
private final class LayerHash {
  private var hash = SHA256()
  func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }
  func finish() -> Digest { hash.finish() }
}

extension BundleError {
  /// The hint for an archive that expands too much.
  static var expansionAdvice: String {
    "Nothing was imported; if you trust its origin, import it with uncompressed layers"
  }
}

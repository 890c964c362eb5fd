// Reads a bundle into the store, once, as a stream, before anything else is decided.
//
//     source ─▶ gzip | xz | lzma | bzip2 | zstd | plain ─▶ tar ─▶ member
//     member ─▶ blob, or tree (rootimgtree.gz)
//
// 1. The bundle is untrusted. An invalid name causes rejection of the whole bundle: one that is absolute,
//    contains "..", occurs twice, is nested too deeply, or is below an entry that is not a directory. So do
//    devices. Links are allowed only in the directories of extras and kits, and must not lead elsewhere.
// 2. Nothing outside the store is written. Members become blobs, trees become objects, and
//    manifests stay in memory.
// 3. If a member's header contains its SHA-256 (in bundles of imgstore, as a comment), the content
//    must match it.

import Platform
import Store

/// Returns an earlier version of the root tree of the image that a manifest describes; nil if none is known.
/// The manifest is untrusted.
public typealias EarlierTreeFinder = @Sendable (_ manifest: [UInt8]) -> EarlierTree?

/// Reads bundles into a session.
public struct BundleReader: Sendable {
  static let maxManifestBytes = 16 << 20
  /// The maximum total size of the manifests and litefile.csv of all images, which stay in memory.
  static let maxKeptBytes = 32 << 20
  /// The memory limit of the decoder of an archive inside the bundle, which runs in addition to the
  /// bundle's own decoder. It is enough for gzip, `xz -9` and imgstore's frames.
  static let innerDecoderBytes = 72 << 20

  private let progress: Progress

  private let staging: StagedBlobs?
  private let forecast: ChunkPredictor
  private let earlierTree: EarlierTreeFinder
  private let signatureGate: SignatureGate

  /// Creates a reader.
  /// - Parameters:
  ///   - staging: receives large files, so that they are placed later without being written again.
  ///   - forecast: predicts chunks of large files from blobs that they may resemble.
  ///   - earlierTree: finds an earlier version of an image's root tree.
  ///   - signatureGate: called before the first file of each image with signatures.
  public init(
    progress: Progress, staging: StagedBlobs? = nil, forecast: ChunkPredictor = ChunkPredictor(),
    earlierTree: @escaping EarlierTreeFinder = { _ in nil },
    signatureGate: @escaping SignatureGate = { _, _ in }
  ) {
    self.earlierTree = earlierTree
    self.signatureGate = signatureGate
    self.progress = progress
    self.staging = staging
    self.forecast = forecast
  }

  /// Reads a bundle to its end.
  /// - Parameters:
  ///   - source: the stream, compressed or not.
  ///   - session: stores the contents.
  /// - Returns: the images, in the order of their directories' names.
  /// - Throws: `BundleError` if the bundle is rejected; `StoreError`; the errors of `source` and of
  ///   the signature gate.
  public func read(
    _ source: @escaping @Sendable (UnsafeMutableRawBufferPointer) throws -> Int,
    into session: WriteSession
  ) throws -> [BundledImage] {
    // One thread reads; the others compress the frames that it fills.
    try session.runOnce { worker in
      var state = BundleReadState(
        worker, progress, staging, forecast, earlierTree, signatureGate)
      try state.read(source)
      return try state.contents.images()
    }
  }
}

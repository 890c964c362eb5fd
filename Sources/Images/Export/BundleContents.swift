// The contents of a bundle that is about to be written: `export` writes them to a file, and the server to a file
// that it serves.

import Platform
import Render
import Store
import XCAT

/// The checked contents of a bundle.
struct BundleContents {
  let files: [RenderedFile]
  let signatures: ExportSignatures
  private let directory: String
  private let manifest: [UInt8]
  private let modified: Timestamp

  /// Checks that an import would accept the bundle, and collects its signatures.
  /// - Parameters:
  ///   - files: the members of `layout` with their bytes.
  ///   - request: names the key that signs the bundle.
  /// - Throws: `ImageError` for a bundle that no import would accept.
  init(
    _ context: Context, _ snapshot: CommittedSnapshot, _ collection: ExportCollection,
    _ layout: ExportLayout, _ files: [RenderedFile], _ request: ExportRequest
  ) throws {
    manifest = Array(try layout.manifest.render())
    try ExportCheck(layout, files).run(manifest: manifest, install: collection.install)
    signatures = try ExportSignatures(
      context, snapshot, collection.view(layout, manifest, files, snapshot),
      install: collection.install, isScrubbed: request.scrubs, key: request.signingKey)
    self.files = files
    directory = layout.directory
    modified = snapshot.snapshot.created
  }

  /// Writes the bundle.
  /// - Throws: `StoreError`; the errors of `sink`.
  func write(
    with writer: BundleWriter, to sink: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try writer.write(
      directory: directory, manifest: manifest, files: files, modified: modified,
      leading: signatures.files, to: sink)
  }
}

// Simulates an update of a tree for `bench`. It replaces the whole content of some files with other content
// that compresses equally well.

import Codec
import Platform
import Render
import Store

extension EditableTree {
  /// Replaces the content of files, about `percent` of all bytes. The choice looks random, but is the same in
  /// every run.
  /// - Returns: the number of new bytes.
  mutating func renewFiles(
    percent: Double, of contentBytes: UInt64, in store: ObjectStore
  ) throws -> UInt64 {
    var candidates: [(path: RelativePath, entry: Entry, blob: Digest, sizeBytes: UInt64)] = []
    func collect(_ directory: Entry, _ path: RelativePath) throws {
      guard let ids = directory.ids else { return }
      for entry in try Tree.entries(ids, from: view) {
        switch entry.content {
        case .directory: try collect(entry, path.appending(entry.name))
        case .file(let blob, let size) where size > 0 && size <= 32 << 20 && entry.linkGroup == 0:
          candidates.append((path.appending(entry.name), entry, blob, size))
        default: break
        }
      }
    }
    try collect(top, .top)
    // Digests serve as random numbers.
    candidates.sort { $0.blob.bytes.lexicographicallyPrecedes($1.blob.bytes) }
    let desired = UInt64(Double(contentBytes) * percent / 100)
    let session = try store.beginSession()
    var changed: UInt64 = 0
    var edits = TreeEdits()
    for file in candidates where changed < desired {
      guard file.sizeBytes <= 2 * (desired - changed) else { continue }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(Int(file.sizeBytes))
      try view.read(file.blob, sizeBytes: file.sizeBytes) { chunk in
        for byte in chunk { bytes.append(byte &+ 1) }
      }
      var entry = file.entry
      entry.content = .file(blob: try session.addBlob(bytes), sizeBytes: file.sizeBytes)
      edits.put(file.path, .stored(entry))
      changed += file.sizeBytes
    }
    try session.finish()
    try change { $0 = edits }
    return changed
  }
}

// Another store as a source of lost objects, by content hash.
//
// 1. Nothing is trusted: an object's bytes are hashed before they are stored. A recipe is followed in the
//    other store, and its result hashed, before it is copied.
// 2. A directory is copied with everything it refers to, so one walk restores a whole lost tree.

import Codec
import Platform

/// Copies objects from one store into a session of another.
final class StoreSource {
  private let other: ObjectStore
  private let store: ObjectStore
  private let session: WriteSession
  private let progress: Progress
  private var visitedDirectories: Set<Tree.IDs> = []
  private var visitedBlobs: Set<Digest> = []

  init(
    _ other: ObjectStore, _ store: ObjectStore, _ session: WriteSession, _ progress: Progress
  ) {
    (self.other, self.store, self.session, self.progress) = (other, store, session, progress)
  }

  /// Copies the lost objects that the other store has.
  func offer(_ losses: Losses) throws {
    try session.withWorker { worker in
      for ids in losses.directories { try copy(ids, worker) }
      for name in losses.objects.sorted(by: { $0.id < $1.id }) {
        if name.kind == .recipe {
          try copyBlob(name.id, worker)
        } else {
          try copy(name.kind, name.id, worker)
        }
      }
    }
  }

  /// Copies everything that a snapshot of the other store needs and this store lacks.
  func copy(_ snapshot: Snapshot) throws {
    try session.withWorker { worker in
      for component in snapshot.components { try copy(component.entry, worker) }
    }
  }

  private func copy(_ entry: Entry, _ worker: SessionWorker) throws {
    try entry.forEachReference { reference in
      switch reference {
      case .object(let kind, let id): try copy(kind, id, worker)
      case .blob(let blob): try copyBlob(blob, worker)
      case .directory(let ids): try copy(ids, worker)
      }
    }
  }

  /// Copies one object that is not a recipe; false if the other store has no intact copy.
  @discardableResult
  private func copy(
    _ kind: ObjectKind, _ id: Digest, _ worker: SessionWorker
  ) throws -> Bool {
    guard try other.index.location(kind, id) != nil, let bytes = try? other.object(kind, id),
      SHA256.digest(of: bytes) == id
    else { return false }
    progress.add(bytes: UInt64(bytes.count), items: 1)
    try worker.add(kind, id, bytes)
    return true
  }

  private func copy(_ ids: Tree.IDs, _ worker: SessionWorker) throws {
    guard visitedDirectories.insert(ids).inserted else { return }
    guard let leaves = try? Tree.leaves(ids, from: other),
      let entries = try? Tree.entries(ids, from: other)
    else { return }
    for directory in [ids] + leaves {
      try copy(.tree, directory.tree, worker)
      try copy(.times, directory.times, worker)
    }
    for entry in entries { try copy(entry, worker) }
  }

  private func copyBlob(_ blob: Digest, _ worker: SessionWorker, depth: Int = 0) throws {
    guard depth <= ObjectStore.maxReconstructionDepth, visitedBlobs.insert(blob).inserted else {
      return
    }
    if try copy(.chunk, blob, worker) { return }
    guard try other.index.location(.recipe, blob) != nil,
      let bytes = try? other.object(.recipe, blob), let recipe = try? BlobLayout.decode(bytes),
      let references = try? other.references(ofRecipeOf: blob)
    else { return }
    // The lost chunks may be enough, so they are copied first.
    for chunk in references.chunks { try copy(.chunk, chunk, worker) }
    for part in references.blobs { try copyBlob(part.id, worker, depth: depth + 1) }
    var hash = SHA256()
    do {
      try other.read(blob, sizeBytes: recipe.sizeBytes) { _, bytes in hash.update(bytes) }
    } catch {
      return
    }
    if hash.finish() == blob { try worker.add(.recipe, blob, bytes) }
  }
}

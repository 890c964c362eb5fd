// Where the earlier versions of an image's files are: what new files are compressed against.

import Ingest
import Store
import XCAT

/// Finds the snapshot that resembles an image the most.
struct EarlierVersions: Collaborator {
  let context: Context

  /// Returns the latest snapshot of an image, or else that of the image with the most similar name; nil if
  /// the store has none that can be read.
  /// - Parameter latest: the latest snapshot, if the caller knows it.
  func snapshot(for image: ImageName, latest: Snapshot? = nil) throws -> Snapshot? {
    if let latest { return latest }
    let store = try context.store()
    if let own = try? store.refs.latestReadable(of: image) { return own.snapshot }
    let others = try store.refs.images().filter { $0 != image }
    let similar = others.max { commonPrefix($0, image) < commonPrefix($1, image) }
    return similar.flatMap { try? store.refs.latestReadable(of: $0) }?.snapshot
  }

  /// Returns the root tree of the snapshot that resembles an image. It is a hint: errors are as if there were
  /// none.
  func tree(for image: ImageName) -> EarlierTree? {
    guard let store = try? context.store(), let earlier = try? snapshot(for: image) else {
      return nil
    }
    return EarlierTree(store, earlier)
  }

  /// Returns the same for the image that a manifest describes.
  func tree(for manifest: Manifest) -> EarlierTree? {
    (try? ImageName(manifest.imageName)).flatMap { tree(for: $0) }
  }

  /// Returns the same for a tree that goes to a destination.
  func tree(for destination: OCIDestination) -> EarlierTree? {
    switch destination {
    case .directory(let manifest): tree(for: manifest)
    case .rootTree(let image): tree(for: image)
    }
  }

  private func commonPrefix(_ a: ImageName, _ b: ImageName) -> Int {
    zip(a.bytes, b.bytes).prefix { $0 == $1 }.count
  }
}

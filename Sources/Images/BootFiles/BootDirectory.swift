// The images that have boot files, with their snapshots and tags: the list at the top of the boot URLs.

import Platform
import Store
import Transfer

/// An image and the snapshots that can be booted.
public struct BootDirectory: Sendable {
  public let image: String
  /// The numbers of its snapshots, in ascending order.
  public let numbers: [Int]
  /// Its tags with their numbers, sorted by name.
  public let tags: [(name: String, number: Int)]
}

extension Workspace {
  /// Returns the directory for rendered boot files if none is chosen: in the store's cache, or in /var/cache without a
  /// store that can be written.
  /// - Throws: `StoreError` if the store cannot be opened.
  public func renderedFilesDirectory() throws -> String {
    guard let store = try context.storeIfPresent(), !store.layout.isReadOnly else {
      return "/var/cache/imgstore"
    }
    return String(decoding: context.storePath, as: UTF8.self) + "/cache/rendered"
  }

  /// Returns the images that have snapshots, sorted by name.
  /// - Parameter remote: the remote whose images are meant; nil for those of the store.
  public func bootDirectories(remote: String? = nil) throws -> [BootDirectory] {
    try BootDirectoryLister(context).list(remote: remote)
  }
}

/// Lists images with their snapshots.
struct BootDirectoryLister: Collaborator {
  let context: Context

  func list(remote: String?) throws -> [BootDirectory] {
    if let remote {
      let histories = try RemoteReader(context).histories(at: remote)
      return histories.map {
        entry($0.image.text, $0.snapshots.map(\.number).sorted(), $0.tags)
      }
    }
    guard let store = try context.storeIfPresent() else { return [] }
    return try store.refs.histories().map { image, numbers in
      entry(image.text, numbers, try MarkEditor(context).intactTags(of: image))
    }
  }

  private func entry(_ image: String, _ numbers: [Int], _ tags: [String: Int]) -> BootDirectory {
    BootDirectory(
      image: image, numbers: numbers,
      tags: tags.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
  }
}

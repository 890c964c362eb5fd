// Removing, tagging and pinning snapshots of a depot.

import Platform
import Store

extension Depot {
  /// Removes a snapshot. Its objects stay until the next collection.
  /// - Throws: `snapshotNotFound`; `snapshotProtected` for a tagged or pinned one; `StorageError`.
  public func forget(_ image: ImageName, _ number: Int) throws {
    guard try marks.forget(image, number) else { throw snapshotNotFound(image, number) }
  }

  /// Gives a snapshot a tag, unless the tag names another one.
  /// - Returns: the number that has the tag now.
  /// - Throws: `snapshotNotFound`; `invalidName`; `busy` while the snapshot is being removed; `StorageError`.
  public func tag(_ tag: String, of image: ImageName, _ number: Int) throws -> Int {
    try marks.tag(tag, of: image, number)
  }

  /// Deletes a tag.
  /// - Returns: false if the image has no such tag.
  public func untag(_ tag: String, of image: ImageName) throws -> Bool {
    try marks.untag(tag, of: image)
  }

  /// Pins a snapshot, unless it is pinned.
  /// - Throws: `snapshotNotFound`; `busy` while the snapshot is being removed; `StorageError`.
  public func pin(_ image: ImageName, _ number: Int, reason: String) throws {
    try marks.pin(image, number, reason: reason)
  }

  /// Deletes a pin.
  /// - Returns: false if the snapshot is not pinned.
  public func unpin(_ image: ImageName, _ number: Int) throws -> Bool {
    try marks.unpin(image, number)
  }

  private func snapshotNotFound(_ image: ImageName, _ number: Int) -> DepotError {
    DepotError(
      .snapshotNotFound, "\(image)@\(number)", "does not exist in \(name)",
      hint: "List the history of the image there")
  }
}

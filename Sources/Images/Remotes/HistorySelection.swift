// Finds the snapshot of a remote history that a reference names: the same forms as for snapshots of this store.

import Codec
import Platform
import Store
import Transfer

/// Resolves references in the histories of a place.
struct HistorySelection {
  let source: any SnapshotCatalog

  /// Returns the image that a name means at the place: the exact name, or a part that only one has.
  /// - Throws: `ImageError`: `imageNotFound`, `imageAmbiguous`.
  func image(named text: String) throws -> ImageName {
    if let image = try? ImageName(text), try !source.history(of: image).snapshots.isEmpty {
      return image
    }
    let images = try source.images()
    if text.isEmpty, images.count == 1 { return images[0] }
    let found = images.filter { !text.isEmpty && $0.text.contains(text) }
    guard found.count < 2 else {
      throw ImageError(
        .imageAmbiguous, "'\(text)'",
        "is a part of the names of \(found.count) images of \(source.name)",
        hint: "They are \(ImageLookup.list(found.map(\.text)))")
    }
    guard let image = found.first else {
      throw ImageError(
        .imageNotFound, "image '\(text)'", "has no snapshot in \(source.name)",
        hint: images.isEmpty
          ? "That place has no snapshots" : "Its images are \(ImageLookup.list(images.map(\.text)))"
      )
    }
    return image
  }

  /// Returns the snapshot that a reference names.
  /// - Throws: `ImageError`: `snapshotNotFound`, `invalidReference`.
  func item(_ reference: Reference) throws -> (history: RemoteHistory, item: RemoteHistory.Item) {
    let history = try source.history(of: image(named: reference.image))
    guard let item = try item(reference.selector, history) else {
      throw ImageError(
        .snapshotNotFound, "image \(history.image)", "has no such snapshot in \(source.name)",
        hint: "'imgstore log REMOTE/\(history.image)' lists its snapshots")
    }
    return (history, item)
  }

  private func item(
    _ selector: Reference.Selector, _ history: RemoteHistory
  ) throws -> RemoteHistory.Item? {
    let all = history.snapshots
    func number(_ number: Int?) -> RemoteHistory.Item? { all.first { $0.number == number } }
    func prefix(_ text: String) throws -> RemoteHistory.Item? {
      let found = Set(all.filter { $0.id.hex.hasPrefix(text.lowercased()) }.map(\.id))
      guard found.count < 2 else {
        throw ImageError(
          .invalidReference, "'\(text)'", "is the start of the ids of several snapshots",
          hint: "Write more digits")
      }
      return all.last { found.contains($0.id) }
    }
    switch selector {
    case .latest: return all.last
    case .number(let target): return number(target)
    case .numberOrID(let text):
      return try number(Int(text)) ?? prefix(text)
    case .back(let count): return count < all.count ? all[all.count - 1 - count] : nil
    case .tag(let tag):
      if let found = number(history.tags[tag]) { return found }
      return Reference.isIDPrefix(tag) ? try prefix(tag) : nil
    case .idPrefix(let text): return try prefix(text)
    case .asOf(let time):
      for item in all.reversed()
      where try source.snapshot(history.image, item.number).snapshot.created.seconds <= time {
        return item
      }
      return nil
    case .live:
      throw ImageError(
        .invalidReference, "the reference '@live'", "names a live image, and remotes have none")
    }
  }
}

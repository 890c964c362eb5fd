// Finds what URLs name: IMAGE, and REF after it.
//
// 1. A URL has the whole name of an image. A part of a name, which commands accept, is not found.
// 2. A name with "/" is not found: to commands it would be a directory, or an image at a remote.
// 3. `IMAGE@live` is refused: the server reads stores only.

import HTTPServer
import Images

/// Finds images and snapshots by the texts of URLs.
struct SnapshotFinder {
  private let workspace: Workspace
  private let opener: WorkspaceOpener

  init(_ workspace: Workspace, _ opener: WorkspaceOpener) {
    (self.workspace, self.opener) = (workspace, opener)
  }

  /// Returns all images: those of the store, or of the remote that is served.
  func images() throws -> [ImageSummary] {
    try opener.remote.map { try workspace.images(at: $0) } ?? workspace.images()
  }

  /// Returns an image.
  /// - Throws: `ImageError` (`imageNotFound`).
  func image(_ name: String) throws -> ImageSummary {
    try SnapshotFinder.requirePlain(name)
    guard let image = try images().first(where: { $0.name == name }) else {
      throw SnapshotFinder.noImage(name)
    }
    return image
  }

  /// Returns the reference of an image for the functions of `Workspace`.
  /// - Throws: `ImageError` (`imageNotFound`) if no image has the name.
  func imageReference(_ name: String) throws -> String {
    _ = try image(name)
    return opener.reference(name)
  }

  /// Returns the snapshot `IMAGE@REF`.
  /// - Throws: `ImageError`: `snapshotNotFound` if there is none, `ForgottenSnapshotError` if it was removed.
  func snapshot(_ image: String, _ ref: String) throws -> CommittedSnapshot {
    try SnapshotFinder.requirePlain(image)
    let reference = try Reference(opener.reference("\(image)@\(ref)"))
    guard reference.selector != .live else {
      throw ImageError(
        .invalidReference, "reference '\(image)@live'", "names the live image, which is not served")
    }
    do {
      let found = try workspace.find(reference)
      guard found.snapshot.image == image else { throw SnapshotFinder.noImage(image) }
      return found
    } catch let error as ImageError where error.errorCode == .snapshotNotFound {
      throw try removed(image, ref, reference) ?? error
    }
  }

  /// Returns the snapshot of a text like "IMAGE@REF".
  func snapshot(reference text: String) throws -> CommittedSnapshot {
    guard let at = text.firstIndex(of: "@") else { return try snapshot(text, "latest") }
    return try snapshot(String(text[..<at]), String(text[text.index(after: at)...]))
  }

  /// Returns the error of a snapshot that existed; nil if that is not known. Numbers are never used again, so
  /// a number below that of a newer snapshot of a remote was used.
  private func removed(
    _ image: String, _ ref: String, _ reference: Reference
  ) throws -> (any Error)? {
    if opener.remote == nil, try workspace.wasForgotten(reference) {
      return ForgottenSnapshotError(name: "\(image)@\(ref)")
    }
    guard case .number(let number) = reference.selector, number > 0,
      let history = try? workspace.history(of: opener.reference(image), limit: 1)
    else { return nil }
    if let lost = history.unreadable.first(where: { $0.name.number == number }) {
      return ImageError(
        .snapshotDamaged, "snapshot \(image)@\(number)", lost.reason,
        hint: "Run 'imgstore verify' to see what else is affected; 'imgstore repair' may help")
    }
    guard opener.remote != nil, let latest = history.entries.first?.committed.number,
      number < latest
    else { return nil }
    return ForgottenSnapshotError(name: "\(image)@\(number)")
  }

  private static func requirePlain(_ name: String) throws {
    if name.isEmpty || name.utf8.contains(where: { "/@:".utf8.contains($0) || $0 < 0x20 }) {
      throw noImage(name)
    }
  }

  private static func noImage(_ name: String) -> ImageError {
    ImageError(.imageNotFound, "image '\(printable(name.utf8))'", "does not exist")
  }
}

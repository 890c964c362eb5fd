// imgstore remove --definition: removes a directory from the list of images. Its snapshots and the directory
// itself stay.

import Store
import XCAT

/// The outcome of `remove --definition` for one image, or of its dry run.
public struct RemovedDefinition: Sendable {
  public let image: String
  /// The directory, which stays.
  public let path: String
  /// The number of the image's snapshots, which stay.
  public let snapshots: Int
}

extension Workspace {
  /// Removes images that are directories from the list of images: all of them, or none.
  /// - Parameter names: the names of the images, or the paths of their directories, which need not exist.
  /// - Throws: `ImageError`: `usage` for an osimage of xCAT, `invalidReference` for a snapshot,
  ///   `imageNotFound`, `changeUnfinished`.
  public func removeDefinitions(
    _ names: [String], dryRun: Bool = false
  ) throws -> [RemovedDefinition] {
    try DefinitionRemover(context).removeDefinitions(names, dryRun: dryRun)
  }
}

/// Removes definitions.
struct DefinitionRemover: Collaborator {
  let context: Context

  func removeDefinitions(
    _ names: [String], dryRun: Bool = false
  ) throws -> [RemovedDefinition] {
    let store = try context.store()
    let images = try Set(names.map(definedDirectory)).sorted()
    let locks = try images.map { try ImageLocks(context).lock($0, store, isDryRun: dryRun) }
    defer { withExtendedLifetime(locks) {} }
    var removed: [RemovedDefinition] = []
    var changes: [RowChange] = []
    for image in images {
      let definition = try ImageCapturer(context).definition(of: image)
      changes += definition.removalOfDirectory(image)
      removed.append(
        RemovedDefinition(
          image: image.text, path: definition.directoryPath?.text ?? "",
          snapshots: try store.refs.numbers(of: image).count))
    }
    if !dryRun {
      try LiveRows(context).applyRows(changes)
    } else if !store.layout.isReadOnly {
      try context.tables().validate(changes)
    }
    return removed
  }

  /// Returns the image of exactly that name, which must be a directory.
  private func definedDirectory(_ name: String) throws -> ImageName {
    if DirectoryImages.isPath(name),
      let owner = try DirectoryImages(context).directoryOwner(
        DirectoryImages(context).directoryPath(name))
    {
      return try definedDirectory(owner.text)
    }
    guard !name.contains(where: { "@:".contains($0) }) else {
      throw ImageError(
        .invalidReference, "reference '\(name)'", "names a snapshot, but an image is expected",
        hint: "Write only the name of the image")
    }
    guard let image = try? ImageName(name),
      let definition = try context.tables().definition(of: name)
    else {
      throw ImageError(
        .imageNotFound, "image '\(name)'", "is not defined",
        hint: "'imgstore images' lists all images")
    }
    guard definition.isDirectory else {
      throw ImageError(
        .usage, "image \(image)", "is defined in xCAT's tables",
        hint: "'rmdef -t osimage -o \(image)' removes it there; its snapshots stay")
    }
    return image
  }

  /// Removes a new image from the list again, after its first snapshot failed.
  func withdraw(_ image: ImageName) {
    guard let store = try? context.store(), (try? store.refs.numbers(of: image))?.isEmpty == true,
      let definition = try? context.tables().definition(of: image.text), definition.isDirectory
    else { return }
    _ = try? LiveRows(context).applyRows(definition.removalOfDirectory(image))
  }
}

extension ImageDefinition {
  /// Returns the row changes that remove an image that is a directory from the list.
  func removalOfDirectory(_ image: ImageName) -> [RowChange] {
    ImageDefinition().rowChanges(of: image.text, replacing: self)
  }
}

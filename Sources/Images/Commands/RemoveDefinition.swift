// imgstore remove --definition: a directory is no image any more. Its snapshots, and the directory itself, stay.

import Platform
import Store
import XCAT

/// What `remove --definition` did, or would do.
public struct RemovedDefinition: Sendable {
  public let image: String
  /// The directory, which stays.
  public let path: String
  /// How many snapshots the image has, which stay.
  public let snapshots: Int
}

extension Workspace {
  /// Takes images that are directories off the list: all of them, or none.
  /// - Parameter names: of images, or their directories, whether these are there or not.
  /// - Throws: `ImageError` for an image of xCAT's, and for one that is half changed.
  public func removeDefinitions(
    _ names: [String], dryRun: Bool = false
  ) throws -> [RemovedDefinition] {
    let store = try store()
    let images = try Set(names.map(definedDirectory)).sorted()
    let locks = try images.map { try lock($0, store, isDryRun: dryRun) }
    defer { withExtendedLifetime(locks) {} }
    var removed: [RemovedDefinition] = []
    var changes: [RowChange] = []
    for image in images {
      let definition = try definition(of: image)
      changes += definition.removalOfDirectory(image)
      removed.append(
        RemovedDefinition(
          image: image.text, path: definition.directoryPath?.text ?? "",
          snapshots: try store.refs.numbers(of: image).count))
    }
    if !dryRun { try applyRows(changes) }
    return removed
  }

  /// The image of that very name, which is a directory.
  private func definedDirectory(_ name: String) throws -> ImageName {
    if Workspace.isPath(name), let owner = try directoryOwner(directoryPath(name)) {
      return try definedDirectory(owner.text)
    }
    guard !name.contains(where: { "@:".contains($0) }) else {
      throw ImageError(
        .usage, "reference '\(name)'", "names a snapshot, where an image is asked for",
        advice: "Write the image's name alone")
    }
    guard let image = try? ImageName(name), let definition = try tables().definition(of: name)
    else {
      throw ImageError(
        .notFound, "image '\(name)'", "is not defined",
        advice: "'imgstore images' lists what there is")
    }
    guard definition.isDirectory else {
      throw ImageError(
        .usage, "image \(image)", "is defined in xCAT's tables",
        advice: "'rmdef -t osimage -o \(image)' removes it there; its snapshots stay")
    }
    return image
  }

  /// Takes an image off the list again whose first snapshot could not be taken.
  func withdraw(_ image: ImageName) {
    guard let store = try? store(), (try? store.refs.numbers(of: image))?.isEmpty == true,
      let definition = try? tables().definition(of: image.text), definition.isDirectory
    else { return }
    _ = try? applyRows(definition.removalOfDirectory(image))
  }
}

extension ImageDefinition {
  /// The changes that take an image that is a directory off the list.
  func removalOfDirectory(_ image: ImageName) -> [RowChange] {
    ImageDefinition().rowChanges(of: image.text, replacing: self)
  }
}

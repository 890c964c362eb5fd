// The directory image that an image without a definition becomes.

import Ingest
import Platform
import Store
import XCAT

/// Finds the name and the directory of an image that did not come with a bundle.
struct OCIDestination: Collaborator {
  let context: Context

  /// Returns the manifest of a directory image that consists of one tree. A present image keeps its excludes,
  /// and without `--to` its directory.
  /// - Parameter name: the name that the image has by itself; nil for none.
  /// - Throws: `ImageError`: `usage` if the directory is unknown, `alreadyExists` for an image of xCAT.
  func manifest(named name: String?, _ request: ImportRequest) throws -> Manifest {
    let given = try request.directory.map { try DirectoryImages(context).directoryPath($0) }
    guard let name = request.name ?? given.map({ printable($0.lastComponent) }) ?? name else {
      throw ImageError(
        .usage, "--to", "is missing: this image has no directory of its own",
        hint: "Name the directory for the tree: --to /srv/images/NAME")
    }
    let existing = try context.tables().definition(of: ImageName(name).text)
    if let existing, !existing.isDirectory {
      throw ImageError(
        .alreadyExists, "image \(name)", "is an image of xCAT, which this image cannot replace",
        hint: "Nothing was imported. Give the new image another name with --name")
    }
    guard let path = given ?? existing?.directoryPath else {
      throw ImageError(
        .usage, "--to", "is missing: no image \(name) exists here, so its directory is unknown",
        hint: "Name the directory for the tree: --to /srv/images/\(name)")
    }
    var manifest = Manifest()
    manifest.directory = ["imagename": name, "path": path.text]
    manifest.excludes = existing?.excludes ?? []
    manifest.closure = [.init(member: BundledImage.treeName, path: path.text, isTree: true)]
    return manifest
  }
}

// Where a tree goes that came without a definition: in an OCI image, a squashfs image or a Confluent profile.
//
// An image of xCAT gets it as its root tree. Any other name becomes a directory image.

import Ingest
import Platform
import Store
import XCAT

/// A tree that did not come with a bundle, in the store.
struct DefinitionlessImage {
  let tree: ArchiveTree
  let destination: OCIDestination
  /// Facts about its origin.
  let facts: [Snapshot.Fact]
  let remarks: [String]
  /// The size of the files that were read.
  let sizeBytes: UInt64

  /// Returns the only image of a bundle. It has a manifest if it becomes a directory image.
  func bundled() throws -> BundledImage {
    let manifest: [UInt8]
    switch destination {
    case .directory(let directory): manifest = try directory.render()
    case .rootTree: manifest = []
    }
    return BundledImage(manifest: manifest, tree: tree, facts: facts, remarks: remarks)
  }
}

/// The destination of a tree that did not come with a bundle.
enum OCIDestination {
  /// A directory image, with the manifest of a bundle that consists of its tree.
  case directory(Manifest)
  /// The root tree of an image of xCAT.
  case rootTree(ImageName)
}

/// Finds the destinations of trees that did not come with a bundle.
struct OCIDestinationFinder: Collaborator {
  let context: Context

  /// Returns the destination that a request means. A present directory image keeps its excludes, and without
  /// `--to` its directory.
  /// - Parameter name: the name that the image has by itself; nil for none.
  /// - Throws: `ImageError`: `usage` if the directory is unknown, or for options of bundles; `alreadyExists`
  ///   for a directory with the name of an image of xCAT.
  func destination(named name: String?, _ request: ImportRequest) throws -> OCIDestination {
    let given = try request.directory.map { try DirectoryImages(context).directoryPath($0) }
    guard let name = request.name ?? given.map({ printable($0.lastComponent) }) ?? name else {
      throw ImageError(
        .usage, "--to", "is missing: this image has no directory of its own",
        hint:
          "Name the directory for the tree: --to /srv/images/NAME. '--name IMAGE' means the root "
          + "tree of an image of xCAT")
    }
    let image = try ImageName(name)
    let existing = try context.tables().definition(of: image.text)
    if let existing, !existing.isDirectory {
      try requireNoOtherPlace(image, request)
      return .rootTree(image)
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
    return .directory(manifest)
  }

  /// Refuses the options that place or define a new image.
  private func requireNoOtherPlace(_ image: ImageName, _ request: ImportRequest) throws {
    if request.directory != nil {
      throw ImageError(
        .alreadyExists, "image \(image)", "is an image of xCAT, whose tree has its place",
        hint:
          "Nothing was imported. Leave out --to to replace its root tree, or give the directory "
          + "image another name with --name")
    }
    let refused = [
      ("--profile", request.profile != nil), ("--postscripts", request.nodes != nil),
      ("--orig", request.keepsOriginals), ("--merge", request.mergesColumns),
    ].first { $0.1 }
    if let refused {
      throw ImageError(
        .usage, refused.0, "is for bundles, but this image has no definition of xCAT",
        hint: "Nothing was imported. Leave it out: the definition of \(image) stays as it is")
    }
  }
}

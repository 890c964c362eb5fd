// Checks whether a directory can become an image.
//
// 1. Virtual file systems of the kernel (/proc, /sys, device nodes) cannot be images: two reads of them never
//    agree.
// 2. The root of the management node and the store cannot be images.
// 3. No image contains another. Otherwise snapshots would contain a directory twice, and a change of one
//    image would change the other.

import Platform
import Store
import XCAT

/// The types of file systems without user files (statfs(2)).
private enum PseudoFileSystem {
  private static let names: [UInt64: String] = [
    0x9fa0: "proc", 0x6265_6572: "sysfs", 0x1cd1: "devpts", 0x27_e0eb: "cgroup",
    0x6367_7270: "cgroup2", 0x7363_6673: "securityfs", 0x6462_6720: "debugfs",
    0x7472_6163: "tracefs", 0xcafe_4a11: "bpf", 0x6265_6570: "configfs",
    0xde5e_81e4: "efivarfs", 0x1980_0202: "mqueue", 0x9584_58f6: "hugetlbfs",
    0x6165_676c: "pstore", 0xf97c_ff8c: "selinuxfs", 0x4249_4e4d: "binfmt_misc",
    0x6573_5543: "fusectl", 0x0187: "autofs", 0x6e73_6673: "nsfs",
  ]

  static func name(_ type: UInt64) -> String? { names[type & 0xffff_ffff] }
}

/// A path inside an image.
struct PathInImage {
  let image: ImageName
  /// The path relative to the image's root tree; empty for the tree itself.
  let path: [UInt8]
}

/// Checks which directories may become images.
struct DirectoryChecks: Collaborator {
  let context: Context

  /// Checks that a directory can become an image. An absent one can.
  /// - Throws: `ImageError` (`usage`) if it cannot.
  func requireUsable(_ path: AbsolutePath) throws {
    let object = "directory \(path.text)"
    func refuse(_ reason: String) -> ImageError {
      ImageError(
        .usage, object, reason,
        hint: "Nothing was added; name the directory that is the root of the tree")
    }
    guard let stat = try ImageCapturer(context).statLive(path) else { return }
    let own = FileIdentity(stat)
    let top = try context.fileSystem.stat(context.resolver.root.raw)
    if own == FileIdentity(top) {
      throw refuse("is the root of this machine, and cannot be an image")
    }
    let resolved = try context.resolver.resolve(path)
    let directory = try context.fileSystem.openDirectory(at: resolved.directory.raw, resolved.name)
    if let name = PseudoFileSystem.name(context.fileSystem.fileSystemType(directory.raw)) {
      throw refuse("is on a file system of the kernel (\(name)), and cannot be an image")
    }
    // devtmpfs has the type of tmpfs, so it is recognized by its device: that of /dev.
    if let devices = try ImageCapturer(context).statLive(
      AbsolutePath(components: [Array("dev".utf8)])),
      devices.device != top.device, devices.device == stat.device
    {
      throw refuse("holds this machine's devices, and cannot be an image")
    }
    if try isInStore(path) { throw refuse("belongs to the store, and cannot be an image") }
  }

  /// Returns whether a path is in the store, links resolved.
  private func isInStore(_ path: AbsolutePath) throws -> Bool {
    guard let store = try StoreProtection(context).storeIdentity() else { return false }
    var directory = try LivePaths(context).realPath(path) ?? path
    while true {
      if try ImageCapturer(context).statLive(directory).map({ FileIdentity($0) }) == store {
        return true
      }
      if directory.isRoot { return false }
      directory = directory.parent
    }
  }

  /// Checks that a directory is not inside another image and contains none.
  /// - Throws: `ImageError` if it is or does.
  func requireNotNested(_ path: AbsolutePath, as image: ImageName) throws {
    if let holder = try imageHolding(path), holder.image != image {
      throw ImageError(
        "directory \(path.text)", "is inside the image \(holder.image)",
        hint: "Nothing was added: 'imgstore snapshot \(holder.image)' already includes it")
    }
    let own = try LivePaths(context).realPath(path) ?? path
    for (other, tree) in try liveTrees() where other != image && tree.isInside(own) {
      throw ImageError(
        "directory \(path.text)", "holds the image \(other) (\(tree.text))",
        hint: "Nothing was added: an image inside an image would be stored and changed twice")
    }
  }

  /// Returns the innermost image whose root tree contains a path; nil if none does.
  func imageHolding(_ path: AbsolutePath) throws -> PathInImage? {
    // If the path does not exist, its directory counts.
    let real =
      try LivePaths(context).realPath(path) ?? LivePaths(context).realPath(path.parent)?.appending(
        path.lastComponent) ?? path
    let trees = try liveTrees().filter { real.isInside($0.tree) }
    guard let nearest = trees.max(by: { $0.tree.components.count < $1.tree.components.count })
    else { return nil }
    return PathInImage(
      image: nearest.image,
      path: Array(
        real.components.dropFirst(nearest.tree.components.count).joined(separator: [0x2f])))
  }

  /// Returns the existing root trees of all images, links resolved.
  func liveTrees() throws -> [(image: ImageName, tree: AbsolutePath)] {
    let tables = try context.tables()
    let install = try context.installDirectory(tables)
    return try tables.definitions().sorted { $0.key < $1.key }.compactMap { name, definition in
      let path =
        definition.isDirectory
        ? definition.directoryPath
        : ImageFiles.bootDirectory(definition, installDirectory: install)?
          .appending(ImageFiles.rootTreeName)
      guard let image = try? ImageName(name), let path,
        let real = try LivePaths(context).realPath(path)
      else {
        return nil
      }
      return (image, real)
    }
  }

  /// Returns the error for a path inside an image that was given as an image; nil if the path is in no image.
  func namesPathInImage(_ path: AbsolutePath) throws -> ImageError? {
    guard let holder = try imageHolding(path), !holder.path.isEmpty else { return nil }
    let word = shellQuoted("\(holder.image):\(printable(holder.path))")
    return ImageError(
      .notFound, path.text, "is inside the image \(holder.image), and is not an image itself",
      hint: "Name the image first: 'imgstore diff \(word)', "
        + "'imgstore revert \(holder.image) \(shellQuoted(printable(holder.path)))'")
  }
}

// Which directories cannot become images.
//
// 1. A kernel's view of itself (/proc, /sys, device nodes) is no tree: it never reads twice the same.
// 2. The root of the management node and the store are no images.
// 3. Images do not hold each other: one directory would be kept twice, and a change of one would change the other.

import Ingest
import Platform
import Store
import XCAT

/// File systems that hold no files of anybody's (statfs(2)).
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

/// An image, and where in it a path is.
struct PathInImage {
  let image: ImageName
  /// Relative to its root tree; empty for the tree itself.
  let path: [UInt8]
}

extension Workspace {
  /// - Throws: `ImageError` where a directory that is no image's cannot become one.
  func requireUsable(_ path: AbsolutePath) throws {
    let object = "directory \(path.text)"
    func refuse(_ finding: String) -> ImageError {
      ImageError(
        .usage, object, finding,
        advice: "Nothing was added; name the directory that is the root of the tree")
    }
    guard let stat = try statLive(path) else { return }
    let own = FileIdentity(stat)
    let top = try fileSystem.stat(resolver.root.raw)
    if own == FileIdentity(top) { throw refuse("is the root of this machine, and no image") }
    let place = try resolver.resolve(path)
    let directory = try fileSystem.openDirectory(at: place.directory.raw, place.name)
    if let name = PseudoFileSystem.name(fileSystem.fileSystemType(directory.raw)) {
      throw refuse("is on a file system of the kernel (\(name)), and no image")
    }
    // devtmpfs calls itself tmpfs: it is known by where it is.
    if let devices = try statLive(AbsolutePath(components: [Array("dev".utf8)])),
      devices.device != top.device, devices.device == stat.device
    {
      throw refuse("holds this machine's devices, and is no image")
    }
    if try isInStore(path) { throw refuse("belongs to the store, and is no image") }
  }

  private func isInStore(_ path: AbsolutePath) throws -> Bool {
    guard let store = try storeIdentity() else { return false }
    var folder = try realPath(path) ?? path
    while true {
      if try statLive(folder).map({ FileIdentity($0) }) == store { return true }
      if folder.components.isEmpty { return false }
      folder = folder.parent
    }
  }

  /// - Throws: `ImageError` where a directory is inside an image, or holds one.
  func requireNotNested(_ path: AbsolutePath, as image: ImageName) throws {
    if let holder = try imageHolding(path), holder.image != image {
      throw ImageError(
        "directory \(path.text)", "is inside the image \(holder.image)",
        advice: "Nothing was added: 'imgstore snapshot \(holder.image)' keeps it with that image")
    }
    let own = try realPath(path) ?? path
    for (other, tree) in try liveTrees() where other != image && tree.isInside(own) {
      throw ImageError(
        "directory \(path.text)", "holds the image \(other) (\(tree.text))",
        advice: "Nothing was added: an image inside an image would be kept, and changed, twice")
    }
  }

  /// The image whose root tree a path is in; nil where it is in none.
  func imageHolding(_ path: AbsolutePath) throws -> PathInImage? {
    // Where the path itself is not there, its directory tells.
    let real = try realPath(path) ?? realPath(path.parent)?.appending(path.lastComponent) ?? path
    let trees = try liveTrees().filter { real.isInside($0.tree) }
    guard let nearest = trees.max(by: { $0.tree.components.count < $1.tree.components.count })
    else { return nil }
    return PathInImage(
      image: nearest.image,
      path: Array(
        real.components.dropFirst(nearest.tree.components.count).joined(separator: [0x2f])))
  }

  /// The root trees of images that are there, links resolved.
  private func liveTrees() throws -> [(image: ImageName, tree: AbsolutePath)] {
    let tables = try tables()
    let install = try installDirectory(tables)
    return try tables.definitions().sorted { $0.key < $1.key }.compactMap { name, definition in
      let path =
        definition.isDirectory
        ? definition.directoryPath
        : ImageFiles.bootDirectory(definition, installDirectory: install)?
          .appending(ImageFiles.rootTreeName)
      guard let image = try? ImageName(name), let path, let real = try realPath(path) else {
        return nil
      }
      return (image, real)
    }
  }

  /// The error for a path that is in an image, where an image is asked for; nil where it is in none.
  func namesPathInImage(_ path: AbsolutePath) throws -> ImageError? {
    guard let holder = try imageHolding(path), !holder.path.isEmpty else { return nil }
    let word = shellQuoted("\(holder.image):\(printable(holder.path))")
    return ImageError(
      .notFound, path.text, "is inside the image \(holder.image), and no image itself",
      advice: "Name the image first: 'imgstore diff \(word)', "
        + "'imgstore revert \(holder.image) \(shellQuoted(printable(holder.path)))'")
  }
}

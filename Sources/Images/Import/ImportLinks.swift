// Where a bundle's target leads when a folder on its way is a symbolic link of the administrator's
// ("/install/netboot -> /big/netboot").
//
// 1. Below the allowed folder a link is followed only when root (or the caller) made it and nobody else
//    could have: it and the folder that holds it belong to root, and only root may write there.
// 2. What came with an image is never the administrator's: links in trees, kits and extras are not
//    followed. Neither is a link that leads into a folder of the operating system.
// 3. The walk opens each folder relative to the last one, without following; nothing is checked by a
//    path that could change in between.

import Glibc
import Platform
import Store

/// Resolves the targets of one import.
struct ImportLinks {
  let fileSystem: any FileSystem
  /// The directory that absolute paths are taken below.
  let root: Descriptor
  /// Paths of trees, kits and links that came with images.
  let imported: Set<AbsolutePath>

  private static let maxLinks = 40
  /// Where no image lives, and a link from below an install folder has no business.
  private static let systemFolders = Set(
    [
      "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin",
      "sys", "usr",
    ].map { Array($0.utf8) })

  /// Why a link is not followed.
  struct Refusal: Error {
    let link: AbsolutePath
    let reason: String
  }

  /// The folder that holds `path`, and the name there. The last component is not followed.
  /// - Parameters:
  ///   - top: the allowed folder: links on the way to it are followed, as those of any path.
  ///   - create: makes missing folders, with mode 0755.
  /// - Throws: `Refusal`, `SystemError`.
  func resolve(_ path: AbsolutePath, below top: AbsolutePath, create: Bool) throws -> ResolvedPath {
    var stack = [root]
    var names: [[UInt8]] = []
    var left = Array(path.components.reversed())
    /// Components of the path to the top that are still to come.
    var toTop = top.components.count
    var links = 0
    while let name = left.popLast() {
      let here = stack[stack.count - 1]
      if name == [0x2e, 0x2e] {
        if stack.count > 1 {
          stack.removeLast()
          names.removeLast()
        }
        continue
      }
      let stat = try fileSystem.statIfPresent(at: here.raw, name)
      let isBelowTop = left.count < path.components.count - toTop || toTop == 0
      if stat?.kind == .symlink, !left.isEmpty, let stat {
        links += 1
        guard links <= ImportLinks.maxLinks else {
          throw SystemError(code: .loop, "follow", path.bytes)
        }
        let target = try fileSystem.readLink(at: here.raw, name)
        let link = AbsolutePath(components: names + [name])
        if isBelowTop { try check(link, stat, in: here, target) }
        if target.first == 0x2f {
          stack = [root]
          names = []
        }
        left += target.split(separator: 0x2f).map(Array.init).filter { $0 != [0x2e] }.reversed()
        // From here on the path is the link's: each further link is checked.
        if isBelowTop { toTop = 0 }
        continue
      }
      if left.isEmpty { return ResolvedPath(directory: here, name: name) }
      if stat == nil, create {
        try fileSystem.makeDirectoryIfAbsent(at: here.raw, name, .readable)
      }
      stack.append(try fileSystem.openDirectory(at: here.raw, name))
      names.append(name)
      if toTop == 0, links > 0, names.count == 1, ImportLinks.systemFolders.contains(name) {
        throw Refusal(
          link: path, reason: "leads into /\(printable(name)), a folder of the operating system")
      }
    }
    return ResolvedPath(directory: stack[stack.count - 1], name: [0x2e])
  }

  /// - Throws: `Refusal` where somebody else may have made the link.
  private func check(
    _ link: AbsolutePath, _ stat: FileStat, in folder: Descriptor, _ target: [UInt8]
  ) throws {
    let above = try fileSystem.stat(folder.raw)
    guard isTrustedOwner(stat.uid), isTrustedOwner(above.uid), above.mode & 0o022 == 0 else {
      throw Refusal(link: link, reason: "others than root could have made it")
    }
    guard !imported.contains(where: { link.isInside($0) }),
      !link.components.contains(Array("rootimg".utf8))
    else { throw Refusal(link: link, reason: "it came with an image") }
  }
}

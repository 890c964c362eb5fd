// Resolves the targets of a bundle through symbolic links of the administrator
// ("/install/netboot -> /big/netboot").
//
// 1. Below the allowed directory a link is followed only if no other user than root (or the caller) could
//    have made it. The link and its directory must belong to root, and only root may write to the directory.
// 2. Links that came with an image (in trees, kits and extras) are not the administrator's and are never
//    followed. The same holds for a link that leads into a directory of the operating system.
// 3. The walk opens each directory relative to the previous one, without following links. No check uses a
//    path that could change in between.

import Glibc
import Platform

/// Resolves the targets of one import.
struct ImportLinks {
  let fileSystem: any FileSystem
  /// The directory below which absolute paths are resolved.
  let root: Descriptor
  /// The paths of trees, kits and links that came with images.
  let imported: Set<AbsolutePath>

  private static let maxLinks = 40
  /// Directories that never contain images. A link from below an install directory must not lead into them.
  private static let systemDirectories = Set(
    [
      "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin",
      "sys", "usr",
    ].map { Array($0.utf8) })

  /// The reason why a link is not followed.
  struct RefusedLinkError: Error {
    let link: AbsolutePath
    let reason: String
  }

  /// Returns the directory of `path` and the name in it. A link as the last component is not followed.
  /// - Parameters:
  ///   - top: the allowed directory. Links on the way to it are followed without checks.
  ///   - create: creates missing directories with mode 0755.
  /// - Throws: `RefusedLinkError`, `SystemError`.
  func resolve(_ path: AbsolutePath, below top: AbsolutePath, create: Bool) throws -> ResolvedPath {
    var stack = [root]
    var names: [[UInt8]] = []
    var remaining = Array(path.components.reversed())
    /// The number of leading components that are the top's; 0 after a link below it.
    var toTop = top.components.count
    var links = 0
    while let name = remaining.popLast() {
      let directory = stack[stack.count - 1]
      if name == [0x2e, 0x2e] {
        if stack.count > 1 {
          stack.removeLast()
          names.removeLast()
        }
        continue
      }
      let stat = try fileSystem.statIfPresent(at: directory.raw, name)
      let isBelowTop = remaining.count < path.components.count - toTop || toTop == 0
      if stat?.kind == .symlink, !remaining.isEmpty, let stat {
        links += 1
        guard links <= ImportLinks.maxLinks else {
          throw SystemError(code: .loop, "follow", path.bytes)
        }
        let target = try fileSystem.readLink(at: directory.raw, name)
        let link = AbsolutePath(components: names + [name])
        if isBelowTop { try check(link, stat, in: directory, target) }
        if target.first == 0x2f {
          stack = [root]
          names = []
        }
        remaining += writtenComponents(target).reversed()
        // The rest of the path comes from the link: each further link is checked.
        if isBelowTop { toTop = 0 }
        continue
      }
      if remaining.isEmpty { return ResolvedPath(directory: directory, name: name) }
      if stat == nil, create {
        try fileSystem.makeDirectoryIfAbsent(at: directory.raw, name, .readable)
      }
      stack.append(try fileSystem.openDirectory(at: directory.raw, name))
      names.append(name)
      if toTop == 0, links > 0, names.count == 1, ImportLinks.systemDirectories.contains(name) {
        throw RefusedLinkError(
          link: path, reason: "leads into /\(printable(name)), a directory of the operating system")
      }
    }
    return ResolvedPath(directory: stack[stack.count - 1], name: [0x2e])
  }

  /// Checks that only root (or the caller) could have made a link.
  /// - Throws: `RefusedLinkError` if another user could have, or if the link came with an image.
  private func check(
    _ link: AbsolutePath, _ stat: FileStat, in directory: Descriptor, _ target: [UInt8]
  ) throws {
    let above = try fileSystem.stat(directory.raw)
    guard isTrustedOwner(stat.uid), isTrustedOwner(above.uid), above.mode & 0o022 == 0 else {
      throw RefusedLinkError(link: link, reason: "another user than root could have made it")
    }
    guard !imported.contains(where: { link.isInside($0) }),
      !link.components.contains(Array("rootimg".utf8))
    else { throw RefusedLinkError(link: link, reason: "it came with an image") }
  }
}

// Which entries of a tree lie behind a mount: one decision for the walk, for removals, and for
// whatever else must stay inside of one mount.
//
// 1. The evidence is the mount id (`statx`, Linux 5.8). An entry is behind a mount if and only if its
//    mount id differs from that of the tree's root, or it is the root of a mount.
// 2. Device numbers are no evidence: overlayfs reports other ones for files than for directories,
//    and btrfs reports one for each subvolume, within one mount.
// 3. Older kernels do not report mount ids. There the mount table (`/proc/self/mountinfo`) says
//    which paths are mount points. It also lists bind mounts of the same file system.
// 4. Without the mount table only a directory's device number is left. `evidence` says so.

/// A file or directory, whatever name leads to it.
public struct FileIdentity: Hashable, Sendable {
  public let device: UInt64
  public let inode: UInt64

  public init(_ stat: FileStat) {
    device = stat.device
    inode = stat.inode
  }
}

/// The mount that a tree's root belongs to, and where it ends.
public final class MountBoundary: Sendable {
  /// What the decision rests on.
  public enum Evidence: Sendable {
    case mountIDs
    case mountTable
    /// Bind mounts of the same file system are not found.
    case deviceNumbers
  }

  public let evidence: Evidence
  private let mountID: UInt64?
  private let device: UInt64
  /// Mount points below the root: their names, by the path of their directory.
  private let pointNames: [[UInt8]: Set<[UInt8]>]

  /// - Parameters:
  ///   - root: what `stat` says of the tree's root.
  ///   - directory: the open root; asked for its path where the kernel does not report mount ids.
  public init(of root: FileStat, _ directory: Descriptor, on fileSystem: any FileSystem) {
    mountID = root.mountID
    device = root.device
    guard root.mountID == nil else {
      evidence = .mountIDs
      pointNames = [:]
      return
    }
    guard let table = MountTable.current(fileSystem),
      let path = fileSystem.realPath(of: directory)
    else {
      evidence = .deviceNumbers
      pointNames = [:]
      return
    }
    evidence = .mountTable
    pointNames = table.pointNames(below: path)
  }

  /// The decision for the entries of one directory.
  public struct Entries {
    fileprivate let boundary: MountBoundary
    fileprivate let names: Set<[UInt8]>

    /// Something is mounted on the entry.
    public func isMounted(_ name: [UInt8], _ stat: FileStat) -> Bool {
      if stat.isMountRoot { return true }
      switch boundary.evidence {
      case .mountIDs: return stat.mountID != boundary.mountID
      case .mountTable: return !names.isEmpty && names.contains(name)
      case .deviceNumbers: return stat.kind == .directory && stat.device != boundary.device
      }
    }
  }

  /// - Parameter path: the directory's path below the root; empty for the root itself.
  public func entries(of path: @autoclosure () -> [UInt8]) -> Entries {
    Entries(boundary: self, names: pointNames.isEmpty ? [] : pointNames[path()] ?? [])
  }
}

extension FileSystem {
  /// The path of an open directory, as the kernel sees it from this process's root; nil where /proc
  /// is not mounted, or the directory was removed.
  public func realPath(of directory: Descriptor) -> [UInt8]? {
    let link = Array("/proc/self/fd/\(directory.raw)".utf8)
    guard let path = try? readLink(at: workingDirectory, link), path.first == 0x2f else {
      return nil
    }
    return path
  }

  /// Whether an open directory is a folder, or lies below it, by whatever path.
  public func isInside(
    _ directory: Descriptor, _ folder: FileIdentity
  ) throws(SystemError) -> Bool {
    var here = directory
    var identity = FileIdentity(try stat(here.raw))
    while identity != folder {
      let parent = try openDirectory(at: here.raw, [0x2e, 0x2e])
      let above = FileIdentity(try stat(parent.raw))
      if above == identity { return false }
      (here, identity) = (parent, above)
    }
    return true
  }
}

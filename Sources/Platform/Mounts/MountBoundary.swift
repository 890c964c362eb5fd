// Decides which entries of a tree are behind a mount: for the walk, for removals, and for every other
// operation that must stay within one mount.
//
// 1. The evidence is the mount id (`statx`, Linux 5.8). An entry is behind a mount if and only if its
//    mount id differs from that of the tree's root, or it is the root of a mount.
// 2. Device numbers are not evidence: within one mount, overlayfs reports different ones for files and
//    directories, and btrfs reports one for each subvolume.
// 3. Older kernels do not report mount ids. There the mount table (`/proc/self/mountinfo`) lists the
//    mount points, including bind mounts of the same file system.
// 4. Without the mount table only a directory's device number is left; `evidence` reports that.

/// The identity of a file or directory, independent of its name.
public struct FileIdentity: Hashable, Sendable {
  public let device: UInt64
  public let inode: UInt64

  /// Takes the identity from an entry's attributes.
  public init(_ stat: FileStat) {
    device = stat.device
    inode = stat.inode
  }
}

/// The mount that a tree's root belongs to, and its boundary.
public final class MountBoundary: Sendable {
  /// The evidence that decisions are based on.
  public enum Evidence: Sendable {
    case mountIDs
    case mountTable
    /// Device numbers only: bind mounts of the same file system are not found.
    case deviceNumbers
  }

  /// The evidence in use.
  public let evidence: Evidence
  private let mountID: UInt64?
  private let device: UInt64
  /// The names of the mount points below the root, by the path of their directory.
  private let pointNames: [RelativePath: Set<[UInt8]>]

  /// Creates the boundary of a tree.
  /// - Parameters:
  ///   - root: the attributes of the tree's root.
  ///   - directory: the open root; its path is needed if the kernel does not report mount ids.
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

  /// The decisions for the entries of one directory.
  public struct Entries {
    fileprivate let boundary: MountBoundary
    fileprivate let names: Set<[UInt8]>

    /// Returns whether something is mounted on the entry.
    public func isMounted(_ name: [UInt8], _ stat: FileStat) -> Bool {
      if stat.isMountRoot { return true }
      switch boundary.evidence {
      case .mountIDs: return stat.mountID != boundary.mountID
      case .mountTable: return !names.isEmpty && names.contains(name)
      case .deviceNumbers: return stat.kind == .directory && stat.device != boundary.device
      }
    }
  }

  /// Returns the decisions for a directory.
  /// - Parameter path: the directory's path below the root.
  public func entries(of path: @autoclosure () -> RelativePath) -> Entries {
    Entries(boundary: self, names: pointNames.isEmpty ? [] : pointNames[path()] ?? [])
  }
}

extension FileSystem {
  /// Returns the path of an open directory from this process's root; nil if /proc is not mounted, or
  /// the directory was removed.
  public func realPath(of directory: Descriptor) -> [UInt8]? {
    let link = Array("/proc/self/fd/\(directory.raw)".utf8)
    guard let path = try? readLink(at: workingDirectory, link), path.first == 0x2f else {
      return nil
    }
    return path
  }

  /// Returns whether an open directory is `ancestor` or lies below it, by any path.
  public func isInside(
    _ directory: Descriptor, _ ancestor: FileIdentity
  ) throws(SystemError) -> Bool {
    var here = directory
    var identity = FileIdentity(try stat(here.raw))
    while identity != ancestor {
      let parent = try openDirectory(at: here.raw, [0x2e, 0x2e])
      let above = FileIdentity(try stat(parent.raw))
      if above == identity { return false }
      (here, identity) = (parent, above)
    }
    return true
  }
}

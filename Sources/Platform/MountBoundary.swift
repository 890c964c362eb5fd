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

/// The mounts that this process sees (proc(5), mountinfo).
public struct MountTable: Sendable {
  public let points: [[UInt8]]

  private static let path = Array("/proc/self/mountinfo".utf8)
  private static let limitBytes = 64 << 20

  /// - Returns: nil where the table cannot be read, or is empty.
  public static func current(_ fileSystem: any FileSystem) -> MountTable? {
    guard
      let text = try? fileSystem.readSmallFile(
        at: fileSystem.workingDirectory, path, limitBytes: limitBytes)
    else { return nil }
    let table = MountTable(parsing: text)
    return table.points.isEmpty ? nil : table
  }

  /// Reads the text of a mount table. Lines that are too short are passed over.
  public init(parsing text: [UInt8]) {
    points = text.split(separator: 0x0a).compactMap { line in
      let fields = line.split(separator: 0x20, maxSplits: 5)
      guard fields.count >= 5, fields[4].first == 0x2f else { return nil }
      return MountTable.unescaped(fields[4])
    }
  }

  /// The names of the mount points below a directory, by the path of their parent, which is relative
  /// to the directory.
  func pointNames(below directory: [UInt8]) -> [[UInt8]: Set<[UInt8]>] {
    let prefix = directory == [0x2f] ? directory : directory + [0x2f]
    var names: [[UInt8]: Set<[UInt8]>] = [:]
    for point in points where point.count > prefix.count && point.starts(with: prefix) {
      let relative = point.dropFirst(prefix.count)
      let slash = relative.lastIndex(of: 0x2f)
      let parent = slash.map { Array(relative[..<$0]) } ?? []
      let name = slash.map { Array(relative[($0 + 1)...]) } ?? Array(relative)
      names[parent, default: []].insert(name)
    }
    return names
  }

  /// Octal escapes ("\040") as the bytes that they stand for.
  private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
    guard text.contains(0x5c) else { return Array(text) }
    var bytes: [UInt8] = []
    var i = text.startIndex
    while i < text.endIndex {
      let digits = text[i...].dropFirst().prefix(3)
      if text[i] == 0x5c, digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) {
        bytes.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }))
        i += 4
      } else {
        bytes.append(text[i])
        i += 1
      }
    }
    return bytes
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

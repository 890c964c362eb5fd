// Resolves an absolute path to an open directory and a name, below a chosen root.
//
// 1. The walk opens component by component with O_NOFOLLOW, and reads and follows symbolic links
//    itself. No link can therefore lead out of the root: an absolute target starts at the root again,
//    and ".." at the root stays there, as in a chroot.
// 2. At most 40 links are followed; then the error is ELOOP.
// 3. The caller chooses the policy for links (`LinkPolicy`). With `refuse` (for untrusted paths) any
//    link on the way is ELOOP. With `trusted` (for files that a command makes for its user) a link
//    that another user may have made is EACCES. The kernel protects sticky directories in the same way
//    (fs.protected_symlinks, proc_sys_fs(5)), but cannot do so for links that are followed here.

/// The location of an entry, existing or not: its directory and its name there.
public struct ResolvedPath: Sendable {
  public let directory: Descriptor
  public let name: [UInt8]

  /// Creates a location.
  public init(directory: Descriptor, name: [UInt8]) {
    self.directory = directory
    self.name = name
  }
}

/// A resolved path, with the mounts on the way.
public struct LocatedPath: Sendable {
  /// The location of the entry.
  public let location: ResolvedPath
  /// The path below the root without symbolic links, except in a last component that was not followed.
  public let path: AbsolutePath
  /// The mount points on the way, the last component included. The resolver's root does not count.
  public let mountedDirectories: [AbsolutePath]

  /// Creates a resolved path.
  public init(location: ResolvedPath, path: AbsolutePath, mountedDirectories: [AbsolutePath] = []) {
    self.location = location
    self.path = path
    self.mountedDirectories = mountedDirectories
  }
}

/// The symbolic links that a resolver follows.
public enum LinkPolicy: Sendable {
  case all
  /// Links of root and of the caller, in directories where nobody else can exchange them.
  case trusted
  case refuse
}

/// Resolves absolute paths below a root directory.
public struct PathResolver: Sendable {
  /// The file system that paths are resolved on.
  public let fileSystem: any FileSystem
  /// The directory that absolute paths are relative to.
  public let root: Descriptor

  /// Creates a resolver below an open directory.
  public init(_ fileSystem: any FileSystem, root: Descriptor) {
    self.fileSystem = fileSystem
    self.root = root
  }

  /// Returns the directory that holds `path`, and the name there, with links resolved. The last
  /// component is resolved too if it exists and `followLast` is set. "/" itself is (root, ".").
  /// - Parameter create: the mode of missing directories to create; nil if they are an error.
  /// - Throws: `SystemError`: a directory is missing, or a link is not allowed.
  public func resolve(
    _ path: AbsolutePath, links: LinkPolicy = .all, followLast: Bool = true,
    create: NewDirectoryMode? = nil
  ) throws(SystemError) -> ResolvedPath {
    try locate(path.components, path, links: links, followLast: followLast, create: create).location
  }

  /// Resolves `path` except for its last component, unless `followLast` is set.
  public func locate(
    _ path: AbsolutePath, followLast: Bool = false
  ) throws(SystemError) -> LocatedPath {
    try locate(path.components, path, links: .all, followLast: followLast, create: nil)
  }

  /// Resolves the target of a symbolic link except for the target's last component.
  public func locate(
    target: [UInt8], of link: LocatedPath
  ) throws(SystemError) -> LocatedPath {
    let parts = writtenComponents(target)
    let base = target.first == 0x2f ? [] : link.path.parent.components
    return try locate(
      base + parts, link.path, links: .all, followLast: false, create: nil)
  }

  /// Resolves components below the root.
  /// - Parameters:
  ///   - components: may contain "..".
  ///   - path: the path for messages.
  private func locate(
    _ components: [[UInt8]], _ path: AbsolutePath, links: LinkPolicy, followLast: Bool,
    create: NewDirectoryMode?
  ) throws(SystemError) -> LocatedPath {
    var stack: [Descriptor] = [root]
    var names: [[UInt8]] = []
    var mounted: [AbsolutePath] = []
    var walk = PathWalk(components)
    while let name = walk.next() {
      let here = stack[stack.count - 1]
      if name == [0x2e, 0x2e] {
        if stack.count > 1 {
          stack.removeLast()
          names.removeLast()
        }
        continue
      }
      let isLast = walk.isAtEnd
      let stat: FileStat?
      do {
        stat = try fileSystem.statIfPresent(at: here.raw, name)
      } catch {
        // An entry that cannot be examined still has a location.
        guard isLast, !followLast else { throw error }
        stat = nil
      }
      if let stat, stat.kind == .symlink, !isLast || followLast {
        guard links != .refuse, walk.mayFollow else {
          throw SystemError(code: .loop, PathResolver.following, path.bytes)
        }
        if links == .trusted, try !isTrusted(stat, in: here) {
          throw SystemError(
            code: .accessDenied, PathResolver.following,
            AbsolutePath(components: names + [name]).bytes)
        }
        if walk.follow(try fileSystem.readLink(at: here.raw, name)) {
          stack = [root]
          names = []
        }
        continue
      }
      let location = AbsolutePath(components: names + [name])
      if let stat, try isMounted(stat, in: here) { mounted.append(location) }
      if isLast {
        return LocatedPath(
          location: ResolvedPath(directory: here, name: name), path: location,
          mountedDirectories: mounted)
      }
      if stat == nil, let create {
        try fileSystem.makeDirectoryIfAbsent(at: here.raw, name, create)
      }
      stack.append(try open(name, in: here, path))
      names.append(name)
    }
    return LocatedPath(
      location: ResolvedPath(directory: stack[stack.count - 1], name: [0x2e]),
      path: AbsolutePath(components: names), mountedDirectories: mounted)
  }

  private func open(
    _ name: [UInt8], in directory: Descriptor, _ path: AbsolutePath
  ) throws(SystemError) -> Descriptor {
    do {
      return try fileSystem.openDirectory(at: directory.raw, name)
    } catch {
      throw SystemError(code: error.code, error.operation, path.bytes)
    }
  }

  /// The operation of errors about links that are not followed.
  public static let following = "follow"

  /// Returns whether only root and the caller can have made a link, or can replace it.
  private func isTrusted(
    _ link: FileStat, in directory: Descriptor
  ) throws(SystemError) -> Bool {
    let stat = try fileSystem.stat(directory.raw)
    return isTrustedOwner(link.uid) && isTrustedOwner(stat.uid)
      && (!stat.isWritableByOthers || stat.mode & 0o1000 != 0)
  }

  /// Returns whether a file system is mounted on a directory. Kernels that do not report it show
  /// another device number, except for bind mounts of the same file system.
  private func isMounted(
    _ stat: FileStat, in parent: Descriptor
  ) throws(SystemError) -> Bool {
    if stat.mountID != nil || stat.isMountRoot { return stat.isMountRoot }
    guard stat.kind == .directory else { return false }
    return try fileSystem.stat(parent.raw).device != stat.device
  }
}

// From an absolute path to an open directory and a name, below a root of our own choosing.
//
// 1. The walk goes component by component with O_NOFOLLOW; a symbolic link is read and followed
//    here, so that no link can lead out of the root: an absolute target starts at the root again
//    and ".." at the root stays there, as in a chroot.
// 2. At most 40 links are followed; then the error is ELOOP.
// 3. What becomes of a link is the caller's choice (`LinkPolicy`). With `refuse` (for paths that a
//    stranger chose) a link anywhere on the way is ELOOP; with `trusted` (for files that a command makes
//    for its user) one that another user may have made is EACCES, as the kernel's own protection of
//    sticky directories has it (fs.protected_symlinks, proc_sys_fs(5)), which knows nothing of links
//    that are followed here.

/// Where an entry is, or would be: its directory and its name there.
public struct ResolvedPath: Sendable {
  public let directory: Descriptor
  public let name: [UInt8]

  public init(directory: Descriptor, name: [UInt8]) {
    self.directory = directory
    self.name = name
  }
}

/// A resolved path, with what was met on the way.
public struct LocatedPath: Sendable {
  public let place: ResolvedPath
  /// The path below the root without a symbolic link, but for the last component where it was not
  /// to be followed.
  public let path: AbsolutePath
  /// The directories on the way, the last component included, that a file system is mounted on. The
  /// resolver's root is not among them.
  public let mountedFolders: [AbsolutePath]

  public init(place: ResolvedPath, path: AbsolutePath, mountedFolders: [AbsolutePath] = []) {
    self.place = place
    self.path = path
    self.mountedFolders = mountedFolders
  }
}

/// Which symbolic links a resolver follows.
public enum LinkPolicy: Sendable {
  case all
  /// Those of root and of the caller, in directories where nobody else can exchange them.
  case trusted
  case refuse
}

/// The mode of directories that are made on the way to a file.
public enum NewDirectoryMode: Sendable {
  /// 0755, whatever the umask is: for directories that nodes read from, which the files in them and the
  /// directories above protect.
  case readable
  /// 0777 less the umask, as mkdir(1) has it: for directories of the caller's own choice.
  case umask
}

extension FileSystem {
  /// Makes a directory, unless it is there.
  public func makeDirectoryIfAbsent(
    at directory: Int32, _ name: [UInt8], _ mode: NewDirectoryMode
  ) throws(SystemError) {
    do {
      try makeDirectory(at: directory, name, mode: mode == .readable ? 0o755 : 0o777)
    } catch {
      if error.code == .exists { return }
      throw error
    }
    guard mode == .readable else { return }
    let made = try openDirectory(at: directory, name)
    try setMode(made.raw, 0o755 | (try stat(made.raw).mode & 0o2000))
  }
}

/// Resolves absolute paths below a root directory.
public struct PathResolver: Sendable {
  public let fileSystem: any FileSystem
  /// The directory that absolute paths are taken below.
  public let root: Descriptor

  public init(_ fileSystem: any FileSystem, root: Descriptor) {
    self.fileSystem = fileSystem
    self.root = root
  }

  /// The directory that holds `path`, and the name there, with links resolved (also in the last
  /// component, where it exists and `followLast` is set). "/" itself is (root, ".").
  /// - Parameter create: with which mode missing directories on the way are made; nil where they are an error.
  public func resolve(
    _ path: AbsolutePath, links: LinkPolicy = .all, followLast: Bool = true,
    create: NewDirectoryMode? = nil
  ) throws(SystemError) -> ResolvedPath {
    try locate(path.components, path, links: links, followLast: followLast, create: create).place
  }

  /// Resolves `path` but for its last component, unless that is asked for.
  public func locate(
    _ path: AbsolutePath, followLast: Bool = false
  ) throws(SystemError) -> LocatedPath {
    try locate(path.components, path, links: .all, followLast: followLast, create: nil)
  }

  /// Resolves the target of a symbolic link but for the target's last component.
  public func locate(
    target: [UInt8], of link: LocatedPath
  ) throws(SystemError) -> LocatedPath {
    let parts = target.split(separator: 0x2f).map(Array.init).filter { $0 != [0x2e] }
    let base = target.first == 0x2f ? [] : link.path.parent.components
    return try locate(
      base + parts, link.path, links: .all, followLast: false, create: nil)
  }

  /// - Parameters:
  ///   - components: may hold "..".
  ///   - path: for messages.
  private func locate(
    _ components: [[UInt8]], _ path: AbsolutePath, links: LinkPolicy, followLast: Bool,
    create: NewDirectoryMode?
  ) throws(SystemError) -> LocatedPath {
    var stack: [Descriptor] = [root]
    var names: [[UInt8]] = []
    var mounted: [AbsolutePath] = []
    var todo = Array(components.reversed())
    var hops = 0
    while let name = todo.popLast() {
      let here = stack[stack.count - 1]
      if name == [0x2e, 0x2e] {
        if stack.count > 1 {
          stack.removeLast()
          names.removeLast()
        }
        continue
      }
      let isLast = todo.isEmpty
      let found: FileStat?
      do {
        found = try fileSystem.statIfPresent(at: here.raw, name)
      } catch {
        // An entry that cannot be examined has its place all the same.
        guard isLast, !followLast else { throw error }
        found = nil
      }
      let kind = found?.kind
      if let found, found.kind == .symlink, !isLast || followLast {
        guard links != .refuse, hops < 40 else {
          throw SystemError(code: .loop, PathResolver.following, path.bytes)
        }
        if links == .trusted, try !isTrusted(found, in: here) {
          throw SystemError(
            code: .accessDenied, PathResolver.following,
            AbsolutePath(components: names + [name]).bytes)
        }
        hops += 1
        let target = try fileSystem.readLink(at: here.raw, name)
        if target.first == 0x2f {
          stack = [root]
          names = []
        }
        todo += target.split(separator: 0x2f).map(Array.init).filter { $0 != [0x2e] }.reversed()
        continue
      }
      let whole = AbsolutePath(components: names + [name])
      if let found, try isMounted(found, in: here) { mounted.append(whole) }
      if isLast {
        return LocatedPath(
          place: ResolvedPath(directory: here, name: name), path: whole, mountedFolders: mounted)
      }
      if kind == nil, let create {
        try fileSystem.makeDirectoryIfAbsent(at: here.raw, name, create)
      }
      do {
        stack.append(try fileSystem.openDirectory(at: here.raw, name))
        names.append(name)
      } catch {
        throw SystemError(code: error.code, error.operation, path.bytes)
      }
    }
    return LocatedPath(
      place: ResolvedPath(directory: stack[stack.count - 1], name: [0x2e]),
      path: AbsolutePath(components: names), mountedFolders: mounted)
  }

  /// The operation of errors about links that are not followed.
  public static let following = "follow"

  /// Whether nobody but root and the caller can have made a link, or can put another in its place.
  private func isTrusted(
    _ link: FileStat, in directory: Descriptor
  ) throws(SystemError) -> Bool {
    let stat = try fileSystem.stat(directory.raw)
    return isTrustedOwner(link.uid) && isTrustedOwner(stat.uid)
      && (!stat.isWritableByOthers || stat.mode & 0o1000 != 0)
  }

  /// A file system is mounted on a directory. Kernels that do not report it report another device, but
  /// for bind mounts of the same file system.
  private func isMounted(
    _ stat: FileStat, in parent: Descriptor
  ) throws(SystemError) -> Bool {
    if stat.mountID != nil || stat.isMountRoot { return stat.isMountRoot }
    guard stat.kind == .directory else { return false }
    return try fileSystem.stat(parent.raw).device != stat.device
  }
}

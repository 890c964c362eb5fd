// From an absolute path to an open directory and a name, below a root of our own choosing.
//
// 1. The walk goes component by component with O_NOFOLLOW; a symbolic link is read and followed
//    here, so that no link can lead out of the root: an absolute target starts at the root again
//    and ".." at the root stays there, as in a chroot.
// 2. At most 40 links are followed; then the error is ELOOP.
// 3. With `followLinks` off (for paths that a stranger chose) a link anywhere on the way is ELOOP.

/// Where an entry is, or would be: its directory and its name there.
public struct ResolvedPath: Sendable {
  public let directory: Descriptor
  public let name: [UInt8]

  public init(directory: Descriptor, name: [UInt8]) {
    self.directory = directory
    self.name = name
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
  /// - Parameter create: makes missing directories on the way, with mode 0755.
  public func resolve(
    _ path: AbsolutePath, followLinks: Bool = true, followLast: Bool = true, create: Bool = false
  ) throws(SystemError) -> ResolvedPath {
    var stack: [Descriptor] = [root]
    var todo = Array(path.components.reversed())
    var hops = 0
    while let name = todo.popLast() {
      let here = stack[stack.count - 1]
      if name == [0x2e, 0x2e] {
        if stack.count > 1 { stack.removeLast() }
        continue
      }
      let isLast = todo.isEmpty
      let kind: FileKind?
      if let found = try fileSystem.statIfPresent(at: here.raw, name) {
        kind = found.kind
      } else {
        kind = nil
      }
      if kind == .symlink, !isLast || followLast {
        guard followLinks, hops < 40 else { throw SystemError(code: .loop, "follow", path.bytes) }
        hops += 1
        let target = try fileSystem.readLink(at: here.raw, name)
        if target.first == 0x2f { stack = [root] }
        todo += target.split(separator: 0x2f).map(Array.init).filter { $0 != [0x2e] }.reversed()
        continue
      }
      if isLast { return ResolvedPath(directory: here, name: name) }
      if kind == nil, create {
        do {
          try fileSystem.makeDirectory(at: here.raw, name, mode: 0o755)
        } catch {
          if error.code != .exists { throw error }
        }
      }
      do {
        stack.append(try fileSystem.openDirectory(at: here.raw, name))
      } catch {
        throw SystemError(code: error.code, error.operation, path.bytes)
      }
    }
    return ResolvedPath(directory: stack[stack.count - 1], name: [0x2e])
  }
}

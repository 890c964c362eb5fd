// Creates directories that may exist already.

/// The mode of new directories.
public enum NewDirectoryMode: UInt16, Sendable {
  /// 0700 less the umask, for directories of a store.
  case `private` = 0o700
  /// 0755, whatever the umask: for directories that nodes read from. Their files and the directories
  /// above protect the content.
  case readable = 0o755
  /// 0777 less the umask, as with mkdir(1): for directories of the caller's own choice.
  case umask = 0o777
}

extension FileSystem {
  /// Creates a directory, unless it exists.
  public func makeDirectoryIfAbsent(
    at directory: Int32, _ name: [UInt8], _ mode: NewDirectoryMode
  ) throws(SystemError) {
    do {
      try makeDirectory(at: directory, name, mode: mode.rawValue)
    } catch {
      if error.code == .exists { return }
      throw error
    }
    guard mode == .readable else { return }
    let directory = try openDirectory(at: directory, name)
    try setMode(directory.raw, 0o755 | (try stat(directory.raw).mode & 0o2000))
  }

  /// Creates a private directory and the missing ones above it, whose names become durable.
  public func makePrivatePath(_ path: [UInt8]) throws(SystemError) {
    do {
      try makeDirectory(at: workingDirectory, path, mode: NewDirectoryMode.private.rawValue)
    } catch {
      if error.code == .exists { return }
      guard error.code == .notFound, let slash = path.lastIndex(of: 0x2f), slash > 0 else {
        throw error
      }
      try makePrivatePath(Array(path[..<slash]))
      try makeDirectoryIfAbsent(at: workingDirectory, path, .private)
      try syncParent(of: Array(path[..<slash]))
    }
  }

  /// Makes the name of a file durable: syncs the directory that contains it.
  public func syncParent(of path: [UInt8]) throws(SystemError) {
    let parent = try openDirectory(at: workingDirectory, parentPath(of: path), followLink: true)
    try sync(parent.raw)
  }
}

/// Returns the path of the directory that contains `path`; "." for a single relative name.
public func parentPath(of path: [UInt8]) -> [UInt8] {
  var limit = path.count
  while limit > 1, path[limit - 1] == 0x2f { limit -= 1 }
  guard let slash = path[..<limit].lastIndex(of: 0x2f) else { return [0x2e] }
  return slash == 0 ? [0x2f] : Array(path[..<slash])
}

// Directories of one tree, opened by their paths. The most recent ones stay open, so that a neighbour
// costs one system call, and the number of descriptors is limited whatever the depth.

/// Opens the directories of a tree. Belongs to one thread at a time.
public final class OpenDirectories {
  private let top: ResolvedPath
  private let limit: Int
  private let opening: (Descriptor, [UInt8]) throws(SystemError) -> Descriptor
  private var opened: [RelativePath: Descriptor] = [:]

  /// Creates a cache.
  /// - Parameters:
  ///   - top: the location of the tree.
  ///   - limit: the maximum number of directories that stay open.
  ///   - opening: opens one directory in another, which is open.
  public init(
    _ top: ResolvedPath, limit: Int,
    opening: @escaping (_ parent: Descriptor, _ name: [UInt8]) throws(SystemError) -> Descriptor
  ) {
    self.top = top
    self.limit = limit
    self.opening = opening
  }

  /// Opens a directory without following links in its path.
  public func open(_ path: RelativePath) throws(SystemError) -> Descriptor {
    if let directory = opened[path] { return directory }
    // Open directory by directory from the nearest open one; those on the way need not stay open.
    var missing = [path]
    var nearest: Descriptor?
    while nearest == nil, let above = missing.last, !above.isTop {
      missing.append(above.parent)
      nearest = opened[above.parent]
      if nearest != nil { missing.removeLast() }
    }
    var directory = nearest ?? top.directory
    for path in missing.reversed() {
      directory = try opening(directory, path.isTop ? top.name : path.lastComponent)
      if opened.count >= limit { opened.removeAll() }
      opened[path] = directory
    }
    return directory
  }

  /// Closes a directory that is about to be removed.
  public func forget(_ path: RelativePath) { opened[path] = nil }
}

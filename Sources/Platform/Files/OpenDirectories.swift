// Directories of one tree, opened by their paths. The most recent ones stay open, so that a neighbour
// costs one system call, and the number of descriptors is limited whatever the depth.

/// Opens directories below a base. Belongs to one thread at a time.
public final class OpenDirectories {
  private let base: Descriptor
  private let limit: Int
  private let opening: (Descriptor, [UInt8]) throws(SystemError) -> Descriptor
  private var opened: [[UInt8]: Descriptor] = [:]

  /// Creates a cache.
  /// - Parameters:
  ///   - limit: the maximum number of directories that stay open.
  ///   - opening: opens one directory in another, which is open.
  public init(
    base: Descriptor, limit: Int,
    opening: @escaping (_ parent: Descriptor, _ name: [UInt8]) throws(SystemError) -> Descriptor
  ) {
    self.base = base
    self.limit = limit
    self.opening = opening
  }

  /// Opens a directory without following links in its path.
  /// - Parameter path: relative to the base, which the empty path stands for.
  public func open(_ path: [UInt8]) throws(SystemError) -> Descriptor {
    if path.isEmpty { return base }
    if let directory = opened[path] { return directory }
    // Open directory by directory from the nearest open one; those on the way need not stay open.
    var (parent, start) = nearest(path)
    while true {
      let end = path[start...].firstIndex(of: 0x2f) ?? path.endIndex
      let directory = try opening(parent, Array(path[start..<end]))
      if opened.count >= limit { opened.removeAll() }
      opened[Array(path[..<end])] = directory
      if end == path.endIndex { return directory }
      (parent, start) = (directory, end + 1)
    }
  }

  /// Returns the nearest open directory above a path, and the offset of the names below it.
  private func nearest(_ path: [UInt8]) -> (Descriptor, Int) {
    var end = path.endIndex
    while let slash = path[..<end].lastIndex(of: 0x2f) {
      end = slash
      if let directory = opened[Array(path[..<end])] { return (directory, end + 1) }
    }
    return (base, path.startIndex)
  }

  /// Closes a directory that is about to be removed.
  public func forget(_ path: [UInt8]) { opened[path] = nil }
}

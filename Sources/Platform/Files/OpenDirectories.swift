// Directories of one tree, opened by their paths. The last few stay open, so that neighbours cost one system
// call; a path of any depth needs no more than that many descriptors.

/// Opens directories below a base. Belongs to one thread at a time.
public final class OpenDirectories {
  private let base: Descriptor
  private let limit: Int
  private let opening: (Descriptor, [UInt8]) throws(SystemError) -> Descriptor
  private var opened: [[UInt8]: Descriptor] = [:]

  /// - Parameters:
  ///   - limit: how many stay open.
  ///   - opening: opens one directory in another, which is open.
  public init(
    base: Descriptor, limit: Int,
    opening: @escaping (_ parent: Descriptor, _ name: [UInt8]) throws(SystemError) -> Descriptor
  ) {
    self.base = base
    self.limit = limit
    self.opening = opening
  }

  /// Opens a directory; no link in its path is followed.
  /// - Parameter path: relative to the base, which the empty path stands for.
  public func open(_ path: [UInt8]) throws(SystemError) -> Descriptor {
    if path.isEmpty { return base }
    if let found = opened[path] { return found }
    // From the nearest that is open, one by one: those passed need not stay open.
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

  /// The nearest open directory above a path, and where the names below it begin.
  private func nearest(_ path: [UInt8]) -> (Descriptor, Int) {
    var end = path.endIndex
    while let slash = path[..<end].lastIndex(of: 0x2f) {
      end = slash
      if let found = opened[Array(path[..<end])] { return (found, end + 1) }
    }
    return (base, path.startIndex)
  }

  /// Closes a directory that is about to go.
  public func forget(_ path: [UInt8]) { opened[path] = nil }
}

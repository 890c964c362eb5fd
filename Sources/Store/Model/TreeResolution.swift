// Finds entries of a tree by their path.

import Platform

extension ObjectSource {
  /// Resolves a path below `top`, and follows links as in a chroot at `top`.
  /// - Parameters:
  ///   - path: the names on the path, with "." and "..".
  ///   - followLast: whether a link as the last component is followed.
  ///   - allowsMissing: whether the path may lead through missing directories.
  /// - Returns: the path without links, and its entry, or nil as the entry if it does not exist. Nil after
  ///   more than 40 links, and for a missing entry unless `allowsMissing` is set.
  public func resolve(
    _ path: [[UInt8]], below top: Entry, followLast: Bool, allowsMissing: Bool
  ) throws -> (path: RelativePath, entry: Entry?)? {
    var walk = PathWalk(path)
    var stack: [(name: [UInt8], entry: Entry?)] = []
    while let name = walk.next() {
      if name == [0x2e, 0x2e] {
        _ = stack.popLast()
        continue
      }
      let here = stack.isEmpty ? top : stack[stack.count - 1].entry
      let entry = try here?.ids.flatMap { ids in
        try Tree.entries(ids, from: self).first { $0.name == name }
      }
      if case .symlink(let target) = entry?.content, followLast || !walk.isAtEnd {
        guard walk.mayFollow else { return nil }
        if walk.follow(target) { stack = [] }
        continue
      }
      if entry == nil, !allowsMissing { return nil }
      stack.append((name, entry))
    }
    return (
      RelativePath(components: stack.map(\.name)),
      stack.isEmpty ? top : stack[stack.count - 1].entry
    )
  }
}

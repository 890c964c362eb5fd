// Finds the entry at a path in a tree of the store. Symbolic links on the path are followed as in a chroot at
// the top of the tree: none leads out of it.

import Platform
import Store

/// Finds entries below the top of a tree. A path with more than 40 links (the kernel's limit) is absent.
struct TreeDescent {
  let source: any ObjectSource
  private static let maxHops = 40

  /// Returns the entry at a path; nil if there is none.
  /// - Parameter followLast: whether a link in the last path component is followed, too.
  func find(
    _ component: Snapshot.Component, _ parts: [[UInt8]], followLast: Bool
  ) throws -> LocatedEntry? {
    var stack = [(name: [UInt8](), entry: component.entry)]
    var todo = Array(parts.reversed())
    var hops = 0
    while let part = todo.popLast() {
      if part == [0x2e, 0x2e] {
        if stack.count > 1 { stack.removeLast() }
        continue
      }
      guard let here = stack.last?.entry, let ids = here.ids,
        let child = try Tree.entries(ids, from: source).first(where: { $0.name == part })
      else { return nil }
      if case .symlink(let target) = child.content, !todo.isEmpty || followLast {
        hops += 1
        guard hops <= TreeDescent.maxHops else { return nil }
        if target.first == 0x2f { stack.removeSubrange(1...) }
        todo += writtenComponents(target).reversed()
        continue
      }
      stack.append((part, child))
    }
    guard let last = stack.last else { return nil }
    let path = RelativePath(components: stack.dropFirst().map(\.name))
    return LocatedEntry(
      address: ImagePath(component: component.path, path: path), entry: last.entry)
  }
}

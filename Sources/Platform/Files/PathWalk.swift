// The components of a path during a walk that follows symbolic links itself.

/// The components that a walk has still to visit. The walk stays below a root, as in a chroot: an absolute
/// target begins at the root again, and ".." at the root stays there.
public struct PathWalk {
  /// The limit of links on a path, the kernel's.
  private static let maxLinks = 40

  private var pending: [[UInt8]]
  private var linkCount = 0

  /// Creates a walk over components; "." is skipped.
  public init(_ components: some BidirectionalCollection<[UInt8]>) {
    pending = components.reversed().filter { $0 != [0x2e] }
  }

  /// Whether the last component was returned.
  public var isAtEnd: Bool { pending.isEmpty }
  /// Whether another link may be followed.
  public var mayFollow: Bool { linkCount < PathWalk.maxLinks }

  /// Returns the next component, which may be ".."; nil at the end.
  public mutating func next() -> [UInt8]? { pending.popLast() }

  /// Continues with the target of a link.
  /// - Returns: whether the target begins at the root.
  public mutating func follow(_ target: [UInt8]) -> Bool {
    linkCount += 1
    pending += writtenComponents(target).reversed()
    return target.first == 0x2f
  }
}

// The members of an image's bundle (docs/xcat-contract.md#bundle-layout).

import Platform
import Store

/// A member of a bundle and its path on a management node.
public struct BundleMember: Sendable, Hashable {
  /// The form of a member.
  public enum Shape: Sendable, Hashable {
    case file
    /// A cpio or tar archive of a tree; the path is that of the tree.
    case archivedTree
    /// A directory that replaces the path as a whole.
    case directory
    /// A directory whose content is added to the content of the path.
    case mergedDirectory
  }

  /// The name inside the image's directory: "kernel", "extra/myscript1".
  public let name: String
  public let role: Role
  /// The path on the management node.
  public let path: AbsolutePath
  public let shape: Shape
  /// Whether xCAT's own export leaves the member out: a postinstall script that has arguments.
  public var isOptional = false
}

// What nodes boot of an image: not its own files, but xCAT's copies in the TFTP folder (`BootFiles`), which no
// change of the image reaches.

import Platform
import XCAT

/// A copy of a boot file, as a node loads it.
public struct BootCopy: Sendable {
  public enum State: String, Sendable {
    /// It has the content of the image's file.
    case same
    case differs
    /// The folder of copies has no such file.
    case missing
    /// It, or the image's file, cannot be read.
    case unreadable
  }
  /// "kernel", "ramdisk" or "hypervisor".
  public let role: String
  public let path: AbsolutePath
  /// The image's file.
  public let source: AbsolutePath
  public let state: State
  /// Nodes that load it get something else than the image's file.
  public var isOld: Bool { state == .differs || state == .missing }
}

/// How the copies that nodes boot compare with the image.
public struct BootFilesReport: Sendable {
  public let image: String
  /// The image's boot files.
  public let sources: [AbsolutePath]
  public let copies: [BootCopy]
  /// The nodes that boot copies which are not as the image's files.
  public let nodes: [String]
  /// The nodes whose copies are on service nodes, and cannot be seen from here.
  public let elsewhere: [String]
  /// Nodes of which xCAT's tables say in ways that only xCAT understands what they boot.
  public let unclear: [String]
  /// What gives `nodes` and `elsewhere` the image's boot files; nil where there are none, or names forbid it.
  public let command: NodesetCommand?
  /// The same as the shortest node range; nil as `command`.
  public var range: String? { command?.range }
  /// Why the nodes are not known.
  public let problem: String?

  /// The copies that are not as the image's files.
  public var stale: [BootCopy] { copies.filter { $0.state != .same } }
}

// The report on the files that nodes boot. These are not the image's own files, but xCAT's copies in the TFTP
// directory (`BootFiles`), which a change of the image does not update.

import Platform
import Store
import XCAT

/// A copy of a boot file, which nodes load.
public struct BootCopy: Sendable {
  public enum State: String, Sendable {
    /// The copy has the content of the image's file.
    case same
    case differs
    /// The directory of copies has no such file.
    case missing
    /// The copy or the image's file cannot be read.
    case unreadable
  }
  /// The role of the file: kernel, ramdisk or hypervisor.
  public let role: Role
  public let path: AbsolutePath
  /// The image's file.
  public let source: AbsolutePath
  public let state: State
  /// Whether nodes load other content than that of the image's file.
  public var isOld: Bool { state == .differs || state == .missing }
}

/// The result of comparing the copies that nodes boot with the image.
public struct BootFilesReport: Sendable {
  public let image: String
  /// The image's boot files.
  public let sources: [AbsolutePath]
  public let copies: [BootCopy]
  /// The nodes that boot outdated copies.
  public let nodes: [String]
  /// The nodes whose copies are on service nodes. These copies cannot be compared from here.
  public let elsewhere: [String]
  /// The nodes whose boot files are unknown, because only xCAT can interpret their table entries.
  public let unclear: [String]
  /// The command that gives `nodes` and `elsewhere` the image's boot files. It is nil if there are no such
  /// nodes, or if a name is not allowed on a command line.
  public let command: NodesetArguments?
  /// The nodes of `command` as the shortest node range; nil without a command.
  public var range: String? { command?.range }
  /// The reason why the nodes are unknown.
  public let problem: String?

  /// The copies that do not have the content of the image's files.
  public var stale: [BootCopy] { copies.filter { $0.state != .same } }
}

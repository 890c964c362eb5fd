// The mounts of a command that runs in a directory tree, as values: what to mount, bind or create, in this order.
// `UserCommand` carries the plan out in a mount namespace of its own.
//
// 1. Paths are below the tree. They are walked name by name, and never through a symbolic link.
// 2. `directory`, `device`, `link` and `file` create entries on a tmpfs that an earlier step mounted. Nothing is
//    created in the tree.

/// One step of a plan of mounts.
public enum MountStep: Sendable, Equatable {
  /// Mounts a new file system of a type, such as "proc", on a directory.
  case mount(type: String, at: RelativePath, flags: MountFlags, options: String)
  /// Binds an entry of the machine on an entry of the same kind. `source` is an absolute path without links.
  case bind(source: [UInt8], identity: FileIdentity, at: RelativePath, flags: MountFlags)
  /// Binds an entry that an earlier step created on an entry of the tree.
  case cover(RelativePath, at: RelativePath)
  /// Makes a directory or file read-only for the command, if it exists.
  case readOnly(RelativePath)
  case directory(RelativePath, mode: UInt16)
  case device(RelativePath, major: UInt32, minor: UInt32, mode: UInt16)
  case link(RelativePath, target: String)
  case file(RelativePath, content: [UInt8], mode: UInt16)

  /// The path below the tree.
  public var path: RelativePath {
    switch self {
    case .mount(_, let path, _, _), .bind(_, _, let path, _), .cover(_, let path),
      .readOnly(let path),
      .directory(let path, _), .device(let path, _, _, _), .link(let path, _),
      .file(let path, _, _):
      path
    }
  }

  /// What the step does, for messages: "mount proc".
  public var operation: String {
    switch self {
    case .mount(let type, _, _, _): "mount \(type) on"
    case .bind(let source, _, _, _): "bind \(printable(source)) on"
    case .cover: "bind a file on"
    case .readOnly: "write-protect"
    case .directory, .device, .link, .file: "create"
    }
  }
}

/// The flags of a mount (mount(2)).
public struct MountFlags: OptionSet, Sendable, Hashable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let noSetuid = MountFlags(rawValue: 1)
  public static let noDevices = MountFlags(rawValue: 2)
  public static let noExecution = MountFlags(rawValue: 4)
  public static let readOnly = MountFlags(rawValue: 8)
  /// Binds the mounts below the source, too.
  public static let recursive = MountFlags(rawValue: 16)
}

// The input of an export, and the members that it results in.

import Platform
import Store

/// The source of a member's bytes.
public enum ExportSource: Sendable, Hashable {
  /// A file of the snapshot, by its path.
  case file(AbsolutePath)
  /// A tree of the snapshot, as a compressed cpio archive.
  case compressedTree(AbsolutePath)
  /// A tree of the snapshot, as a tar archive.
  case tree(AbsolutePath)
  /// A directory of the snapshot, member by member.
  case directory(AbsolutePath)
  case bytes([UInt8])
}

/// A member to write.
public struct ExportMember: Sendable, Hashable {
  /// The name inside the image's directory.
  public let name: String
  /// The source of its bytes.
  public let source: ExportSource
}

/// An additional file or directory (`-e`).
public struct ExportExtra: Sendable, Hashable {
  /// The file or directory.
  public var source: AbsolutePath
  /// The directory that it belongs in.
  public var destination: String
  public var isDirectory: Bool
  /// Creates an extra.
  public init(source: AbsolutePath, destination: String, isDirectory: Bool) {
    self.source = source
    self.destination = destination
    self.isDirectory = isDirectory
  }
}

/// The input of an export.
public struct ExportInput: Sendable {
  /// The name of the image.
  public var image: String
  public var definition: ImageDefinition
  /// The existing files, with their roles.
  public var files: [(role: Role, path: AbsolutePath)]
  /// Top-level values of the manifest: `postscripts`, `postbootscripts`.
  public var values: [String: String] = [:]
  /// The extras of this export.
  public var extras: [ExportExtra] = []
  /// Extras of an earlier import.
  public var carriedExtras: [Manifest.Extra] = []
  /// The members that these extras consist of.
  public var carriedMembers: [(name: String, path: AbsolutePath)] = []
  /// Rows of the table kit.
  public var kits: [[String: String]] = []
  /// Rows of the table kitrepo.
  public var kitRepositories: [[String: String]] = []
  /// Rows of the table kitcomponent.
  public var kitComponents: [[String: String]] = []
  /// litefile.csv of a statelite image.
  public var litefile: [UInt8] = []
  /// The files that only a complete bundle carries.
  public var closure: [AbsolutePath] = []

  /// Creates the input with what every export needs.
  public init(
    image: String, definition: ImageDefinition, files: [(role: Role, path: AbsolutePath)]
  ) {
    self.image = image
    self.definition = definition
    self.files = files
  }
}

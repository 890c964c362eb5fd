// imgstore stage: the options, and what it would change or has changed.

import Platform
import XCAT

/// The options of staging.
public struct StageRequest: Sendable {
  /// The snapshot.
  public var reference: String
  /// The node range that shall boot it; nil for none.
  public var nodes: String?
  /// The URL of the server of boot files, as nodes reach it; nil for port 7070 of the management node.
  public var server: String?
  /// Whether xCAT's own web server passes requests on (`--proxied`). The definition then needs no URL.
  public var isProxied = false
  /// The name of the staged image; nil for "IMAGE-NUMBER".
  public var name: String?
  /// The root image that nodes load; nil for the one that xCAT prefers.
  public var rootImage: String?
  /// Whether the changes are made.
  public var applies = false
  /// The exceptions for a snapshot that came from a remote.
  public var trust = PulledSnapshotTrust()

  /// Creates a request with the default options.
  public init(_ reference: String) { self.reference = reference }
}

/// A file of a staged image.
public struct StagedFile: Sendable, Equatable {
  public let path: String
  /// The size in bytes. The file of the root image is empty: nodes load it from the server.
  public let sizeBytes: UInt64
}

/// A node, and the image that it boots before and after.
public struct StagedNode: Sendable, Equatable {
  public let name: String
  /// The value of nodetype.provmethod before; nil if it was unset.
  public let before: String?
}

/// What staging would change, or has changed.
public struct StageOutcome: Sendable {
  /// The snapshot, such as "compute@13".
  public let snapshot: String
  /// The name of the staged image.
  public let image: String
  /// The URL of the snapshot's boot files; nil if xCAT's web server passes requests on.
  public let url: String?
  /// The attributes of its definition, sorted by name.
  public let attributes: [(name: String, value: String)]
  /// Whether the definition exists already as it shall be.
  public let isDefined: Bool
  public let files: [StagedFile]
  public let nodes: [StagedNode]
  /// The command that makes the nodes boot the image; nil without nodes.
  public let command: String?
  /// Whether the changes were made.
  public let isApplied: Bool
}

/// What undoing a stage has removed.
public struct UnstageOutcome: Sendable {
  public let image: String
  public let files: [String]
}

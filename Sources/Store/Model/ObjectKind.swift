// The kinds of objects that frames hold. The raw values are those of docs/format.md.

import Codec

/// The kind of an object. Lookups use the kind together with the id.
public enum ObjectKind: UInt8, Sendable, CaseIterable {
  /// A part of a blob; its id is the SHA-256 of its bytes.
  case chunk = 1
  /// Instructions to assemble a blob from chunks or by a plan. Its id is the id of the *blob*.
  case recipe = 2
  case tree = 3
  case times = 4
  case xattrs = 5
  case holes = 6

  /// Returns the word that messages use for an object of this kind.
  public var noun: String {
    switch self {
    case .chunk: "chunk"
    case .recipe: "recipe of blob"
    case .tree: "tree"
    case .times: "times"
    case .xattrs: "attribute set"
    case .holes: "hole map"
    }
  }
}

/// Identifies an object: its kind and its id.
public struct ObjectName: Hashable, Sendable {
  public let kind: ObjectKind
  public let id: Digest

  /// Creates a name.
  public init(kind: ObjectKind, id: Digest) {
    self.kind = kind
    self.id = id
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

/// The id of every empty file: the SHA-256 of no bytes. It is never stored.
public let emptyBlob = SHA256.digest(of: [])

/// A source of objects other than chunks: a store, or a live tree that is not stored yet.
public protocol ObjectSource: Sendable {
  /// Returns the bytes of an object.
  /// - Throws: an error if the source does not have the object or cannot read it.
  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8]
}

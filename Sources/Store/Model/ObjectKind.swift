// The kinds of objects that frames hold. Raw values are those of docs/format.md.

import Codec

/// What an object is; a name is looked up together with its kind.
public enum ObjectKind: UInt8, Sendable, CaseIterable {
  /// A piece of a blob; its id is the SHA-256 of its bytes.
  case chunk = 1
  /// How to make a blob of chunks; its id is the id of the *blob*.
  case recipe = 2
  case tree = 3
  case times = 4
  case xattrs = 5
  case holes = 6

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

/// An object's whole name.
struct ObjectName: Hashable, Sendable {
  let kind: ObjectKind
  let id: Digest
}

/// The SHA-256 of no bytes: the blob of every empty file. It is never stored.
public let emptyBlob = SHA256.digest(of: [])

/// Where objects other than chunks are read from: a store, or a live tree not yet in one.
public protocol ObjectSource: Sendable {
  /// The bytes of an object.
  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8]
}

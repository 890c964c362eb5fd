// A bucket of an object store, as the depot uses it: immutable objects under keys, created at most once.
//
// 1. `create` is the only operation that decides between writers: of several calls with one key, exactly one
//    returns true. A service that cannot promise this is refused before anything is written to it.
// 2. All calls block. They are made from threads of our own, never from the cooperative pool.
// 3. Sizes are limited before memory is allocated: the service is not trusted.

import Codec

/// The content of an object that is to be written.
public enum ObjectBody: Sendable {
  case bytes([UInt8])
  /// A file that nobody changes meanwhile, with its size and SHA-256. The descriptor stays open during the call.
  case file(descriptor: Int32, sizeBytes: UInt64, sha256: Digest)
}

/// An object as a listing names it.
public struct ListedObject: Hashable, Sendable {
  public let key: ObjectKey
  public let sizeBytes: UInt64

  public init(key: ObjectKey, sizeBytes: UInt64) {
    self.key = key
    self.sizeBytes = sizeBytes
  }
}

/// A bucket, or a prefix of one. Any thread may call its methods.
public protocol ObjectStorage: Sendable {
  /// The URL for messages, without credentials.
  var name: String { get }

  /// Reads an object, or a range of its bytes, into memory.
  /// - Parameters:
  ///   - range: the bytes to read; nil for all. A range that ends after the object is an error.
  ///   - limitBytes: the most that is accepted.
  /// - Throws: `StorageError`: `notFound`, `tooLarge` above the limit, `damaged` if length or checksum differ.
  func read(
    _ key: ObjectKey, range: Range<UInt64>?, limitBytes: Int
  ) throws(StorageError) -> [UInt8]

  /// Reads an object of exactly `sizeBytes` in order, and passes it on part by part.
  ///
  /// A broken connection is continued where it broke; `body` sees each byte once.
  /// - Throws: `StorageError`; errors of `body`.
  func download(
    _ key: ObjectKey, sizeBytes: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void) throws

  /// Creates an object if none has the key.
  /// - Returns: false if an object exists, whose content is unchanged. A retry after a lost answer may find the
  ///   object that the first try created: the implementation compares it, and returns true if it has this
  ///   content and `isUnique` says that no other writer writes the same.
  /// - Throws: `StorageError`.
  func create(_ key: ObjectKey, _ body: ObjectBody, isUnique: Bool) throws(StorageError) -> Bool

  /// Writes an object whose key names its content: an existing object has the same bytes.
  /// - Throws: `StorageError`.
  func write(_ key: ObjectKey, _ body: ObjectBody) throws(StorageError)

  /// Returns the size of an object; nil if none has the key.
  /// - Throws: `StorageError`.
  func size(of key: ObjectKey) throws(StorageError) -> UInt64?

  /// Lists the objects whose keys begin with `prefix` in the order of their bytes, page by page.
  /// - Parameter body: receives a page; false ends the listing.
  /// - Throws: `StorageError`; errors of `body`.
  func list(_ prefix: String, _ body: ([ListedObject]) throws -> Bool) throws

  /// Deletes an object. It succeeds if none exists.
  /// - Throws: `StorageError`.
  func delete(_ key: ObjectKey) throws(StorageError)
}

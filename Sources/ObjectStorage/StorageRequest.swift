// A request to an object store, as tests see it between a caller and an implementation.

/// A request.
public struct StorageRequest: Sendable, Equatable, CustomStringConvertible {
  /// The operation of a request.
  public enum Operation: String, Sendable, CaseIterable {
    case read, download, create, write, size, list, delete
  }

  public let operation: Operation
  /// The key; the prefix of a listing.
  public let key: String
  /// The last key of the previous page of a listing; nil for the first page and for other requests.
  public let after: ObjectKey?

  /// Creates a request.
  public init(_ operation: Operation, _ key: String, after: ObjectKey? = nil) {
    self.operation = operation
    self.key = key
    self.after = after
  }

  public var description: String { "\(operation.rawValue) \(key)" }
}

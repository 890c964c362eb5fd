// The JSON form of errors (docs/json.md).

import Platform

/// The keys of an error.
public struct ErrorDetails: JSONObject {
  private let code: ErrorCode
  private let object: String
  private let message: String
  private let advice: String

  public init(_ error: any ExplainedError) {
    self.init(error.errorCode, error.subject, error.reason, error.hint)
  }

  public init(_ code: ErrorCode, _ object: String, _ message: String, _ advice: String = "") {
    (self.code, self.object, self.message, self.advice) = (code, object, message, advice)
  }

  public static let form = JSONForm<Self>("Error.Details") { key in
    key("code", \.code)
    key("category", \.code.category)
    key("object", \.object)
    key("message", \.message)
    key("advice", \.advice)
  }
}

/// An image whose snapshot failed: its name, and the keys of an error.
public struct SnapshotFailure: JSONObject {
  public let image: String
  public let error: any ExplainedError

  public init(_ image: String, _ error: any ExplainedError) {
    (self.image, self.error) = (image, error)
  }

  public static let form = JSONForm<Self> { key in
    key("image", \.image)
    key("code", \.error.errorCode)
    key("category", \.error.errorCode.category)
    key("object", \.error.subject)
    key("message", \.error.reason)
    key("advice", \.error.hint)
  }
}

extension ErrorCode: JSONEnumeration {}
extension ErrorCategory: JSONEnumeration {}
extension SnapshotOrigin: JSONEnumeration {}

/// The document of a failed command or request.
public struct ErrorJSON: JSONDocument {
  private let error: ErrorDetails
  /// The nodes that boot the image, if the error is that the image has no snapshot.
  private var nodes: [String]?

  /// Creates the document of an error.
  /// - Parameter nodes: the nodes that boot the image, if the error is that the image has no snapshot.
  public init(_ error: any ExplainedError, nodes: [String]? = nil) {
    self.error = ErrorDetails(error)
    self.nodes = nodes
  }

  /// Creates the document of a failure without an error value.
  public init(_ code: ErrorCode, _ object: String, _ message: String, _ advice: String = "") {
    error = ErrorDetails(code, object, message, advice)
  }

  public static let form = JSONForm<Self>(kind: "error") { key in
    key("error", \.error)
    key("nodes", \.nodes)
  }
}

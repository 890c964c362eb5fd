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

// The keys of an account.
//
// A value prints as its origin, so that no message, log or dump shows a key.

/// The keys that sign requests.
public struct S3Credentials: Sendable, Equatable, CustomStringConvertible,
  CustomDebugStringConvertible, CustomReflectable
{
  let accessKeyID: String
  private let secretAccessKey: String
  let sessionToken: String?
  /// The name of the place that the keys come from: "the environment", "profile p of FILE".
  public let origin: String

  /// Creates credentials.
  public init(
    accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, origin: String
  ) {
    self.accessKeyID = accessKeyID
    self.secretAccessKey = secretAccessKey
    self.sessionToken = sessionToken
    self.origin = origin
  }

  var secretBytes: [UInt8] { Array(secretAccessKey.utf8) }

  /// Whether a text of the service repeats a key or the token.
  func occur(in text: String) -> Bool {
    [accessKeyID, secretAccessKey, sessionToken ?? ""].contains { key in
      !key.isEmpty && text.contains(key)
    }
  }

  public var description: String { "keys of \(origin)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

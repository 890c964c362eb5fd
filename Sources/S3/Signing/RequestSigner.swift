// AWS Signature Version 4 with the headers of a request (docs.aws.amazon.com: "Signature Version 4 signing
// process"). Tests/S3Tests has the published test vectors.
//
// 1. Every header that is passed is signed, besides `host` and `x-amz-date`.
// 2. The path is not normalized: keys of S3 are names, not paths.

import Codec

/// Signs requests.
public struct RequestSigner: Sendable {
  /// A request before it is signed. `path` and `query` are not encoded yet.
  public struct Request: Sendable {
    public var method: String
    public var path: String
    public var query: [(name: String, value: String)]
    public var host: String
    public var headers: [(name: String, value: String)]
    /// The hexadecimal SHA-256 of the body.
    public var bodyHash: String

    /// Creates a request.
    public init(
      _ method: String, path: String, query: [(name: String, value: String)] = [], host: String,
      headers: [(name: String, value: String)] = [], bodyHash: String
    ) {
      self.method = method
      self.path = path
      self.query = query
      self.host = host
      self.headers = headers
      self.bodyHash = bodyHash
    }

    /// The path and the query as the request line has them.
    public var target: String {
      let query = canonicalQuery
      return encodedPath + (query.isEmpty ? "" : "?" + query)
    }

    var encodedPath: String { PercentEncoding.encode(path.utf8, keeping: "/") }

    var canonicalQuery: String {
      query.map { (PercentEncoding.encode($0.name.utf8), PercentEncoding.encode($0.value.utf8)) }
        .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
        .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }
  }

  private let credentials: S3Credentials
  private let region: String
  private let service: String

  /// Creates a signer for a region. `service` is another one in test vectors only.
  public init(_ credentials: S3Credentials, region: String, service: String = "s3") {
    self.credentials = credentials
    self.region = region
    self.service = service
  }

  /// Returns the headers to send: those of the request, and `x-amz-date`, `x-amz-security-token` and
  /// `authorization`.
  /// - Parameter seconds: the time of the request, in seconds since 1970.
  public func headers(
    for request: Request, at seconds: Int64
  ) -> [(name: String, value: String)] {
    let date = CivilTime.basic(seconds)
    var headers = request.headers + [("x-amz-date", date)]
    if let token = credentials.sessionToken { headers.append(("x-amz-security-token", token)) }
    let (canonical, names) = canonicalRequest(request, headers)
    let scope = "\(date.prefix(8))/\(region)/\(service)/aws4_request"
    let text =
      "AWS4-HMAC-SHA256\n\(date)\n\(scope)\n\(SHA256.digest(of: Array(canonical.utf8)).hex)"
    let signature = hex(HMACSHA256.code(of: Array(text.utf8), key: signingKey(date.prefix(8))))
    let authorization =
      "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), SignedHeaders=\(names), "
      + "Signature=\(signature)"
    return headers + [("authorization", authorization)]
  }

  private func canonicalRequest(
    _ request: Request, _ headers: [(name: String, value: String)]
  ) -> (text: String, signedNames: String) {
    var values: [String: [String]] = ["host": [request.host]]
    for (name, value) in headers { values[name.lowercased(), default: []].append(trimmed(value)) }
    let names = values.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    let lines = names.map { "\($0):\(values[$0, default: []].joined(separator: ","))\n" }
    let signed = names.joined(separator: ";")
    let text =
      "\(request.method)\n\(request.encodedPath)\n\(request.canonicalQuery)\n\(lines.joined())\n"
      + "\(signed)\n\(request.bodyHash)"
    return (text, signed)
  }

  /// Returns a header's value without blanks around it, and with one blank for each sequence of them.
  private func trimmed(_ value: String) -> String {
    value.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private func signingKey(_ date: Substring) -> [UInt8] {
    var key = Array("AWS4".utf8) + credentials.secretBytes
    for part in [String(date), region, service, "aws4_request"] {
      key = HMACSHA256.code(of: Array(part.utf8), key: key)
    }
    return key
  }

  private func hex(_ bytes: [UInt8]) -> String { Digest(bytes)?.hex ?? "" }
}

// The requests in a stream of bytes, parsed as a connection does, without a socket. Fuzzers and tests of
// hostile bytes use it.

/// Parses streams of requests.
public enum RequestStream {
  /// A request that was parsed.
  public struct Request: Sendable {
    public let method: String
    /// The target as it was sent.
    public let target: [UInt8]
    /// The decoded target; nil if it gets the answer 400.
    public let decoded: (path: RequestPath, query: RequestQuery)?
    /// The fields in order, with names in lower case.
    public let headers: [(name: String, value: String)]
    /// The size of the body.
    public let bodyBytes: UInt64
    public let keepsConnection: Bool
    /// The ranges of a content of 1000 bytes that the request asks for, in the order of the answer.
    public let ranges: [Range<UInt64>]
  }

  /// Returns the requests of a stream.
  /// - Parameters:
  ///   - stepBytes: the number of bytes that arrive at once.
  ///   - limits: the limits of a head.
  /// - Returns: the requests, and the status with which the connection ends; nil if the stream ended first.
  public static func requests(
    in bytes: [UInt8], stepBytes: Int, limits: HeadLimits = HeadLimits()
  ) -> (requests: [Request], refusal: HTTPStatus?) {
    var reader = RequestReader(limits)
    var requests: [Request] = []
    var bodyRest: UInt64 = 0
    do throws(RequestFailure) {
      for start in stride(from: 0, to: bytes.count, by: max(stepBytes, 1)) {
        let end = min(bytes.count, start + max(stepBytes, 1))
        bytes[start..<end].withUnsafeBytes { reader.append($0) }
        while true {
          if bodyRest > 0 { bodyRest -= reader.drop(atMost: bodyRest) }
          guard bodyRest == 0, let head = try reader.nextHead() else { break }
          let request = try request(head)
          requests.append(request)
          bodyRest = request.bodyBytes
        }
      }
    } catch { return (requests, error.status) }
    return (requests, nil)
  }

  private static func request(_ head: RequestHead) throws(RequestFailure) -> Request {
    var bodyBytes: UInt64 = 0
    if case .length(let length) = try head.framing() {
      guard length <= ServerLimits().bodyBytes else {
        throw RequestFailure(.contentTooLarge, "this server takes no request bodies")
      }
      bodyBytes = length
    }
    let target = try? RequestTarget(head.target)
    var ranges: [Range<UInt64>] = []
    if case .ranges(let found) = ByteRanges(head.values("range"), sizeBytes: 1000) {
      ranges = found
    }
    _ = Preconditions(head.headers, now: 0).refusal(Validators(entityTag: "a", modified: 0))
    return Request(
      method: head.method, target: head.target, decoded: target.map { ($0.path, $0.query) },
      headers: head.headers, bodyBytes: bodyBytes, keepsConnection: head.keepsConnection,
      ranges: ranges)
  }
}

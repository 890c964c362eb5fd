// The settings of a client: where the bucket is, the keys, and the limits.

/// The way that requests name the bucket.
public enum S3Addressing: String, Sendable {
  /// In the path: `https://host/bucket/key`. Every service of a site understands it.
  case path
  /// In the host name: `https://bucket.host/key`. AWS requires it for new buckets.
  case virtual
}

/// A proxy for requests, by the method CONNECT. It prints without its password.
public struct S3Proxy: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
  public let host: String
  public let port: Int
  /// "user:password" in Base64, for `Proxy-Authorization`.
  let basicAuthorization: String?

  public var description: String { "\(host):\(port)" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The settings of an `S3Storage`.
public struct S3Settings: Sendable {
  public var url: S3URL
  public var endpoint: S3Endpoint
  public var region: String
  public var addressing: S3Addressing
  public var credentials: S3Credentials
  /// A file of certificates in place of the system's.
  public var caBundle: String?
  /// Whether certificates are not verified. For tests only.
  public var isInsecure = false
  public var proxy: S3Proxy?
  public var limits = Limits()

  /// Creates settings with the usual limits.
  public init(
    _ url: S3URL, endpoint: S3Endpoint, region: String = "us-east-1",
    addressing: S3Addressing = .path, credentials: S3Credentials
  ) {
    self.url = url
    self.endpoint = endpoint
    self.region = region
    self.addressing = addressing
    self.credentials = credentials
  }

  /// Numbers that bound requests. Every one is checked by `normalized`.
  public struct Limits: Sendable {
    /// The number of requests at once; 1 to 64.
    public var requestsAtOnce = 8
    /// The size from which a body is sent in parts.
    public var multipartBytes: UInt64 = 64 << 20
    /// The size of a part; at least 8 MiB, unless `minPartBytes` is lower. Large bodies get larger parts.
    public var partBytes: UInt64 = 16 << 20
    /// The smallest part. Services refuse parts below 5 MiB, other than the last: only tests lower it.
    public var minPartBytes: UInt64 = 8 << 20
    /// The number of keys that a page of a listing has; 1 to 1000.
    public var keysPerPage = 1000
    public var connectSeconds = 10.0
    /// The time without a byte of the answer, after the request was sent.
    public var readSeconds = 60.0
    /// The time of a request without its body. `minBytesPerSecond` adds to it in proportion to the size.
    public var requestSeconds = 60.0
    /// The rate below which a request counts as broken.
    public var minBytesPerSecond = 64.0 * 1024
    /// The number of tries of a request; 1 to 20.
    public var tries = 7
    /// The longest pause before the second try. It doubles with each try, up to `maxPauseSeconds`.
    public var pauseSeconds = 0.5
    public var maxPauseSeconds = 20.0
    /// The number of retries that a client may make at first, and at most saves up.
    public var retryReserve = 64.0
    /// The number of retries that each request adds to the reserve.
    public var retriesPerRequest = 0.2

    /// Creates the usual limits.
    public init() {}

    var normalized: Limits {
      var limits = self
      limits.requestsAtOnce = min(max(requestsAtOnce, 1), 64)
      limits.partBytes = max(partBytes, minPartBytes, 1)
      limits.multipartBytes = max(multipartBytes, limits.partBytes)
      limits.keysPerPage = min(max(keysPerPage, 1), 1000)
      limits.tries = min(max(tries, 1), 20)
      limits.minBytesPerSecond = max(minBytesPerSecond, 1)
      return limits
    }
  }

  /// The URL and the endpoint, for messages.
  var name: String { "\(url) at \(endpoint)" }
}

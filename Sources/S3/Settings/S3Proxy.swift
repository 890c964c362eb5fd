// The proxy of the environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as curl(1) and botocore read them. The
// spelling in lower case is preferred.

import Codec
import ObjectStorage

extension S3Proxy {
  /// Returns the proxy for an endpoint; nil for none.
  /// - Throws: `StorageError` of kind settings for a proxy that is not `http://[user:password@]host:port`.
  static func find(
    for endpoint: S3Endpoint, _ origin: S3Settings.Origin
  ) throws(StorageError) -> S3Proxy? {
    let found =
      endpoint.isSecure
      ? origin.first("https_proxy", "HTTPS_PROXY") : origin.first("http_proxy")
    guard let (text, name) = found, !isExempt(endpoint.host, origin) else { return nil }
    return try S3Proxy(parsing: text, name: name)
  }

  private static func isExempt(_ host: String, _ origin: S3Settings.Origin) -> Bool {
    guard let (text, _) = origin.first("no_proxy", "NO_PROXY") else { return false }
    let host = host.lowercased()
    return text.lowercased().split(whereSeparator: { $0 == "," || $0 == " " }).contains { entry in
      let name = entry.hasPrefix(".") ? entry.dropFirst() : entry[...]
      return entry == "*" || host == name || (!name.isEmpty && host.hasSuffix("." + name))
    }
  }

  private init(parsing text: String, name: String) throws(StorageError) {
    let invalid = StorageError(
      .settings, "the proxy of \(name)", "is not http://[USER:PASSWORD@]HOST:PORT",
      hint: "Correct or unset \(name)")
    var rest = text[...]
    if let scheme = text.range(of: "://") {
      guard text[..<scheme.lowerBound].lowercased() == "http" else { throw invalid }
      rest = text[scheme.upperBound...]
    }
    var authorization: String?
    if let at = rest.lastIndex(of: "@") {
      guard let user = PercentEncoding.decode(rest[..<at].utf8) else { throw invalid }
      authorization = Base64.encode(user)
      rest = rest[rest.index(after: at)...]
    }
    guard let endpoint = try? S3Endpoint(parsing: "http://" + rest, origin: name),
      endpoint.path.isEmpty
    else { throw invalid }
    var host = endpoint.host
    if host.hasPrefix("[") { host = String(host.dropFirst().dropLast()) }
    self.init(host: host, port: endpoint.port ?? 80, basicAuthorization: authorization)
  }
}

extension StringProtocol {
  /// Returns the range of the first occurrence of an ASCII text.
  fileprivate func range(of text: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) {
        return start..<(index(start, offsetBy: text.count))
      }
      start = index(after: start)
    }
    return nil
  }
}

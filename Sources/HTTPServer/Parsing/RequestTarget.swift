// The target of a request (RFC 9112 section 3.2): "/path?query", or the same with scheme and host in front, as
// proxies send it.

/// The decoded parts of a target.
struct RequestTarget {
  let path: RequestPath
  let query: RequestQuery

  /// Decodes a target.
  /// - Throws: `RequestFailure` (400) for other forms and for invalid escapes.
  init(_ target: [UInt8]) throws(RequestFailure) {
    var rest = target[...]
    let lower = rest.prefix(8).map { (0x41...0x5a).contains($0) ? $0 + 0x20 : $0 }
    for scheme in ["http://", "https://"] where lower.starts(with: scheme.utf8) {
      rest = rest.dropFirst(scheme.utf8.count)
      rest = rest[(rest.firstIndex { $0 == 0x2f || $0 == 0x3f } ?? rest.endIndex)...]
      if rest.first != 0x2f { rest = [0x2f] + rest }
      break
    }
    let mark = rest.firstIndex(of: 0x3f)
    guard let path = RequestPath(target: rest[..<(mark ?? rest.endIndex)]) else {
      throw RequestFailure(.badRequest, "the path is invalid")
    }
    guard let query = RequestQuery(encoded: mark.map { rest[($0 + 1)...] } ?? []) else {
      throw RequestFailure(.badRequest, "the query is invalid")
    }
    self.path = path
    self.query = query
  }
}

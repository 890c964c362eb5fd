// Turns the answer of a handler into the answer that is sent: status, header fields, and the parts of the body.
//
// 1. Conditions and ranges apply to answers with status 200 only (RFC 9110 sections 13.2.1 and 14.2).
// 2. `sizeBytes`, if it is known, is the sum of the parts. The connection sends exactly that, or ends early.
// 3. No value of a handler can begin a new header field, or end the head.

import Platform

/// A part of a body.
enum BodyPart: Sendable {
  case bytes(ArraySlice<UInt8>)
  case file(Descriptor, Range<UInt64>)
  /// A part of a growing file; up to its end if the upper bound is nil.
  case growing(GrowingFile, from: UInt64, to: UInt64?)
}

/// An answer, ready to be sent.
struct ResponsePlan: Sendable {
  var status: HTTPStatus
  var headers: [(name: String, value: String)] = []
  var parts: [BodyPart] = []
  /// The size of the body, also if the request was HEAD; nil if it is not known yet.
  var sizeBytes: UInt64?

  /// Plans the answer to a request.
  /// - Parameter now: the time, in seconds since 1970.
  init(
    _ response: HTTPResponse, to method: HTTPMethod, _ headers: [(name: String, value: String)],
    now: Int64
  ) {
    self.init(response, to: method, now: now)
    if status == .ok { select(response, method, headers, now) }
    finish(method)
  }

  private mutating func select(
    _ response: HTTPResponse, _ method: HTTPMethod, _ headers: [(name: String, value: String)],
    _ now: Int64
  ) {
    let validators = Validators(
      entityTag: response.entityTag.map(ResponsePlan.visible),
      modified: response.lastModified.map { min($0.seconds, now) })
    let conditions = Preconditions(headers, now: now)
    if let refusal = conditions.refusal(validators) {
      refuse(refusal)
    } else if let sizeBytes {
      self.headers.append(("Accept-Ranges", "bytes"))
      if method == .get, conditions.allowsRange(validators) {
        select(ByteRanges(headers.filter { $0.name == "range" }.map(\.value), sizeBytes: sizeBytes))
      }
    }
  }

  /// Plans the answer without conditions and ranges.
  private init(_ response: HTTPResponse, to method: HTTPMethod, now: Int64) {
    status = response.status
    if let type = response.contentType {
      headers.append(("Content-Type", ResponsePlan.printableValue(type)))
    }
    if let tag = response.entityTag { headers.append(("ETag", "\"\(ResponsePlan.visible(tag))\"")) }
    if let time = response.lastModified {
      headers.append(("Last-Modified", HTTPDate.text(min(time.seconds, now))))
    }
    for (name, value) in response.headers where ResponsePlan.isFree(name) {
      headers.append((name, ResponsePlan.printableValue(value)))
    }
    switch response.body {
    case .bytes(let bytes):
      (parts, sizeBytes) = ([.bytes(bytes[...])], UInt64(bytes.count))
    case .file(let file, let offset, let count):
      let (end, isOverflow) = offset.addingReportingOverflow(count)
      // The kernel would send nothing at all beyond the end of the file, and never report an error.
      if isOverflow || !ResponsePlan.holds(file, end) {
        fail()
      } else {
        (parts, sizeBytes) = ([.file(file, offset..<end)], count)
      }
    case .growing(let file):
      switch file.progress {
      case .finished(let size):
        if ResponsePlan.holds(file.descriptor, size) {
          (parts, sizeBytes) = ([.file(file.descriptor, 0..<size)], size)
        } else {
          fail()
        }
      case .growing:
        (parts, sizeBytes) = ([.growing(file, from: 0, to: file.totalBytes)], file.totalBytes)
      case .failed: fail()
      }
    case .absent(let size):
      if method == .head { sizeBytes = size } else { fail() }
    }
  }

  private static func holds(_ file: Descriptor, _ sizeBytes: UInt64) -> Bool {
    ((try? KernelFileSystem.shared.stat(file.raw).size) ?? 0) >= sizeBytes
  }

  private mutating func fail() {
    let text = Array("the server could not produce the content\n".utf8)
    status = .internalError
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    (parts, sizeBytes) = ([.bytes(text[...])], UInt64(text.count))
  }

  private mutating func refuse(_ refusal: HTTPStatus) {
    status = refusal
    // A 304 has no fields that describe a body (section 15.4.5).
    headers.removeAll { $0.name == "Content-Type" }
    guard refusal == .preconditionFailed else {
      (parts, sizeBytes) = ([], nil)
      return
    }
    let text = Array("a condition of the request does not hold\n".utf8)
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    (parts, sizeBytes) = ([.bytes(text[...])], UInt64(text.count))
  }

  /// HEAD has the header fields of GET, and no body.
  private mutating func finish(_ method: HTTPMethod) {
    if status == .noContent || status == .notModified { (parts, sizeBytes) = ([], nil) }
    if method == .head { parts = [] }
    // Each challenge names a way to send the token; browsers ask for a password.
    if status == .unauthorized, !headers.contains(where: { $0.name == "WWW-Authenticate" }) {
      headers.append(("WWW-Authenticate", "Bearer realm=\"imgstore\""))
      headers.append(("WWW-Authenticate", "Basic realm=\"imgstore\", charset=\"UTF-8\""))
    }
  }

  /// Whether the body ends with the connection, or is sent in chunks.
  var isUnsized: Bool { sizeBytes == nil && status != .noContent && status != .notModified }
}

extension ResponsePlan {
  private mutating func select(_ selection: ByteRanges) {
    guard let sizeBytes, let body = parts.first else { return }
    switch selection {
    case .whole: return
    case .unsatisfiable:
      let text = Array("no range overlaps the content\n".utf8)
      status = .rangeNotSatisfiable
      headers.removeAll { ["Content-Type", "ETag", "Last-Modified"].contains($0.name) }
      headers.append(("Content-Range", "bytes */\(sizeBytes)"))
      headers.append(("Content-Type", "text/plain; charset=utf-8"))
      (parts, self.sizeBytes) = ([.bytes(text[...])], UInt64(text.count))
    case .ranges(let ranges) where ranges.count == 1:
      status = .partialContent
      headers.append(("Content-Range", ResponsePlan.contentRange(ranges[0], sizeBytes)))
      parts = [body.part(ranges[0])]
      self.sizeBytes = UInt64(ranges[0].count)
    case .ranges(let ranges): selectMany(ranges, of: body, sizeBytes)
    }
  }

  /// Makes a body of type multipart/byteranges (RFC 9110 section 14.6).
  private mutating func selectMany(_ ranges: [Range<UInt64>], of body: BodyPart, _ size: UInt64) {
    let boundary = "\(randomName())\(randomName())"
    let type = headers.first { $0.name == "Content-Type" }?.value
    status = .partialContent
    headers.removeAll { $0.name == "Content-Type" }
    headers.append(("Content-Type", "multipart/byteranges; boundary=\(boundary)"))
    parts = []
    var total: UInt64 = 0
    func add(_ text: String) {
      parts.append(.bytes(Array(text.utf8)[...]))
      total += UInt64(text.utf8.count)
    }
    for range in ranges {
      let typeLine = type.map { "Content-Type: \($0)\r\n" } ?? ""
      let rangeLine = "Content-Range: \(ResponsePlan.contentRange(range, size))\r\n"
      add("\(total == 0 ? "" : "\r\n")--\(boundary)\r\n\(typeLine)\(rangeLine)\r\n")
      parts.append(body.part(range))
      total += UInt64(range.count)
    }
    add("\r\n--\(boundary)--\r\n")
    sizeBytes = total
  }

  private static func contentRange(_ range: Range<UInt64>, _ size: UInt64) -> String {
    "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
  }

  /// Whether a handler may set the field: its name is a token, and the server does not set it itself.
  private static func isFree(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.allSatisfy(isTokenByte)
      && ![
        "content-length", "transfer-encoding", "connection", "date", "server", "content-range",
        "accept-ranges", "content-type", "etag", "last-modified",
      ].contains(asciiLowercased(name))
  }

  /// Returns a value of a header field without characters that end it.
  static func printableValue(_ value: String) -> String {
    String(decoding: value.utf8.filter { $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }, as: UTF8.self)
  }

  /// Returns an entity tag without characters that cannot be in one.
  private static func visible(_ tag: String) -> String {
    String(decoding: tag.utf8.filter { $0 > 0x20 && $0 != 0x22 && $0 != 0x7f }, as: UTF8.self)
  }
}

extension BodyPart {
  /// Returns a part of the content. The range lies within it.
  fileprivate func part(_ range: Range<UInt64>) -> BodyPart {
    switch self {
    case .bytes(let bytes):
      .bytes(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
    case .file(let file, let whole):
      .file(file, (whole.lowerBound + range.lowerBound)..<(whole.lowerBound + range.upperBound))
    case .growing(let file, let start, _):
      .growing(file, from: start + range.lowerBound, to: start + range.upperBound)
    }
  }
}

extension HTTPStatus {
  /// The reason phrase of RFC 9110.
  var phrase: String {
    switch self {
    case .ok: "OK"
    case .noContent: "No Content"
    case .partialContent: "Partial Content"
    case .seeOther: "See Other"
    case .notModified: "Not Modified"
    case .permanentRedirect: "Permanent Redirect"
    case .badRequest: "Bad Request"
    case .unauthorized: "Unauthorized"
    case .forbidden: "Forbidden"
    case .notFound: "Not Found"
    case .methodNotAllowed: "Method Not Allowed"
    case .notAcceptable: "Not Acceptable"
    case .requestTimeout: "Request Timeout"
    case .conflict: "Conflict"
    case .gone: "Gone"
    case .lengthRequired: "Length Required"
    case .preconditionFailed: "Precondition Failed"
    case .contentTooLarge: "Content Too Large"
    case .targetTooLong: "URI Too Long"
    case .rangeNotSatisfiable: "Range Not Satisfiable"
    case .expectationFailed: "Expectation Failed"
    case .headerFieldsTooLarge: "Request Header Fields Too Large"
    case .internalError: "Internal Server Error"
    case .notImplemented: "Not Implemented"
    case .unavailable: "Service Unavailable"
    case .versionNotSupported: "HTTP Version Not Supported"
    }
  }
}

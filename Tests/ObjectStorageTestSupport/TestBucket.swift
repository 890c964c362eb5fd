// A small S3 service in the process of the tests. It keeps one bucket in memory, and has the semantics that the
// client relies on: conditions, ranges, pages, uploads in parts, checksums.
//
// It verifies the hash of a body, and no signature: that is the real gateway's part.

import Codec
import Glibc
import Platform

/// A service with one bucket.
public final class TestBucket: Sendable {
  public struct State: Sendable {
    public var objects: [String: [UInt8]] = [:]
    public var uploads: [String: Upload] = [:]
    public var requests: [String] = []
    var lastID = 0
  }

  public struct Upload: Sendable {
    public let key: String
    public var parts: [Int: [UInt8]] = [:]

    public init(key: String) { self.key = key }
  }

  public static let name = "bucket"

  public let state = Monitor(State())
  /// Whether conditions on writes have an effect.
  public let honoursConditions: Bool
  /// The time of the clock of the service, in seconds before ours.
  public let delaySeconds: Int64
  private let server: Monitor<LoopbackServer?>
  /// What happens before or after a request takes effect.
  public let interruption = Monitor<Interruption?>(nil)

  /// An action at one request.
  public struct Interruption: Sendable {
    /// The number of the request in `State.requests`, from 1.
    let request: Int
    /// Whether the request has had its effect by then.
    let isAfter: Bool
    let action: @Sendable () -> Void

    public init(
      at request: Int, isAfter: Bool, action: @escaping @Sendable () -> Void
    ) {
      (self.request, self.isAfter, self.action) = (request, isAfter, action)
    }
  }

  /// Starts a service.
  public init(honoursConditions: Bool = true, delaySeconds: Int64 = 0) throws {
    self.honoursConditions = honoursConditions
    self.delaySeconds = delaySeconds
    server = Monitor(nil)
    let started = try LoopbackServer { [weak self] connection in
      while let request = TestRequest(from: connection) {
        guard let self else { return }
        var answer = self.answer(request)
        answer.head["Date"] = TestBucket.date(now().seconds - self.delaySeconds)
        let close = request.head["connection"]?.lowercased() == "close"
        if close { answer.head["Connection"] = "close" }
        guard connection.write(request.method == "HEAD" ? answer.head.bytes : answer.bytes), !close
        else { return }
      }
    }
    server.withLock { $0 = started }
  }

  public var port: UInt16 { server.withLock { $0?.port ?? 0 } }

  /// The number of connections so far.
  public var connectionCount: Int { server.withLock { $0?.connectionCount ?? 0 } }

  public func stop() { server.withLock { $0 }?.stop() }

  /// Answers a request.
  func answer(_ request: TestRequest) -> TestAnswer {
    if let hash = request.head["x-amz-content-sha256"], hash != SHA256.digest(of: request.body).hex
    {
      return .error(400, "XAmzContentSHA256Mismatch")
    }
    guard request.head["authorization"] != nil else { return .error(403, "AccessDenied") }
    let number = state.update { state in
      state.requests.append(request.head.firstLine)
      return state.requests.count
    }
    let due = interruption.withLock { $0?.request == number ? $0 : nil }
    if let due, !due.isAfter {
      due.action()
      return .error(503, "SlowDown")
    }
    let answer = effect(of: request)
    due?.action()
    return answer
  }

  private func effect(of request: TestRequest) -> TestAnswer {
    state.update { state in
      let bucketPath = "/\(TestBucket.name)"
      guard request.path == bucketPath || request.path.hasPrefix(bucketPath + "/") else {
        return .error(404, "NoSuchBucket")
      }
      let key = String(request.path.dropFirst(bucketPath.count + 1))
      if key.isEmpty {
        return request.query["uploads"] == nil ? list(request, state) : listUploads(request, state)
      }
      if request.query["uploads"] != nil || request.query["uploadId"] != nil {
        return upload(request, key, &state)
      }
      switch request.method {
      case "PUT": return put(request, key, &state)
      case "GET", "HEAD": return get(request, key, state)
      case "DELETE":
        state.objects[key] = nil
        return TestAnswer(204)
      default: return .error(405, "MethodNotAllowed")
      }
    }
  }

  private func isRefused(_ request: TestRequest, _ key: String, _ state: State) -> Bool {
    honoursConditions && request.head["if-none-match"] == "*" && state.objects[key] != nil
  }

  private func put(_ request: TestRequest, _ key: String, _ state: inout State) -> TestAnswer {
    if isRefused(request, key, state) { return .error(412, "PreconditionFailed") }
    state.objects[key] = request.body
    return TestAnswer(200, [("ETag", TestBucket.tag(request.body))])
  }

  private func get(_ request: TestRequest, _ key: String, _ state: State) -> TestAnswer {
    guard let content = state.objects[key] else { return .error(404, "NoSuchKey") }
    let tag = TestBucket.tag(content)
    if let match = request.head["if-match"], match != tag {
      return .error(412, "PreconditionFailed")
    }
    guard let range = request.head["range"] else {
      var headers = [("ETag", tag)]
      if request.head["x-amz-checksum-mode"] == "ENABLED" {
        headers.append(
          ("x-amz-checksum-sha256", TestBucket.base64(SHA256.digest(of: content).bytes)))
      }
      return TestAnswer(200, headers, content)
    }
    let bounds = range.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) }
    guard bounds.count == 2, bounds[0] < content.count, bounds[0] <= bounds[1] else {
      return .error(416, "InvalidRange")
    }
    let end = min(bounds[1], content.count - 1)
    return TestAnswer(
      206,
      [("ETag", tag), ("Content-Range", "bytes \(bounds[0])-\(end)/\(content.count)")],
      Array(content[bounds[0]...end]))
  }

  private func list(_ request: TestRequest, _ state: State) -> TestAnswer {
    let query = request.query
    let prefix = query["prefix"] ?? ""
    let count = query["max-keys"].flatMap { Int($0) } ?? 1000
    let after = query["continuation-token"].map { String($0.dropFirst()) }
    let keys = state.objects.keys
      .filter { key in
        key.hasPrefix(prefix) && (after.map { $0.utf8.lexicographicallyPrecedes(key.utf8) } ?? true)
      }
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    let page = keys.prefix(count)
    var text =
      "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    text += "<EncodingType>url</EncodingType><IsTruncated>\(keys.count > count)</IsTruncated>"
    if keys.count > count, let last = page.last {
      text += "<NextContinuationToken>t\(last)</NextContinuationToken>"
    }
    for key in page {
      let encoded = key.utf8.map { byte in
        "%+=@".utf8.contains(byte)
          ? "%" + String(byte, radix: 16, uppercase: true) : String(Unicode.Scalar(byte))
      }
      text +=
        "<Contents><Key>\(encoded.joined())</Key><Size>\(state.objects[key]?.count ?? 0)</Size></Contents>"
    }
    return TestAnswer(200, [], Array((text + "</ListBucketResult>").utf8))
  }

  private func upload(_ request: TestRequest, _ key: String, _ state: inout State) -> TestAnswer {
    guard let id = request.query["uploadId"] else {
      state.lastID += 1
      state.uploads["u\(state.lastID)"] = Upload(key: key)
      return TestAnswer(
        200, [],
        Array(
          "<InitiateMultipartUploadResult><UploadId>u\(state.lastID)</UploadId></InitiateMultipartUploadResult>"
            .utf8))
    }
    guard let upload = state.uploads[id], upload.key == key else {
      return .error(404, "NoSuchUpload")
    }
    switch request.method {
    case "PUT":
      state.uploads[id]?.parts[request.query["partNumber"].flatMap { Int($0) } ?? 0] = request.body
      return TestAnswer(200, [("ETag", TestBucket.tag(request.body))])
    case "DELETE":
      state.uploads[id] = nil
      return TestAnswer(204)
    default:
      if isRefused(request, key, state) { return .error(412, "PreconditionFailed") }
      state.objects[key] = upload.parts.sorted { $0.key < $1.key }.flatMap(\.value)
      state.uploads[id] = nil
      return TestAnswer(
        200, [],
        Array(
          "<CompleteMultipartUploadResult><ETag>\"x-1\"</ETag></CompleteMultipartUploadResult>".utf8
        ))
    }
  }

  private func listUploads(_ request: TestRequest, _ state: State) -> TestAnswer {
    let prefix = request.query["prefix"] ?? ""
    let items = state.uploads.filter { $0.value.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }
      .map {
        "<Upload><Key>\($0.value.key)</Key><UploadId>\($0.key)</UploadId>"
          + "<Initiated>2020-01-02T03:04:05.000Z</Initiated></Upload>"
      }
    return TestAnswer(
      200, [],
      Array(
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\(items.joined())</ListMultipartUploadsResult>"
          .utf8))
  }

  private static func tag(_ content: [UInt8]) -> String {
    "\"\(SHA256.digest(of: content).hex.prefix(32))\""
  }

  static func base64(_ bytes: [UInt8]) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = Array(bytes[start..<min(start + 3, bytes.count)])
      let padded = group + [UInt8](repeating: 0, count: 3 - group.count)
      let bits = Int(padded[0]) << 16 | Int(padded[1]) << 8 | Int(padded[2])
      for index in 0..<4 {
        text.append(index <= group.count ? letters[bits >> (18 - 6 * index) & 63] : "=")
      }
    }
    return text
  }

  private static func date(_ seconds: Int64) -> String {
    var time = time_t(seconds)
    var parts = tm()
    gmtime_r(&time, &parts)
    var buffer = [CChar](repeating: 0, count: 64)
    strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

// The answer of a handler. The server adds what follows from it: Content-Length, Date, the answers to
// conditional requests and to ranges.
//
// 1. A handler answers as if the request had neither conditions nor ranges: with status 200 and the whole
//    content. The server turns this into 304, 206, 412 or 416.
// 2. Two contents with the same entity tag are the same bytes.

import Platform

/// A status code (RFC 9110 section 15).
public enum HTTPStatus: Int, Sendable {
  case ok = 200
  case noContent = 204
  case partialContent = 206
  case seeOther = 303
  case notModified = 304
  case permanentRedirect = 308
  case badRequest = 400
  case unauthorized = 401
  case forbidden = 403
  case notFound = 404
  case methodNotAllowed = 405
  case notAcceptable = 406
  case requestTimeout = 408
  case conflict = 409
  case gone = 410
  case lengthRequired = 411
  case preconditionFailed = 412
  case contentTooLarge = 413
  case targetTooLong = 414
  case rangeNotSatisfiable = 416
  case expectationFailed = 417
  case headerFieldsTooLarge = 431
  case internalError = 500
  case notImplemented = 501
  case unavailable = 503
  case versionNotSupported = 505
}

/// An answer.
public struct HTTPResponse: Sendable {
  public var status: HTTPStatus
  /// The media type of the body, for example `text/html; charset=utf-8`; nil without a body.
  public var contentType: String?
  public var body: Body
  /// The strong validator of the content, without quotes: for files the SHA-256 in hex. Nil if it is not known.
  public var entityTag: String?
  public var lastModified: Timestamp?
  /// Other header fields, with names as they are sent. The server removes characters that end a line.
  public var headers: [(name: String, value: String)]

  /// The content of an answer.
  public enum Body: Sendable {
    case bytes([UInt8])
    /// A part of a regular file, which is sent from the page cache. Nobody may change the file any more.
    case file(Descriptor, offset: UInt64, sizeBytes: UInt64)
    /// A file that is still being written. Each client is sent what is there, and waits for the rest.
    case growing(GrowingFile)
    /// The size of a content that is not at hand, for an answer to HEAD.
    case absent(sizeBytes: UInt64)
  }

  /// Creates an answer.
  public init(
    _ status: HTTPStatus, contentType: String? = nil, body: Body = .bytes([]),
    entityTag: String? = nil, lastModified: Timestamp? = nil,
    headers: [(name: String, value: String)] = []
  ) {
    self.status = status
    self.contentType = contentType
    self.body = body
    self.entityTag = entityTag
    self.lastModified = lastModified
    self.headers = headers
  }

  /// Returns an answer that is one line of text.
  public static func text(_ status: HTTPStatus, _ line: String) -> HTTPResponse {
    HTTPResponse(
      status, contentType: "text/plain; charset=utf-8", body: .bytes(Array((line + "\n").utf8)))
  }
}

/// Answers requests.
public protocol RequestHandler: Sendable {
  /// Answers a request. It is called on a thread of the server's pool, so it may block.
  func respond(to request: HTTPRequest) -> HTTPResponse
}

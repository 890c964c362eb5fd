// The parameters of a request of the API: those of its path and of its query.
//
// 1. A parameter that a route does not have, or that occurs twice, is an error.
// 2. A path inside of an image is bytes. It is passed on as printable text, from which the bytes can be restored.

import Codec
import HTTPServer
import Images

/// A parameter of the query.
enum APIQuery: String, CaseIterable, Sendable {
  case limit
  case after
  case path
  case old
  case new
  case packages
  case snapshots
}

/// The parameters of one request.
struct APIParameters {
  static let maxLimit = 10_000
  static let defaultLimit = 1000

  let request: HTTPRequest
  private let values: [String: String]
  private let query: [APIQuery: [UInt8]]

  /// Reads the parameters.
  /// - Throws: `ImageError` (`usage`) for a parameter that the route does not have, or that is missing.
  init(_ request: HTTPRequest, _ route: APIRoute, _ values: [String: [UInt8]]) throws {
    self.request = request
    self.values = try values.mapValues { bytes in
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw ImageError(.invalidName, "'\(printable(bytes))'", "is not UTF-8")
      }
      return text
    }
    var query: [APIQuery: [UInt8]] = [:]
    for (name, value) in request.query.items {
      guard let key = APIQuery(rawValue: name), route.query.contains(where: { $0.key == key })
      else {
        throw ImageError(
          .usage, "parameter '\(printable(name.utf8))'", "is not one of this URL",
          hint: "/api/v1/openapi.json lists the parameters of each URL")
      }
      guard query.updateValue(value, forKey: key) == nil else {
        throw ImageError(.usage, "parameter '\(name)'", "occurs twice")
      }
    }
    for parameter in route.query where parameter.isRequired && query[parameter.key] == nil {
      throw ImageError(.usage, "parameter '\(parameter.key.rawValue)'", "is missing")
    }
    self.query = query
  }

  /// Returns a parameter of the path.
  func text(_ name: String) -> String { values[name] ?? "" }

  /// Returns a parameter of the query as text; nil if it is absent.
  /// - Throws: `ImageError` (`usage`) if it is not UTF-8.
  func text(_ key: APIQuery) throws -> String? {
    guard let bytes = query[key] else { return nil }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ImageError(.usage, "parameter '\(key.rawValue)'", "is not UTF-8")
    }
    return text
  }

  /// The path inside of the image, as printable text; empty for its root tree.
  var path: String { printable(query[.path] ?? []) }

  /// The cursor of a list whose elements are ordered by a name or a path: its bytes.
  var after: [UInt8]? { query[.after] }

  /// The largest number of elements of a list.
  /// - Throws: `ImageError` (`usage`) if it is not a number of the range.
  var limit: Int {
    get throws {
      guard let text = try text(.limit) else { return Self.defaultLimit }
      guard let limit = Self.number(text), (1...Self.maxLimit).contains(limit) else {
        throw ImageError(
          .usage, "parameter 'limit'",
          "is '\(printable(text.utf8))', not a number from 1 to "
            + "\(Self.maxLimit)")
      }
      return limit
    }
  }

  /// Returns whether a parameter is "true".
  /// - Throws: `ImageError` (`usage`) if it is neither "true" nor "false".
  func flag(_ key: APIQuery) throws -> Bool {
    switch try text(key) {
    case nil, "false": return false
    case "true": return true
    default:
      throw ImageError(.usage, "parameter '\(key.rawValue)'", "is neither 'true' nor 'false'")
    }
  }

  /// Returns a number that is written as people write it: without a sign and leading zeros.
  static func number(_ text: String) -> Int? {
    guard let number = Int(text), number >= 0, "\(number)" == text else { return nil }
    return number
  }

  /// Returns the URL of the same request with another cursor.
  func next(after cursor: [UInt8]) -> String {
    var path = request.path.segments.map { "/" + PercentEncoding.segment($0) }.joined()
    var separator = "?"
    for (name, value) in request.query.items where name != APIQuery.after.rawValue {
      path += "\(separator)\(name)=\(QueryCoding.value(value))"
      separator = "&"
    }
    return path + "\(separator)after=\(QueryCoding.value(cursor))"
  }
}

/// Encodes values of queries.
enum QueryCoding {
  /// Returns bytes as a value of a query: like a segment of a path, and without "+", which means a space there.
  static func value(_ bytes: some Sequence<UInt8>) -> String {
    PercentEncoding.segment(bytes).split(separator: "+", omittingEmptySubsequences: false)
      .joined(separator: "%2B")
  }
}

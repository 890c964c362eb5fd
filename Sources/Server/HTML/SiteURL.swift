// URLs of this server.
//
// 1. A URL begins with one "/" and has no host: no page leads elsewhere.
// 2. Names are bytes, and are encoded: a name cannot add a segment, a query or a host.

import Codec
import HTTPServer
import Images

/// A URL of this server.
struct SiteURL: Sendable {
  private var path: String
  private var query: [(name: String, value: String)] = []
  private var fragment = ""

  /// Creates the URL of segments.
  init(_ segments: [[UInt8]], isDirectory: Bool = false) {
    path = segments.map { "/" + PercentEncoding.segment($0) }.joined()
    if isDirectory || path.isEmpty { path += "/" }
  }

  /// Creates the URL of segments that are text.
  init(_ segments: String...) { self.init(segments.map { Array($0.utf8) }) }

  /// Returns the URL with a parameter of its query.
  func with(_ name: StaticString, _ value: some Sequence<UInt8>) -> SiteURL {
    var url = self
    url.query.append((name.description, QueryCoding.value(value)))
    return url
  }

  /// Returns the URL with a parameter of its query.
  func with(_ name: StaticString, _ value: String) -> SiteURL { with(name, value.utf8) }

  /// Returns the URL of an element of the page.
  func to(_ element: StaticString) -> SiteURL {
    var url = self
    url.fragment = "#" + element.description
    return url
  }

  /// The URL of an element of the same page.
  static func here(_ element: String) -> SiteURL {
    var url = SiteURL()
    url.path = ""
    url.fragment = "#" + PercentEncoding.segment(element.utf8)
    return url
  }

  var text: String {
    let pairs = query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
    return path + (pairs.isEmpty ? "" : "?" + pairs) + fragment
  }

  // MARK: The pages

  static let start = SiteURL()
  static let space = SiteURL("space")
  static let health = SiteURL("health")

  static func image(_ name: String) -> SiteURL { SiteURL("images", name) }

  static func snapshot(_ image: String, _ number: Int) -> SiteURL {
    SiteURL("images", image, "\(number)")
  }

  /// The URL of the comparison of two snapshots of an image.
  static func diff(_ image: String, _ old: Int, _ new: Int, _ path: [[UInt8]] = []) -> SiteURL {
    SiteURL(
      ["images", image, "diff", "\(old)..\(new)"].map { Array($0.utf8) } + path)
  }

  /// The URL of an entry of the root tree.
  static func file(_ image: String, _ number: Int, _ path: [[UInt8]]) -> SiteURL {
    SiteURL(["images", image, "\(number)", "files"].map { Array($0.utf8) } + path)
  }

  /// The URL of the content of a file of the root tree.
  static func raw(_ image: String, _ number: Int, _ path: [[UInt8]]) -> SiteURL {
    SiteURL(["images", image, "\(number)", "raw"].map { Array($0.utf8) } + path)
  }

  /// The URL of a part of the image outside of its root tree, by its absolute path.
  static func part(_ image: String, _ number: Int, _ path: [[UInt8]]) -> SiteURL {
    SiteURL(["images", image, "\(number)", "parts"].map { Array($0.utf8) } + path)
  }
}

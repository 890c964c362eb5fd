// The web page: every URL that is not one of the other parts.
//
// 1. Pages are complete without the script, and need nothing from another server.
// 2. Every list is limited, and has a link to the rest.
// 3. A failure is a page with its message, and has the status that the API gives it.

import HTTPServer
import Images

/// Answers requests for pages.
public struct PageRoutes: RequestHandler {
  private let opener: WorkspaceOpener
  private let contents: FileContents
  private let space = SpaceCache()

  /// Creates the handler.
  /// - Parameter contents: the contents of large files, which the API shares.
  public init(_ opener: WorkspaceOpener, contents: FileContents = FileContents()) {
    (self.opener, self.contents) = (opener, contents)
  }

  public func respond(to request: HTTPRequest) -> HTTPResponse {
    do {
      return try answer(request)
    } catch {
      return ErrorPage.response(error)
    }
  }

  private func answer(_ request: HTTPRequest) throws -> HTTPResponse {
    let segments = request.path.segments
    let names = segments.prefix(4).map { String(decoding: $0, as: UTF8.self) }
    if let asset = Assets.response(names) { return asset }
    let call = PageCall(
      request: request, workspace: try opener.open(), opener: opener, contents: contents,
      space: space)
    switch (names.first, segments.count) {
    case (nil, _): return try ImagesPage(call).response()
    case ("images", 1): return .redirect(.start)
    case ("space", 1): return try SpacePage(call).response()
    case ("health", 1): return try HealthPage(call).response()
    case ("images", _):
      return try image(call, try PageCall.text(segments[1]), Array(segments.dropFirst(2)))
    default: throw PageRoutes.noPage
    }
  }

  /// Answers requests below /images/IMAGE.
  private func image(
    _ call: PageCall, _ image: String, _ rest: [[UInt8]]
  ) throws -> HTTPResponse {
    guard let first = try rest.first.map(PageCall.text) else {
      return try TimelinePage(call, image).response()
    }
    if first == "diff" {
      guard rest.count > 1 else { return try DiffPage.redirect(call, image) }
      return try diff(call, image, try PageCall.text(rest[1]), Array(rest.dropFirst(2)))
    }
    let snapshot = try call.finder.snapshot(image, first)
    let number = snapshot.number
    let view = try rest.dropFirst().first.map(PageCall.text)
    let path = Array(rest.dropFirst(2))
    // Tags move, so each snapshot has one address: that of its number.
    guard first == "\(number)" else {
      return .redirect(
        SiteURL(
          [Array("images".utf8), Array(image.utf8), Array("\(number)".utf8)] + rest.dropFirst()))
    }
    switch view {
    case nil: return try SnapshotPage(call, snapshot).response()
    case "files": return try FilePage(call, snapshot, path, isPart: false).response()
    case "parts" where !path.isEmpty:
      return try FilePage(call, snapshot, path, isPart: true).response()
    case "raw" where !path.isEmpty:
      return try FilePage(call, snapshot, path, isPart: false).content()
    case "rawpart" where !path.isEmpty:
      return try FilePage(call, snapshot, path, isPart: true).content()
    default: throw PageRoutes.noPage
    }
  }

  private func diff(
    _ call: PageCall, _ image: String, _ range: String, _ path: [[UInt8]]
  ) throws -> HTTPResponse {
    guard let dots = range.firstRange(of: "..") else { throw PageRoutes.noPage }
    let old = try call.finder.snapshot(image, String(range[..<dots.lowerBound]))
    let new = try call.finder.snapshot(image, String(range[dots.upperBound...]))
    guard range == "\(old.number)..\(new.number)" else {
      return .redirect(.diff(image, old.number, new.number, path))
    }
    return path.isEmpty
      ? try DiffPage(call, old, new).response()
      : try FileDiffPage(call, old, new, path).response()
  }

  static let noPage = ImageError(.notFound, "this page", "does not exist", hint: "")
}

/// One request for a page.
struct PageCall {
  let request: HTTPRequest
  let workspace: Workspace
  let opener: WorkspaceOpener
  let contents: FileContents
  let space: SpaceCache

  var finder: SnapshotFinder { SnapshotFinder(workspace, opener) }
  /// The time of the request.
  var now: Timestamp { workspace.options.clock.now() }

  /// Returns a number of the query that is at least 1; nil if there is none.
  func number(_ name: String) -> Int? {
    request.query.text(name).flatMap(APIParameters.number).flatMap { $0 > 0 ? $0 : nil }
  }

  /// Returns a segment of the path that must be text.
  /// - Throws: `ImageError` (`invalidName`) for other bytes.
  static func text(_ segment: [UInt8]) throws -> String {
    guard let text = String(validating: segment, as: UTF8.self) else {
      throw ImageError(.invalidName, "'\(printable(segment))'", "is not UTF-8")
    }
    return text
  }
}

extension HTTPResponse {
  /// Returns an answer that leads to another page.
  static func redirect(_ url: SiteURL) -> HTTPResponse {
    HTTPResponse(.seeOther, headers: safetyFields + [("Location", url.text)])
  }
}

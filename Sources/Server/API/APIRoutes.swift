// The API: /api/v1/… (docs/api.md).
//
// 1. Documents are those of the commands with --json, byte for byte. A list that is longer than the limit ends
//    early, and a Link field names the URL of the rest (RFC 8288).
// 2. Every failure is a document of the kind "error", whose code decides the status.
// 3. Nothing changes a store, and nothing reads a live image.

import HTTPServer
import Images

/// Answers requests below /api/v1.
public struct APIRoutes: RequestHandler {
  private let opener: WorkspaceOpener
  private let contents: FileContents

  /// Creates the handler.
  /// - Parameter contents: the contents of large files, which pages share.
  public init(_ opener: WorkspaceOpener, contents: FileContents = FileContents()) {
    (self.opener, self.contents) = (opener, contents)
  }

  public func respond(to request: HTTPRequest) -> HTTPResponse {
    do {
      return try answer(request)
    } catch {
      return ErrorAnswer.json(error)
    }
  }

  private func answer(_ request: HTTPRequest) throws -> HTTPResponse {
    let segments = request.path.segments
    guard segments.count >= 2, segments[0].elementsEqual("api".utf8),
      segments[1].elementsEqual("v1".utf8), !request.path.hasTrailingSlash,
      let (route, values) = APIRoute.find(Array(segments.dropFirst(2)))
    else {
      throw ImageError(
        .notFound, "the URL", "is not one of the API",
        hint: "/api/v1/openapi.json describes all of them")
    }
    let parameters = try APIParameters(request, route, values)
    return try route.answer(APICall(try opener.open(), opener, contents, parameters))
  }
}

/// One request of the API.
struct APICall {
  let workspace: Workspace
  let opener: WorkspaceOpener
  let contents: FileContents
  let parameters: APIParameters

  init(
    _ workspace: Workspace, _ opener: WorkspaceOpener, _ contents: FileContents,
    _ parameters: APIParameters
  ) {
    (self.workspace, self.opener) = (workspace, opener)
    (self.contents, self.parameters) = (contents, parameters)
  }

  /// The snapshot that the path of the request names.
  func snapshot() throws -> CommittedSnapshot {
    try SnapshotFinder(workspace, opener).snapshot(
      parameters.text("image"), parameters.text("ref"))
  }

  /// A snapshot and an entry in it, which the request names.
  func entry() throws -> (reader: SnapshotReader, found: LocatedEntry) {
    let reader = try workspace.reader(of: try snapshot())
    return (reader, try reader.require(parameters.path, followLast: true))
  }
}

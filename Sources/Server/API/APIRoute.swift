// The table of routes of the API: the one place from which requests are answered, and from which the OpenAPI
// description is made.

import HTTPServer
import Images

/// A route of the API.
struct APIRoute: Sendable {
  /// A parameter of the query.
  struct Parameter: Sendable {
    let key: APIQuery
    var isRequired = false
  }

  /// What a route answers.
  enum Content: Sendable {
    /// A document.
    case document(any (JSONDocument & SendableMetatype).Type)
    /// The bytes of a file.
    case bytes
    /// The OpenAPI description.
    case description
  }

  /// The path below /api/v1. A segment "{name}" is a parameter.
  let path: String
  /// What the route does, as a verb phrase in the third person.
  let summary: String
  /// The command whose document it gives; nil if there is none.
  let command: String?
  let content: Content
  let query: [Parameter]
  let answer: @Sendable (APICall) throws -> HTTPResponse

  init(
    _ path: String, _ summary: String, command: String? = nil, _ content: Content,
    query: [Parameter] = [], _ answer: @escaping @Sendable (APICall) throws -> HTTPResponse
  ) {
    (self.path, self.summary, self.command) = (path, summary, command)
    (self.content, self.query, self.answer) = (content, query, answer)
  }

  /// The segments of the path.
  private var segments: [Substring] { path.split(separator: "/") }

  /// The names of the parameters of the path.
  var pathParameters: [String] {
    segments.filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
  }

  /// Whether the route gives a list that may end before its end.
  var isPaged: Bool { query.contains { $0.key == .after } }

  /// Returns the route of a path, and the values of its parameters; nil if there is none.
  static func find(_ segments: [[UInt8]]) -> (APIRoute, [String: [UInt8]])? {
    for route in all {
      let expected = route.segments
      guard expected.count == segments.count else { continue }
      var values: [String: [UInt8]] = [:]
      let matches = zip(expected, segments).allSatisfy { pattern, segment in
        guard pattern.hasPrefix("{") else { return pattern.utf8.elementsEqual(segment) }
        values[String(pattern.dropFirst().dropLast())] = segment
        return true
      }
      if matches { return (route, values) }
    }
    return nil
  }
}

extension APIRoute {
  private static let page: [Parameter] = [.init(key: .limit), .init(key: .after)]
  private static let path = Parameter(key: .path)
  private static let neededPath = Parameter(key: .path, isRequired: true)
  private static let sides = [
    Parameter(key: .old, isRequired: true), Parameter(key: .new, isRequired: true),
  ]
  private static let snapshot = "/images/{image}/snapshots/{ref}"

  /// All routes.
  static let all: [APIRoute] = store + images + entries + differences

  private static let store = [
    APIRoute("/openapi.json", "Returns this description", .description) { _ in
      .json(try OpenAPI.text(), version: "application/openapi+json")
    },
    APIRoute("/version", "Returns the version of imgstore", .document(VersionJSON.self)) { _ in
      try .document(VersionJSON())
    },
    APIRoute(
      "/state", "Returns the last maintenance, verification and collection of the store",
      .document(StoreState.self)
    ) { try .document(try $0.workspace.storeState()) },
    APIRoute(
      "/unfinished", "Lists the changes of live images that are running or have not finished",
      .document(UnfinishedJSON.self)
    ) { try .document(UnfinishedJSON(changes: try $0.workspace.unfinished())) },
    APIRoute(
      "/usage", "Returns the disk usage of the store", command: "du",
      .document(DiskUseOutcome.self), query: [.init(key: .snapshots)]
    ) { call in
      try .document(
        try call.workspace.diskUse([], bySnapshot: try call.parameters.flag(.snapshots)))
    },
    APIRoute(
      "/statistics", "Returns counts and sizes of the store", command: "stats",
      .document(StoreStatistics.self)
    ) { try .document(try $0.workspace.statistics()) },
  ]

  private static let images = [
    APIRoute(
      "/images", "Lists the images, by name", command: "images", .document(ImagesJSON.self),
      query: page, ImageAnswers.images),
    APIRoute(
      "/images/{image}", "Returns one image, as a list", .document(ImagesJSON.self),
      ImageAnswers.image),
    APIRoute(
      "/images/{image}/snapshots", "Lists the snapshots of an image, newest first",
      command: "log IMAGE", .document(SnapshotsJSON.self), query: page, ImageAnswers.snapshots),
    APIRoute(
      "/images/{image}/tags", "Lists the tags of an image", command: "tags IMAGE",
      .document(TagsJSON.self), ImageAnswers.tags),
    APIRoute(
      "/images/{image}/history", "Lists the snapshots in which a path changed, newest first",
      command: "log IMAGE PATH", .document(PathHistoryJSON.self),
      query: [neededPath, .init(key: .limit)], ImageAnswers.history),
    APIRoute(
      snapshot, "Returns a snapshot", command: "show IMAGE@REF", .document(SnapshotJSON.self),
      ImageAnswers.snapshot),
  ]

  private static let entries = [
    APIRoute(
      snapshot + "/entries", "Lists a directory, in byte order", command: "ls IMAGE@REF:PATH",
      .document(EntriesJSON.self), query: [path] + page, EntryAnswers.list),
    APIRoute(
      snapshot + "/entry", "Returns an entry", command: "show IMAGE@REF:PATH",
      .document(LocatedEntry.self), query: [neededPath], EntryAnswers.entry),
    APIRoute(
      snapshot + "/file", "Returns a file with its content, of at most 16 MiB",
      command: "cat IMAGE@REF:PATH", .document(FilesJSON.self), query: [neededPath],
      EntryAnswers.file),
    APIRoute(
      snapshot + "/content", "Returns the bytes of a file", .bytes, query: [neededPath],
      EntryAnswers.content),
    APIRoute(
      snapshot + "/blame", "Returns the snapshot that last changed a path",
      command: "blame IMAGE@REF:PATH", .document(BlameJSON.self), query: [neededPath],
      EntryAnswers.blame),
  ]

  private static let differences = [
    APIRoute(
      "/diff", "Compares two snapshots, each given as IMAGE@REF", command: "diff OLD NEW",
      .document(DiffJSON.self), query: sides + [.init(key: .packages)] + page,
      DiffAnswers.diff),
    APIRoute(
      "/text-diff", "Compares a text file of two snapshots", command: "diff OLD NEW -u PATH",
      .document(TextDiff.self), query: sides + [neededPath], DiffAnswers.text),
  ]
}

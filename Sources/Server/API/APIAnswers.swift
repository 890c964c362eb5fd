// What the routes of the API answer.

import HTTPServer
import Images

/// Answers about images and snapshots.
enum ImageAnswers {
  static func images(_ call: APICall) throws -> HTTPResponse {
    let limit = try call.parameters.limit
    var images = try SnapshotFinder(call.workspace, call.opener).images()
    if let after = call.parameters.after {
      images.removeAll { !precedes(after, Array($0.name.utf8)) }
    }
    let page = images.prefix(limit)
    return try .document(
      ImagesJSON(images: Array(page)),
      next: page.count < images.count
        ? page.last.map { call.parameters.next(after: Array($0.name.utf8)) } : nil)
  }

  static func image(_ call: APICall) throws -> HTTPResponse {
    let name = call.parameters.text("image")
    return try .document(
      ImagesJSON(images: [try SnapshotFinder(call.workspace, call.opener).image(name)]))
  }

  static func snapshots(_ call: APICall) throws -> HTTPResponse {
    let (limit, image) = (try call.parameters.limit, call.parameters.text("image"))
    var before = Int.max
    if let text = try call.parameters.text(.after) {
      guard let number = APIParameters.number(text) else {
        throw ImageError(.usage, "parameter 'after'", "is not the number of a snapshot")
      }
      before = number
    }
    let finder = SnapshotFinder(call.workspace, call.opener)
    // One more tells whether there is a next page.
    let history = try call.workspace.history(
      of: try finder.imageReference(image), limit: limit + 1, before: before)
    let page = history.entries.prefix(limit)
    return try .document(
      SnapshotsJSON(
        snapshots: page.map {
          SnapshotJSON(
            committed: $0.committed, tags: $0.tags, pin: $0.pin, full: false,
            isSigned: $0.isSigned, pulledFrom: $0.pulledFrom)
        }, unreadable: history.unreadable, damagedMarks: history.damagedMarks),
      next: history.entries.count > limit
        ? page.last.map { call.parameters.next(after: Array("\($0.committed.number)".utf8)) } : nil)
  }

  static func snapshot(_ call: APICall) throws -> HTTPResponse {
    let workspace = call.workspace
    let snapshot = try call.snapshot()
    return try .document(
      SnapshotJSON(
        committed: snapshot, tags: try workspace.tags(of: snapshot),
        pin: try workspace.pin(of: snapshot), full: true,
        pulledFrom: try workspace.origin(of: snapshot),
        signatures: try workspace.signatures(
          of: snapshot, workspace.trustedKeys(), recomputes: false)))
  }

  static func tags(_ call: APICall) throws -> HTTPResponse {
    let name = call.parameters.text("image")
    _ = try SnapshotFinder(call.workspace, call.opener).imageReference(name)
    try requireStore(call, "the list of tags")
    return try .document(
      TagsJSON(
        tags: try call.workspace.tags(of: name).map {
          TagJSON(tag: $0.tag, snapshot: "\($0.snapshot)")
        }, damagedMarks: try call.workspace.damagedMarks(of: name).filter { $0.kind == .tag }))
  }

  /// Refuses what only a store can answer.
  static func requireStore(_ call: APICall, _ subject: String) throws {
    if call.opener.remote == nil { return }
    throw ImageError(
      .unsupported, subject, "is not known for a remote",
      hint: "'imgstore pull' fetches the snapshots to the store")
  }

  static func history(_ call: APICall) throws -> HTTPResponse {
    let image = try SnapshotFinder(call.workspace, call.opener)
      .imageReference(call.parameters.text("image"))
    try requireStore(call, "the history of a path")
    return try .document(
      PathHistoryJSON(
        changes: try call.workspace.log(
          image, path: call.parameters.path, limit: try call.parameters.limit)))
  }
}

/// Answers about the entries of a snapshot.
enum EntryAnswers {
  static func list(_ call: APICall) throws -> HTTPResponse {
    let limit = try call.parameters.limit
    let (reader, found) = try call.entry()
    var children =
      found.entry.kind == .directory ? try reader.children(of: found) : [found]
    if let after = call.parameters.after { children.removeAll { !precedes(after, $0.entry.name) } }
    let page = children.prefix(limit)
    var (text, list) = ("", JSONListText<EntriesJSON>())
    text = list.start
    for child in page { text += try list.element(child) }
    return .json(
      text + list.end + "\n",
      next: page.count < children.count
        ? page.last.map { call.parameters.next(after: $0.entry.name) } : nil)
  }

  static func entry(_ call: APICall) throws -> HTTPResponse {
    try .document(
      try call.workspace.findEntry(call.parameters.path, in: try call.snapshot()))
  }

  static func file(_ call: APICall) throws -> HTTPResponse {
    let (reader, found) = try call.entry()
    guard found.entry.sizeBytes <= FilesJSON.maxBytes else {
      throw ImageError(
        .unsupported, "file \(printable(found.path))",
        "is too large for a document (at most 16 MiB)",
        hint: "…/content returns the bytes of every file")
    }
    var bytes: [UInt8] = []
    try reader.read(found) { bytes += $0 }
    return try .document(FilesJSON(files: [FileJSON(found, bytes)]))
  }

  static func content(_ call: APICall) throws -> HTTPResponse {
    let (reader, found) = try call.entry()
    return try call.contents.response(
      to: call.parameters.request.method, call.workspace, reader, found)
  }

  static func blame(_ call: APICall) throws -> HTTPResponse {
    let snapshot = try call.snapshot()
    try ImageAnswers.requireStore(call, "the origin of a path")
    let outcome = try call.workspace.blame(
      try Reference(snapshot.name), path: call.parameters.path)
    return try .document(
      BlameJSON(
        snapshot: SnapshotJSON(
          committed: outcome.origin, tags: try call.workspace.tags(of: outcome.origin),
          pin: try call.workspace.pin(of: outcome.origin), full: false),
        entry: outcome.found))
  }
}

/// Answers about differences.
enum DiffAnswers {
  private static func comparison(_ call: APICall) throws -> Comparison {
    let finder = SnapshotFinder(call.workspace, call.opener)
    func side(_ key: APIQuery) throws -> String {
      try finder.snapshot(reference: try call.parameters.text(key) ?? "").name
    }
    return try call.workspace.comparison(try side(.old), try side(.new))
  }

  static func diff(_ call: APICall) throws -> HTTPResponse {
    let limit = try call.parameters.limit
    let comparison = try comparison(call)
    let packages = try call.parameters.flag(.packages) ? try comparison.packages() : nil
    let lists = packages == nil ? try comparison.lists() : []
    var diff = comparison.diff
    if let after = call.parameters.after { diff.entries.removeAll { !precedes(after, $0.path) } }
    let count = diff.entries.count
    diff.entries = Array(diff.entries.prefix(limit))
    return try .document(
      DiffJSON(diff, packages: packages, lists: lists),
      next: diff.entries.count < count
        ? diff.entries.last.map { call.parameters.next(after: $0.path) } : nil)
  }

  static func text(_ call: APICall) throws -> HTTPResponse {
    try .document(try comparison(call).text(call.parameters.path))
  }
}

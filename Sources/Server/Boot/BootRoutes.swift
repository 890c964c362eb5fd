// The URLs below /boot: the files that nodes load.
//
//     /boot/                    the images, with their snapshots and tags
//     /boot/IMAGE@REF/          the boot files of a snapshot
//     /boot/IMAGE@REF/FILE      a boot file
//     /boot/IMAGE@REF/ipxe      a script that boots the snapshot; ?node=NODE and ?rootimg=FILE change it
//     /boot/IMAGE@REF/SHA256SUMS   the checksums that are known
//
// 1. A reference is resolved once for each request, to the id of a snapshot. So no answer mixes two snapshots, and a
//    transfer that has begun is not changed by a tag that moves.
// 2. IMAGE alone means the latest snapshot, never the live image.
// 3. What a number or an id names, and what depends on the snapshot alone, never changes: clients may keep it. For
//    everything else they ask each time, which costs one 304.

import Codec
import HTTPServer
import Images
import Platform

/// Answers requests for boot files.
public struct BootRoutes: RequestHandler {
  private let opener: WorkspaceOpener
  private let files: RenderedFiles
  private let usesTLS: Bool
  private let lists = BriefCache<BootFileList>()
  private let keys = BriefCache<RenderingKey>()
  private static let script = "ipxe"
  private static let checksums = "SHA256SUMS"

  /// Creates the handler.
  /// - Parameters:
  ///   - files: the cache of rendered files.
  ///   - usesTLS: whether nodes reach the server by https, for the URLs in scripts.
  public init(_ opener: WorkspaceOpener, files: RenderedFiles, usesTLS: Bool = false) {
    self.opener = opener
    self.files = files
    self.usesTLS = usesTLS
  }

  public func respond(to request: HTTPRequest) -> HTTPResponse {
    let path = request.path.dropFirst(1)
    guard request.path.segments.count <= 3 else { return .text(.notFound, "no such boot file") }
    let names = path.segments.compactMap { String(validating: $0, as: UTF8.self) }
    guard names.count == path.segments.count else {
      return .text(.notFound, "the names of images and boot files are UTF-8")
    }
    do {
      switch names.count {
      case 0:
        guard path.hasTrailingSlash else { return redirect("boot/") }
        return BootListing.images(
          try opener.open().bootDirectories(remote: opener.remote), for: request)
      case 1:
        guard path.hasTrailingSlash else {
          return redirect(PercentEncoding.segment(names[0].utf8) + "/")
        }
        return try listing(names[0], request)
      default: return try file(names[1], of: names[0], request)
      }
    } catch {
      return ErrorAnswer.text(error, opener)
    }
  }

  private func redirect(_ location: String) -> HTTPResponse {
    HTTPResponse(.permanentRedirect, headers: [("Location", location)])
  }

  // MARK: Snapshots

  /// A snapshot that a request names.
  private struct Target {
    let workspace: Workspace
    let snapshot: CommittedSnapshot
    /// Whether the reference can never name another snapshot.
    let isFixed: Bool
    /// The snapshot's directory, by number.
    var directory: String {
      PercentEncoding.segment("\(snapshot.snapshot.image)@\(snapshot.number)".utf8)
    }
  }

  private func target(_ text: String) throws -> Target {
    let reference = try Reference(opener.reference(text))
    guard !text.hasPrefix("@"), reference.selector != .live else {
      throw ImageError(
        .snapshotNotFound, "'\(printable(text.utf8.prefix(255)))'", "does not name a snapshot",
        hint: "Write IMAGE@NUMBER, IMAGE@TAG, or IMAGE for its latest snapshot")
    }
    let workspace = try opener.open()
    do {
      let snapshot = try workspace.find(reference)
      return Target(workspace: workspace, snapshot: snapshot, isFixed: reference.isFixed)
    } catch let error as any ExplainedError {
      // A number that was forgotten while it was being read does not exist either.
      guard opener.remote == nil, try workspace.wasForgotten(reference) else { throw error }
      throw ForgottenSnapshotError(name: text)
    }
  }

  private func list(_ target: Target) throws -> BootFileList {
    try lists.value(target.snapshot.id.hex) { try target.workspace.bootFiles(of: target.snapshot) }
  }

  private func key(of file: BootFile, _ target: Target) throws -> RenderingKey {
    try keys.value("\(target.snapshot.id.hex) \(file.name)") {
      try target.workspace.renderingKey(of: file, in: target.snapshot)
    }
  }

  private func listing(_ text: String, _ request: HTTPRequest) throws -> HTTPResponse {
    let target = try target(text)
    let list = try list(target)
    return BootListing.files(
      list, of: target.snapshot,
      extra: list.bootObstacle == nil
        ? [BootRoutes.script, BootRoutes.checksums] : [BootRoutes.checksums], for: request)
  }

  // MARK: Files

  private func file(
    _ name: String, of text: String, _ request: HTTPRequest
  ) throws -> HTTPResponse {
    guard !request.path.hasTrailingSlash else {
      return .text(.notFound, "\(printable(name.utf8.prefix(255))) is a file, not a directory")
    }
    let target = try target(text)
    switch name {
    case BootRoutes.script: return try script(target, request)
    case BootRoutes.checksums: return try checksums(target)
    default: break
    }
    let file = try list(target).file(name)
    let key = try key(of: file, target)
    let content = try files.content(
      FileRendering(file: file, key: key, snapshot: target.snapshot, workspace: target.workspace))
    let isFixed = target.isFixed && key.isFixed
    // A date would be wrong where the content may become that of an older snapshot, as when a tag moves back.
    var response = HTTPResponse(
      .ok, contentType: file.mediaType,
      lastModified: isFixed ? target.snapshot.snapshot.created : nil,
      headers: [cacheControl(isFixed: isFixed)])
    switch content {
    case .complete(let complete):
      response.body = .file(complete.descriptor, offset: 0, sizeBytes: complete.record.sizeBytes)
      response.entityTag = complete.record.digest.hex
    case .growing(let growing, let record):
      response.body = .growing(growing)
      response.entityTag = record?.digest.hex
    case .busy(let seconds):
      response = .text(.unavailable, "too many files are being made: try again in \(seconds) s")
      response.headers = [("Retry-After", "\(seconds)")]
    }
    return response
  }

  private func script(_ target: Target, _ request: HTTPRequest) throws -> HTTPResponse {
    guard let host = request.header("host").flatMap(HostField.init) else {
      return .text(
        .badRequest, "the script names this server by the Host field, which is missing or invalid")
    }
    var script = BootScriptRequest(
      base: "\(usesTLS ? "https" : "http")://\(host.text)/boot/", directory: target.directory)
    script.rootImage = request.query.text("rootimg")
    script.node = request.query.text("node")
    let text = try target.workspace.bootScript(for: target.snapshot, script)
    return answer(Array(text.utf8), "text/plain; charset=utf-8", target)
  }

  /// Returns the checksums of all files whose content is known: stored files, and those that were rendered.
  private func checksums(_ target: Target) throws -> HTTPResponse {
    var lines = ""
    for file in try list(target).files {
      // A bundle that cannot be made has no key.
      let key = file.isStored ? nil : try? key(of: file, target)
      let known = file.digest ?? key.flatMap { files.record($0.digest)?.digest }
      if let known { lines += "\(known.hex)  \(file.name)\n" }
    }
    return answer(Array(lines.utf8), "text/plain; charset=utf-8", target)
  }

  /// Returns an answer whose content depends on more than the snapshot.
  private func answer(_ bytes: [UInt8], _ type: String, _ target: Target) -> HTTPResponse {
    HTTPResponse(
      .ok, contentType: type, body: .bytes(bytes), entityTag: SHA256.digest(of: bytes).hex,
      headers: [cacheControl(isFixed: false)])
  }

  private func cacheControl(isFixed: Bool) -> (name: String, value: String) {
    ("Cache-Control", isFixed ? "max-age=31536000, immutable" : "no-cache")
  }
}

extension Reference {
  /// Whether the reference can never name another snapshot: numbers are not used again.
  var isFixed: Bool {
    switch selector {
    case .number, .numberOrID, .idPrefix: true
    case .latest, .back, .tag, .asOf, .live: false
    }
  }
}

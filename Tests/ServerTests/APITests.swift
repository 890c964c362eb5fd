// The API: documents equal those of the commands, lists are paged, failures have a status and a code, and the
// OpenAPI description has every route.

import Codec
import Foundation
import HTTPServer
import Images
import Server
import TestSupport
import Testing

/// Parses a JSON object.
private func object(_ text: String) throws -> [String: Any] {
  guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
  else { throw TestFailure("no JSON object: \(text.prefix(200))") }
  return object
}

private func code(_ text: String) throws -> String? {
  (try object(text)["error"] as? [String: Any])?["code"] as? String
}

@Suite(.usesTools) struct APITests {
  /// URLs, each with the command that prints the same document.
  private static let pairs = [
    ("/api/v1/images", "images"), ("/api/v1/images/img/snapshots", "log img"),
    ("/api/v1/images/img/tags", "tags img"),
    ("/api/v1/images/img/history?path=etc/motd", "log img etc/motd"),
    ("/api/v1/images/img/snapshots/2", "show img@2"),
    ("/api/v1/images/img/snapshots/golden", "show img@golden"),
    ("/api/v1/images/img/snapshots/latest", "show img@latest"),
    ("/api/v1/images/img/snapshots/1/entries", "ls img@1"),
    ("/api/v1/images/img/snapshots/3/entries?path=hostile", "ls img@3:hostile"),
    ("/api/v1/images/img/snapshots/1/entry?path=etc/motd", "show img@1:etc/motd"),
    ("/api/v1/images/img/snapshots/1/file?path=etc/motd", "cat img@1:etc/motd"),
    ("/api/v1/images/img/snapshots/3/file?path=usr/bin/binary", "cat img@3:usr/bin/binary"),
    ("/api/v1/images/img/snapshots/3/blame?path=etc/motd", "blame img@3 etc/motd"),
    ("/api/v1/diff?old=img@1&new=img@2", "diff img@1 img@2"),
    ("/api/v1/diff?old=img@1&new=img@3&packages=true", "diff img@1 img@3 --packages"),
    ("/api/v1/text-diff?old=img@1&new=img@2&path=etc/motd", "diff img@1 img@2 -u etc/motd"),
    ("/api/v1/usage", "du"), ("/api/v1/usage?snapshots=true", "du -s"),
    ("/api/v1/statistics", "stats"),
  ]

  @Test(arguments: pairs) func `a document equals that of the command`(
    _ url: String, _ command: String
  ) throws {
    let site = try ServedNode.shared.get()
    let printed = try site.node.imgstore(
      command.split(separator: " ").map(String.init) + ["--json"])
    #expect(!printed.output.isEmpty, "\(printed.errors)")
    let response = try site.get(url)
    #expect(response.status == .ok)
    #expect(response.contentType == "application/json")
    #expect(response.text == printed.output)
  }

  @Test func `documents of the server have their kinds`() throws {
    let site = try ServedNode.shared.get()
    for (url, kind) in [
      ("version", "version"), ("state", "store-state"), ("unfinished", "unfinished-changes"),
    ] {
      #expect(try object(site.body("/api/v1/\(url)"))["document"] as? String == kind)
    }
    #expect(
      try object(site.body("/api/v1/version"))["version"] as? String == Workspace.version)
  }

  @Test func `a directory of several changed packages belongs to the first by name`() throws {
    let site = try ServedNode.shared.get()
    for _ in 0..<10 {
      let text = try site.body("/api/v1/diff?old=img@1&new=img@2&packages=true")
      let entries = try object(text)["entries"] as? [[String: Any]] ?? []
      let entry = try #require(
        entries.first { ($0["path"] as? String)?.hasSuffix("/usr/bin") == true })
      #expect((entry["belongs"] as? [String: Any])?["package"] as? String == "libssl")
    }
  }

  @Test func `following the Link fields of a list gives all of it`() throws {
    let site = try ServedNode.shared.get()
    for (list, key, name) in [
      ("/api/v1/images/img/snapshots?limit=1", "snapshots", "name"),
      ("/api/v1/images/img/snapshots/3/entries?path=hostile&limit=3", "entries", "path"),
      ("/api/v1/diff?old=img@1&new=img@3&limit=4", "entries", "path"),
    ] {
      func names(_ text: String) throws -> [String] {
        (try object(text)[key] as? [[String: Any]] ?? []).compactMap { $0[name] as? String }
      }
      var (found, url): ([String], String?) = ([], list)
      var pages = 0
      while let next = url {
        let response = try site.get(next)
        #expect(response.status == .ok, "\(next): \(response.text)")
        found += try names(response.text)
        url = response.header("Link").map { String($0.dropFirst().prefix { $0 != ">" }) }
        pages += 1
        try #require(pages < 50)
      }
      let whole = list.replacingOccurrences(of: "limit=1", with: "limit=1000")
        .replacingOccurrences(of: "limit=3", with: "limit=1000")
        .replacingOccurrences(of: "limit=4", with: "limit=1000")
      #expect(pages > 1)
      #expect(try found == names(site.body(whole)))
    }
  }

  @Test func `content is sent as a download with its digest`() throws {
    let site = try ServedNode.shared.get()
    let response = try site.get("/api/v1/images/img/snapshots/3/content?path=usr/bin/binary")
    #expect(response.bytes == [0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3])
    #expect(response.contentType == "application/octet-stream")
    #expect(response.header("Content-Disposition")?.hasPrefix("attachment") == true)
    let entry = try object(
      site.body("/api/v1/images/img/snapshots/3/entry?path=usr/bin/binary"))
    #expect(response.entityTag == entry["sha256"] as? String)
  }

  @Test func `a large content is sent while it is read`() throws {
    let node = try TestNode(image: "big")
    defer { withExtendedLifetime(node) {} }
    let bytes = (0..<(6 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
    try Data(bytes).write(to: URL(fileURLWithPath: node.path("img/rootimg/large")))
    _ = try node.open().snapshot("big")
    let contents = FileContents()
    let opener = WorkspaceOpener(node.workspace.options) { _ in }
    let api = APIRoutes(opener, contents: contents)
    // HEAD has the fields of GET, and writes no file.
    for (url, handler) in [
      ("/api/v1/images/big/snapshots/1/content?path=large", api as any RequestHandler),
      ("/images/big/1/raw/large", PageRoutes(opener, contents: contents)),
    ] {
      let request = try ServedNode.request(url)
      let head = handler.respond(
        to: HTTPRequest(request.path, method: .head, query: request.query, headers: []))
      guard case .absent(let size) = head.body else { throw TestFailure("HEAD has a content") }
      #expect(head.status == .ok && size == UInt64(bytes.count))
      #expect(head.entityTag == SHA256.digest(of: bytes).hex)
      #expect(contents.keptFiles == 0)
    }
    let response = api.respond(
      to: try ServedNode.request("/api/v1/images/big/snapshots/1/content?path=large"))
    #expect(contents.keptFiles == 1)
    guard case .growing(let file) = response.body else { throw TestFailure("not a growing file") }
    #expect(file.totalBytes == UInt64(bytes.count))
    let deadline = monotonicSeconds() + 30
    while case .growing = file.progress, monotonicSeconds() < deadline { usleep(1000) }
    #expect(file.progress == .finished(sizeBytes: UInt64(bytes.count)))
    var read = [UInt8](repeating: 0, count: bytes.count)
    let count = pread(file.descriptor.raw, &read, read.count, 0)
    #expect(count == bytes.count)
    #expect(read == bytes)
    // Another part of the download shares the file.
    let again = api.respond(
      to: try ServedNode.request("/api/v1/images/big/snapshots/1/content?path=large"))
    if case .growing(let other) = again.body {
      #expect(other === file)
    } else {
      Issue.record("not a growing file")
    }
  }

  @Test(arguments: [
    ("/api/v1/images/none", 404, "image-not-found"),
    ("/api/v1/images/im/snapshots", 404, "image-not-found"),
    ("/api/v1/images/img/snapshots/99", 404, "snapshot-not-found"),
    ("/api/v1/images/img/snapshots/nope", 404, "snapshot-not-found"),
    ("/api/v1/images/img/snapshots/live", 400, "invalid-reference"),
    ("/api/v1/images/img/snapshots/1/entry?path=none", 404, "path-not-found"),
    ("/api/v1/images/img/snapshots/1/entry", 400, "usage"),
    ("/api/v1/images/img/snapshots/1/content?path=etc", 400, "unsupported"),
    ("/api/v1/images?limit=0", 400, "usage"), ("/api/v1/images?limit=x", 400, "usage"),
    ("/api/v1/images?limit=1&limit=2", 400, "usage"), ("/api/v1/images?bogus=1", 400, "usage"),
    ("/api/v1/images/%FF/snapshots", 400, "invalid-name"),
    ("/api/v1/images/img/snapshots?after=x", 400, "usage"),
    ("/api/v1/usage?snapshots=yes", 400, "usage"),
    ("/api/v1/diff?old=img@1", 400, "usage"),
    ("/api/v1/diff?old=/img@1&new=img@2", 404, "image-not-found"),
    ("/api/v1/diff?old=remote/img@1&new=img@2", 404, "image-not-found"),
    ("/api/v1/diff?old=@1&new=img@2", 404, "image-not-found"),
    ("/api/v1/diff?old=img@1:etc&new=img@2", 400, "invalid-reference"),
    ("/api/v1/diff?old=img@live&new=img@2", 400, "invalid-reference"),
    ("/api/v1/none", 404, "not-found"),
    ("/api/v1", 404, "not-found"), ("/api/v2/images", 404, "not-found"),
    ("/api/v1/images/", 404, "not-found"),
  ]) func `a failure has a status and a code`(
    _ url: String, _ status: Int, _ expected: String
  ) throws {
    let response = try ServedNode.shared.get().get(url)
    #expect(response.status.rawValue == status, "\(response.text)")
    #expect(try code(response.text) == expected)
  }

  @Test func `a removed snapshot is gone`() throws {
    let node = try TestNode(image: "img")
    defer { withExtendedLifetime(node) {} }
    let workspace = try node.open()
    _ = try workspace.snapshot("img")
    try node.write("changed", to: "img/rootimg/etc/motd")
    _ = try workspace.snapshot("img")
    let removed = try node.imgstore("remove", "img@1", "--force")
    #expect(removed.didSucceed, "\(removed.errors)")
    let opener = WorkspaceOpener(node.workspace.options) { _ in }
    for url in ["/api/v1/images/img/snapshots/1", "/images/img/1"] {
      let request = try ServedNode.request(url)
      let handler: any RequestHandler =
        url.hasPrefix("/api") ? APIRoutes(opener) : PageRoutes(opener)
      #expect(handler.respond(to: request).status == .gone)
    }
  }

  @Test func `a node without a store is unavailable, and says so`() throws {
    let node = try TestNode()
    defer { withExtendedLifetime(node) {} }
    let api = APIRoutes(WorkspaceOpener(node.workspace.options) { _ in })
    let response = api.respond(to: try ServedNode.request("/api/v1/state"))
    #expect(response.status == .unavailable)
    #expect(try code(response.text) == "store-not-found")
    #expect(response.header("Retry-After") != nil)
  }

  @Test func `the description has every route, and its references resolve`() throws {
    let site = try ServedNode.shared.get()
    let text = try site.body("/api/v1/openapi.json")
    let description = try object(text)
    #expect(description["openapi"] as? String == "3.1.1")
    let paths = try #require(description["paths"] as? [String: Any])
    for (url, _) in Self.pairs {
      let segments = url.split(separator: "?")[0].split(separator: "/")
      #expect(
        paths.keys.contains { path in
          let expected = path.split(separator: "/")
          return expected.count == segments.count
            && zip(expected, segments).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
        }, "\(url)")
    }
    let schemas = try #require(
      (description["components"] as? [String: Any])?["schemas"] as? [String: Any])
    let references = text.split(separator: "\"").filter { $0.hasPrefix("#/components/schemas/") }
    #expect(references.count > 20)
    for reference in references {
      #expect(schemas[String(reference.split(separator: "/").last ?? "")] != nil, "\(reference)")
    }
    let committed = try String(contentsOfFile: packageRoot + "/docs/openapi.json", encoding: .utf8)
    #expect(text == committed, "run 'make schemas'")
  }
}

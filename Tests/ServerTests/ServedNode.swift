// A management node whose store is served in-process: requests are answered by the handlers, without a network.

import Foundation
import HTTPServer
import Images
import Platform
import Server
import TestSupport

/// A node with one image of several snapshots, and the handlers on its store.
final class ServedNode: Sendable {
  let node: TestNode
  let api: APIRoutes
  let pages: PageRoutes

  /// A node with three snapshots of the image "img": text, packages, a binary file and hostile names.
  static let shared = Result { try ServedNode() }

  init() throws {
    node = try TestNode(
      image: "img",
      tree: [
        "etc/motd": "one\ntwo\nthree\n", "etc/ssh/sshd_config": "PermitRootLogin no\n",
        "var/lib/dpkg/status": ServedNode.packages(openssl: "3.0.17-1"),
        "var/lib/dpkg/info/openssl.list": "/.\n/usr\n/usr/bin\n/usr/bin/openssl\n",
        "var/lib/dpkg/info/libssl.list": "/.\n/usr\n/usr/bin\n",
        "var/lib/dpkg/info/provider.list": "/.\n/usr\n/usr/bin\n",
        "usr/bin/openssl": "old program", "usr/share/doc/a": "a", "usr/share/doc/b": "b",
      ])
    let workspace = try node.open()
    _ = try workspace.snapshot("img", message: "first <b>state</b>")
    _ = try workspace.tag("img@1", as: "golden")
    try node.write("one\ntwo changed\nthree\n", to: "img/rootimg/etc/motd")
    try node.write(
      ServedNode.packages(openssl: "3.0.19-1"), to: "img/rootimg/var/lib/dpkg/status")
    try node.write("new program", to: "img/rootimg/usr/bin/openssl")
    try Data([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3]).write(
      to: URL(fileURLWithPath: node.path("img/rootimg/usr/bin/binary")))
    for name in HostileNames.all {
      let path = Array(node.path("img/rootimg/hostile").utf8)
      try FileManager.default.createDirectory(
        atPath: node.path("img/rootimg/hostile"), withIntermediateDirectories: true)
      let directory = try KernelFileSystem.shared.openDirectory(
        at: KernelFileSystem.shared.workingDirectory, path)
      let file = try KernelFileSystem.shared.openFile(
        at: directory.raw, name, [.write, .create, .noFollow], mode: 0o644)
      try KernelFileSystem.shared.write(file.raw, name + [0x0a])
    }
    _ = try workspace.snapshot("img", message: HostileNames.message)
    try node.write("four\n", to: "img/rootimg/etc/motd")
    _ = try workspace.snapshot("img")
    let opener = WorkspaceOpener(node.workspace.options) { _ in }
    api = APIRoutes(opener)
    pages = PageRoutes(opener)
  }

  private static func packages(openssl version: String) -> String {
    """
    Package: openssl
    Status: install ok installed
    Architecture: amd64
    Version: \(version)

    Package: libssl
    Status: install ok installed
    Architecture: amd64
    Version: \(version)

    Package: provider
    Status: install ok installed
    Architecture: amd64
    Version: \(version)

    Package: bash
    Status: install ok installed
    Architecture: amd64
    Version: 5.2-1

    """
  }

  /// Returns the request of a URL.
  static func request(_ url: String) throws -> HTTPRequest {
    let parts = url.split(separator: "?", maxSplits: 1)
    guard let path = RequestPath(target: parts[0].utf8),
      let query = RequestQuery(encoded: (parts.count > 1 ? String(parts[1]) : "").utf8)
    else { throw TestFailure("no valid URL: \(url)") }
    return HTTPRequest(path, query: query)
  }

  /// Returns the answer of the API or of the pages to a URL.
  func get(_ url: String) throws -> HTTPResponse {
    let request = try ServedNode.request(url)
    return url.hasPrefix("/api/") ? api.respond(to: request) : pages.respond(to: request)
  }

  /// Returns the body of the answer to a URL, which must have this status.
  func body(_ url: String, _ status: HTTPStatus = .ok) throws -> String {
    let response = try get(url)
    guard response.status == status else {
      throw TestFailure("\(url): \(response.status) \(response.text)")
    }
    return response.text
  }
}

extension HTTPResponse {
  /// The body, if it is in memory.
  var bytes: [UInt8] { if case .bytes(let bytes) = body { bytes } else { [] } }
  var text: String { String(decoding: bytes, as: UTF8.self) }
  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Names that attack pages: markup, quotes, line breaks, changes of direction, bytes that are not UTF-8.
enum HostileNames {
  static let message = "<script>alert(1)</script> \" onload=\"x \u{202e}esrever"
  static let all: [[UInt8]] =
    [
      "<script>alert(1)</script>".replacingOccurrences(of: "/", with: "\u{2044}"),
      "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "' onmouseover='alert(1)",
      "line\nbreak", "tab\there", "\u{202e}txt.exe", "a\\b", "&lt;b&gt;", "javascript:alert(1)",
      "%2e%2e", "?query#fragment", "\u{1b}[31mred", " ", "..x", "{{7*7}}", "]]>",
    ].map { Array($0.utf8) } + [[0xff, 0xfe], [0x61, 0x80, 0x62], [0xed, 0xa0, 0x80]]
}

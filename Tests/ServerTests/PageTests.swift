// The pages: every view has what the store has, names cannot become markup, and links lead to pages.

import Foundation
import HTTPServer
import Images
import Platform
import Server
import TestSupport
import Testing

@Suite(.usesTools) struct PageTests {
  /// Every view of the node.
  static let views = [
    "/", "/images/img", "/images/img?before=3", "/images/img/1", "/images/img/2", "/images/img/3",
    "/images/img/3/files", "/images/img/3/files/etc", "/images/img/3/files/hostile",
    "/images/img/3/files/etc/motd", "/images/img/3/files/etc/motd?blame=1",
    "/images/img/3/files/usr/bin/binary", "/images/img/diff/1..2", "/images/img/diff/1..3",
    "/images/img/diff/3..1", "/images/img/diff/1..2?directory=hostile",
    "/images/img/diff/1..2/etc/motd", "/images/img/diff/1..2/usr/bin/openssl", "/space",
    "/space?snapshot=img@2", "/health",
  ]

  @Test(arguments: views) func `a view is a complete page with a strict policy`(
    _ url: String
  ) throws {
    let response = try ServedNode.shared.get().get(url)
    #expect(response.status == .ok, "\(response.text)")
    #expect(response.contentType == "text/html; charset=utf-8")
    let policy = try #require(response.header("Content-Security-Policy"))
    #expect(policy.hasPrefix("default-src 'none'; style-src 'self'; script-src 'self';"))
    #expect(!policy.contains("unsafe"))
    #expect(response.header("Referrer-Policy") == "no-referrer")
    let text = response.text
    #expect(text.hasPrefix("<!doctype html>"))
    for part in ["<main ", "<h1>", "<nav ", "class=\"skip\"", "lang=\"en\""] {
      #expect(text.contains(part), "\(part)")
    }
    #expect(!text.contains(" style="))
    #expect(!text.contains("http://") && !text.contains("https://"))
    #expect(text.components(separatedBy: "<script").count == 2)
  }

  @Test(arguments: views) func `no hostile name becomes markup`(_ url: String) throws {
    let text = try ServedNode.shared.get().body(url)
    for attack in [
      "<script>alert", "<img", "<svg onload", "onmouseover='", "\u{202e}", "\u{1b}",
      "javascript:alert(1)\"", "<b>state",
    ] { #expect(!text.contains(attack), "\(attack)") }
    // The parser of libxml2 finds no element and no attribute that the builder does not write.
    let check = try run(
      "python3", packageRoot + "/Tests/Fixtures/scripts/oracles/check-page.py", input: text)
    #expect(check.didSucceed, "\(check.output)\(check.errors)")
  }

  @Test func `the listing of hostile names leads to every file`() throws {
    let site = try ServedNode.shared.get()
    let text = try site.body("/images/img/3/files/hostile")
    let links = text.components(separatedBy: "href=\"").dropFirst().compactMap {
      $0.components(separatedBy: "\"").first
    }.filter { $0.hasPrefix("/images/img/3/files/hostile/") }
    #expect(Set(links).count == HostileNames.all.count)
    for link in links {
      let page = try site.body(link.replacingOccurrences(of: "&amp;", with: "&"))
      let raw = link.replacingOccurrences(of: "/files/", with: "/raw/")
      #expect(page.contains("href=\"\(raw)\""))
      let content = try site.get(raw)
      #expect(content.status == .ok)
      #expect(HostileNames.all.contains { $0 + [0x0a] == content.bytes })
      let disposition = try #require(content.header("Content-Disposition"))
      #expect(disposition.utf8.allSatisfy { (0x20...0x7e).contains($0) })
    }
  }

  @Test func `all links of all views lead to pages`() throws {
    let site = try ServedNode.shared.get()
    var (queue, seen): ([String], Set<String>) = (Self.views, [])
    while let url = queue.popLast() {
      let plain = url.replacingOccurrences(of: "&amp;", with: "&").components(separatedBy: "#")[0]
      guard !plain.isEmpty, seen.insert(plain).inserted, seen.count < 1500 else { continue }
      if plain.hasPrefix("/boot/") || plain == "/metrics" { continue }
      let response = try site.get(plain)
      #expect([.ok, .seeOther].contains(response.status), "\(plain): \(response.text)")
      if let location = response.header("Location") { queue.append(location) }
      guard response.contentType?.hasPrefix("text/html") == true else { continue }
      queue += response.text.components(separatedBy: "href=\"").dropFirst().compactMap {
        $0.components(separatedBy: "\"").first
      }
    }
    #expect(seen.count > 100)
  }

  @Test func `packages come first, then configuration as lines, then files`() throws {
    let text = try ServedNode.shared.get().body("/images/img/diff/1..2")
    let order = ["id=\"packages\"", "3.0.17-1", "3.0.19-1", "id=\"configuration\"", "id=\"files\""]
    var rest = text[...]
    for part in order {
      let range = try #require(rest.firstRange(of: part), "\(part)")
      rest = rest[range.upperBound...]
    }
    #expect(text.contains("<tr class=\"del\"><td><bdi>-two</bdi></td></tr>"))
    #expect(text.contains("<tr class=\"add\"><td><bdi>+two changed</bdi></td></tr>"))
  }

  @Test func `each line names the snapshot that it came from`() throws {
    let site = try ServedNode.shared.get()
    let runs = try site.node.open().lineBlame(try Reference("img@2"), path: "etc/motd")
    #expect(runs.map(\.lines) == [1...1, 2...2, 3...3])
    #expect(runs.map(\.origin.number) == [1, 2, 1])
    let text = try site.body("/images/img/2/files/etc/motd?blame=1")
    #expect(text.components(separatedBy: "<td class=\"from\">").count == 4)
    #expect(
      try site.node.open().lineBlame(try Reference("img@3"), path: "etc/motd")
        .map(\.origin.number) == [3])
    #expect(throws: ImageError.self) {
      try site.node.open().lineBlame(try Reference("img@3"), path: "usr/bin/binary")
    }
  }

  @Test func `tags and ids lead to the number of the snapshot`() throws {
    let site = try ServedNode.shared.get()
    for (url, target) in [
      ("/images/img/golden", "/images/img/1"), ("/images/img/latest", "/images/img/3"),
      ("/images/img/golden/files/etc/motd", "/images/img/1/files/etc/motd"),
      ("/images/img/diff/golden..latest", "/images/img/diff/1..3"),
      ("/images/img/diff?from=1&to=2", "/images/img/diff/1..2"),
    ] {
      let response = try site.get(url)
      #expect(response.status == .seeOther)
      #expect(response.header("Location") == target)
    }
  }

  @Test(arguments: [
    ("/none", 404), ("/images/none", 404), ("/images/img/99", 404), ("/images/img/live", 400),
    ("/images/img/1/files/none", 404), ("/images/img/1/none", 404), ("/images/img/%FF", 400),
    ("/images/img/diff/1..99", 404), ("/images/img/diff/1..2/none", 404), ("/assets/none.css", 404),
    ("/images/img/1/raw/etc", 400),
  ]) func `a failure is a page with its status`(_ url: String, _ status: Int) throws {
    let response = try ServedNode.shared.get().get(url)
    #expect(response.status.rawValue == status)
    #expect(response.contentType == "text/html; charset=utf-8")
    #expect(response.text.contains("<h1>"))
  }

  @Test func `a tree of the greatest depth is compared and measured`() throws {
    let node = try TestNode(image: "deep")
    defer { withExtendedLifetime(node) {} }
    _ = try node.open().snapshot("deep")
    // A shell that enters the directories one by one looks up millions of paths.
    try node.run(
      "cd img/rootimg; deep=$(printf 'd/%.0s' $(seq 1900)); mkdir -p $deep; echo deep >${deep}file")
    _ = try node.open().snapshot("deep")
    let opener = WorkspaceOpener(node.workspace.options) { _ in }
    // The threads of the server have the same stack.
    try runThreads(1) { _ in
      for url in ["/images/deep/diff/1..2", "/images/deep/diff/2..1", "/space?snapshot=deep@2"] {
        let response = PageRoutes(opener).respond(to: try ServedNode.request(url))
        #expect(response.status == .ok, "\(response.text)")
      }
      let url = "/api/v1/diff?old=deep@1&new=deep@2"
      #expect(APIRoutes(opener).respond(to: try ServedNode.request(url)).status == .ok)
    }
  }

  @Test func `the files of pages have their digest as a name`() throws {
    let site = try ServedNode.shared.get()
    let text = try site.body("/")
    let urls = text.components(separatedBy: "\"").filter { $0.hasPrefix("/assets/") }
    #expect(urls.count == 3)
    for url in urls {
      let response = try site.get(url)
      #expect(response.status == .ok)
      #expect(response.header("Cache-Control") == "public, max-age=31536000, immutable")
      let digest = try #require(response.entityTag)
      #expect(url.contains(digest.prefix(16)))
    }
  }
}

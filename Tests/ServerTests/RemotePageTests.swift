// What the API and the pages show of a remote.

import Foundation
import HTTPServer
import Images
import Server
import TestSupport
import Testing

@Suite(.usesTools) struct RemotePageTests {
  @Test func `the images of a remote are served in place`() throws {
    let site = try ServedNode.shared.get()
    let node = try TestNode()
    defer { withExtendedLifetime(node) {} }
    let workspace = try node.open()
    _ = try workspace.store(create: true)
    _ = try workspace.addRemote(
      RemoteSettings("mn", url: Setting(site.node.directory.path("store"), .builtIn)))
    let opener = WorkspaceOpener(node.workspace.options, remote: "mn") { _ in }
    func get(_ url: String) throws -> HTTPResponse {
      let request = try ServedNode.request(url)
      return url.hasPrefix("/api/")
        ? APIRoutes(opener).respond(to: request) : PageRoutes(opener).respond(to: request)
    }
    for url in [
      "/", "/images/img", "/images/img?before=3", "/images/img/2", "/images/img/3/files/etc/motd",
      "/images/img/diff/1..2", "/images/img/diff/1..2/etc/motd", "/api/v1/images",
      "/api/v1/images/img/snapshots?limit=1", "/api/v1/images/img/snapshots?limit=1&after=2",
      "/api/v1/images/img/snapshots/golden", "/api/v1/diff?old=img@1&new=img@2",
    ] {
      let response = try get(url)
      #expect(response.status == .ok, "\(url): \(response.text)")
    }
    #expect(try get("/images/img/2").text.contains("imgstore export mn/img@2"))
    #expect(
      try get("/api/v1/images/img/snapshots/1/file?path=etc/motd").text
        == site.body("/api/v1/images/img/snapshots/1/file?path=etc/motd"))
    #expect(
      try get("/api/v1/images/img/snapshots?limit=1&after=2").text.contains("\"number\" : 1"))
    for url in ["/space", "/api/v1/images/img/tags", "/api/v1/images/img/history?path=etc"] {
      #expect(try get(url).status == .badRequest)
    }
    for url in ["/images/none", "/api/v1/images/im"] {
      #expect(try get(url).status == .notFound, "\(url)")
    }
  }
}

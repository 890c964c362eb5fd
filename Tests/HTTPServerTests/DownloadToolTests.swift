// The programs that nodes and people load files with: curl, aria2c with 16 connections, Python, wget.

import Foundation
import HTTPServer
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct DownloadToolTests {
  private let server: TestServer
  private var out: String { server.directory.path("out") }
  private var url: String { "http://\(server.address)/file" }

  init() throws { server = try TestServer(sizeBytes: 20_000_003) }

  private func received() throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: out)))
  }

  @Test func `curl loads a file, continues one, and gets 304 for one that it has`() throws {
    let curl = "curl -sSf --noproxy '*'"
    try shell("\(curl) -o \"$2\" \"$1\"", url, out)
    #expect(try received() == server.content)
    try shell("truncate -s 7654321 \"$2\"; \(curl) -C - -o \"$2\" \"$1\"", url, out)
    #expect(try received() == server.content)
    let saved = try shell(
      "\(curl) --etag-save \"$2.etag\" -o \"$2\" \"$1\"; \(curl) --etag-compare \"$2.etag\" -w '%{http_code}' -o /dev/null \"$1\"",
      url, out)
    #expect(saved.output == "304")
    let parts = try shell(
      "for i in 0 1 2 3 4; do \(curl) -r $((i * 4000001))-$((i * 4000001 + 4000000)) \"$1\"; done >\"$2\"",
      url, out)
    #expect(parts.didSucceed)
    #expect(try received() == server.content)
  }

  @Test func `aria2c loads a file with 16 connections`() throws {
    guard (try? run("which", "aria2c"))?.didSucceed == true else { return }
    let directory = server.directory.path
    try shell(
      "aria2c -q --no-proxy='127.0.0.1' -x16 -s16 -k1M --min-split-size=1M --file-allocation=none -d \"$2\" -o out \"$1\"",
      url, directory)
    #expect(try received() == server.content)
    // At least some of the parts had a connection of their own.
    #expect(server.server.counters.values.connections >= 4)
  }

  @Test func `Python reads random ranges that equal the file`() throws {
    try runFixture("scripts/http-ranges.py", url, server.directory.path("content"))
  }
}

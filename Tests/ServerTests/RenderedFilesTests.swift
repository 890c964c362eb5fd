// The cache of rendered files: one rendering for many requests, bounds, restarts, and what a second rendering has to
// give.

import Codec
import Foundation
import HTTPServer
import Images
import Platform
import Server
import TestSupport
import Testing

@Suite struct RenderedFilesTests {
  private static func big(_ count: Int = 40) -> [String: String] {
    var random = SplitMix64(7)
    var tree: [String: String] = [:]
    for index in 0..<count {
      tree["data/\(index)"] = random.bytes(100_000).map { String($0, radix: 16) }.joined()
    }
    return tree
  }

  @Test func manyRequestsShareOneRendering() throws {
    let site = try BootSite(tree: RenderedFilesTests.big())
    try site.snapshot(kernel: "one")
    let responses = (0..<20).map { _ in site.get("/boot/compute@1/rootimg.cpio.gz") }
    let bodies = Monitor<[[UInt8]]>([])
    try runThreads(responses.count) { index in
      let body = try bytes(responses[index])
      bodies.withLock { $0.append(body) }
    }
    let counts = site.files.counts
    #expect(counts.misses == 1 && counts.misses + counts.shared + counts.hits == 20)
    #expect(bodies.withLock { Set($0) }.count == 1)
    site.waitForRenderings()
    let complete = site.get("/boot/compute@1/rootimg.cpio.gz")
    let checksum = SHA256.digest(of: bodies.withLock { $0[0] }).hex
    #expect(complete.entityTag == checksum)
    // A client never gets another tag than the checksum: before the end of the first rendering it gets none.
    #expect(responses.allSatisfy { $0.entityTag == nil || $0.entityTag == checksum })
    guard case .file(_, _, let size) = complete.body else {
      Issue.record("the complete file is not served from the cache")
      return
    }
    #expect(size == UInt64(bodies.withLock { $0[0].count }))
  }

  /// The first client does not wait for the checksum. It is computed before anybody gets it, from the bytes
  /// that clients got, and the file is published with it.
  @Test func firstRenderingEndsBeforeItsChecksumIsKnown() throws {
    let site = try BootSite(tree: RenderedFilesTests.big())
    try site.snapshot(kernel: "one")
    for name in ["rootimg.cpio.gz", "rootimg.sfs"] {
      let url = "/boot/compute@1/\(name)"
      let first = site.get(url)
      #expect(first.entityTag == nil)
      let content = try bytes(first)
      var tags: Set<String> = []
      while site.files.counts.renderings > 0 {
        if let tag = site.get(url).entityTag { tags.insert(tag) }
      }
      let sum = SHA256.digest(of: content).hex
      #expect(tags.isSubset(of: [sum]))
      let second = site.get(url)
      #expect(second.entityTag == sum)
      #expect(try bytes(second) == content)
      #expect(try site.text("/boot/compute@1/SHA256SUMS").contains("\(sum)  \(name)\n"))
    }
    #expect(site.files.counts.failed == 0)
  }

  @Test func queueIsBounded() throws {
    var limits = RenderedFiles.Limits()
    (limits.renderings, limits.waiting) = (1, 1)
    let site = try BootSite(tree: RenderedFilesTests.big(), limits: limits)
    try site.snapshot(kernel: "one")
    let names = ["rootimg.cpio.xz", "rootimg.tar.xz", "rootimg.tar.gz", "rootimg.cpio.gz"]
    let responses = names.map { site.get("/boot/compute@1/\($0)") }
    #expect(responses.map(\.status).contains(.unavailable))
    let refused = try #require(responses.first { $0.status == .unavailable })
    #expect(field(refused, "Retry-After").flatMap { Int($0) } ?? 0 > 0)
    for response in responses where response.status == .ok { _ = try bytes(response) }
    site.waitForRenderings()
    #expect(site.get("/boot/compute@1/rootimg.cpio.gz").status == .ok)
    site.waitForRenderings()
  }

  @Test func evictedFileStaysReadableAndItsRecordStays() throws {
    var limits = RenderedFiles.Limits()
    limits.sizeBytes = 3_000_000
    let site = try BootSite(tree: RenderedFilesTests.big(20), limits: limits)
    try site.snapshot(kernel: "one")
    let first = try site.body("/boot/compute@1/rootimg.cpio.gz")
    site.waitForRenderings()
    let open = site.get("/boot/compute@1/rootimg.cpio.gz")
    _ = try site.body("/boot/compute@1/rootimg.tar.gz")
    site.waitForRenderings()
    #expect(site.files.counts.evicted == 1)
    #expect(try bytes(open) == first)
    // Its size and checksum are known before it is rendered again.
    let again = site.get("/boot/compute@1/rootimg.cpio.gz")
    #expect(again.entityTag == SHA256.digest(of: first).hex)
    guard case .growing(let growing) = again.body else {
      Issue.record("the evicted file was not rendered again")
      return
    }
    #expect(growing.totalBytes == UInt64(first.count))
    #expect(try bytes(again) == first)
    site.waitForRenderings()
  }

  @Test func otherBytesThanRecordedFailTheTransfer() throws {
    let site = try BootSite()
    try site.snapshot(kernel: "one")
    let first = try site.body("/boot/compute@1/rootimg.tar.gz")
    site.waitForRenderings()
    let cache = site.node.directory.path("cache")
    let records = try FileManager.default.contentsOfDirectory(atPath: cache + "/records")
    for name in records {
      let path = "\(cache)/records/\(name)"
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      try Data("\(lines[0])\n\(String(repeating: "0", count: 64))\n\(lines[2])\n".utf8)
        .write(to: URL(fileURLWithPath: path))
      try FileManager.default.removeItem(atPath: "\(cache)/files/\(name)")
    }
    let response = site.get("/boot/compute@1/rootimg.tar.gz")
    #expect(throws: TestFailure.self) { try bytes(response) }
    site.waitForRenderings()
    #expect(site.files.counts.failed == 1)
    #expect(site.warnings.withLock { $0.count } == 1)
    // The record is gone: the next request gets the file.
    #expect(try site.body("/boot/compute@1/rootimg.tar.gz") == first)
    site.waitForRenderings()
  }

  @Test func restartKeepsFilesAndRemovesUnfinishedOnes() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("cache")
    let first = try RenderedFiles(directory: path, warn: { _ in })
    #expect(errorCode { _ = try RenderedFiles(directory: path, warn: { _ in }) } == .busy)
    withExtendedLifetime(first) {}
    try FileManager.default.createDirectory(
      atPath: directory.path("other/tmp"), withIntermediateDirectories: true)
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o700], ofItemAtPath: directory.path("other"))
    try Data("half".utf8).write(to: URL(fileURLWithPath: directory.path("other/tmp/x")))
    try FileManager.default.createDirectory(
      atPath: directory.path("other/files"), withIntermediateDirectories: true)
    try Data("file".utf8).write(
      to: URL(fileURLWithPath: directory.path("other/files/" + String(repeating: "a", count: 64))))
    let second = try RenderedFiles(directory: directory.path("other"), warn: { _ in })
    #expect(second.counts.files == 0)
    for name in ["tmp", "files"] {
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: directory.path("other/\(name)")).isEmpty
      )
    }
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o777], ofItemAtPath: directory.path("other"))
    withExtendedLifetime(second) {}
    #expect(
      errorCode { _ = try RenderedFiles(directory: directory.path("other"), warn: { _ in }) }
        == .accessDenied)
  }

  @Test func finishedFilesSurviveTheStore() throws {
    let site = try BootSite()
    try site.snapshot(kernel: "one")
    let image = try site.body("/boot/compute@1/rootimg.tar.gz")
    site.waitForRenderings()
    let response = site.get("/boot/compute@1/rootimg.tar.gz")
    try FileManager.default.removeItem(atPath: site.node.directory.path("store/packs"))
    #expect(try bytes(response) == image)
  }

  @Test func fullDiskIsRefused() throws {
    var limits = RenderedFiles.Limits()
    limits.reservedBytes = 1 << 60
    let site = try BootSite(limits: limits)
    try site.snapshot(kernel: "one")
    let response = site.get("/boot/compute@1/rootimg.tar.gz")
    #expect(throws: TestFailure.self) { try bytes(response) }
    site.waitForRenderings()
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: site.node.directory.path("cache/tmp"))
        .isEmpty)
  }
}

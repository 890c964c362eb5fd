// imgstore metrics: right after each event, and in a form that Prometheus reads.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct MetricsTests {
  private static let hasPromtool =
    !TestSelection.isFast && (try? run("which", "promtool"))?.didSucceed == true

  /// Returns the samples of metrics by name and labels, and checks the text with promtool.
  private func samples(_ workspace: Workspace, measuring: Bool = false) throws -> [String: Double] {
    let text = try workspace.metrics(measuring: measuring)
    if Self.hasPromtool {
      let result = try run("promtool", "check", "metrics", input: text)
      #expect(result.didSucceed && result.output.isEmpty, "\(result.output)\(result.errors)")
    }
    var samples: [String: Double] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let end = try #require(line.lastIndex(of: " "))
      let name = String(line[..<end])
      #expect(samples[name] == nil, "\(name) twice")
      samples[name] = Double(String(line[line.index(after: end)...]))
    }
    return samples
  }

  private func image(_ name: String, _ metric: String) -> String {
    "imgstore_image_\(metric){image=\"\(name)\"}"
  }

  @Test(.enabled(if: hasPromtool, "promtool is not installed: 'apt-get install prometheus'"))
  func `promtool refuses a wrong text`() throws {
    let result = try run("promtool", "check", "metrics", input: "a{b=} 1\n")
    #expect(!result.didSucceed)
  }

  @Test func `metrics are right after each of twenty events`() throws {
    let site = try ClockedNode(
      TestNode(image: "img", tree: ["f1": "a", "f2": "a", "f3": "a", "f4": "a"]))
    let store = site.node.directory.path("store")
    func now() -> Double { Double(site.now) }
    // 1: an empty store. 2: a defined image without a snapshot.
    _ = try site.open().initializeStore(group: nil)
    var all = try samples(site.open())
    #expect(all[image("img", "snapshots")] == 0 && all[image("img", "defined")] == 1)
    #expect(all[image("img", "latest_snapshot_timestamp_seconds")] == nil)
    #expect(all["imgstore_verify_last_timestamp_seconds"] == nil)
    #expect(all["imgstore_store_free_bytes"] ?? 0 > 1e6)
    #expect(try samples(site.open(), measuring: true)[image("img", "changed")] == 1)
    // 3: a snapshot.
    _ = try site.open().snapshot("img")
    all = try samples(site.open())
    #expect(all[image("img", "snapshots")] == 1 && all[image("img", "incomplete")] == 0)
    #expect(all[image("img", "latest_snapshot_timestamp_seconds")] == now())
    #expect(all[image("img", "changed")] == nil, "nobody has compared it yet")
    // 4: a change. 5: time passes.
    try site.node.write("b", to: "/img/rootimg/f1")
    #expect(try samples(site.open(), measuring: true)[image("img", "changed")] == 1)
    site.advance(86_400)
    #expect(
      try samples(site.open())[image("img", "latest_snapshot_timestamp_seconds")] == now() - 86_400)
    // 6: a maintain.
    _ = try site.open().maintain()
    all = try samples(site.open())
    for name in ["gc_last", "verify_last", "maintain_last"] {
      #expect(all["imgstore_\(name)_timestamp_seconds"] == now(), "\(name)")
    }
    #expect(all["imgstore_maintain_exit_code"] == 0 && all["imgstore_store_damaged_objects"] == 0)
    #expect(all[image("img", "snapshots")] == 2 && all[image("img", "changed")] == 0)
    #expect(all["imgstore_store_growth_bytes"] == nil, "there was one run only")
    #expect(all["imgstore_optimize_last_timestamp_seconds"] == nil)
    // 7: a check without a change.
    site.advance(86_400)
    _ = try site.open().snapshot("img", .skipIfUnchanged)
    all = try samples(site.open())
    #expect(all[image("img", "last_check_timestamp_seconds")] == now())
    #expect(all[image("img", "latest_snapshot_timestamp_seconds")] == now() - 86_400)
    // 8: a change that a maintain finds in an image that is not due.
    _ = try site.open().maintain()
    try site.node.write("c", to: "/img/rootimg/f1")
    site.advance(60)
    _ = try site.open().maintain()
    #expect(try samples(site.open())[image("img", "changed")] == 1)
    // 9: a snapshot records it.
    site.advance(60)
    _ = try site.open().snapshot("img")
    #expect(try samples(site.open())[image("img", "changed")] == 0)
    // 10: growth.
    try shell("head -c 500000 /dev/urandom >\"$1/large\"", site.node.tree)
    site.advance(86_400)
    _ = try site.open().maintain()
    all = try samples(site.open())
    #expect(all["imgstore_store_growth_bytes"] ?? 0 > 500_000)
    #expect(all["imgstore_store_size_bytes{kind=\"packs\"}"] ?? 0 > 500_000)
    // 11: gc. 12: optimize. 13: verify.
    site.advance(100)
    _ = try site.open().collect()
    #expect(try samples(site.open())["imgstore_gc_last_timestamp_seconds"] == now())
    site.advance(100)
    var request = CollectionRequest()
    request.rewriting = .all(level: 3)
    _ = try site.open().collect(request)
    #expect(try samples(site.open())["imgstore_optimize_last_timestamp_seconds"] == now())
    site.advance(100)
    _ = try site.open().verify(deep: true)
    all = try samples(site.open())
    #expect(all["imgstore_verify_last_timestamp_seconds"] == now())
    #expect(all["imgstore_gc_last_timestamp_seconds"] == now() - 100)
    // 14: forget.
    var policy = RetentionPolicy()
    policy.last = 1
    _ = try site.open().forget(["img"], policy)
    #expect(try samples(site.open())[image("img", "snapshots")] == 1)
    // 15: an unfinished change. 16: its end.
    for i in 1...4 { try site.node.write("z", to: "/img/rootimg/f\(i)") }
    _ = try site.open().snapshot("img")
    let number = try #require(try site.history("img").first?.number)
    var revert = RevertRequest("img@\(number)")
    revert.method = .inPlace
    let failing = try site.open(fileSystem: FaultyFileSystem(.nth(2, "exchange", .noSpace)))
    #expect(throws: (any Error).self) { try failing.revert(revert) }
    #expect(try samples(site.open())[image("img", "unfinished_change")] == 1)
    _ = try site.open().resume("img", .back)
    #expect(try samples(site.open())[image("img", "unfinished_change")] == 0)
    // 17: a second image, whose name needs quoting in other formats.
    _ = try site.open().define("a.b-c", ["provmethod=netboot", "rootimgdir=/second"])
    #expect(try samples(site.open())[image("a.b-c", "snapshots")] == 0)
    // 18: the definition of the first one is gone.
    try shell("rm \"$1\"/xcat/*", store)
    #expect(try samples(site.open())[image("img", "defined")] == 0)
    // 19: a damaged pack, found by a verification.
    try shell(
      "cd \"$1/packs\"; for f in *; do chmod u+w $f; printf X | dd of=$f bs=1 seek=2000 conv=notrunc status=none; done",
      store)
    _ = try site.open().verify(deep: true)
    #expect(try samples(site.open())["imgstore_store_damaged_objects"] ?? 0 > 0)
    // 20: a damaged ref.
    let last = try #require(try site.history("img").last?.number)
    try shell(
      "cd \"$1/refs/img\"; f=$(ls | grep '^[0-9]' | tail -1); chmod u+w $f; echo x >$f", store)
    all = try samples(site.open())
    #expect(all[image("img", "unreadable_snapshots")] ?? 0 >= 1, "\(last)")
  }

  @Test func `a metrics file is replaced in one step, and all users may read it`() throws {
    let site = try ClockedNode(TestNode(image: "img"))
    _ = try site.open().snapshot("img")
    let path = site.node.directory.path("imgstore.prom")
    let configuration = "[maintain]\noptimize-time = 0\nmetrics = \"\(path)\"\n"
    let outcome = try site.open(configuration).maintain()
    #expect(outcome.metrics == path && outcome.result == .ok)
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o644)
    // The free space and the size of the cache may change at any time.
    func lasting(_ text: String) -> [Substring] {
      text.split(separator: "\n").filter {
        !$0.contains("free_bytes ") && !$0.contains("\"cache\"")
      }
    }
    #expect(
      try lasting(String(contentsOfFile: path, encoding: .utf8)) == lasting(site.open().metrics()))
    let names = try FileManager.default.contentsOfDirectory(atPath: site.node.directory.path)
    #expect(!names.contains { $0.contains("imgstore-part") })
    // A file that cannot be written is a problem of the run.
    let failed = try site.open("[maintain]\nmetrics = \"/nonexistent/dir/x.prom\"\n").maintain()
    #expect(failed.result == .problems && failed.metrics == nil)
    #expect(
      errorCode { try site.open().writeMetrics(to: site.node.directory.path("store/x.prom")) }
        != nil)
  }

  @Test func `values that were never measured are left out`() throws {
    #expect(
      errorCode { _ = try ClockedNode(TestNode(image: "img")).open().metrics() } == .storeNotFound)
  }
}

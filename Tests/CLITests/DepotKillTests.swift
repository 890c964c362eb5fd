// `push` to a depot and `pull` from one are killed, at any request and at any system call that changes or sends
// something: the depot stays whole, and repeating the command completes it.

import Foundation
import ObjectStorageTestSupport
import TestSupport
import Testing

/// Where a command is killed.
private enum KillPoint {
  /// At its n-th request: before it has an effect, or after it and before the answer.
  case request(Int, isAfter: Bool)
  /// Before its n-th system call among some.
  case call(String, Int)
}

/// A service, a store with two snapshots, and commands on them.
private struct DepotSite {
  let bucket: TestBucket
  let directory: TemporaryDirectory
  static let url = "s3://\(TestBucket.name)/depot"

  init() throws {
    bucket = try TestBucket()
    directory = try TemporaryDirectory()
    let tree = directory.path("root/live")
    try shell(
      """
      mkdir -p "$1/root/live/etc" "$1/config"
      for i in $(seq 40); do head -c 30000 /dev/urandom >"$1/root/live/etc/$i"; done
      """, directory.path)
    for number in 1...2 {
      try shell("echo \(number) >\"$1/etc/motd\"; head -c 700000 /dev/urandom >\"$1/large\"", tree)
      #expect(try imgstore(["snapshot", "/live", "-q"]).status == 0)
    }
    #expect(try imgstore(["push", DepotSite.url, "live@1", "-q"]).status == 0)
  }

  private func environment(_ store: String) -> [String: String] {
    [
      "IMGSTORE_STORE": directory.path(store), "IMGSTORE_ROOT": directory.path("root"),
      "IMGSTORE_CONFIG_DIR": directory.path("config"), "TMPDIR": directory.path,
      "AWS_ENDPOINT_URL": "http://127.0.0.1:\(bucket.port)", "AWS_ACCESS_KEY_ID": "id",
      "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "NO_PROXY": "*",
    ]
  }

  func imgstore(_ words: [String], store: String = "store") throws -> ToolResult {
    try run(binary, arguments: words, environment: environment(store))
  }

  /// Runs a command that is killed.
  /// - Returns: whether it was killed.
  func kill(_ words: [String], store: String, at point: KillPoint) throws -> Bool {
    switch point {
    case .request(let number, let isAfter):
      let path = directory.path(store)
      let first = bucket.state.withLock { $0.requests.count }
      bucket.interruption.update {
        $0 = TestBucket.Interruption(at: first + number, isAfter: isAfter) {
          // The pattern cannot match the program that searches.
          _ = try? run("pkill", "-KILL", "-f", "imgstore .*--store=\(path)$")
        }
      }
      defer { bucket.interruption.update { $0 = nil } }
      return try imgstore(words + ["--store=\(path)"], store: store).status == SIGKILL
    case .call(let calls, let number):
      let result = try run(
        "strace",
        arguments: [
          "-f", "-qq", "-o", "/dev/null", "-e", "trace=\(calls)", "-e",
          "inject=\(calls):signal=SIGKILL:when=\(number)", binary,
        ] + words, environment: environment(store))
      return result.status == SIGKILL
    }
  }

  /// Checks that a new store gets everything that the depot says it has.
  /// - Returns: the messages of the snapshots.
  func clone() throws -> Int {
    let name = "clone-\(UUID().uuidString)"
    let result = try imgstore(["clone", DepotSite.url, "-q"], store: name)
    #expect(result.status == 0, "\(result.errors)")
    #expect(try imgstore(["verify", "--deep", "-q"], store: name).status == 0)
    let log = try imgstore(["log", "live", "--json"], store: name).output
    try FileManager.default.removeItem(atPath: directory.path(name))
    return log.components(separatedBy: "\"number\"").count - 1
  }
}

@Suite(.usesTools, .sweep) struct DepotKillTests {
  private static let calls = "write,pwrite64,writev,sendmsg,sendto,fsync,rename,renameat,linkat"

  /// The points of a sweep: one in `step`, from a random start.
  private func points(_ total: Int, every step: Int, _ make: (Int) -> KillPoint) -> [KillPoint] {
    Sweep(every: step).lazy.map { $0 + 1 }.prefix(while: { $0 <= total }).map(make)
  }

  private func sweep(_ words: [String], in site: DepotSite, prepare: () throws -> Void) throws {
    try prepare()
    let before = site.bucket.state.withLock { $0.requests.count }
    #expect(try site.imgstore(words, store: "victim").status == 0)
    let requests = site.bucket.state.withLock { $0.requests.count } - before
    #expect(requests > 5)
    let kills =
      points(requests, every: 8) { .request($0, isAfter: false) }
      + points(requests, every: 8) { .request($0, isAfter: true) }
      + points(120, every: 40) { .call(DepotKillTests.calls, $0) }
    var killedCount = 0
    for point in kills {
      try prepare()
      let isKilled = try site.kill(words, store: "victim", at: point)
      killedCount += isKilled ? 1 : 0
      #expect(try [1, 2].contains(site.clone()), "\(words), \(point)")
      let repeated = try site.imgstore(words, store: "victim")
      #expect(repeated.status == 0, "\(words), \(point): \(repeated.errors)")
      #expect(try site.clone() == 2, "\(words), \(point)")
      let verify = try site.imgstore(["verify", "--deep", "-q"], store: "victim")
      #expect(verify.status == 0, "\(words), \(point): \(verify.output)")
    }
    #expect(killedCount > kills.count / 2)
  }

  @Test func `a killed push leaves a whole depot, and the repeated push completes`() throws {
    let site = try DepotSite()
    let objects = site.bucket.state.withLock { $0.objects }
    try sweep(["push", DepotSite.url, "live@2", "-q"], in: site) {
      site.bucket.state.update { ($0.objects, $0.uploads) = (objects, [:]) }
      try shell("rm -rf \"$1/victim\"; cp -a \"$1/store\" \"$1/victim\"", site.directory.path)
    }
  }

  @Test func `a killed pull leaves a whole store, and the repeated pull completes`() throws {
    let site = try DepotSite()
    #expect(try site.imgstore(["push", DepotSite.url, "live@2", "-q"]).status == 0)
    try sweep(["pull", DepotSite.url, "live@2", "-q"], in: site) {
      try shell("rm -rf \"$1/victim\"", site.directory.path)
      #expect(try site.imgstore(["init", "-q", "--force"], store: "victim").status == 0)
    }
  }
}

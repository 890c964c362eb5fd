// Requests while snapshots are taken, reverted to, forgotten and collected, and while a tag moves: no answer
// mixes two snapshots, files under way are not collected, and what is gone is 404 or 410.
//
// Every file of a snapshot names its state by number: kernel, ramdisk, and a file of the root tree.

import Foundation
import HTTPServer
import Images
import Platform
import Server
import TestSupport
import Testing

@Suite(.usesTools, .sweep) struct ConsistencyTests {
  /// The states of the snapshots, by their numbers.
  private let states = Monitor<[Int: Int]>([1: 1])

  @Test func requestsSeeOneSnapshotEach() throws {
    let site = try BootSite()
    try state(1, site)
    _ = try site.node.open().snapshot("compute", tags: ["production"])
    let ends = Monitor(false)
    let seconds = Sweep.isWhole ? 120.0 : 5.0
    let start = monotonicSeconds()
    let answered = Monitor<[Int: Int]>([:])
    try runThreads(4) { index in
      if index == 0 {
        defer { ends.update { $0 = true } }
        try change(site, until: start + seconds)
      } else {
        while !ends.withLock({ $0 }) { try request(site, index, answered) }
      }
    }
    site.waitForRenderings()
    let counts = answered.withLock { $0 }
    #expect(counts[200] ?? 0 > 10)
    #expect(Set(counts.keys).isSubset(of: [200, 404, 410, 503]), "\(counts)")
    // A store may be opened between the publication of a pack and its entry in the index.
    let warnings = site.warnings.withLock { $0.filter { !$0.hasPrefix("index: added") } }
    #expect(warnings == [])
  }

  private func state(_ number: Int, _ site: BootSite) throws {
    for (name, text) in [
      ("img/kernel", "kernel \(number)\n"), ("img/initrd-stateless.gz", "ramdisk \(number)\n"),
      ("img/rootimg/etc/motd", "tree \(number)\n"),
    ] { try site.node.write(text, to: name) }
  }

  /// Takes snapshots, moves the tag, reverts, forgets and collects.
  private func change(_ site: BootSite, until end: Double) throws {
    var number = 1
    while monotonicSeconds() < end {
      number += 1
      try state(number, site)
      let taken = try site.node.open().snapshot("compute").committed.number
      states.withLock { $0[taken] = number }
      _ = try site.node.open().tag("compute@\(taken)", as: "production", moving: true)
      if number.isMultiple(of: 2) { try revert(site, to: taken - 1) }
      if number.isMultiple(of: 3) {
        var policy = RetentionPolicy()
        policy.last = 2
        _ = try site.node.open().forget(["compute"], policy)
        _ = try site.node.open().collect()
      }
    }
  }

  /// Reverts, and lets the tag name what the revert recorded.
  private func revert(_ site: BootSite, to number: Int) throws {
    let state = states.withLock { $0[number] }
    _ = try site.node.open().revert("compute@\(number)")
    let latest = try site.node.open().find(Reference("compute")).number
    states.withLock { $0[latest] = $0[latest] ?? state }
    _ = try site.node.open().tag("compute@\(latest)", as: "production", moving: true)
  }

  /// Requests the files of a reference, and checks that all are of one snapshot where they have to be.
  private func request(_ site: BootSite, _ index: Int, _ answered: Monitor<[Int: Int]>) throws {
    func get(_ path: String) throws -> String? {
      let response = site.get(path)
      answered.withLock { $0[response.status.rawValue, default: 0] += 1 }
      guard response.status == .ok else { return nil }
      return String(decoding: try bytes(response), as: UTF8.self)
    }
    guard let script = try get("/boot/compute@production/ipxe"),
      let at = script.firstRange(of: "../compute@")
    else { return }
    let number = Int(script[at.upperBound...].prefix { $0.isNumber }) ?? 0
    let state = try #require(states.withLock { $0[number] }, "snapshot \(number)")
    if let kernel = try get("/boot/compute@\(number)/kernel") {
      #expect(kernel == "kernel \(state)\n")
    }
    if let ramdisk = try get("/boot/compute@\(number)/initrd") {
      #expect(ramdisk == "ramdisk \(state)\n")
    }
    let response = site.get("/boot/compute@\(number)/rootimg.tar.gz")
    answered.withLock { $0[response.status.rawValue, default: 0] += 1 }
    if response.status == .ok {
      let path = site.node.directory.path("image-\(index)")
      try Data(try bytes(response)).write(to: URL(fileURLWithPath: path))
      let motd = try shell("tar xzOf \"$1\" ./etc/motd", path).output
      #expect(motd == "tree \(state)\n")
    }
    if index == 1, let old = try get("/boot/compute@1/kernel") { #expect(old == "kernel 1\n") }
  }
}

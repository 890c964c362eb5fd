// Packing under adverse conditions: killed at random times, and on a full disk.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.serialized) struct PackHarmTests {
  /// A run that is killed eight times; IMGSTORE_SWEEP=all makes it two hundred.
  private static let wantedKills =
    ProcessInfo.processInfo.environment["IMGSTORE_SWEEP"] == "all" ? 200 : 8

  private func bytes(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path))
  }

  @Test(arguments: [["-m", "cpio"], ["-m", "squashfs", "-c", "zstd"]])
  func `a pack killed at any time leaves the old or the new packed image whole`(
    _ form: [String]
  ) throws {
    let site = try TestNode(image: "img")
    try shell(
      """
      cd "$1"; for i in $(seq 300); do head -c $((i * 60)) /dev/urandom >f$i; seq $i $((i * 30)) >t$i; done
      head -c 3000000 /dev/urandom >large
      """, site.tree)
    func pack() throws -> ToolResult {
      try run(binary, arguments: ["pack", "img", "-q"] + form, environment: site.environment)
    }
    let start = Date()
    #expect(try pack().status == 0)
    var microseconds = UInt32(clamping: Int(Date().timeIntervalSince(start) * 1_000_000))
    let name = form.contains("squashfs") ? "rootimg.sfs" : "rootimg.cpio.gz"
    let file = site.directory.path("root/img/\(name)")
    var known = try bytes(file)
    var random = SplitMix64(20_261_123)
    var killed = 0
    for round in 0..<Self.wantedKills * 6 where killed < Self.wantedKills {
      try shell(
        "echo $2 >>\"$1/f7\"; rm -rf \"$3\"", site.tree, "\(round)",
        site.directory.path("store/cache/segments"))
      let process = Process()
      process.executableURL = URL(fileURLWithPath: binary)
      process.arguments = ["pack", "img", "-q"] + form
      process.environment = site.environment
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      usleep(UInt32.random(in: 0...microseconds, using: &random))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      if process.terminationReason == .uncaughtSignal {
        killed += 1
      } else {
        // It was faster than the first one, which may have been held up.
        microseconds = microseconds / 4 * 3
      }
      let now = try bytes(file)
      if now != known {
        // Then it is the new one, to its last byte.
        _ = try pack()
        #expect(try bytes(file) == now, "round \(round)")
      }
      known = now
    }
    #expect(killed >= Self.wantedKills)
    #expect(try pack().status == 0)
    let left = try run("ls", "-A", site.directory.path("root/img")).output
    #expect(left == "rootimg\n\(name)\n")
    #expect(try site.imgstore("verify").status == 0)
  }

  @Test(arguments: [["-m", "cpio"], ["-m", "tar", "-c", "xz"], ["-m", "squashfs"]])
  func `a pack on a full disk reports it and leaves the old packed image`(_ form: [String]) throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    let disk = directory.path("root")
    try shell("mkdir \"$1\"", disk)
    guard try run("mount", "-t", "tmpfs", "-o", "size=16m", "none", disk).didSucceed else { return }
    defer { _ = try? run("umount", disk) }
    let environment = ["IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": disk]
    func imgstore(_ words: [String]) throws -> ToolResult {
      try run(binary, arguments: words, environment: environment)
    }
    try shell(
      "mkdir -p \"$1/img/rootimg\"; head -c 3000000 /dev/urandom >\"$1/img/rootimg/a\"", disk)
    _ = try imgstore(["define", "img", "provmethod=netboot", "rootimgdir=/img"])
    #expect(try imgstore(["pack", "img"] + form).status == 0)
    let names = try run("ls", "-A", disk + "/img").output
    let file = try #require(
      names.split(separator: "\n").first { $0.hasPrefix("rootimg.") }.map { "\(disk)/img/\($0)" })
    let old = try bytes(file)
    try shell("head -c 5000000 /dev/urandom >\"$1/img/rootimg/b\"", disk)
    let full = try imgstore(["pack", "img"] + form)
    #expect(full.status == 1)
    #expect(full.errors.contains("No space left on device"), "\(full.errors)")
    #expect(full.errors.contains("the old file did not change"), "\(full.errors)")
    #expect(try bytes(file) == old)
    #expect(try run("ls", "-A", disk + "/img").output == names)
    try shell("rm \"$1/img/rootimg/b\"", disk)
    #expect(try imgstore(["pack", "img"] + form).status == 0)
  }
}

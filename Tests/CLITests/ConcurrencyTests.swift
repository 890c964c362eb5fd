// Concurrent commands on one image and one store: they wait for each other, none fails because of
// the others, and the store verifies afterwards. Lock holders are killed and stopped meanwhile.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.serialized) struct ConcurrencyTests {
  /// A command that runs in the background.
  private func start(_ arguments: [String], in site: TestNode) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: binary)
    process.arguments = arguments
    process.environment = site.environment
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
  }

  private func filled() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell(
      "cd \"$1\"; for i in $(seq 40); do head -c 200000 /dev/urandom >f$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("cd \"$1\"; for i in $(seq 40); do echo $i >f$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    return site
  }

  @Test func `twenty concurrent commands on one image all succeed`() throws {
    let site = try filled()
    let out = site.directory.path("out")
    var commands: [[String]] = (0..<8).map { ["snapshot", "img", "-m", "\($0)"] }
    commands += (0..<3).map { ["restore", "img@1", "\(out)\($0)"] }
    commands += [
      ["status", "img"], ["log", "img"], ["verify"], ["gc", "--max-time", "20s"],
      ["revert", "img@1"], ["revert", "img@2"], ["diff", "img@1", "img@2"],
      ["forget", "img", "--keep-last", "50"], ["du"],
    ]
    #expect(commands.count == 20)
    let running = try commands.map { try start($0, in: site) }
    for (process, command) in zip(running, commands) {
      process.waitUntilExit()
      #expect(
        process.terminationReason == .exit && process.terminationStatus == 0,
        "\(command): \(process.terminationStatus)")
    }
    #expect(try site.imgstore("verify", "--deep").status == 0)
    let status = try site.imgstore("status", "img")
    #expect(status.output.contains("identical"), "\(status.output)")
    // Two snapshots before, eight now, and one for each revert that changed something: at least one did, as
    // the two go to different trees.
    let numbers = try site.imgstore("log", "img").output.split(separator: "\n").count
    #expect(numbers >= 11, "\(numbers)")
    for i in 0..<3 {
      #expect(try site.imgstore("restore", "img@1", "\(out)-again\(i)").status == 0)
      #expect(try differences("\(out)\(i)", "\(out)-again\(i)") == "")
    }
  }

  @Test func `a stopped lock holder delays others, and a killed one frees them`() throws {
    let site = try filled()
    try shell("head -c 60000000 /dev/urandom >\"$1/large\"", site.tree)
    let holder = try start(["snapshot", "img"], in: site)
    // It holds the image's lock as soon as it has written something.
    for _ in 0..<1000 {
      if try !run("ls", "-A", site.directory.path("store/tmp")).output.isEmpty { break }
      usleep(2000)
    }
    kill(holder.processIdentifier, SIGSTOP)
    let waiting = try start(["snapshot", "img"], in: site)
    // Who only reads, or works on another image, does not wait.
    #expect(try site.imgstore("log", "img").status == 0)
    #expect(try site.imgstore("cat", "img@1:etc/motd").output == "hello\n")
    #expect(try site.imgstore("restore", "img@2", site.directory.path("while")).status == 0)
    try shell(
      "mkdir -p \"$1/root/two/rootimg\"; echo 2 >\"$1/root/two/rootimg/f\"", site.directory.path)
    #expect(try site.imgstore("define", "two", "provmethod=netboot", "rootimgdir=/two").status == 0)
    #expect(try site.imgstore("snapshot", "two").status == 0)
    #expect(waiting.isRunning)
    kill(holder.processIdentifier, SIGKILL)
    waiting.waitUntilExit()
    #expect(waiting.terminationStatus == 0)
    #expect(try site.imgstore("verify", "--deep").status == 0)
    #expect(try site.imgstore("status", "img").output.contains("identical"))
  }
}

// Commands of `run --host` that outlive imgstore: later commands say so.

import Foundation
import TestSupport
import Testing

@Suite(.usesTools, .serialized, .enabled(if: canRunInTrees, "needs root and namespaces"))
struct HostRunTests {
  /// Starts a command that writes its process id, and waits until the file `go` exists.
  private func start(_ node: TestNode) throws -> (run: Process, command: pid_t) {
    let process = Process()
    process.executableURL = URL(
      fileURLWithPath: fixture("scripts/processes/run-with-default-signals.py"))
    let script =
      "echo $$ >\"$0.part\"; mv \"$0.part\" \"$0\"; while [ ! -e \"$1\" ]; do sleep 0.02; done; echo made >\"$2\""
    process.arguments = [
      binary, "run", "img", "--host", "--", "sh", "-c", script, node.directory.path("begun"),
      node.directory.path("go"), node.path("/img/rootimg/etc/made"),
    ]
    process.environment = ProcessInfo.processInfo.environment.merging(node.environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    let begun = node.directory.path("begun")
    for _ in 0..<3000 where !FileManager.default.fileExists(atPath: begun) { usleep(10_000) }
    let text = try String(contentsOfFile: begun, encoding: .utf8)
    return (process, try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines))))
  }

  /// Lets the command end, and waits for it.
  private func finish(_ node: TestNode, _ command: pid_t) {
    _ = FileManager.default.createFile(atPath: node.directory.path("go"), contents: nil)
    for _ in 0..<3000 where !node.exists("img/rootimg/etc/made") { usleep(10_000) }
    // In a container without an init, an orphan stays as an exit status.
    for _ in 0..<300 where isRunning(command) { usleep(10_000) }
  }

  private func isRunning(_ process: pid_t) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else {
      return false
    }
    return !stat.contains(") Z ")
  }

  @Test func `a command that outlives imgstore is named until it has ended, and once after that`()
    throws
  {
    let node = try TestNode(image: "img")
    let (process, command) = try start(node)
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    #expect(isRunning(command), "only imgstore was killed")
    let status = try node.imgstore("status", "img")
    #expect(status.errors.contains("(process \(command)) still changes image img"), "\(status)")
    let snapshot = try node.imgstore("snapshot", "img")
    #expect(snapshot.status == 0 && snapshot.errors.contains("(process \(command))"))
    let maintain = try node.imgstore("maintain")
    #expect(maintain.output.contains("busy") || maintain.errors.contains("is being changed by"))

    finish(node, command)
    let late = try node.imgstore("status", "img")
    #expect(late.errors.contains("nothing recorded"), "\(late)")
    let recorded = try node.imgstore("snapshot", "img")
    #expect(recorded.errors.contains("nothing recorded"))
    #expect(try node.imgstore("snapshot", "img").errors.isEmpty, "it is said once")
    #expect(try node.imgstore("status", "img", "--exit-code").errors.isEmpty)
  }

  @Test func `while imgstore waits for its command, others warn, and nothing is left after it`()
    throws
  {
    let node = try TestNode(image: "img")
    let (process, command) = try start(node)
    let other = try node.imgstore("snapshot", "img")
    #expect(other.status == 0 && other.errors.contains("(process \(command))"), "\(other)")
    finish(node, command)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(try node.imgstore("log", "img").output.contains("(exit 0)"))
    #expect(try node.imgstore("snapshot", "img").errors.isEmpty)
    let cache = try FileManager.default.contentsOfDirectory(
      atPath: node.directory.path("store/cache"))
    #expect(!cache.contains { $0.hasPrefix("host-run-") })
  }

  @Test func `records that cannot be read, or are of another host, are ignored`() throws {
    let node = try TestNode(image: "img")
    let (process, command) = try start(node)
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    finish(node, command)
    let cache = node.directory.path("store/cache")
    let name = try #require(
      try FileManager.default.contentsOfDirectory(atPath: cache).first {
        $0.hasPrefix("host-run-")
      })
    let text = try String(contentsOfFile: "\(cache)/\(name)", encoding: .utf8)
    let others = [
      "", "command\n", String(text.prefix(text.count / 2)),
      text.replacing(#/(?m)^(host|boot) .*$/#) { "\($0.1) other" },
    ]
    for other in others {
      try Data(other.utf8).write(to: URL(fileURLWithPath: "\(cache)/\(name)"))
      let result = try node.imgstore("snapshot", "img")
      #expect(result.status == 0 && result.errors.isEmpty, "\(other): \(result.errors)")
    }
    // After a restart of the machine, the command has ended.
    let restarted = text.replacing(#/(?m)^boot .*$/#) { _ in "boot other" }
    try Data(restarted.utf8).write(to: URL(fileURLWithPath: "\(cache)/\(name)"))
    #expect(try node.imgstore("snapshot", "img").errors.contains("nothing recorded"))
  }
}

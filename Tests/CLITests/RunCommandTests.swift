// `imgstore run` as a program: exit codes, streams, locks, signals, and its sudden death.

import Foundation
import TestSupport
import Testing

@Suite(.usesTools, .serialized, .enabled(if: canRunInTrees, "needs root and namespaces"))
struct RunCommandTests {
  @Test(arguments: [
    (["--", "true"], 0), (["--", "sh", "-c", "exit 3"], 3),
    (["--", "sh", "-c", "kill -15 $$"], 143),
    (["--", "no-such-program"], 127), (["--", "/etc/motd"], 126), ([], 125), (["--frob"], 125),
    (["--bind", "/none:/mnt", "--", "true"], 125), (["--", "sh", "-c", "exit 125"], 125),
  ])
  func `the exit code is that of the command`(_ words: [String], _ code: Int) throws {
    let node = try TestNode.runnable()
    let result = try node.imgstore(["run", "img"] + words)
    #expect(result.status == code, "\(result.errors)")
  }

  @Test func `standard output belongs to the command, or to the document`() throws {
    let node = try TestNode.runnable()
    let plain = try node.imgstore("run", "img", "--", "sh", "-c", "echo --json; echo a >/etc/a")
    #expect(plain.output == "--json\n")
    #expect(plain.errors.contains("recorded as img@2"))
    let quiet = try node.imgstore("run", "-q", "img", "--", "sh", "-c", "echo b >/etc/a")
    #expect(quiet.output.isEmpty && quiet.errors.isEmpty, "\(quiet)")
    let json = try node.imgstore(
      "run", "--json", "img", "--", "sh", "-c", "echo out; echo c >/etc/a; exit 2")
    #expect(json.status == 2)
    #expect(json.errors.contains("out\n"))
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    #expect(document["document"] as? String == "run")
    #expect(document["exitCode"] as? Int == 2)
    #expect(document["recorded"] as? String == "img@4")
  }

  /// Starts a command in the tree, and returns the process and a file that tells when it has begun.
  private func start(
    _ node: TestNode, _ script: String, _ options: [String] = []
  ) throws -> Process {
    let process = Process()
    // The threads that run tests have signals blocked, which a child inherits.
    process.executableURL = URL(
      fileURLWithPath: fixture("scripts/processes/run-with-default-signals.py"))
    process.arguments =
      [binary, "run", "img"] + options + ["--", "sh", "-c", "touch /etc/begun; " + script]
    process.environment = ProcessInfo.processInfo.environment.merging(node.environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<3000 where !node.exists("img/rootimg/etc/begun") { usleep(10_000) }
    return process
  }

  /// Whether a process runs whose root directory is the tree.
  private func hasProcesses(in node: TestNode, named word: String) throws -> Bool {
    try run("pgrep", "-f", word).didSucceed
  }

  @Test func `other commands that change the image are refused meanwhile, and readers work`() throws
  {
    let node = try TestNode.runnable()
    let process = try start(node, "sleep 1000")
    #expect(try node.imgstore("snapshot", "img", "--no-wait").status == 4)
    #expect(try node.imgstore("run", "img", "--no-wait", "--", "true").status == 125)
    #expect(try node.imgstore("status", "img").status == 0)
    #expect(try node.imgstore("log", "img").status == 0)
    #expect(try node.imgstore("diff", "img", "--name-only").output.contains("begun"))
    process.terminate()
    process.waitUntilExit()
    #expect(process.terminationStatus == 143)
    #expect(try node.imgstore("log", "img").output.contains("(signal 15)"))
    #expect(try node.imgstore("snapshot", "img", "--no-wait").status == 0)
  }

  @Test func `a sudden death of imgstore ends the command, and leaves nothing behind`() throws {
    let node = try TestNode.runnable()
    for round in 0..<3 {
      let mark = "9\(getpid())\(round)"
      let process = try start(
        node, "while true; do echo x >>/etc/grows; sleep 0.01; done; sleep \(mark)")
      usleep(useconds_t(20_000 * round))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      for _ in 0..<500 where try hasProcesses(in: node, named: "sleep \(mark)") { usleep(10_000) }
      #expect(try !hasProcesses(in: node, named: "sleep \(mark)"))
      #expect(try node.mounts().isEmpty)
      #expect(try node.imgstore("status", "img").output.contains("grows"))
      #expect(try node.imgstore("snapshot", "img").status == 0)
      #expect(try node.imgstore("status", "img", "--exit-code").status == 0)
      try node.run("rm -f img/rootimg/etc/begun img/rootimg/etc/grows")
    }
    #expect(try node.imgstore("verify", "--deep").status == 0)
    #expect(
      try shell("cd \"$1\"; find proc sys dev run tmp -mindepth 1", node.tree).output.isEmpty)
  }

  @Test func `a command of the management node may run imgstore on the same image`() throws {
    let node = try TestNode.runnable()
    let result = try node.imgstore(
      "run", "img", "--host", "--", "sh", "-c",
      "echo 1 >\"$1/etc/one\"; \"$0\" snapshot img -m inner; echo 2 >\"$1/etc/two\"", binary,
      node.tree)
    #expect(result.status == 0, "\(result.errors)")
    let log = try node.imgstore("log", "img").output
    #expect(log.contains("inner") && log.contains("@3"))
  }

  @Test func `dnf and the hooks of dnf and genimage work with the real programs`() throws {
    let result = try run(
      "python3", "\(packageRoot)/Tests/Run/run.py", "--binary", binary, "--part", "dnf", "--part",
      "hooks")
    #expect([0, 77].contains(result.status), "\(result.output)\(result.errors)")
  }
}

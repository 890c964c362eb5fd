// The program under limits of a machine: threads, memory, file sizes, descriptors, no /proc, closed
// streams. Each causes an error with exit code 1 or has no effect, none crashes, and the store
// stays whole.

import Foundation
import Platform
import TestSupport
import Testing

@Suite struct LimitTests {
  /// Runs the program by a shell line in which "$imgstore" is the program.
  private func shellRun(_ line: String, in site: TestNode) throws -> ToolResult {
    try run(
      "/bin/bash", arguments: ["-c", line],
      environment: site.environment.merging(["imgstore": binary]) { $1 })
  }

  private func filled() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell("cd \"$1\"; for i in $(seq 50); do echo $i >f$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("head -c 3000000 /dev/urandom >\"$1/large\"", site.tree)
    return site
  }

  @Test(arguments: [
    "ulimit -f 4; $imgstore snapshot img",
    "ulimit -n 8; $imgstore snapshot img",
    "strace -f -qq -o /dev/null -e trace=clone,clone3 -e inject=clone,clone3:error=EAGAIN $imgstore snapshot img",
    "strace -f -qq -o /dev/null -e trace=clone,clone3 -e inject=clone,clone3:error=EAGAIN:when=2+ $imgstore snapshot img",
    "strace -f -qq -o /dev/null -e trace=clone,clone3 -e inject=clone,clone3:error=EAGAIN:when=3+ $imgstore snapshot img",
  ])
  func `a command that reaches a limit exits with 1 and an error`(_ line: String) throws {
    let site = try filled()
    let limited = try shellRun(line, in: site)
    #expect(limited.status == 1, "\(limited.errors)")
    #expect(!limited.errors.isEmpty)
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 1)
    #expect(try site.imgstore("verify", "--deep").status == 0)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    #expect(try run("ls", "-A", site.directory.path("store/tmp")).output == "")
  }

  @Test func `a small address space does not crash the program`() throws {
    let site = try filled()
    for kilobytes in [500_000, 750_000, 1_000_000, 1_500_000] {
      let limited = try shellRun("ulimit -v \(kilobytes); $imgstore snapshot img", in: site)
      #expect([0, 1].contains(limited.status), "\(kilobytes): \(limited.status) \(limited.errors)")
    }
    #expect(try site.imgstore("verify", "--deep").status == 0)
  }

  @Test(arguments: ["--swap", "--in-place"])
  func `a deep tree needs no more descriptors than a process has`(_ method: String) throws {
    let site = try TestNode(image: "img")
    let deep = """
      import os,sys; os.chdir(sys.argv[1])
      for i in range(1500):
        os.makedirs("d",exist_ok=True); open("f","w").write(sys.argv[2]+str(i)); os.chdir("d")
      """
    try shell("python3 -c \"$2\" \"$1\" one", site.tree, deep)
    func limited(_ command: String) throws -> ToolResult {
      try shellRun("ulimit -n 1024; $imgstore \(command)", in: site)
    }
    #expect(try limited("snapshot img").status == 0)
    try shell("python3 -c \"$2\" \"$1\" two; rm \"$1/f\"; mv \"$1/d\" \"$1/e\"", site.tree, deep)
    let back = try limited("revert img@1 \(method)")
    #expect(back.status == 0, "\(back.errors)")
    #expect(try limited("status img").status == 0)
    let out = site.directory.path("out")
    #expect(try limited("restore img@2 \(out)").status == 0)
    #expect(try shell("cd \"$1/e/d/d\"; cat f", out).output == "two3")
    #expect(try limited("pack img@2 --output \(site.directory.path("packed.gz"))").status == 0)
  }

  @Test func `without /proc only the commands that need it fail, with a reason`() throws {
    guard isRoot else { return }
    let site = try filled()
    func withoutProc(_ line: String) throws -> ToolResult {
      try shellRun("unshare -m sh -c 'mount -t tmpfs none /proc; \(line)'", in: site)
    }
    #expect(try withoutProc("$imgstore log img").status == 0)
    #expect(try withoutProc("$imgstore cat img:f7").output == "7\n")
    for line in ["$imgstore snapshot img", "$imgstore status img", "$imgstore revert img@1"] {
      let refused = try withoutProc(line)
      #expect(refused.status == 1, "\(line): \(refused.output)\(refused.errors)")
    }
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 1)
    #expect(try run("ls", "-A", site.tree).output.contains("large"))
  }

  @Test func `a command does not depend on /proc/self/cmdline`() throws {
    let site = try filled()
    let result = try shellRun(
      "strace -f -qq -o /dev/null -e trace=open,openat -e inject=open,openat:error=EIO -P /proc/self/cmdline "
        + "$imgstore log img --json", in: site)
    #expect(result.status == 0 && result.output.contains("\"number\""))
  }

  @Test(arguments: [">&-", "2>&-", "<&-", ">&- 2>&-", ">&- 2>&- <&-", ">/dev/full"])
  func `closed and full output streams do not damage the store`(_ streams: String) throws {
    let site = try filled()
    let closed = try shellRun("$imgstore snapshot img \(streams)", in: site)
    #expect(
      closed.status
        == (streams.contains(">&-") && !streams.hasPrefix("2") || streams.contains("full") ? 3 : 0))
    #expect(try site.imgstore("verify", "--deep").status == 0)
    #expect(try site.imgstore("status", "img").status == 0)
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 2)
  }
}

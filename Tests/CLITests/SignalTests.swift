// Signals and closed pipes during a change: it stops between two steps, its journal stays, the user
// is shown how to continue, and the exit code is 128 + the signal.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.serialized) struct SignalTests {
  /// A site whose revert to @1 takes a while in place, and the tree of @2 for comparison.
  private func site() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell(
      "cd \"$1\"; for i in $(seq 300); do head -c 300000 /dev/urandom >f$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("cd \"$1\"; for i in $(seq 300); do echo $i >f$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("cp -a \"$1\" \"$2\"", site.tree, site.directory.path("second"))
    return site
  }

  /// Runs a program with the default actions of signals. (The threads that run tests have signals blocked, which a
  /// child inherits, as it does ignored signals of a background job.)
  private static let unblocked = fixture("scripts/processes/run-with-default-signals.py")

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT])
  func `a change stopped by a signal can be resumed`(_ signal: Int32) throws {
    let site = try site()
    // Each thread gets the signal at the tenth file that it replaces.
    let stopped = try run(
      Self.unblocked,
      arguments: [
        "/bin/bash", "-c",
        "strace -f -qq -o /dev/null -e trace=renameat,renameat2 "
          + "-e inject=renameat,renameat2:signal=\(signal):when=10 $imgstore revert img@1 --in-place; exit $?",
      ], environment: site.environment.merging(["imgstore": binary]) { $1 })
    #expect(stopped.status == 128 + signal, "\(stopped.errors)")
    #expect(FileManager.default.fileExists(atPath: site.directory.path("store/journal/img")))
    #expect(stopped.errors.contains("imgstore resume img"))
    let live = try site.imgstore("diff", "img@2", "--json").output
    #expect(live.contains("rootimg/f"), "nothing had been changed")
    #expect(try site.imgstore("resume", "img", "--back").status == 0)
    #expect(try differences(site.directory.path("second"), site.tree) == "")
    #expect(try run("ls", "-A", site.directory.path("store/journal")).output == "")
  }

  @Test(arguments: ["snapshot img", "export img OUT/b.tgz", "gc", "status img"])
  func `a command ended by a signal prints an error document with --json`(_ words: String) throws {
    let site = try TestNode(image: "img")
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("head -c 4000000 /dev/urandom >\"$1/f\"", site.tree)
    let arguments = words.split(separator: " ").map {
      $0.replacingOccurrences(of: "OUT", with: site.directory.path(""))
    }
    // The signal comes when the store is opened; every file that is opened then takes a while.
    let result = try run(
      Self.unblocked,
      arguments: [
        "/bin/bash", "-c",
        "strace -f -qq -o /dev/null -e trace=flock,openat -e inject=flock:signal=\(SIGTERM):when=1 "
          + "-e inject=openat:delay_enter=20000 $imgstore \"$@\" --json; exit $?", "test",
      ] + arguments, environment: site.environment.merging(["imgstore": binary]) { $1 })
    #expect(result.status == 128 + SIGTERM, "\(result.errors)")
    let document = try JSONDecoder().decode(Failure.self, from: Data(result.output.utf8))
    #expect(document.document == "error" && document.error.code == "interrupted")
    #expect(words == "status img" || result.errors.contains("imgstore: "), "\(result.errors)")
  }

  private struct Failure: Decodable {
    struct Details: Decodable { let code: String }
    let document: String
    let error: Details
  }

  @Test func `a change completes although nobody reads its output`() throws {
    let site = try site()
    let piped = try run(
      "/bin/bash",
      arguments: ["-c", "{ sleep 0.2; $imgstore revert img@1; echo $? >&2; } | true"],
      environment: site.environment.merging(["imgstore": binary]) { $1 })
    #expect(["0", "3"].contains(piped.errors.split(separator: "\n").last.map(String.init)))
    #expect(try run("ls", "-A", site.directory.path("store/journal")).output == "")
    #expect(try site.imgstore("status", "img").output.contains("identical"))
    #expect(try site.imgstore("log", "img").output.contains("revert to @1"))
  }

  // MARK: Messages and leftovers

  /// Runs imgstore below strace, which injects signals and delays.
  /// - Parameter script: bash, with `$imgstore` for the program and `$inject` for strace.
  private func runTraced(_ site: TestNode, _ script: String) throws -> ToolResult {
    try run(
      Self.unblocked, arguments: ["/bin/bash", "-c", script],
      environment: site.environment.merging(
        ["imgstore": binary, "trace": "strace -f -qq -o /dev/null"]) { $1 })
  }

  private func snapshots(_ site: TestNode) throws -> Int {
    try site.imgstore("log", "img").output.split(separator: "\n").count
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func `a swap stopped before its exchange leaves nothing behind`(_ signal: Int32) throws {
    let site = try site()
    let before = try snapshots(site)
    let stopped = try runTraced(
      site,
      "$trace -e trace=utimensat -e inject=utimensat:signal=\(signal):when=10 "
        + "$imgstore revert img@1 --swap; exit $?")
    #expect(stopped.status == 128 + signal, "\(stopped.errors)")
    #expect(stopped.errors.contains("nothing was changed"))
    #expect(!stopped.errors.contains("unfinished change"))
    #expect(try run("ls", "-A", site.directory.path("store/journal")).output == "")
    #expect(try run("ls", "-A", site.directory.path("root/img")).output == "rootimg\n")
    #expect(try differences(site.directory.path("second"), site.tree) == "")
    #expect(try snapshots(site) == before)
    #expect(try site.imgstore("status", "img", "--exit-code").status == 0)
    // The record that it would have written is removed, too.
    let part = try runTraced(
      site,
      "$trace -e trace=utimensat -e inject=utimensat:signal=\(signal):when=10 "
        + "$imgstore revert img@1:/img/rootimg --swap; exit $?")
    #expect(part.status == 128 + signal, "\(part.errors)")
    #expect(part.errors.contains("nothing was changed"), "\(part.errors)")
    #expect(try run("ls", "-A", site.directory.path("store/journal")).output == "")
    #expect(try snapshots(site) == before)
    #expect(try site.imgstore("revert", "img@1", "--swap").status == 0)
    #expect(try site.imgstore("verify").status == 0)
  }

  @Test func `a copy or an import stopped before its first change leaves no image`() throws {
    let site = try site()
    let bundle = site.directory.path("d.tgz")
    try shell(
      "mkdir -p \"$1/root/srv\"; cp -a \"$2\" \"$1/root/srv/d\"", site.directory.path, site.tree)
    #expect(try site.imgstore("snapshot", "/srv/d").status == 0)
    #expect(try site.imgstore("export", "d", bundle).status == 0)
    for words in ["copy img@1 new --to /new", "import \(bundle) --name new --to /srv/new"] {
      let stopped = try runTraced(
        site,
        "$trace -e trace=utimensat -e inject=utimensat:signal=\(SIGTERM):when=5 "
          + "$imgstore \(words); exit $?")
      #expect(stopped.status == 128 + SIGTERM, "\(words): \(stopped.errors)")
      #expect(stopped.errors.contains("nothing was changed"), "\(words): \(stopped.errors)")
      #expect(try !site.imgstore("images").output.contains("new"), "\(words)")
      #expect(try run("ls", "-A", site.directory.path("store/journal")).output == "")
    }
    #expect(try site.imgstore("verify").status == 0)
    #expect(try site.imgstore("copy", "img@1", "new", "--to", "/new").status == 0)
  }

  @Test func `a stopped copy removes no earlier snapshot of its image`() throws {
    let site = try site()
    #expect(try site.imgstore("copy", "img@1", "new", "--to", "/new").status == 0)
    #expect(try site.imgstore("undo", "new").status == 0)
    #expect(try site.imgstore("remove", "new@1..2", "--force").status == 0)
    let before = try site.imgstore("log", "new").output
    let stopped = try runTraced(
      site,
      "$trace -e trace=utimensat -e inject=utimensat:signal=\(SIGTERM):when=5 "
        + "$imgstore copy img@1 new --to /new; exit $?")
    #expect(stopped.status == 128 + SIGTERM, "\(stopped.errors)")
    #expect(try site.imgstore("log", "new").output.contains(before))
  }

  @Test func `a second signal ends a change immediately`() throws {
    let site = try site()
    // Each step but the first takes half a minute: no safe point is reached before the second signal. (Background
    // jobs ignore SIGINT.)
    let stopped = try runTraced(
      site,
      quotedFixture("scripts/processes/signal-twice.sh"))
    #expect(stopped.status == 128 + SIGTERM, "\(stopped.errors)")
    #expect(stopped.errors.contains("a second signal"))
    #expect(stopped.errors.contains("imgstore resume img --back"))
    #expect(!stopped.errors.contains("was interrupted by"))
    #expect(try site.imgstore("resume", "img", "--abort").status == 0)
    #expect(try differences(site.directory.path("second"), site.tree) == "")
  }

  @Test func `an interrupted snapshot reports that no snapshot was taken`() throws {
    let site = try site()
    try shell("echo new >\"$1/new\"", site.tree)
    let before = try snapshots(site)
    let stopped = try runTraced(
      site,
      "$trace -e trace=fsync,fdatasync,syncfs "
        + "-e inject=fsync,fdatasync,syncfs:signal=\(SIGINT):delay_exit=3000000 "
        + "$imgstore snapshot img; exit $?")
    #expect(stopped.status == 128 + SIGINT, "\(stopped.errors)")
    #expect(stopped.errors.contains("no snapshot"))
    #expect(try snapshots(site) == before)
  }

  @Test func `an unfinished undo is listed as an undo with its time and user`() throws {
    let site = try site()
    #expect(try site.imgstore("revert", "img@1").status == 0)
    let stopped = try runTraced(
      site,
      "$trace -e trace=renameat,renameat2 -e inject=renameat,renameat2:signal=\(SIGINT):when=10 "
        + "$imgstore undo img --in-place; exit $?")
    #expect(stopped.status == 128 + SIGINT, "\(stopped.errors)")
    #expect(stopped.errors.contains("imgstore resume img --back"))
    let status = try site.imgstore("status", "img", "--json")
    #expect(status.status == 3)
    let document = try JSONSerialization.jsonObject(with: Data(status.output.utf8))
    let change = try #require((document as? [String: Any])?["unfinished"] as? [String: Any])
    #expect(change["command"] as? String == "undo")
    let user = try #require(change["user"] as? String)
    #expect(!user.isEmpty)
    let first = try #require(
      try site.imgstore("log", "img").output.split(separator: "\n").first.map(String.init))
    #expect(first.hasPrefix("(unfinished) an undo to img@2 was begun 20"), "\(first)")
    #expect(first.contains("by \(user)"))
    let refused = try site.imgstore("revert", "img@1")
    #expect(refused.errors.contains("an undo to img@2 was begun 20"))
    #expect(try site.imgstore("resume", "img").status == 0)
    #expect(try site.imgstore("log", "img").output.hasPrefix("@"))
  }
}

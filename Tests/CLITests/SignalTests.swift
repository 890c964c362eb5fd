// Signals and closed pipes in the midst of a change: it stops between two steps, its journal stays, the user
// is shown how to go on, and the shell sees 128 + the signal.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.serialized) struct SignalTests {
  /// A site whose revert to @1 takes a while in place, and the tree of @2 for comparison.
  private func site() throws -> Site {
    let site = try Site()
    try shell(
      "cd \"$1\"; for i in $(seq 300); do head -c 300000 /dev/urandom >f$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("cd \"$1\"; for i in $(seq 300); do echo $i >f$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell("cp -a \"$1\" \"$2\"", site.tree, site.folder.path("second"))
    return site
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT])
  func `a signal stops a change so that it can be resumed`(_ signal: Int32) throws {
    let site = try site()
    // Each thread gets the signal at the tenth file that it replaces. (The threads that run tests have
    // signals blocked, which a child inherits, as it does signals that are ignored: those of a background job.)
    let unblocked = """
      import os, signal, sys
      signal.pthread_sigmask(signal.SIG_SETMASK, [])
      for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
          signal.signal(number, signal.SIG_DFL)
      os.execvp(sys.argv[1], sys.argv[1:])
      """
    let stopped = try run(
      "python3",
      arguments: [
        "-c", unblocked, "/bin/bash", "-c",
        "strace -f -qq -o /dev/null -e trace=renameat,renameat2 "
          + "-e inject=renameat,renameat2:signal=\(signal):when=10 $imgstore revert img@1 --in-place; exit $?",
      ], environment: site.environment.merging(["imgstore": binary]) { $1 })
    #expect(stopped.status == 128 + signal, "\(stopped.errors)")
    #expect(FileManager.default.fileExists(atPath: site.folder.path("store/journal/img")))
    #expect(stopped.errors.contains("imgstore resume img"))
    let live = try site.imgstore("diff", "img@2", "--json").output
    #expect(live.contains("rootimg/f"), "nothing had been changed")
    #expect(try site.imgstore("resume", "img", "--back").status == 0)
    #expect(try differences(site.folder.path("second"), site.tree) == "")
    #expect(try run("ls", "-A", site.folder.path("store/journal")).output == "")
  }

  @Test func `nobody reads the report: the change is made all the same`() throws {
    let site = try site()
    let piped = try run(
      "/bin/bash",
      arguments: ["-c", "{ sleep 0.2; $imgstore revert img@1; echo $? >&2; } | true"],
      environment: site.environment.merging(["imgstore": binary]) { $1 })
    #expect(["0", "3"].contains(piped.errors.split(separator: "\n").last.map(String.init)))
    #expect(try run("ls", "-A", site.folder.path("store/journal")).output == "")
    #expect(try site.imgstore("status", "img").output.contains("identical"))
    #expect(try site.imgstore("log", "img").output.contains("revert to @1"))
  }
}

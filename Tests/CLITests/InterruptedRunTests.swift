// A signal during a command for several images: the message says how many are done.

import Foundation
import TestSupport
import Testing

@Suite(.serialized, .usesTools) struct InterruptedRunTests {
  private static let unblocked = """
    import os, signal, sys
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
    """

  private struct Failure: Decodable {
    struct Details: Decodable {
      let code: String
      let message: String
    }
    let error: Details
  }

  /// Runs imgstore, and sends it a signal when it renames its n-th file.
  private func interrupt(
    _ site: TestNode, at number: Int, _ words: String...
  ) throws -> (result: ToolResult, failure: Failure?) {
    let result = try run(
      "python3",
      arguments: [
        "-c", Self.unblocked, "/bin/bash", "-c",
        "strace -f -qq -o /dev/null -e trace=renameat,renameat2 -e "
          + "inject=renameat,renameat2:signal=2:delay_exit=2000000:when=\(number) "
          + "$imgstore \"$@\" --json; exit $?", "test",
      ] + words, environment: site.environment.merging(["imgstore": binary]) { $1 })
    return (result, try? JSONDecoder().decode(Failure.self, from: Data(result.output.utf8)))
  }

  private func site() throws -> TestNode {
    let site = try TestNode(image: "img")
    for name in ["a", "b", "c", "d"] {
      try shell("mkdir -p \"$1/$2\"; echo \"$2\" >\"$1/$2/f\"", site.directory.path("root"), name)
      #expect(try site.imgstore("add", name, "/\(name)").status == 0)
    }
    return site
  }

  private func total(_ site: TestNode) throws -> Int {
    let refs = site.directory.path("store/refs")
    return try FileManager.default.contentsOfDirectory(atPath: refs).reduce(0) { sum, image in
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(refs)/\(image)")
      return sum + names.count { $0.allSatisfy(\.isNumber) }
    }
  }

  @Test func `snapshot of all images says how many have one`() throws {
    for number in [4, 7, 9] {
      let site = try site()
      let (result, document) = try interrupt(site, at: number, "snapshot", "--all")
      #expect(result.status == 130, "\(result.errors)")
      let failure = try #require(document)
      #expect(failure.error.code == "interrupted")
      // The signal may come within the call that commits a snapshot.
      let done = try total(site)
      let texts = [done, done - 1].map { "interrupted: \($0) of 5 images" }
      for message in [failure.error.message, result.errors] {
        #expect(texts.contains(where: message.contains), "\(message), and there are \(done)")
      }
    }
  }

  @Test func `forget of all images says how many snapshots are gone`() throws {
    let site = try site()
    for _ in 0..<3 { #expect(try site.imgstore("snapshot", "--all").status == 0) }
    let before = try total(site)
    #expect(before == 15)
    // Two snapshots of the first image, then the first of the second.
    let (result, failure) = try interrupt(site, at: 6, "forget", "--all", "--keep-last", "1")
    #expect(result.status == 130, "\(result.errors)")
    let message = try #require(failure?.error.message)
    #expect(message.contains("forgot 2 snapshots of 1 image so far"), "\(message)")
  }
}

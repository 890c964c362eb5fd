// A file that cannot become a recipe is examined once by each version of the search.

import Codec
import Foundation
import Images
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct RefusedRecipeTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var list: String { directory.path("store/cache/refused-recipes") }

  /// An image with a packed file that is damaged.
  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    try shell(
      """
      head -c 700000 /dev/urandom >"$1/rootimg/noise"; cd "$1/rootimg"
      find . | cpio --quiet -o -H newc | gzip -6 >"$1/rootimg.cpio.gz"
      head -c 64 /dev/zero | dd of="$1/rootimg.cpio.gz" bs=1 seek=300000 conv=notrunc status=none
      """, directory.path("root/img"))
    _ = try workspace.snapshot("img")
  }

  /// Returns the number of files that an `optimize` examined in vain.
  private func examined() throws -> Int {
    var request = CollectionRequest()
    request.rewriting = .all(level: 1)
    let outcome = try workspace.collect(request, makesRecipes: true)
    #expect(outcome.newRecipes == 0)
    return outcome.refusedRecipes
  }

  private func lines() throws -> [String] {
    try String(contentsOfFile: list, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  private func write(_ lines: [String]) throws {
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: list))
  }

  @Test func `optimize leaves out files that it examined in vain, until the search changes`() throws
  {
    #expect(try examined() == 1)
    #expect(try examined() == 0)
    let known = try lines()
    #expect(known.count == 3 && Digest(hex: known[2]) != nil)
    // The command for one snapshot always examines.
    #expect(try workspace.makeRecipes("img").results.count == 1)
    #expect(try lines() == known)
    // The list of another version, a damaged list, and none.
    try write([known[0], SHA256.digest(of: []).hex, known[2]])
    #expect(try examined() == 1)
    #expect(try lines() == known)
    try write(["refused recipes 1"])
    #expect(try examined() == 1)
    try write([known[0], known[1], "x" + known[2].dropFirst()])
    #expect(try examined() == 1)
    try FileManager.default.removeItem(atPath: list)
    #expect(try examined() == 1)
    #expect(try lines() == known)
    #expect(try workspace.verify(deep: true).isClean)
  }
}

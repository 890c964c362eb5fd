// A file that cannot become a recipe is remembered by the store, for this version of the search.

import Codec
import Foundation
import Platform
import Recipes
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct RefusalTests {
  private let directory: TemporaryDirectory
  private let store: ObjectStore
  private var list: String { directory.path("store/cache/refused-recipes") }

  init() throws {
    directory = try TemporaryDirectory()
    store = try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true
    ) { _ in }
  }

  /// Stores a file that a script makes as $1.
  private func stored(_ script: String) throws -> (id: Digest, sizeBytes: UInt64) {
    try shell("cd \"$1\"; " + script, directory.path, directory.path("file"))
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory.path("file"))))
    var rest = bytes[...]
    let session = try store.beginSession()
    let blob = try session.withWorker { worker in
      var ingester = BlobIngester()
      return try ingester.ingest(worker) { target in
        let part = rest.prefix(target.count)
        rest = rest.dropFirst(part.count)
        target.copyBytes(from: part)
        return part.count
      }
    }
    try session.finish()
    return (blob.id, blob.sizeBytes)
  }

  /// Returns whether a search finds a recipe.
  private func search(_ file: (id: Digest, sizeBytes: UInt64)) throws -> Bool {
    let outcome = try RecipeFinder(store, progress: Progress()).storeRecipe(
      of: file.id, .blob(store, file.id, sizeBytes: file.sizeBytes), remembersRefusal: true)
    if case .stored = outcome { return true }
    return false
  }

  private static let archive = "head -c 700000 /dev/urandom >n; echo n | cpio --quiet -o -H newc"

  @Test func `a damaged file is remembered until the search or the list changes`() throws {
    let file = try stored(
      "\(Self.archive) | gzip -6 >\"$2\"; head -c 64 /dev/zero | dd of=\"$2\" bs=1 seek=300000 conv=notrunc status=none"
    )
    #expect(RecipeFinder.refused(in: store).isEmpty)
    #expect(try !search(file))
    #expect(RecipeFinder.refused(in: store) == [file.id])
    #expect(try !search(file))
    let text = try String(contentsOfFile: list, encoding: .utf8)
    let lines = text.split(separator: "\n").map(String.init)
    #expect(lines.count == 3 && lines[2] == file.id.hex)
    func write(_ lines: [String]) throws {
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: list))
    }
    for other in [
      [lines[0], SHA256.digest(of: []).hex, lines[2]], [lines[0]], [],
      [lines[0], lines[1], "x" + lines[2].dropFirst()], ["refused recipes 2", lines[1], lines[2]],
    ] {
      try write(other)
      #expect(RecipeFinder.refused(in: store).isEmpty)
      #expect(try !search(file))
      #expect(try String(contentsOfFile: list, encoding: .utf8) == text)
    }
    // The oldest are dropped.
    let others = (0..<9000).map { SHA256.digest(of: Array("\($0)".utf8)).hex }
    try write([lines[0], lines[1]] + others)
    #expect(try !search(file))
    #expect(
      try String(contentsOfFile: list, encoding: .utf8).split(separator: "\n").map(String.init)
        == Array(lines[..<2]) + others.suffix(8191) + [lines[2]])
  }

  @Test func `a recipe is not a refusal`() throws {
    #expect(try search(try stored("\(Self.archive) | gzip -6 >\"$2\"")))
    #expect(RecipeFinder.refused(in: store).isEmpty)
    #expect(!FileManager.default.fileExists(atPath: list))
  }
}

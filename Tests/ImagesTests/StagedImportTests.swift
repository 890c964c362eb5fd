// Large files of a bundle are written once, during the read. A refused bundle must leave none of them, and a
// file that cannot be placed in this way must be placed from the store.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct StagedImportTests {
  private static let rootimg = "\(TestNode.boot)/rootimg.cpio.gz"

  private func draft(_ seed: UInt64) -> (BundleDraft, [UInt8]) {
    var random = SplitMix64(seed)
    let content = random.bytes(9_000_001)
    var draft = BundleDraft()
    draft.files.removeAll { $0.name == "rootimg.cpio.gz" }
    draft.files.append(("rootimg.cpio.gz", content))
    return (draft, content)
  }

  private func workspace(_ node: TestNode, _ files: any FileSystem) throws -> Workspace {
    try Workspace(
      WorkspaceOptions(store: node.directory.path("store"), root: node.directory.path("root")),
      fileSystem: files
    ) { _ in }
  }

  @Test func `a large file is placed with its attributes, under one name`() throws {
    let node = try TestNode.fresh()
    let (draft, content) = draft(1)
    let bundle = try node.write(draft.bundle())
    let before = try node.state()
    let outcome = try workspace(node, KernelFileSystem.shared).importBundle(ImportRequest(bundle))
    let image = try #require(outcome.images.first)
    #expect(image.remaining?.isEmpty == true)
    let path = node.path(Self.rootimg)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(content))
    #expect(try shell("stat -c '%h %a' \"$1\"", path).output == "1 644\n")
    let after = try workspace(node, KernelFileSystem.shared)
    #expect(try after.verify(deep: true).isClean)
    #expect(try after.revert(#require(image.safety).name).isExact)
    #expect(try node.state().withoutTableFiles.files == before.withoutTableFiles.files)
    #expect(try after.revert(#require(image.imported).name).isExact)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(content))
  }

  @Test func `a refused bundle leaves nothing, not even space`() throws {
    let node = try TestNode.fresh()
    let (draft, _) = draft(2)
    let before = try node.state()
    // The refused member comes after the large file.
    let bundle = try node.write(draft.bundle { $0.file("../escaped", [1]) })
    #expect(throws: (any Error).self) {
      try workspace(node, KernelFileSystem.shared).importBundle(ImportRequest(bundle))
    }
    #expect(try node.state().withoutTableFiles.files == before.withoutTableFiles.files)
    // Only open files may still use space.
    let files = FileManager.default
    let open = try files.contentsOfDirectory(atPath: "/proc/self/fd")
      .compactMap { try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
    #expect(open.filter { $0.hasPrefix(node.path("/install")) } == [])
  }

  @Test func `a staged import that fails at any operation leaves the old or the new file`() throws {
    let base = try TestNode.fresh()
    let (draft, content) = draft(3)
    let bundle = try base.write(draft.bundle())
    var isDone = false
    for number in Sweep(every: 43) {
      if isDone || number > 6000 { break }
      let node = try TestNode.fresh()
      let files = FaultyFileSystem(failing: number, .once(.noSpace))
      let outcome = try? workspace(node, files).importBundle(ImportRequest(bundle))
      isDone = !files.isHit
      let path = node.path(Self.rootimg)
      if FileManager.default.fileExists(atPath: path) {
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(content), "\(number)")
      } else {
        // Paths that cannot be examined are left alone and reported.
        let skipped = outcome?.images.first?.apply.skipped.map { printable($0.path) }
        #expect(skipped == nil || skipped == [Self.rootimg], "\(number)")
      }
    }
    #expect(isDone)
  }

  @Test(arguments: seeds)
  func `a file that resembles stored content needs only space for new chunks`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let node = try TestNode.fresh()
    // A run of equal chunks follows itself, and then other content follows.
    var content = random.bytes(7_000_000) + [UInt8](repeating: 0, count: 5 << 20)
    content += random.bytes(6_000_000)
    let changes: [(name: String, make: ([UInt8]) -> [UInt8])] = [
      ("as it was", { $0 }),
      ("a byte more in the middle", { Array($0[..<4_000_000]) + [7] + $0[4_000_000...] }),
      ("an end that was none", { Array($0[..<($0.count - 300_000)]) }),
      ("more behind the old end", { $0 + $0[1_000_000..<2_500_000] }),
      (
        "other words here and there",
        { old in
          var new = old
          for at in stride(from: 2_000_000, to: new.count, by: 3_300_000) { new[at] ^= 0xff }
          return new
        }
      ),
      ("its halves in turn", { Array($0[9_500_000...]) + $0[..<9_500_000] }),
      (
        "a row that is longer", { Array($0[..<12_000_000]) + [UInt8](repeating: 0, count: 3 << 20) }
      ),
    ]
    func packBytes() throws -> Int {
      Int(
        try shell("du -sb \"$1/packs\" | cut -f1", node.directory.path("store")).output.dropLast())
        ?? 0
    }
    for (i, change) in ([("new", { $0 })] + changes).enumerated() {
      content = change.make(content)
      var draft = BundleDraft()
      draft.files.removeAll { $0.name == "rootimg.cpio.gz" }
      draft.files.append(("rootimg.cpio.gz", content))
      var request = ImportRequest(try node.write(draft.bundle(), as: "\(i).tgz"))
      request.replaces = true
      let workspace = try workspace(node, KernelFileSystem.shared)
      let before = i > 0 ? try packBytes() : 0
      _ = try workspace.importBundle(request)
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: node.path(Self.rootimg))) == Data(content),
        "seed \(seed), \(change.name)")
      let grown = try packBytes() - before
      #expect(i == 0 || grown < 4 << 20, "seed \(seed), \(change.name): \(grown) bytes")
    }
    #expect(try workspace(node, KernelFileSystem.shared).verify(deep: true).isClean)
  }
}

// Large files of a bundle are written once, while it is read. A refused bundle must leave nothing of
// that, and a file that cannot be placed so must be placed from the store.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite struct StagedImportTests {
  private static let rootimg = "\(ManagementNode.boot)/rootimg.cpio.gz"

  private func draft(_ seed: UInt64) -> (BundleDraft, [UInt8]) {
    var random = SplitMix64(seed)
    let content = random.bytes(9_000_001)
    var draft = BundleDraft()
    draft.files.removeAll { $0.name == "rootimg.cpio.gz" }
    draft.files.append(("rootimg.cpio.gz", content))
    return (draft, content)
  }

  private func workspace(_ node: ManagementNode, _ files: any FileSystem) throws -> Workspace {
    try Workspace(
      WorkspaceOptions(store: node.folder.path("store"), root: node.folder.path("root")),
      fileSystem: files
    ) { _ in }
  }

  @Test func `a large file is placed with its attributes, under one name`() throws {
    let node = try ManagementNode()
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
    let node = try ManagementNode()
    let (draft, _) = draft(2)
    let before = try node.state()
    // What refuses it stands behind the large file.
    let bundle = try node.write(draft.bundle { $0.file("../escaped", [1]) })
    #expect(throws: (any Error).self) {
      try workspace(node, KernelFileSystem.shared).importBundle(ImportRequest(bundle))
    }
    #expect(try node.state().withoutTableFiles.files == before.withoutTableFiles.files)
    // Space is held only by what is open.
    let files = FileManager.default
    let open = try files.contentsOfDirectory(atPath: "/proc/self/fd")
      .compactMap { try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
    #expect(open.filter { $0.hasPrefix(node.path("/install")) } == [])
  }

  @Test func `whatever operation fails, the file is the old one or the new one`() throws {
    let base = try ManagementNode()
    let (draft, content) = draft(3)
    let bundle = try base.write(draft.bundle())
    var isDone = false
    for number in Sweep(every: 43) {
      if isDone || number > 3000 { break }
      let node = try ManagementNode()
      let files = FaultyFileSystem(failing: number, .once(.noSpace))
      let outcome = try? workspace(node, files).importBundle(ImportRequest(bundle))
      isDone = !files.isHit
      let path = node.path(Self.rootimg)
      if FileManager.default.fileExists(atPath: path) {
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(content), "\(number)")
      } else {
        // What cannot be looked at is left alone, and that is said.
        let skipped = outcome?.images.first?.apply.skipped.map { printable($0.path) }
        #expect(skipped == nil || skipped == [Self.rootimg], "\(number)")
      }
    }
    #expect(isDone)
  }
}

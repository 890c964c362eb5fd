// Files with holes: their maps are checked against the content, and huge holes cost nothing.

import Foundation
import Images
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct SparseFileTests {
  private func tree(_ directory: TemporaryDirectory) -> String {
    directory.path("root/img/rootimg")
  }

  private func same(_ a: String, _ b: String) throws -> Bool { try run("cmp", a, b).didSucceed }

  private func entry(_ workspace: Workspace, _ name: String) throws -> Entry {
    try workspace.reader(of: try workspace.find(try Reference("img")))
      .require("/img/rootimg/" + name).entry
  }

  @Test(arguments: ["65536", "1000000", "200000000"])
  func `a false hole loses no byte of content`(_ hole: String) throws {
    let directory = try TemporaryDirectory()
    let live = tree(directory)
    try shell(
      """
      mkdir -p "$1"; truncate -s $2 "$1/tool"; head -c 200000 /dev/urandom >> "$1/tool"
      truncate -s +$2 "$1/tool"; head -c 200000 /dev/urandom >> "$1/tool"; sync "$1/tool"
      """, live, hole)
    // The file system reports a start of data that is too late, as in openzfs#15526.
    for late: UInt64 in [4096, 65536, 150_000] {
      let files = FaultyFileSystem(lateDataBytes: late)
      let workspace = try Workspace.test(directory, store: "store-\(late)", fileSystem: files)
      _ = try workspace.snapshot("img")
      _ = try workspace.restore("img@1", to: directory.path("out-\(late)"))
      #expect(try same(live + "/tool", directory.path("out-\(late)/tool")), "\(late)")
      #expect(try workspace.verify(deep: true).isClean)
    }
  }

  @Test
  func `a file with a terabyte of holes is recorded, compared, reverted and verified in few reads`()
    throws
  {
    let directory = try TemporaryDirectory()
    let live = tree(directory)
    try shell(
      """
      mkdir -p "$1"; truncate -s 1200G "$1/lastlog" || truncate -s 3G "$1/lastlog"
      printf begin | dd of="$1/lastlog" conv=notrunc status=none
      printf middle | dd of="$1/lastlog" bs=1 seek=1000000007 conv=notrunc status=none
      """, live)
    // If the holes were read, there would be more operations than these.
    let files = FaultyFileSystem(.nth(3000, "read", .inputOutput))
    let workspace = try Workspace.test(directory, fileSystem: files)
    #expect(try workspace.snapshot("img").committed.snapshot.isComplete)
    try shell("rm \"$1/lastlog\"", live)
    #expect(try workspace.revert("img@1").isExact)
    #expect(!files.isHit)
    #expect(try workspace.verify(deep: true).isClean)
    let sparse = try run(
      "dd", "if=\(live)/lastlog", "bs=1", "skip=1000000007", "count=6", "status=none")
    #expect(sparse.output == "middle")
    #expect(try run("stat", "-c", "%b", live + "/lastlog").output.count < 5, "still sparse")
  }

  @Test func `the id of a sparse file depends on its content alone`() throws {
    let directory = try TemporaryDirectory()
    let live = tree(directory)
    // The second file has zeros on disk in place of the first one's hole. The third differs by one byte.
    try shell(
      """
      mkdir -p "$1"; cd "$1"; truncate -s 100M a; head -c 300000 /dev/urandom > d
      dd if=d of=a bs=4096 seek=9000 conv=notrunc status=none; cp --sparse=always a b; cp --sparse=always a c
      dd if=/dev/zero of=b bs=1M seek=60 count=3 conv=notrunc status=none
      printf x | dd of=c bs=1 seek=70000001 conv=notrunc status=none; rm d; sync a b c
      """, live)
    let workspace = try Workspace.test(directory)
    _ = try workspace.snapshot("img")
    let (a, b, c) = (
      try entry(workspace, "a"), try entry(workspace, "b"), try entry(workspace, "c")
    )
    #expect(a.blob == b.blob && a.blob != c.blob)
    #expect(a.holes != b.holes)
    _ = try workspace.restore("img@1", to: directory.path("out"))
    #expect(try differences(live, directory.path("out")) == "")
    #expect(try workspace.verify(deep: true).isClean)
    // Renderers return the whole content.
    for name in ["a", "b", "c"] {
      let reader = try workspace.reader(of: try workspace.find(try Reference("img")))
      var count: UInt64 = 0
      let found = try reader.require("/img/rootimg/" + name)
      try reader.read(found) { count += UInt64($0.count) }
      #expect(count == found.entry.sizeBytes)
    }
  }

  @Test func `a sparse hash accepts bytes and zeros in portions of any size`() {
    var random = SplitMix64(20_261_128)
    for round in 0..<200 {
      let size = Int.random(in: 1...60_000, using: &random)
      var content = [UInt8](repeating: 0, count: size)
      for _ in 0..<Int.random(in: 0...6, using: &random) {
        content[Int.random(in: 0..<size, using: &random)] = 7
      }
      var whole = SparseBlobHasher(sizeBytes: UInt64(size))
      content.withUnsafeBytes { whole.update($0) }
      let expected = whole.finish()
      var parts = SparseBlobHasher(sizeBytes: UInt64(size))
      var at = 0
      while at < size {
        let end = min(size, at + Int.random(in: 1...9000, using: &random))
        if content[at..<end].allSatisfy({ $0 == 0 }), Bool.random(using: &random) {
          parts.update(zeros: UInt64(end - at))
        } else {
          content[at..<end].withUnsafeBytes { parts.update($0) }
        }
        at = end
      }
      #expect(parts.finish() == expected, "round \(round)")
    }
  }
}

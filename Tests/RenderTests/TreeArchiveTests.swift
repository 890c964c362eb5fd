// Whole trees written from the store and read into it, compared with the real tools.

import Archive
import Foundation
import Ingest
import Platform
import Render
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct TreeArchiveTests {
  @Test func `GNU tar unpacks the tar of a tree of unusual entries to the same tree`() throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    let live = directory.path("live/rootimg")
    try makeNastyTree(live)
    let whole = try trees.capture(live)
    let counts = try trees.write(whole, as: .tar, to: directory.path("whole.tar"))
    #expect(counts.skippedSockets == 1)
    #expect(counts.filledSparseFiles >= 4)
    #expect(counts.droppedXattrs == 0 && counts.clampedTimes == 0)

    try fit(live, to: .tar)
    let entry = try trees.capture(live)
    let again = try trees.write(entry, as: .tar, to: directory.path("a.tar"))
    #expect(again.skippedSockets == 0 && again.filledSparseFiles == 0)
    #expect(counts.members > 1_900)
    try shell(
      "mkdir \"$1/x\"; tar --xattrs --xattrs-include='*' -xpf \"$1/a.tar\" -C \"$1/x\" 2>\"$1/err\"",
      directory.path)
    let errors = try String(contentsOfFile: directory.path("err"), encoding: .utf8)
    #expect(errors.split(separator: "\n").allSatisfy { $0.contains("time stamp") }, "\(errors)")
    #expect(try differences(live, directory.path("x/rootimg")) == "")

    let back = try trees.read(file: directory.path("a.tar"))
    #expect(back.entry == entry)
    #expect(back.entryCount == again.members)
    // Writing it again gives the same bytes.
    try trees.write(entry, as: .tar, to: directory.path("b.tar"))
    #expect(try run("cmp", directory.path("a.tar"), directory.path("b.tar")).didSucceed)
  }

  @Test func `bsdcpio unpacks the cpio of a tree of unusual entries to the same tree`() throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    let live = directory.path("live/rootimg")
    try makeNastyTree(live)
    let counts = try trees.write(try trees.capture(live), as: .cpio, to: directory.path("whole"))
    #expect(counts.skippedSockets == 1)
    #expect(counts.filledSparseFiles >= 4)
    #expect(counts.clampedTimes == 4)
    #expect(counts.droppedXattrs >= 4)

    try fit(live, to: .cpio)
    let entry = try trees.capture(live)
    let again = try trees.write(entry, as: .cpio, to: directory.path("a.cpio"))
    #expect(again.droppedXattrs == 0 && again.clampedTimes == 0 && again.skippedSockets == 0)
    try shell(
      "mkdir \"$1/x\"; cd \"$1/x\"; bsdcpio --quiet -idm <../a.cpio; cpio --quiet -t <../a.cpio >../l",
      directory.path)
    #expect(try differences(live, directory.path("x/rootimg")) == "")
    let back = try trees.read(file: directory.path("a.cpio"))
    #expect(back.entry == entry)
    #expect(back.entryCount == again.members)
  }

  @Test(arguments: ["cpio", "busybox cpio"])
  func `other cpio programs unpack the same tree, except the times of directories`(_ tool: String)
    throws
  {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    let live = directory.path("live/rootimg")
    try makeNastyTree(live)
    try fit(live, to: .cpio)
    // busybox requires a writable directory.
    try shell("chmod 755 \"$1/closed\"", live)
    let entry = try trees.capture(live)
    try trees.write(entry, as: .cpio, to: directory.path("a.cpio"))
    try shell("mkdir \"$1/x\"; cd \"$1/x\"; \(tool) -idmu <../a.cpio 2>../err", directory.path)
    let captured = try trees.capture(directory.path("x/rootimg"))
    func forget(_ entry: inout Entry) {
      switch entry.kind {
      case .directory, .symlink: entry.modified = Timestamp(seconds: 0, nanoseconds: 0)
      default: break
      }
      // busybox does not restore owners of symbolic links, and hard links only of files.
      guard tool != "cpio" else { return }
      if entry.kind == .symlink {
        entry.uid = 0
        entry.gid = 0
      }
      if entry.kind != .file { entry.linkGroup = 0 }
    }
    let (a, b) = (try trees.facts(entry, forget), try trees.facts(captured, forget))
    let differing = Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }.sorted()
    #expect(differing.isEmpty, "\(differing.prefix(20).map { ($0, a[$0], b[$0]) })")
  }

  @Test func `the cpio of a plain tree equals GNU cpio's byte for byte`() throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    try shell(
      """
      mkdir -p "$1/live/rootimg/etc/sub" "$1/live/rootimg/usr"; cd "$1/live"
      printf 12345 >rootimg/etc/a; : >rootimg/etc/b; ln -s a rootimg/etc/link; mkfifo rootimg/usr/p
      head -c 70001 /dev/urandom >rootimg/usr/q; chmod 4755 rootimg/usr/q
      find rootimg -print0 | LC_ALL=C sort -z | cpio --quiet -0 --reproducible -H newc -o >../gnu
      """, directory.path)
    let counts = try trees.write(
      try trees.capture(directory.path("live/rootimg")), as: .cpio, to: directory.path("ours"))
    #expect(counts.members == 9)
    #expect(counts.contentBytes == 70006)
    let cleared = try runFixture("scripts/oracles/clear-cpio-inodes.py", directory.path("gnu"))
    #expect(cleared.errors == "")
    let compared = try run("cmp", directory.path("gnu"), directory.path("ours"))
    #expect(compared.didSucceed, "\(compared.output)")
  }

  // MARK: Reading

  @Test(arguments: [
    "tar --format=posix --xattrs --xattrs-include='*' -cf - rootimg",
    "tar --format=posix --xattrs --xattrs-include='*' -cJf - ./rootimg",
    "bsdtar --format pax -cf - rootimg | bzip2",
    "tar --format=posix --acls --xattrs --xattrs-include='*' -cf - rootimg | xz --format=lzma",
  ])
  func `archives of tar programs read as the captured tree`(_ pack: String) throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    let live = directory.path("live/rootimg")
    try makeNastyTree(live)
    try fit(live, to: .tar)
    // The tools write each name of a fifo as a separate fifo.
    try shell("rm -f \"$1/web/fifo-link\"", live)
    // bsdtar writes a time just before 1970 as one that is two seconds earlier.
    if pack.hasPrefix("bsdtar") { try shell("cd \"$1\"; rm -f time-1970", live) }
    try shell("cd \"$1/live\"; \(pack) >../a 2>../err", directory.path)
    let found = try trees.read(file: directory.path("a"))
    let expected = try trees.capture(live)
    #expect(found.losses.isEmpty)
    if found.entry != expected {
      let (a, b) = (try trees.facts(found.entry), try trees.facts(expected))
      let differing = Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }.sorted()
      Issue.record("\(differing.prefix(20).map { ($0, a[$0], b[$0]) })")
    }
  }

  @Test(arguments: [
    "find rootimg -print0 | cpio -0 --quiet -H newc -o | gzip -c",
    "find ./rootimg -depth -print0 | cpio -0 --quiet -H crc -o",
    "find . -print0 | bsdcpio -0 --quiet -H newc -o",
    "find rootimg -print0 | busybox cpio -0 -H newc -o",
  ])
  func `archives of cpio programs read as the captured tree`(_ pack: String) throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    let live = directory.path("live/rootimg")
    try makeNastyTree(live)
    try fit(live, to: .cpio)
    try shell("cd \"$1/live\"; \(pack) >../a 2>../err", directory.path)
    let found = try trees.read(file: directory.path("a"))
    let expected = try trees.capture(live)
    if found.entry != expected {
      let (a, b) = (try trees.facts(found.entry), try trees.facts(expected))
      let differing = Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }.sorted()
      Issue.record("\(differing.prefix(20).map { ($0, a[$0], b[$0]) })")
    }
    #expect(found.contentBytes > 60_000_000)
  }

  // MARK: Partial archives

  @Test(arguments: [true, false])
  func `excluded entries are omitted, and their hard links keep the content`(_ isCpio: Bool) throws
  {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    try shell(
      """
      mkdir -p "$1/live/a/deep"; cd "$1/live"; echo content >a/first; ln a/first a/second
      ln a/first z; echo x >a/deep/kept; echo y >a/deep/dropped
      """, directory.path)
    let entry = try trees.capture(directory.path("live"))
    let out: Set<String> = ["a/first", "z", "a/deep", "a/deep/dropped"]
    let counts = try trees.write(
      entry, as: isCpio ? .cpio : .tar, to: directory.path("archive"),
      keeping: { !out.contains(printable($0)) })
    #expect(counts.members == 4)
    #expect(counts.contentBytes == 10)
    let list = try shell(
      "cd \"$1\"; \(isCpio ? "cpio --quiet -t" : "tar t") <archive", directory.path
    ).output.split(separator: "\n").map { $0.hasSuffix("/") ? $0.dropLast() : $0 }
    #expect(list == ["rootimg", "rootimg/a", "rootimg/a/deep/kept", "rootimg/a/second"])
    let back = try trees.facts(trees.read(file: directory.path("archive")).entry)
    #expect(back["/a/second"]?.sizeBytes == 8)
    #expect(back["/a/second"]?.linkGroup == 0)
    #expect(back["/a/deep"]?.mode == 0o755)
  }
}

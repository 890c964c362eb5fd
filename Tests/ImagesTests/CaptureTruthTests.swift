// A snapshot describes its content truthfully: the content of the named inode, and the entries that could not
// be read.

import Archive
import Foundation
import Images
import Ingest
import Platform
import Render
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct CaptureTruthTests {
  private func tree(_ directory: TemporaryDirectory) -> String {
    directory.path("root/img/rootimg")
  }

  private func content(_ workspace: Workspace, _ path: String) throws -> String {
    let reader = try workspace.reader(of: try workspace.find(try Reference("img")))
    var bytes: [UInt8] = []
    try reader.read(try reader.require("/img/rootimg/" + path)) { bytes += $0 }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: Hard links

  @Test func `a hard link keeps its content if another name of its inode is replaced`() throws {
    let directory = try TemporaryDirectory()
    let live = tree(directory)
    try shell(
      "mkdir -p \"$1\"; cd \"$1\"; echo OLD > conf; ln conf conf.dpkg-tmp; ln conf zz", live)
    let files = FaultyFileSystem(beforeOpening: [
      "conf": { _ = try? shell("echo NEW > \"$1/n\"; mv \"$1/n\" \"$1/conf\"", live) }
    ])
    let workspace = try Workspace.test(directory, fileSystem: files)
    #expect(try workspace.snapshot("img").committed.snapshot.isComplete)
    #expect(try content(workspace, "conf") == "NEW\n")
    #expect(try content(workspace, "conf.dpkg-tmp") == "OLD\n")
    #expect(try content(workspace, "zz") == "OLD\n")
    // The directory's own time was captured earlier, so it differs.
    #expect(try workspace.status("img").diff.entries.map { printable($0.path) } == ["/img/rootimg"])
  }

  @Test func `a hard link is read if another name of its inode has disappeared`() throws {
    let directory = try TemporaryDirectory()
    let live = tree(directory)
    try shell("mkdir -p \"$1\"; cd \"$1\"; echo AAA > gone1; ln gone1 gone2", live)
    let files = FaultyFileSystem(beforeOpening: [
      "gone1": { try? FileManager.default.removeItem(atPath: live + "/gone1") }
    ])
    let workspace = try Workspace.test(directory, fileSystem: files)
    let notes = try workspace.snapshot("img").committed.snapshot.notes
    #expect(notes.map(\.kind) == [.vanished])
    #expect(try content(workspace, "gone2") == "AAA\n")
  }

  @Test func `a hard link replaced by a fifo or directory is reported, and its other name is read`()
    throws
  {
    for script in ["rm \"$1/a\"; mkfifo \"$1/a\"", "rm \"$1/a\"; mkdir \"$1/a\""] {
      let directory = try TemporaryDirectory()
      let live = tree(directory)
      try shell("mkdir -p \"$1\"; cd \"$1\"; echo AAA > a; ln a b", live)
      let files = FaultyFileSystem(beforeOpening: ["a": { _ = try? shell(script, live) }])
      let workspace = try Workspace.test(directory, fileSystem: files)
      let notes = try workspace.snapshot("img").committed.snapshot.notes
      #expect(notes.map(\.kind) == [.vanished], "\(script)")
      #expect(try content(workspace, "b") == "AAA\n", "\(script)")
    }
  }

  // MARK: Entries that cannot be examined

  private static let needsCleaning = SystemError.Code(rawValue: 117)
  private static let staleHandle = SystemError.Code(rawValue: 116)

  /// Creates a tree with entries of all kinds that `stat` fails for.
  private func damaged() throws -> (TemporaryDirectory, Workspace) {
    let directory = try TemporaryDirectory()
    try shell(
      """
      mkdir -p "$1/etc/dir"; cd "$1/etc"; echo f > file; echo n > named; echo in > dir/in; ln -s file link; mkfifo fifo; echo g > good
      """, tree(directory))
    let files = FaultyFileSystem(failingStats: [
      "file": CaptureTruthTests.needsCleaning, "dir": .inputOutput,
      "link": CaptureTruthTests.staleHandle,
      "named": .notFound,
      "fifo": .inputOutput,
    ])
    return (directory, try Workspace.test(directory, fileSystem: files))
  }

  @Test func `entries that cannot be examined are recorded with their known kind`() throws {
    let (directory, workspace) = try damaged()
    let snapshot = try workspace.snapshot("img", .allowsEmpty).committed
    #expect(!snapshot.snapshot.isComplete)
    let unreadable = snapshot.snapshot.notes.filter { $0.kind == .unreadable }
    #expect(unreadable.count == 5)
    let reader = try workspace.reader(of: snapshot)
    func entry(_ name: String) throws -> Entry {
      try reader.require("/img/rootimg/etc/" + name).entry
    }
    for (name, kind) in [
      ("file", FileKind.file), ("dir", .directory), ("link", .symlink), ("fifo", .fifo),
      ("named", .file),
    ] {
      #expect(try entry(name).content.isMissing && entry(name).kind == kind, "\(name)")
    }
    #expect(try !entry("good").content.isMissing)
    // A revert does not change these entries, and status does not report the image as equal.
    try shell("echo more >> \"$1/etc/good\"", tree(directory))
    let back = try workspace.revert("img@1")
    #expect(back.apply.skipped.count == 5 && !back.uncompared.isEmpty)
    #expect(try String(contentsOfFile: tree(directory) + "/etc/good", encoding: .utf8) == "g\n")
    #expect(FileManager.default.fileExists(atPath: tree(directory) + "/etc/dir/in"))
  }

  @Test func `a component that cannot be examined is recorded without content`() throws {
    let directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1/img/rootimg\"; echo k > \"$1/img/kernel\"", directory.path("root"))
    let workspace = try Workspace.test(
      directory,
      fileSystem: FaultyFileSystem(failingStats: ["kernel": CaptureTruthTests.needsCleaning]))
    let snapshot = try workspace.snapshot("img").committed.snapshot
    let kernel = try #require(snapshot.components.first { printable($0.path) == "/img/kernel" })
    #expect(kernel.entry.content.isMissing && kernel.entry.kind == .file && !snapshot.isComplete)
    #expect(
      try workspace.revert("img@1").apply.skipped.map { printable($0.path) } == ["/img/kernel"])
    let out = try workspace.restore("img@1:/img/kernel", to: directory.path("out"))
    #expect(out.skipped.count == 1)
  }

  @Test func `a link whose target cannot be read is recorded and marked`() throws {
    let directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1\"; ln -s target \"$1/link\"; echo f > \"$1/file\"", tree(directory))
    let workspace = try Workspace.test(
      directory, fileSystem: FaultyFileSystem(.always("readLink", .inputOutput)))
    let snapshot = try workspace.snapshot("img").committed
    #expect(snapshot.snapshot.notes.map(\.kind) == [.unreadable])
    let link = try workspace.reader(of: snapshot).require("/img/rootimg/link").entry
    #expect(link.content == .unreadableNode(.symlink))
    #expect(try content(workspace, "file") == "f\n")
  }

  @Test func `every later command names the missing contents of a snapshot`() throws {
    let (directory, workspace) = try damaged()
    _ = try workspace.snapshot("img", .allowsEmpty)
    let restored = try workspace.restore("img@1", to: directory.path("out"))
    #expect(
      Set(restored.skipped.map { printable($0.path) }) == [
        "out/etc/dir", "out/etc/fifo", "out/etc/file", "out/etc/link", "out/etc/named",
      ])
    let unread = Set(["dir", "fifo", "file", "link", "named"].map { "/img/rootimg/etc/\($0)" })
    var pack = PackRequest("img@1")
    pack.output = directory.path("packed.cpio.gz")
    for method in [PackMethod.cpio, .tar, .squashfs] {
      pack.method = method
      let packed = try workspace.pack(pack)
      #expect(Set(packed.gaps.map { printable($0.path) }) == unread, "\(method)")
      #expect(FileManager.default.fileExists(atPath: directory.path("packed.cpio.gz")))
    }
    pack.method = .cpio
    pack.output = directory.path("names.cpio.gz")
    _ = try workspace.pack(pack)
    let names = try shell("zcat \"$1\" | cpio -t --quiet", directory.path("names.cpio.gz")).output
    #expect(names.split(separator: "\n").filter { $0.hasPrefix("etc") } == ["etc", "etc/good"])
    let copy = try workspace.copy(CopyRequest("img@1", to: "second"))
    #expect(Set(copy.gaps.map { printable($0.path) }) == unread)
    #expect(copy.copied?.snapshot.isComplete == false)
    #expect(
      copy.copied?.snapshot.notes.filter(\.isProblem).allSatisfy {
        !printable($0.path).hasPrefix("/img/")
      } == true)
    #expect(try workspace.verify(deep: true).incomplete.contains("img@1"))
  }

  @Test func `a snapshot fails if descriptors or memory run out`() throws {
    let faults: [(String, SystemError.Code)] = [
      ("open", .tooManyOpenFiles), ("names", .tooManyOpenFilesInSystem), ("stat", .outOfMemory),
    ]
    for (operation, code) in faults {
      do {
        let directory = try TemporaryDirectory()
        try shell("mkdir -p \"$1/etc/a/b\"; echo f > \"$1/etc/a/b/c\"", tree(directory))
        _ = try Workspace.test(directory).snapshot("img")
        try shell("echo g > \"$1/etc/a/b/c\"", tree(directory))
        // Fails each of the operations in turn, until none is left.
        for n in 0..<2000 {
          let files = FaultyFileSystem(.nth(n, operation, code))
          do {
            let workspace = try Workspace(
              WorkspaceOptions(store: directory.path("store"), root: directory.path("root")),
              fileSystem: files, warn: { _ in })
            let snapshot = try workspace.snapshot("img").committed.snapshot
            #expect(snapshot.isComplete, "\(operation) \(n): \(snapshot.notes)")
          } catch { #expect(files.isHit) }
          if !files.isHit { break }
        }
      }
    }
  }
}

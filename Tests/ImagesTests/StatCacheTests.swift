// The stat cache only saves reads. A capture with it, without it, and with a damaged one has the same result.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct StatCacheTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var tree: String { directory.path("root/img/rootimg") }

  /// Creates a tree with entries of all kinds that the cache records, and takes a snapshot.
  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    try shell(
      """
      cd "$1"; mkdir -p etc/deep/er usr/lib empty; echo a >etc/a; echo b >etc/deep/b; : >etc/none
      echo c >etc/deep/er/c; chmod 4755 etc/deep/er/c; ln etc/a usr/a; ln etc/deep/b etc/deep/b2
      ln -s ../etc/a usr/link; ln -s "$(printf '%0300d' 1)" usr/lib/long; mkfifo usr/fifo
      echo x >usr/lib/attr; setfattr -n user.test -v 1 usr/lib/attr; truncate -s 1M usr/lib/sparse
      for i in $(seq 40); do echo $i >usr/lib/"$(printf "%0$((i * 5))d" $i)"; done
      """, tree)
    // A cache trusts only files that changed a tick of the clock before the capture.
    usleep(60_000)
    _ = try workspace.snapshot("img")
  }

  private func cachePath() throws -> String {
    let caches = directory.path("store/cache/")
    let name = try #require(
      FileManager.default.contentsOfDirectory(atPath: caches).first { $0.hasPrefix("stat-") })
    return caches + name
  }

  private func changes() throws -> [String] {
    try workspace.status("img").diff.entries.map { printable($0.path) }
  }

  @Test func `an unchanged tree is not read, and has the ids of a tree that is read`() throws {
    #expect(try workspace.status("img").readBytes == 0)
    try FileManager.default.removeItem(atPath: cachePath())
    let status = try workspace.status("img")
    #expect(status.isClean && status.readBytes > 0)
  }

  @Test(arguments: [
    "echo new >etc/deep/er/c", "chmod 700 etc/deep/b", "rm usr/link; ln -s other usr/link",
    "rm usr/a", "ln etc/none usr/none", "mkdir usr/lib/new", "rmdir empty",
    "mv etc/deep/er etc/er", "touch -d 2001-01-01 usr/lib/attr", "setfattr -x user.test usr/lib/attr",
    "rm etc/a; echo z >etc/a", "rm usr/fifo; mknod usr/fifo b 1 2", "echo more >>usr/lib/sparse",
  ])
  func `a change has the same result with the cache and without it`(_ script: String) throws {
    try shell("cd \"$1\"; \(script)", tree)
    #expect(try !changes().isEmpty)
    // The snapshot keeps the ids of unchanged directories; a capture without the cache computes all of them.
    let committed = try workspace.snapshot("img").committed
    #expect(committed.number == 2)
    #expect(try changes() == [])
    try FileManager.default.removeItem(atPath: cachePath())
    #expect(try changes() == [])
  }

  @Test func `a cache with a damaged byte changes no result`() throws {
    try shell("cd \"$1\"; echo new >etc/deep/b; rm usr/link", tree)
    let path = try cachePath()
    let intact = try #require(FileManager.default.contents(atPath: path))
    let expected = try changes()
    // Hard links to one inode change together.
    #expect(expected.filter { $0.hasSuffix("/b") || $0.hasSuffix("/b2") }.count == 2)
    for position in stride(from: 0, to: intact.count, by: 13) {
      var damaged = intact
      damaged[position] ^= 0x55
      try damaged.write(to: URL(fileURLWithPath: path))
      #expect(try changes() == expected, "byte \(position) of \(intact.count)")
    }
  }

  @Test func `a cut or extended cache changes no result`() throws {
    try shell("cd \"$1\"; echo new >etc/deep/b; rm usr/link", tree)
    let path = try cachePath()
    let intact = try #require(FileManager.default.contents(atPath: path))
    let expected = try changes()
    for count in stride(from: 0, to: intact.count, by: 97) + [intact.count - 1] {
      try intact.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(try changes() == expected, "\(count) of \(intact.count) bytes")
    }
    try (intact + Data(count: 100)).write(to: URL(fileURLWithPath: path))
    #expect(try changes() == expected)
    // A snapshot writes a new one.
    _ = try workspace.snapshot("img")
    #expect(try workspace.status("img").readBytes == 0)
  }

  @Test func `a directory with more entries than a batch is packed and read back`() throws {
    try shell(
      """
      mkdir "$1"/many; cd "$1"/many; for i in $(seq 1500); do echo $i >f$i; done
      ln f7 g7; ln f1400 g1400; truncate -s 100k f3; truncate -s 100k f1300
      """, tree)
    usleep(60_000)
    _ = try workspace.snapshot("img")
    #expect(try workspace.status("img").readBytes == 0)
    try shell("cd \"$1\"/many; rm g7; echo new >f1000", tree)
    let changed = try changes().map { $0.split(separator: "/").last.map(String.init) ?? "" }
    #expect(changed.sorted() == ["f1000", "f7", "g7", "many"])
    #expect(try workspace.revert("img@2").isExact)
    #expect(try changes() == [])
  }
}

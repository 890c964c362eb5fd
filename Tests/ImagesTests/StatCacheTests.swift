// The stat cache of an image only saves reads (CaptureCacheTests has the captures themselves).

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

  @Test func `a cut or extended cache changes no result`() throws {
    try shell("cd \"$1\"; echo new >etc/deep/b; rm usr/link", tree)
    let path = try cachePath()
    let intact = try #require(FileManager.default.contents(atPath: path))
    let expected = try changes()
    for count in [0, 39, 60, intact.count / 2, intact.count - 1] {
      try intact.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(try changes() == expected, "\(count) of \(intact.count) bytes")
    }
    try (intact + Data(count: 100)).write(to: URL(fileURLWithPath: path))
    #expect(try changes() == expected)
    // A snapshot writes a new one. The times in it must be old enough.
    usleep(60_000)
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

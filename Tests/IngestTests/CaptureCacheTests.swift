// Captures with a stat cache, without one and with a damaged one have the same result: a cache only saves
// reads.

import Codec
import Foundation
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct CaptureCacheTests {
  private let directory: TemporaryDirectory
  private let store: ObjectStore
  private let files = KernelFileSystem.shared
  private let key = SHA256.digest(of: [1])
  private var tree: String { directory.path("tree") }

  /// Creates a tree with entries of all kinds that the cache records, and captures it.
  init() throws {
    directory = try TemporaryDirectory()
    store = try ObjectStore(
      files, path: Array(directory.path("store").utf8), create: true, report: { _ in })
    try shell(
      """
      mkdir "$1"; cd "$1"; mkdir -p etc/deep/er usr/lib empty; echo a >etc/a; echo b >etc/deep/b; : >etc/none
      echo c >etc/deep/er/c; chmod 4755 etc/deep/er/c; ln etc/a usr/a; ln etc/deep/b etc/deep/b2
      ln -s ../etc/a usr/link; ln -s "$(printf '%0300d' 1)" usr/lib/long; mkfifo usr/fifo
      echo x >usr/lib/attr; setfattr -n user.test -v 1 usr/lib/attr; truncate -s 1M usr/lib/sparse
      for i in $(seq 40); do echo $i >usr/lib/"$(printf "%0$((i * 5))d" $i)"; done
      mkdir many; cd many; for i in $(seq 1500); do echo $i >f$i; done
      ln f7 g7; ln f1400 g1400; truncate -s 100k f3; truncate -s 100k f1300
      """, tree)
    // A cache trusts only files that changed a tick of the clock before the capture.
    usleep(60_000)
    try capture(saving: true)
  }

  /// Captures the tree into memory.
  @discardableResult
  private func capture(
    using cache: StatCache? = nil, saving: Bool = false
  ) throws -> (result: CaptureResult, entry: Entry) {
    let root = try files.openDirectory(at: files.workingDirectory, [0x2f], followLink: true)
    let request = CaptureRoot(role: .rootTree, path: try #require(AbsolutePath(tree)))
    let result = try Capture(PathResolver(files, root: root), progress: Progress()).run(
      [request], cache: cache, into: .memory(MemoryObjects(over: store)))
    #expect(result.notes.isEmpty)
    if saving { result.saveCache(store.layout, key: key, base: .zero, replacing: nil) }
    return (result, try #require(result.components.first?.entry))
  }

  private var cache: StatCache? { StatCache.load(store.layout, key: key) }

  private func cachePath() throws -> String {
    let caches = directory.path("store/cache/")
    let name = try #require(
      FileManager.default.contentsOfDirectory(atPath: caches).first { $0.hasPrefix("stat-") })
    return caches + name
  }

  @Test func `an unchanged tree is not read and has the same ids`() throws {
    let saved = try #require(cache)
    let (result, entry) = try capture(using: saved)
    #expect(result.readFiles == 0 && result.readBytes == 0)
    let fresh = try capture()
    #expect(entry == fresh.entry && fresh.result.readFiles > 1500)
    #expect(result.entryCount == fresh.result.entryCount)
    #expect(result.contentBytes == fresh.result.contentBytes)
  }

  @Test(arguments: [
    "echo new >etc/deep/er/c", "chmod 700 etc/deep/b", "rm usr/link; ln -s other usr/link",
    "rm usr/a", "ln etc/none usr/none", "mkdir usr/lib/new", "rmdir empty", "rm many/g7",
    "mv etc/deep/er etc/er", "touch -d 2001-01-01 usr/lib/attr", "echo n >many/f1000",
    "setfattr -x user.test usr/lib/attr", "rm etc/a; echo z >etc/a", "mv many/f5 many/f5000",
    "rm usr/fifo; mknod usr/fifo b 1 2", "echo more >>usr/lib/sparse", "ln many/f9 etc/a9",
  ])
  func `a change has the same result with the cache and without it`(_ script: String) throws {
    let before = try capture().entry
    try shell("cd \"$1\"; \(script)", tree)
    let (result, entry) = try capture(using: cache)
    #expect(try entry == capture().entry)
    #expect(entry != before)
    #expect(result.readFiles < 10, "only changed files are read")
    // The saved cache of this capture is as good.
    usleep(60_000)
    let saved = try capture(using: cache, saving: true)
    #expect(try saved.entry == capture(using: cache).entry)
  }

  @Test func `the attributes of the captured entries are those of the tree`() throws {
    for cache in [cache, nil] {
      let component = try #require(
        capture(using: cache).result.component(at: Array(tree.utf8)))
      let root = try files.openDirectory(at: files.workingDirectory, Array(tree.utf8))
      var count = 0
      try component.forEachEntry { stat, path in
        count += 1
        let path = path()
        guard !path.isTop else { return }
        let live = try? files.stat(at: root.raw, Array(path.text.utf8), followLink: false)
        #expect(live.map { stat.isUnchanged($0) } == true, "\(path.text)")
        let again = try? component.stat(at: path)
        #expect(again.map { $0.inode == stat.inode && $0.mode == stat.mode } == true)
        if live?.kind != .directory {
          #expect((try? component.nameCount(of: stat)) == live.map { Int($0.links) })
        }
      }
      #expect(count == 1561)
      #expect(try component.hasFiles())
    }
  }

  @Test func `a cache with a damaged byte changes no result`() throws {
    try shell("cd \"$1\"; rm -r many; echo new >etc/deep/b; rm usr/link", tree)
    usleep(60_000)
    try capture(saving: true)
    try shell("cd \"$1\"; echo newer >etc/deep/b; ln -s new usr/link", tree)
    let path = try cachePath()
    let intact = try #require(FileManager.default.contents(atPath: path))
    let expected = try capture().entry
    for position in stride(from: 0, to: intact.count, by: 11) {
      var damaged = intact
      damaged[position] ^= 0x55
      try damaged.write(to: URL(fileURLWithPath: path))
      #expect(try capture(using: cache).entry == expected, "byte \(position) of \(intact.count)")
    }
    for count in stride(from: 0, to: intact.count, by: 97) + [intact.count - 1] {
      try intact.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(try capture(using: cache).entry == expected, "\(count) of \(intact.count) bytes")
    }
  }

  @Test func `a capture fails if an open cache cannot be read a second time`() throws {
    let open = try #require(cache)
    try shell("cd \"$1\"; echo newer >etc/deep/b", tree)
    let (result, _) = try capture(using: open)
    // The file is cut in place: nothing that imgstore does.
    try shell(": >\"$1\"", cachePath())
    let component = try #require(result.component(at: Array(tree.utf8)))
    #expect(throws: StoreError.self) { try component.forEachEntry { _, _ in } }
    #expect(throws: StoreError.self) {
      _ = try component.stat(at: RelativePath(components: [Array("many".utf8), Array("f1".utf8)]))
    }
    // What changed is in memory.
    let changed = RelativePath(components: ["etc", "deep", "b"].map { Array($0.utf8) })
    #expect(try component.stat(at: changed)?.size == 6)
  }
}

extension FileStat {
  /// Whether all attributes of the inode are equal.
  fileprivate func isUnchanged(_ other: FileStat) -> Bool {
    kind == other.kind && device == other.device && inode == other.inode && mode == other.mode
      && uid == other.uid && gid == other.gid && links == other.links && node == other.node
      && modified == other.modified && changed == other.changed && size == other.size
      && flags == other.flags
  }
}

// An image does not depend on the cache or on the number of workers, and a second pack compresses
// only changes.

import Codec
import Foundation
import Platform
import Render
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct SquashfsCacheTests {
  @Test func `workers and caches do not change the image`() throws {
    let small = try smallTree()
    let tree = try StoredTree { try copyTree(small, $0) }
    let cache = MemoryCache()
    try tree.write("plain", .quick(workers: 3))
    let plain = tree.directory.path("plain")
    func expectSame(_ what: String) throws {
      #expect(try sameBytes(plain, tree.directory.path("again")), "\(what)")
    }
    try tree.write("again", .quick(workers: 1))
    try expectSame("one worker")
    let cold = try tree.write("again", .quick(), cache: cache)
    try expectSame("a cold cache")
    #expect(cold.compressedBlocks > 0)
    let warm = try tree.write("again", .quick(workers: 1), cache: cache)
    try expectSame("a warm cache")
    #expect(warm.compressedBlocks == 0)
    #expect(warm.cachedBlocks == cold.compressedBlocks + cold.cachedBlocks)
    cache.change { key, bytes in key.prefix % 3 == 0 ? nil : bytes }
    let partly = try tree.write("again", .quick(), cache: cache)
    try expectSame("a cache that forgot a third")
    #expect(partly.compressedBlocks > 0 && partly.cachedBlocks > partly.compressedBlocks)
    // Cached values that cannot be blocks of that size are ignored.
    cache.change { key, bytes in key.prefix % 2 == 0 ? [] : [0] + bytes + bytes }
    try tree.write("again", .quick(), cache: cache)
    try expectSame("a cache full of nonsense")
  }

  @Test func `the cache distinguishes options`() throws {
    let tree = try StoredTree { live throws in
      try shell("cd \"$1\"; seq 1 300000 >a; seq 1 1000 >b", live)
    }
    let cache = MemoryCache()
    let many: [SquashfsOptions] = [
      .quick(.zstd(level: 1)), .quick(.zstd(level: 9)), .quick(.gzip(level: 1)),
      .quick(.xz(preset: 0)), .quick(.zstd(level: 1), block: 4096),
    ]
    for options in many {
      #expect(try tree.write("cached", options, cache: cache).cachedBlocks == 0, "\(options)")
      try tree.write("plain", options)
      #expect(try sameBytes(tree.directory.path("plain"), tree.directory.path("cached")))
    }
  }

  @Test func `a second image compresses only changed blocks`() throws {
    let small = try smallTree()
    var tree = try StoredTree { try copyTree(small, $0) }
    let cache = MemoryCache()
    let cold = try tree.write("first", .quick(), cache: cache)
    try shell(
      """
      cd "$1"; echo more >>usr/bin/bash; rm -f usr/share/doc/bash/*; echo new >etc/aaa-new
      head -c 50 /dev/urandom >usr/lib/new-file; echo x >>etc/passwd
      """, tree.live)
    try tree.snapshotAgain()
    let warm = try tree.write("second", .quick(), cache: cache)
    // A few fragments around each of five changes, and the last block of bash.
    #expect(warm.compressedBlocks <= 40, "\(warm)")
    #expect(warm.cachedBlocks > cold.compressedBlocks * 9 / 10)
    try withMounted(tree.directory.path("second")) { mounted throws in
      #expect(try differences(tree.live, mounted, seconds: true) == "")
    }
    try tree.write("plain", .quick())
    #expect(try sameBytes(tree.directory.path("second"), tree.directory.path("plain")))
  }

  @Test func `contents of cached blocks are not read from the store`() throws {
    let tree = try StoredTree { live throws in
      try shell(
        "cd \"$1\"; head -c 3000000 /dev/urandom >big; seq 1 5000 >small; echo tiny >tiny", live)
    }
    let cache = MemoryCache()
    try tree.write("first", .quick(), cache: cache)
    // Another store with the trees but without their contents.
    let directory = try TemporaryDirectory()
    let bare = try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("bare").utf8), create: true
    ) { _ in }
    let session = try bare.beginSession()
    let ids = try #require(tree.root.ids)
    try session.withWorker { worker in
      try worker.add(.tree, ids.tree, try tree.store.object(.tree, ids.tree))
      try worker.add(.times, ids.times, try tree.store.object(.times, ids.times))
    }
    try session.finish()
    func write(_ cache: (any BlockCache)?) throws {
      let fileSystem = KernelFileSystem.shared
      let file = try fileSystem.openFile(
        at: fileSystem.workingDirectory, Array(tree.directory.path("second").utf8),
        [.write, .create, .truncate])
      _ = try SquashfsWriter(store: bare, options: .quick(), cache: cache, progress: Progress())
        .write(tree: tree.root, to: file, on: fileSystem)
    }
    try write(cache)
    #expect(try sameBytes(tree.directory.path("first"), tree.directory.path("second")))
    #expect(throws: StoreError.self) { try write(nil) }
    // A partial image has no superblock, so no reader mistakes it for an image.
    #expect(!(try run("unsquashfs", "-stat", tree.directory.path("second")).didSucceed))
  }
}

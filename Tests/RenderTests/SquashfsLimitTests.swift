// Large files, equal files, and properties that squashfs cannot represent.

import Codec
import Foundation
import Platform
import Render
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct SquashfsLimitTests {
  @Test func `a sparse file over four gigabytes survives, with or without a hole map`()
    throws
  {
    let directory = try TemporaryDirectory()
    let fileSystem = KernelFileSystem.shared
    let store = try ObjectStore(fileSystem, path: Array(directory.path("store").utf8), create: true)
    {
      _ in
    }
    // 4.5 GiB of zeros with a chunk of noise in the middle and one at the end.
    var random = SplitMix64(7)
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    let noise = random.bytes(1 << 20)
    let holes = HoleMap([0..<2000 << 20, 2001 << 20..<4607 << 20]).encode()
    let session = try store.beginSession()
    let (blob, roots) = try session.withWorker { worker in
      var chunkList = ChunkList()
      var hash = SHA256()
      for (bytes, count) in [(zeros, 2000), (noise, 1), (zeros, 2606), (noise, 1)] {
        let id = try bytes.withUnsafeBytes { try worker.addChunk($0) }
        for _ in 0..<count {
          chunkList.append(id, lengthBytes: bytes.count)
          hash.update(bytes)
        }
      }
      let blob = hash.finish()
      try worker.add(.recipe, blob, chunkList.encode())
      try worker.add(.holes, SHA256.digest(of: holes), holes)
      let time = Timestamp(seconds: 1_000_000_000, nanoseconds: 0)
      let roots = try [SHA256.digest(of: holes), nil].map { holes in
        let file = Entry(
          name: Array("big".utf8), content: .file(blob: blob, sizeBytes: chunkList.sizeBytes),
          mode: 0o644, uid: 0, gid: 0, holes: holes, modified: time)
        let ids = try Tree.encode([file]) { try worker.add($0.kind, $0.id, $0.bytes) }
        return Entry(
          name: [], content: .directory(tree: ids.tree), mode: 0o755, uid: 0, gid: 0,
          modified: time, times: ids.times)
      }
      return (blob, roots)
    }
    try session.finish()
    for (name, root) in zip(["mapped", "plain"], roots) {
      let file = try fileSystem.openFile(
        at: fileSystem.workingDirectory, Array(directory.path(name).utf8), [.write, .create])
      let report = try SquashfsWriter(
        store: store, options: .quick(), cache: nil, progress: Progress()
      ).write(tree: root, to: file, on: fileSystem)
      #expect(report.contentBytes == 4608 << 20)
      #expect(report.compressedBlocks == 16 && report.fileBytes < 3 << 20)
    }
    #expect(try sameBytes(directory.path("mapped"), directory.path("plain")))
    try withMounted(directory.path("mapped")) { mounted throws in
      #expect(try run("sha256sum", mounted + "/big").output.prefix(64) == blob.hex)
      #expect(
        try run("stat", "-c", "%b", mounted + "/big").output == "4096\n", "2 MiB in blocks of 512")
    }
  }

  @Test func `equal contents are written once`() throws {
    let tree = try StoredTree { live throws in
      try shell(
        """
        cd "$1"; head -c 1000000 /dev/urandom >a; seq 1 3000 >s
        for i in 1 2 3 4 5 6 7 8; do cp a a$i; cp s s$i; chmod 60$((i % 8)) a$i; done
        """, live)
    }
    let report = try tree.write("image", .quick())
    #expect(report.inodes == 19)
    #expect(report.contentBytes < 1_020_000 && report.fileBytes < 1_100_000)
    try withMounted(tree.directory.path("image")) { mounted throws in
      #expect(try differences(tree.live, mounted, seconds: true) == "")
    }
  }

  @Test func `repeated attribute values are stored once, and other prefixes are reported`()
    throws
  {
    guard isRoot else { return }
    let tree = try StoredTree { live throws in
      try runFixture("scripts/trees/make-files-with-attributes.py", live)
    }
    let report = try tree.write("image", .quick())
    #expect(report.problems.isEmpty)
    // 300 copies of 1,100 bytes would not fit, however well they compress.
    #expect(report.fileBytes < 40_000)
    #expect(
      try differences(tree.live, try extract(tree.directory.path("image")), seconds: true) == "")
    try withMounted(tree.directory.path("image")) { mounted throws in
      #expect(try differences(tree.live, mounted, seconds: true) == "")
    }
  }

  @Test func `more owners than the format can number are refused with a reason`() throws {
    guard isRoot else { return }
    let tree = try StoredTree { live throws in
      let script = """
        import os, sys
        for i in range(32770):
            p = '%s/%d' % (sys.argv[1], i); os.mknod(p); os.chown(p, i, 100000 + i)
        """
      #expect(try run("python3", "-c", script, live).didSucceed)
    }
    let error = try #require(throws: RenderError.self) { try tree.write("image", .quick()) }
    #expect(error.messageWithHint.contains("more than 65535 users and groups"))
    // One owner less makes a valid image.
    try tree.write("image", .quick()) { path, _ in
      Int(String(decoding: path, as: UTF8.self)).map { $0 < 32767 } == true ? .keep : .drop
    }
    try withMounted(tree.directory.path("image")) { mounted throws in
      #expect(try run("stat", "-c", "%u %g", mounted + "/32766").output == "32766 132766\n")
    }
  }

  @Test func `levels and block sizes that do not exist are refused`() throws {
    let tree = try StoredTree { _ in }
    for options in [
      SquashfsOptions.quick(.gzip(level: 13)), .quick(.zstd(level: 0)), .quick(.xz(preset: 10)),
      .quick(block: 2048), .quick(block: 100_000), .quick(block: 2 << 20),
    ] {
      #expect(throws: RenderError.self) { try tree.write("image", options) }
    }
  }

  @Test func `a full disk is an error and leaves no image`() throws {
    let tree = try StoredTree { try shell("seq 1 100000 >\"$1/a\"", $0) }
    let fileSystem = KernelFileSystem.shared
    let full = try fileSystem.openFile(
      at: fileSystem.workingDirectory, Array("/dev/full".utf8), [.write])
    let error = try #require(throws: SystemError.self) {
      try SquashfsWriter(
        store: tree.store, options: .quick(workers: 4), cache: nil, progress: Progress()
      ).write(tree: tree.root, to: full, on: fileSystem)
    }
    #expect(error.isOutOfSpace)
  }
}

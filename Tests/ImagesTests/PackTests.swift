// imgstore pack, compared with the tools that nodes unpack with, and under faults.

import Codec
import Foundation
import Images
import Platform
import Render
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct PackTests {
  private func packed(_ directory: TemporaryDirectory, _ name: String) -> String {
    directory.path("root/img/\(name)")
  }

  private func bytes(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path))
  }

  /// A workspace with a tree, postscripts and an etc/shadow.
  private func prepare(_ directory: TemporaryDirectory) throws -> Workspace {
    try shell("mkdir -p \"$1/root/etc/xcat\"", directory.path(""))
    let workspace = try Workspace.test(directory)
    try runFixture("scripts/trees/make-image-to-pack.sh", directory.path("root/img"))
    return workspace
  }

  private func pack(
    _ workspace: Workspace, _ method: PackMethod = .cpio, _ codec: SegmentCodec = .gzip,
    threads: Int = 2, cacheLimitBytes: UInt64 = 1 << 30, output: String? = nil
  ) throws -> PackOutcome {
    var request = PackRequest("img")
    request.method = method
    request.codec = codec
    request.threads = threads
    request.cacheLimitBytes = cacheLimitBytes
    request.output = output
    return try workspace.pack(request)
  }

  @Test func `a pack has the same bytes for every cache state and thread count`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try prepare(directory)
    try shell(
      "cp -a \"$1\" \"$2\"", try smallTree() + "/usr/bin", directory.path("root/img/rootimg/big"))
    for (method, codec) in [(PackMethod.cpio, SegmentCodec.gzip), (.tar, .gzip), (.cpio, .zstd)] {
      let name = "rootimg.\(method.rawValue).\(codec.suffix)"
      let cold = try pack(workspace, method, codec)
      let reference = try bytes(packed(directory, name))
      // Of the insides of large files, cpio and tar have the same segments.
      #expect(cold.report.cachedSegments == 0 || method == .tar)
      let warm = try pack(workspace, method, codec)
      #expect(warm.report.cachedSegments == warm.report.segments, "\(name)")
      #expect(!warm.isNewSnapshot)
      #expect(try bytes(packed(directory, name)) == reference)
      _ = try pack(workspace, method, codec, threads: 1, cacheLimitBytes: 0)
      #expect(try bytes(packed(directory, name)) == reference)
      try shell(
        """
        for f in "$1"/*; do
          s=$(stat -c %s "$f"); printf 'XXXXXXXX' | dd of="$f" bs=1 seek=$((s/3)) conv=notrunc status=none
          truncate -s $((s*2/3)) "$f"
        done
        """, directory.path("store/cache/segments"))
      let damaged = try pack(workspace, method, codec, threads: 3)
      #expect(damaged.report.cachedSegments < damaged.report.segments)
      #expect(try bytes(packed(directory, name)) == reference)
      try FileManager.default.removeItem(atPath: directory.path("store/cache/segments"))
      _ = try pack(workspace, method, codec)
      #expect(try bytes(packed(directory, name)) == reference)
      if codec == .gzip {
        try shell(
          """
          gzip -t "$1"; pigz -t "$1"; bsdtar -tf "$1" > /dev/null
          python3 -c 'import gzip,sys; [None for _ in iter(lambda f=gzip.open(sys.argv[1]): f.read(1<<20), b"")]' "$1"
          busybox gunzip -c "$1" | cmp - <(gzip -dc "$1")
          """, packed(directory, name))
      } else {
        try shell("zstd -qt \"$1\"", packed(directory, name))
      }
      if method == .tar {
        try shell(
          "python3 -c 'import tarfile,sys; tarfile.open(sys.argv[1]).getmembers()' \"$1\"; tar tf \"$1\" > /dev/null; busybox tar tzf \"$1\" > /dev/null",
          packed(directory, name))
      }
    }
    #expect(try workspace.log("img").count == 1)
  }

  @Test func `a tar of every kind of entry extracts to the same tree`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try makeNastyTree(directory.path("root/img/rootimg"))
    let outcome = try pack(workspace, .tar)
    #expect(outcome.counts.skippedSockets == 1)
    let out = directory.path("out")
    try shell(
      "mkdir \"$2\"; tar -xpf \"$1\" -C \"$2\" --xattrs --xattrs-include='*' --numeric-owner",
      packed(directory, "rootimg.tar.gz"), out)
    // Files that packing adds are removed again. A tar cannot hold a socket or holes.
    try shell(
      """
      rm -rf "$2/opt"; rm -f "$1/socket"; touch -r "$1" "$2"
      cp --sparse=never -p "$1/sparse" "$1/sparse" 2>/dev/null || true
      """, directory.path("root/img/rootimg"), out)
    let result = try run(
      "rsync", isRoot ? "-aHAXn" : "-aHXn", "--delete", "--checksum", "--itemize-changes",
      directory.path("root/img/rootimg") + "/", out + "/")
    #expect(result.output == "", "\(result.output.prefix(2000)) \(result.errors.prefix(500))")
  }

  @Test func `GNU cpio, busybox and bsdcpio unpack a pack to the same tree`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try prepare(directory)
    let tree = directory.path("root/img/rootimg")
    _ = try pack(workspace)
    for (name, command) in [
      ("gnu", "cpio -idm --quiet"), ("busybox", "busybox cpio -idm"),
      ("bsd", "bsdcpio -idm --quiet"),
    ] {
      let out = directory.path(name)
      try shell(
        "mkdir \"$2\"; cd \"$2\"; gzip -dc \"$1\" | \(command) 2>/dev/null; rm -rf opt xcatpost; mkdir opt; "
          + "touch -r \"$3/opt\" opt; cp -p \"$3/etc/shadow\" etc/shadow; "
          + "for d in . etc opt; do touch -r \"$3/$d\" $d; done",
        packed(directory, "rootimg.cpio.gz"), out, tree)
      let result = try run(
        "rsync", "-rlptgoDHn", "--delete", "--checksum", "--modify-window=1", "--omit-dir-times",
        "--omit-link-times",
        "--itemize-changes", tree + "/", out + "/")
      #expect(result.output == "", "\(name): \(result.output.prefix(1000))")
    }
  }

  @Test func `a pack contains packimage's edits, and the live tree is unchanged`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try prepare(directory)
    let tree = directory.path("root/img/rootimg")
    let before = directory.path("before")
    try copyTree(tree, before)
    try shell(
      "printf './usr/share/man*\\n./usr/share/zoneinfo*\\n+./usr/share/man/man1/a.1\\n' > \"$1\"",
      directory.path("root/exlist"))
    _ = try workspace.define("img", ["exlist=/exlist"])
    let outcome = try pack(workspace)
    #expect(try differences(before, tree) == "")
    let out = directory.path("out")
    try shell(
      "mkdir \"$2\"; cd \"$2\"; gzip -dc \"$1\" | cpio -idm --quiet 2>/dev/null || true",
      packed(directory, "rootimg.cpio.gz"), out)
    func text(_ path: String) throws -> String {
      String(decoding: try bytes("\(out)/\(path)"), as: UTF8.self)
    }
    #expect(try text("etc/shadow") == "root:cluster:13880:0:99999:7:::\nbin:*:2:::::::\n")
    #expect(try text("xcatpost/lib/x") == "lib\n")
    #expect(try text("opt/xcat/xcatdsklspost") == "post\n")
    let info = try text("opt/xcat/xcatinfo").split(separator: "\n")
    #expect(info.first == "IMAGENAME='img'")
    #expect(info.count == 3 && info[1].count == "IMAGEUUID=''".count + 36)
    #expect(try text("usr/share/man/man1/a.1") == "page\n")
    #expect(!FileManager.default.fileExists(atPath: "\(out)/usr/share/zoneinfo"))
    let mode = try FileManager.default.attributesOfItem(
      atPath: packed(directory, "rootimg.cpio.gz"))
    #expect(mode[.posixPermissions] as? Int == 0o644)
    #expect(outcome.counts.members > 10)

    // A changed tree is snapshotted, and only what changed is compressed.
    try shell("echo new > \"$1/etc/new\"", tree)
    let next = try pack(workspace)
    #expect(next.isNewSnapshot)
    #expect(next.report.cachedSegments > 0 && next.report.cachedSegments < next.report.segments)
  }

  @Test func `a tree that cpio cannot hold is refused before any output`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try prepare(directory)
    _ = try pack(workspace)
    let old = try bytes(packed(directory, "rootimg.cpio.gz"))
    try shell("truncate -s 4G \"$1/usr/huge\"", directory.path("root/img/rootimg"))
    do {
      _ = try pack(workspace)
      Issue.record("a file of 4 GiB was packed")
    } catch let error as any ExplainedError {
      #expect(error.messageWithHint.contains("usr/huge") && error.messageWithHint.contains("tar"))
    }
    #expect(try bytes(packed(directory, "rootimg.cpio.gz")) == old)
    // Excluded entries do not cause a refusal.
    try shell("echo './usr/huge' >\"$1/exlist\"", directory.path("root/img"))
    _ = try workspace.define("img", ["exlist=/img/exlist"])
    #expect(try pack(workspace).counts.members > 10)
  }

  @Test func `pack respects xCAT's lock and removes leftovers of a killed run`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try prepare(directory)
    let leftover = packed(directory, ".rootimg.cpio.gz.8123.imgstore-part")
    try Data("half".utf8).write(to: URL(fileURLWithPath: leftover))
    _ = try pack(workspace)
    #expect(!FileManager.default.fileExists(atPath: leftover))
    let locks = directory.path("root/var/lock/xcat")
    #expect(try FileManager.default.contentsOfDirectory(atPath: locks).isEmpty)
    let script = """
      import fcntl, hashlib, sys
      name = '/img/rootimg'
      path = sys.argv[1] + '/' + name.replace('/', '.') + '.' + hashlib.md5(name.encode()).hexdigest()
      f = open(path, 'w'); fcntl.flock(f, fcntl.LOCK_EX); f.write('4711'); f.flush()
      print('held', flush=True); sys.stdin.read()
      """
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    holder.arguments = ["python3", "-c", script, locks]
    let pipe = Pipe()
    holder.standardOutput = pipe
    // The end of its input ends it: signals may be blocked here.
    let input = Pipe()
    holder.standardInput = input
    try holder.run()
    defer { try? input.fileHandleForWriting.close() }
    _ = try pipe.fileHandleForReading.read(upToCount: 4)
    do {
      _ = try pack(workspace)
      Issue.record("the lock was passed over")
    } catch let error as ImageError {
      #expect(error.reason.contains("process 4711 running on root image dir"))
    }
  }

  @Test(arguments: [FaultyFileSystem.Fault.once(.noSpace), .forGood])
  func `a pack that fails at any operation leaves the old or the new file`(
    _ fault: FaultyFileSystem.Fault
  ) throws {
    let base = try TemporaryDirectory()
    let first = try prepare(base)
    _ = try pack(first)
    let old = try bytes(packed(base, "rootimg.cpio.gz"))
    try shell("echo more > \"$1/etc/more\"", base.path("root/img/rootimg"))
    _ = try first.snapshot("img")
    _ = try pack(first, output: base.path("new"))
    let new = try bytes(base.path("new"))
    #expect(old != new)
    try FileManager.default.removeItem(atPath: base.path("store/cache/segments"))
    var reached = 0
    for n in Sweep(every: 29) {
      if n > 4000 { break }
      let directory = try TemporaryDirectory()
      try shell("cp -a \"$1/.\" \"$2/\"", base.path, directory.path)
      let files = FaultyFileSystem(failing: n, fault)
      let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      var failed = false
      do { _ = try pack(Workspace(options, fileSystem: files) { _ in }) } catch { failed = true }
      let left = try bytes(packed(directory, "rootimg.cpio.gz"))
      #expect(left == old || left == new, "operation \(n)")
      #expect(failed || left == new, "operation \(n)")
      let after = try Workspace(options) { _ in }
      _ = try pack(after)
      #expect(try bytes(packed(directory, "rootimg.cpio.gz")) == new, "operation \(n)")
      let names = try FileManager.default.contentsOfDirectory(atPath: directory.path("root/img"))
      #expect(!names.contains { $0.hasSuffix("part") }, "operation \(n)")
      reached = n
      if !files.isHit { break }
    }
    #expect(reached > 100)
  }
}

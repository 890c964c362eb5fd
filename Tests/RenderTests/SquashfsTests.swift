// Images equal their trees, according to unsquashfs and the kernel.

import Foundation
import Platform
import Render
import Store
import TestSupport
import Testing

private let codecs: [SquashfsOptions.Compression] = [
  .gzip(level: 6), .xz(preset: 1), .zstd(level: 3),
]

@Suite(.usesTools) struct SquashfsTests {
  @Test(arguments: codecs)
  func `a nasty tree comes back to the last attribute`(
    _ compression: SquashfsOptions.Compression
  ) throws {
    let tree = try StoredTree { try makeNastyTree($0) }
    let report = try tree.write("image", .quick(compression))
    let told = Set(report.problems.map { String(decoding: $0.path, as: UTF8.self) })
    #expect(
      told.isSubset(of: ["acl", "acl-dir", "time-1901", "time-1970", "time-2106", "time-2262"]))
    let image = tree.folder.path("image")
    #expect(try run("unsquashfs", "-stat", image).didSucceed)
    let list = try run("unsquashfs", "-lls", image)
    #expect(list.didSucceed, "\(list.errors)")
    try withMounted(image) { mounted throws in
      let found = try differences(tree.live, mounted, seconds: true)
      #expect(changedPaths(found) == told, "\(found.prefix(2000))")
    }
    guard isRoot else { return }
    // unsquashfs creates no sockets, as it reports itself.
    let found = try differences(tree.live, try extract(image), seconds: true)
    #expect(changedPaths(found).subtracting([".", "socket"]) == told, "\(found.prefix(2000))")
  }

  @Test func `a real root tree survives with any options`() throws {
    let small = try smallTree()
    let tree = try StoredTree { try copyTree(small, $0) }
    let many: [SquashfsOptions] = [
      .quick(.gzip(level: 1)), .quick(block: 4096, tails: .shareAll),
      .quick(block: 1 << 20, tails: .ownBlocks),
    ]
    for options in many {
      let report = try tree.write("image", options)
      #expect(report.problems.isEmpty)
      #expect((report.fragments == 0) == (options.tails == .ownBlocks))
      try withMounted(tree.folder.path("image")) { mounted throws in
        #expect(try differences(small, mounted, seconds: true) == "", "\(options)")
      }
      guard isRoot, options.blockBytes > 4096 else { continue }
      let extracted = try extract(tree.folder.path("image"))
      #expect(try differences(small, extracted, seconds: true) == "", "\(options)")
      try run("rm", "-rf", extracted)
    }
  }

  @Test func `a tree without entries is an image`() throws {
    let tree = try StoredTree { _ in }
    let report = try tree.write("image", .quick())
    #expect(report.inodes == 1 && report.contentBytes == 0 && report.fragments == 0)
    #expect(try differences(tree.live, try extract(tree.folder.path("image")), seconds: true) == "")
    try withMounted(tree.folder.path("image")) { mounted throws in
      #expect(try differences(tree.live, mounted, seconds: true) == "")
    }
  }

  @Test func `each of a hundred thousand names in one directory is found`() throws {
    let tree = try StoredTree { live throws in
      let script = """
        import os, sys
        for i in range(100000): os.mknod('%s/%d-%s' % (sys.argv[1], i, 'x' * (i % 40)))
        """
      #expect(try run("python3", "-c", script, live).didSucceed)
    }
    #expect(try tree.write("image", .quick()).inodes == 100_001)
    let list = try run("unsquashfs", "-ls", tree.folder.path("image"))
    #expect(list.output.split(separator: "\n").count == 100_001)
    // A lookup of a name uses the directory's index; listing does not.
    let find = """
      import os, sys
      names = set(os.listdir(sys.argv[1])); assert len(names) == 100000
      for i in range(100000):
          name = '%d-%s' % (i, 'x' * (i % 40)); assert name in names; os.stat(sys.argv[1] + '/' + name)
      for name in ('', '0', '99999', 'y', '5000', '5000--'):
          assert not name or not os.path.exists(sys.argv[1] + '/' + name)
      """
    try withMounted(tree.folder.path("image")) { mounted throws in
      let found = try run("python3", "-c", find, mounted)
      #expect(found.didSucceed, "\(found.errors)")
    }
  }

  @Test(arguments: seeds)
  func `a random tree comes back by random options`(_ seed: UInt64) throws {
    print("seed \(seed)")
    var random = SplitMix64(seed)
    let tree = try StoredTree { live throws in
      let made = try run("python3", "-c", randomTreeScript, live, "\(seed)")
      #expect(made.didSucceed, "\(made.errors)")
    }
    for _ in 0..<3 {
      let options = SquashfsOptions.quick(
        [.gzip(level: 2), .xz(preset: 0), .zstd(level: 2)].randomElement(using: &random) ?? .gzip(),
        block: 4096 << Int.random(in: 0...8, using: &random),
        tails: [.ownBlocks, .shareSmallFiles, .shareAll].randomElement(using: &random) ?? .shareAll,
        workers: Int.random(in: 1...5, using: &random))
      let report = try tree.write("image", options)
      #expect(report.problems.isEmpty)
      try withMounted(tree.folder.path("image")) { mounted throws in
        #expect(
          try differences(tree.live, mounted, seconds: true) == "", "seed \(seed), \(options)")
      }
      let check = try run("unsquashfs", "-lls", tree.folder.path("image"))
      #expect(check.didSucceed, "seed \(seed), \(options): \(check.errors)")
    }
  }

  @Test func `dropped entries are omitted, and directories are included only if needed`() throws {
    let tree = try StoredTree { live throws in
      try shell(
        "cd \"$1\"; mkdir -p a/b/c d/e f; echo 1 >a/b/c/kept; echo 2 >a/b/gone; echo 3 >d/e/gone; ln a/b/c/kept f/link",
        live)
    }
    try tree.write("image", .quick()) { path, entry in
      let path = String(decoding: path, as: UTF8.self)
      if path == "f" { return .drop }
      if entry.kind == .directory { return .keepIfNeeded }
      return path.hasSuffix("gone") ? .drop : .keep
    }
    let list = try run("unsquashfs", "-ls", tree.folder.path("image")).output
    #expect(
      list.split(separator: "\n").map { $0.dropFirst("squashfs-root".count) }
        == ["", "/a", "/a/b", "/a/b/c", "/a/b/c/kept"])
    let extracted = try extract(tree.folder.path("image"))
    #expect(try run("stat", "-c", "%h", extracted + "/a/b/c/kept").output == "1\n")
  }
}

/// A tree whose properties, in every respect that squashfs supports, depend on the seed.
private let randomTreeScript = #"""
  import os, random, sys, stat
  r = random.Random(int(sys.argv[2])); os.chdir(sys.argv[1]); is_root = os.geteuid() == 0
  dirs = ['.']; files = []
  def name():
      return r.choice('abcdefgh') * r.choice((1, 2, 3, 60)) + str(r.randrange(10**6))
  def data():
      size = r.choice((0, 1, 100, 4095, 4096, 4097, 10000, 70000, 131072, 131073, 300000, 1100000))
      kind = r.randrange(4)
      if kind == 0: return bytes(size)
      if kind == 1: return r.randbytes(size)
      if kind == 2: return (b'text %d\n' % r.randrange(5)) * (size // 7)
      block = r.randbytes(1000); return (block + bytes(r.choice((0, 5000, 200000))) + block) * (size // 100000 + 1)
  for i in range(r.randrange(50, 600)):
      path = r.choice(dirs) + '/' + name()
      if os.path.lexists(path): continue
      kind = r.randrange(14)
      if kind < 3: os.mkdir(path); dirs.append(path)
      elif kind == 3: os.symlink('t' * r.randrange(1, 500), path)
      elif kind == 4: os.mkfifo(path)
      elif kind == 5 and is_root:
          os.mknod(path, r.choice((stat.S_IFCHR, stat.S_IFBLK)) | 0o600, os.makedev(r.randrange(4096), r.randrange(2**20)))
      elif kind == 6 and files: os.link(r.choice(files), path, follow_symlinks=False); files.append(path)
      elif kind == 7:
          with open(path, 'wb') as f: f.truncate(r.randrange(1, 3000000)); f.seek(r.randrange(1, 2000000)); f.write(b'data')
          files.append(path)
      else:
          with open(path, 'wb') as f: f.write(data())
          files.append(path)
      if not os.path.islink(path):
          if r.randrange(4) == 0:
              try: os.setxattr(path, 'user.n%d' % r.randrange(3), b'v' * r.choice((0, 1, 50, 300)))
              except OSError: pass
          os.chmod(path, r.randrange(0o10000) | (0o700 if os.path.isdir(path) else 0))
      if is_root and r.randrange(3) == 0: os.lchown(path, r.randrange(70000), r.choice((0, 5, 4 * 10**9)))
  for path in files + dirs: os.utime(path, (0, r.randrange(2**32)), follow_symlinks=False)
  """#

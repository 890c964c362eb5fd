// Root trees in the bundle: a statelite image's rootimgtree.gz, and complete/rootimg.tar.zst of our
// own complete bundles. An archive in an archive, by the same strangers.

private let directory = BundleDraft.directory

/// An archive of a root tree, and a part of the reason for its refusal.
struct TreeArchive: Sendable {
  let name: String
  let words: [String]
  let bytes: @Sendable () -> [UInt8]
}

/// A small valid tree, with the members that `more` appends before its end.
func goodTree(ends: Bool = true, _ more: (inout RawCpio) -> Void) -> [UInt8] {
  var cpio = RawCpio()
  cpio.entry("rootimg", mode: 0o40755)
  cpio.entry("rootimg/etc", mode: 0o40755)
  cpio.entry("rootimg/etc/motd", mode: 0o100644, Array("hello\n".utf8))
  more(&cpio)
  if ends { cpio.end() }
  return cpio.bytes
}

/// The same as tar.
func goodTarTree(ends: Bool = true, _ more: (inout RawTar) -> Void) -> [UInt8] {
  var tar = RawTar()
  tar.directory("rootimg/")
  tar.directory("rootimg/etc/")
  tar.file("rootimg/etc/motd", "hello\n")
  more(&tar)
  if ends { tar.end() }
  return tar.bytes
}

extension HostileBundle {
  /// Each is imported as a statelite image's tree.
  static let trees: [HostileBundle] =
    treeArchives.map { archive in
      HostileBundle(archive.name, words: ["rootimgtree"] + archive.words) {
        BundleDraft.statelite(tree: archive.bytes()).bundle()
      }
    } + [
      HostileBundle("a tree that is a folder", "rootimgtree.gz", "not in the bundle") {
        var draft = BundleDraft.statelite(tree: [])
        draft.files.removeAll { $0.name == "rootimgtree.gz" }
        return draft.bundle { $0.directory("./\(directory)/rootimgtree.gz/") }
      },
      HostileBundle("a link for the tree's archive", "rootimgtree.gz", "is a link") {
        var draft = BundleDraft.statelite(tree: [])
        draft.files.removeAll { $0.name == "rootimgtree.gz" }
        return draft.bundle {
          $0.header("./\(directory)/rootimgtree.gz", type: "2", link: "kernel")
        }
      },
      HostileBundle("a tree whose place is outside", "rootimgtree.gz", "outside") {
        var draft = BundleDraft.statelite(tree: gzip(goodTree { _ in }))
        draft.manifest.values["rootimgtree"] = "/etc/rootimgtree.gz"
        return draft.bundle()
      },
      HostileBundle("a tree over the kernel", "manifest.xml", "below") {
        var draft = BundleDraft.statelite(tree: gzip(goodTree { _ in }))
        draft.manifest.values["rootimgtree"] = "/install/rootimg/rootimgtree.gz"
        draft.manifest.values["kernel"] = "/install/rootimg/kernel"
        return draft.bundle()
      },
      HostileBundle("a tree twice", "rootimgtree.gz", "twice") {
        BundleDraft.statelite(tree: gzip(goodTree { _ in })).bundle {
          $0.file("./\(directory)/rootimgtree.gz", gzip(goodTree { _ in }))
        }
      },
    ]

  /// A tree with a sparse file of the form 0.1: its map, its size, and how much content there is.
  private static func sparse(
    _ name: String, _ words: String, _ map: [UInt64], size: UInt64, stored: Int
  ) -> TreeArchive {
    tree("a sparse file with \(name)", words) {
      gzip(
        goodTarTree {
          $0.pax([
            ("GNU.sparse.size", "\(size)"), ("GNU.sparse.numblocks", "\(map.count / 2)"),
            ("GNU.sparse.map", map.map(String.init).joined(separator: ",")),
          ])
          $0.file("rootimg/s", [UInt8](repeating: 0x78, count: stored))
        })
    }
  }

  static let treeArchives: [TreeArchive] = [
    tree("a tree that is not an archive", "not a tar archive") { Array("not a gzip".utf8) },
    tree("a tree of nothing", "it is empty") { [] },
    tree("a tree that is a gzip of nothing", "it is empty") { gzip([]) },
    tree("a tree that is cut", "cut off") { Array(gzip(goodTree { _ in }).dropLast(30)) },
    tree("a tree whose CRC is wrong", "damaged") {
      var bytes = gzip(goodTree { _ in })
      bytes[bytes.count - 6] ^= 1
      return bytes
    },
    tree("a tree with garbage behind its gzip", "damaged") {
      gzip(goodTree { _ in }) + Array("more".utf8)
    },
    tree("a tree cut inside the cpio", "cut off") { gzip(Array(goodTree { _ in }.dropLast(200))) },
    tree("a tree without the end mark", "cut off", "TRAILER") {
      gzip(goodTree(ends: false) { _ in })
    },
    tree("a second tree behind the first", "follows the archive's end mark") {
      gzip(goodTree { _ in } + goodTree { _ in })
    },
    tree("a tree of noise", "not a tar archive") {
      gzip((0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 251) })
    },
    tree("a tree in a gzip in a gzip", "not a tar archive") { gzip(gzip(goodTree { _ in })) },
    tree("a zip file", "not a tar archive") {
      gzip([0x50, 0x4b, 3, 4] + [UInt8](repeating: 7, count: 600))
    },
    tree("a squashfs", "not a tar archive") {
      gzip(Array("hsqs".utf8) + [UInt8](repeating: 7, count: 600))
    },
    tree("an old cpio", "old form") {
      gzip(Array("070707".utf8) + [UInt8](repeating: 0x30, count: 600))
    },
    tree("a binary cpio", "old form") { gzip([0xc7, 0x71] + [UInt8](repeating: 1, count: 600)) },
    tree("a tree with an absolute name", "/etc/cron.d/evil", "absolute") {
      gzip(goodTree { $0.entry("/etc/cron.d/evil", mode: 0o100644, [1]) })
    },
    tree("a tree with dots", "leads out") {
      gzip(goodTree { $0.entry("../../evil", mode: 0o100644, [1]) })
    },
    tree("a tree with dots inside", "leads out") {
      gzip(goodTree { $0.entry("rootimg/etc/../../../evil", mode: 0o100644, [1]) })
    },
    tree("a tree with an empty part", "empty component") {
      gzip(goodTree { $0.entry("rootimg//evil", mode: 0o100644, [1]) })
    },
    tree("a tree with a dot as a part", "a '.' component") {
      gzip(goodTree { $0.entry("rootimg/./evil", mode: 0o100644, [1]) })
    },
    tree("a member outside the tree", "outside the directory rootimg") {
      gzip(goodTree { $0.entry("etc/passwd", mode: 0o100644, [1]) })
    },
    tree("a tree that is a file", "not a directory") {
      var cpio = RawCpio()
      cpio.entry("rootimg", mode: 0o100644, [1])
      cpio.end()
      return gzip(cpio.bytes)
    },
    tree("a tree that is a link", "not a directory") {
      var cpio = RawCpio()
      cpio.entry("rootimg", mode: 0o120777, Array("/etc".utf8))
      cpio.entry("rootimg/passwd", mode: 0o100644, [1])
      cpio.end()
      return gzip(cpio.bytes)
    },
    tree("a tree that writes through its link", "lies below", "symbolic link") {
      gzip(
        goodTree {
          $0.entry("rootimg/out", mode: 0o120777, Array("/etc".utf8))
          $0.entry("rootimg/out/cron.d/evil", mode: 0o100644, [1])
        })
    },
    tree("a tree whose link comes after what is below it", "twice") {
      gzip(
        goodTree {
          $0.entry("rootimg/out/evil", mode: 0o100644, [1])
          $0.entry("rootimg/out", mode: 0o120777, Array("/etc".utf8))
        })
    },
    tree("a tree with a file below a device", "lies below") {
      gzip(
        goodTree {
          $0.entry("rootimg/null", mode: 0o20666)
          $0.entry("rootimg/null/evil", mode: 0o100644, [1])
        })
    },
    tree("a tree with an entry twice", "twice") {
      gzip(
        goodTree {
          $0.entry("rootimg/a", mode: 0o100644, [1])
          $0.entry("rootimg/a", mode: 0o120777, Array("/etc/shadow".utf8))
        })
    },
    tree("a tree with a name of 4 GiB", "impossible") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o100644, claimedNameSize: 0xffff_ffff) })
    },
    tree("a tree with a name of no bytes", "impossible") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o100644, claimedNameSize: 0) })
    },
    tree("a tree with a part of 256 bytes", "255") {
      gzip(
        goodTree {
          $0.entry("rootimg/" + String(repeating: "a", count: 256), mode: 0o100644, [1])
        })
    },
    tree("a tree with a file of 4 GiB", "ends inside") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o100644, claimedSize: 0xffff_ffff) })
    },
    tree("a tree with an entry of unknown type", "of an unknown kind") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o170644) })
    },
    tree("a tree with a device that has content", "content") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o20644, [1, 2, 3]) })
    },
    tree("a tree with a link to nowhere at all", "impossible") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o120777) })
    },
    tree("a tree with a link target of 5,000 bytes", "impossible") {
      gzip(
        goodTree { $0.entry("rootimg/a", mode: 0o120777, [UInt8](repeating: 0x61, count: 5000)) })
    },
    tree("a tree with a NUL in a link target", "NUL") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o120777, [0x61, 0, 0x62]) })
    },
    tree("a terminal escape before noise", "a cpio header is missing") {
      gzip(
        goodTree(ends: false) { $0.entry("rootimg/\u{1b}]0;owned\u{7}", mode: 0o100644, [1]) }
          + [UInt8](repeating: 0x41, count: 300))
    },
    tree("3,000 levels", "impossible") {
      gzip(
        goodTree {
          $0.entry("rootimg" + String(repeating: "/a", count: 3000), mode: 0o40755)
        })
    },
    tree("2,030 levels", "deeper than 2000") {
      gzip(
        goodTree {
          $0.entry("rootimg" + String(repeating: "/a", count: 2030), mode: 0o40755)
        })
    },
    tree("3,000 levels in a tar", "too long") {
      gzip(
        goodTarTree {
          $0.pax([("path", "rootimg" + String(repeating: "/a", count: 3000))])
          $0.directory("x")
        })
    },
    tree("a tar tree with a hard link out", "/etc/passwd", "absolute") {
      gzip(goodTarTree { $0.header("rootimg/a", type: "1", link: "/etc/passwd") })
    },
    tree("a tar tree with a hard link out by dots", "leads out") {
      gzip(goodTarTree { $0.header("rootimg/a", type: "1", link: "rootimg/../../etc/passwd") })
    },
    tree("a tar tree with a hard link to what comes later", "not an earlier member") {
      gzip(
        goodTarTree {
          $0.header("rootimg/a", type: "1", link: "rootimg/b")
          $0.file("rootimg/b", "x")
        })
    },
    tree("a tar tree with a hard link to a folder", "hard link to the directory") {
      gzip(goodTarTree { $0.header("rootimg/a", type: "1", link: "rootimg/etc") })
    },
    tree("a tar tree without the end mark", "end mark") {
      gzip(goodTarTree(ends: false) { _ in })
    },
    tree("a tar tree with another behind it", "follows the archive's end mark") {
      gzip(goodTarTree { _ in } + goodTarTree { _ in })
    },
    sparse("parts that overlap", "overlap", [0, 512, 256, 512], size: 4096, stored: 1024),
    sparse("parts that go back", "overlap", [1024, 512, 0, 512], size: 4096, stored: 1024),
    sparse("a part beyond the end", "beyond", [4000, 512], size: 4096, stored: 512),
    sparse("a part that ends beyond all numbers", "beyond", [.max, 512], size: 4096, stored: 512),
    sparse("more parts than content", "the archive has", [0, 1024], size: 4096, stored: 512),
    sparse("less parts than content", "the archive has", [0, 512], size: 4096, stored: 1024),
    sparse("an impossible size", "impossible size", [0, 512], size: 1 << 63, stored: 512),
    sparse("8 EiB of holes", "holes", [0, 512], size: (1 << 63) - 1, stored: 512),
    tree("an invalid map of a sparse file", "map of a sparse file") {
      gzip(
        goodTarTree {
          $0.pax([
            ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9"),
          ])
          $0.file("rootimg/s", "no numbers here\n")
        })
    },
    tree("a map of a sparse file of four billion parts", "map of a sparse file") {
      gzip(
        goodTarTree {
          $0.pax([
            ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9"),
          ])
          $0.file("rootimg/s", "4294967296\n0\n")
        })
    },
    tree("a sparse file of a form that is not known", "form 2") {
      gzip(
        goodTarTree {
          $0.pax([
            ("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9"),
          ])
          $0.file("rootimg/s", "0\n")
        })
    },
    tree("a tar tree with a link without a target", "without a target") {
      gzip(goodTarTree { $0.header("rootimg/l", type: "2") })
    },
    tree("a tar tree whose link's target is taken away", "without a target") {
      gzip(
        goodTarTree {
          $0.pax([("linkpath", "")])
          $0.header("rootimg/l", type: "2", link: "etc")
        })
    },
    tree("a tar tree with an owner that is none", "owner is out of range") {
      gzip(
        goodTarTree {
          $0.pax([("uid", "4294967295")])
          $0.file("rootimg/a", "x")
        })
    },
    tree("a tar tree with a device that no kernel has", "device numbers") {
      gzip(
        goodTarTree { $0.header("rootimg/d", type: "4") { $0.putOctal(4096, at: 329, width: 8) } })
    },
    tree("a cpio tree with an owner that is none", "owner is out of range") {
      gzip(goodTree { $0.entry("rootimg/a", mode: 0o100644, [1], uid: 0xffff_ffff) })
    },
    tree("a hard link with other content than its target", "content differs") {
      gzip(
        goodTarTree {
          $0.header("rootimg/a", type: "1", size: 6, link: "rootimg/etc/motd")
          $0.content(Array("hollo\n".utf8))
        })
    },
    tree("an attribute with a name of 256 bytes", "extended attribute") {
      gzip(
        goodTarTree {
          $0.pax([("SCHILY.xattr.user." + String(repeating: "n", count: 256), "x")])
          $0.file("rootimg/a", "x")
        })
    },
    tree("an attribute without a name", "extended attribute") {
      gzip(
        goodTarTree {
          $0.pax([("SCHILY.xattr.", "x")])
          $0.file("rootimg/a", "x")
        })
    },
    tree("an attribute of 65,537 bytes", "65537 bytes") {
      gzip(
        goodTarTree {
          $0.pax([("SCHILY.xattr.security.evil", String(repeating: "v", count: 65537))])
          $0.file("rootimg/a", "x")
        })
    },
    tree("five megabytes of attributes", "too many") {
      gzip(
        goodTarTree { tar in
          for part in 0..<2 {
            tar.pax(
              (0..<45).map {
                ("SCHILY.xattr.user.\(part).\($0)", String(repeating: "v", count: 60_000))
              })
          }
          tar.file("rootimg/a", "x")
        })
    },
    tree("cpio names of one inode with two contents", "content differs") {
      gzip(
        goodTree {
          $0.entry("rootimg/a", mode: 0o100644, [1], links: 2, inode: 77)
          $0.entry("rootimg/b", mode: 0o100644, [2], links: 2, inode: 77)
        })
    },
    tree("cpio names of one inode, one of them setuid", "different attributes") {
      gzip(
        goodTree {
          $0.entry("rootimg/a", mode: 0o100644, [1], links: 2, inode: 77)
          $0.entry("rootimg/b", mode: 0o104755, links: 2, inode: 77)
        })
    },
    tree("a tree of 10 GiB of zeros", "expands") {
      gzip(
        goodTree(ends: false) { $0.entry("rootimg/a", mode: 0o100644, claimedSize: 0xffff_fffe) })
        + tenGibibytesOfZeros
    },
    tree("a tree of 10 GiB of zeros in zstd", "expand") {
      RawZstd.stored(
        goodTree(ends: false) { $0.entry("rootimg/a", mode: 0o100644, claimedSize: 0xffff_fffe) })
        + RawZstd.zeros(10 << 30)
    },
    // gzip's fastest way makes 230 of 1, and of that again as many: each stream keeps the limit.
    tree("a tree that each of two streams lets pass", "bundle's", "expand") {
      let one = gzip([UInt8](repeating: 0, count: 16 << 20), level: 1)
      return gzip(
        goodTree(ends: false) { $0.entry("rootimg/a", mode: 0o100644, claimedSize: 0xffff_fffe) })
        + (0..<64).flatMap { _ in one }
    },
    tree("a zstd tree whose window is 2 GiB", "memory") {
      RawZstd.zeros(1000, windowLog: 31)
    },
    tree("a zstd tree whose window is 128 MiB, within a bundle that may have one too", "memory") {
      RawZstd.zeros(1000, windowLog: 27)
    },
    tree("an xz tree whose dictionary is 4 GiB", "memory") {
      RawXz.giantDictionary(goodTree { _ in })
    },
  ]

  private static func tree(
    _ name: String, _ words: String..., bytes: @escaping @Sendable () -> [UInt8]
  ) -> TreeArchive {
    TreeArchive(name: name, words: words, bytes: bytes)
  }

  // MARK: Complete bundles

  private static let location = "\(ManifestDraft.boot)/rootimg"

  static let closures: [HostileBundle] = [
    closure("a complete tree that is cut", "complete/rootimg.tar.zst", "cut off") {
      Array(RawZstd.stored(goodTarTree { _ in }).dropLast(100))
    },
    closure("a complete tree without an end", "complete/rootimg.tar.zst", "end mark") {
      RawZstd.stored(goodTarTree(ends: false) { _ in })
    },
    closure("a complete tree with garbage behind it", "damaged") {
      RawZstd.stored(goodTarTree { _ in }) + [1, 2, 3, 4, 5]
    },
    closure("a complete tree whose window is 2 GiB", "memory") {
      RawZstd.zeros(1000, windowLog: 31)
    },
    closure("a complete tree of 10 GiB of zeros", "expand") { RawZstd.zeros(10 << 30) },
    closure("a complete tree that leads out", "leads out") {
      RawZstd.stored(goodTarTree { $0.file("rootimg/../evil", "x") })
    },
    closure("a complete tree that writes through its link", "lies below") {
      RawZstd.stored(
        goodTarTree {
          $0.header("rootimg/out", type: "2", link: "/etc")
          $0.file("rootimg/out/evil", "x")
        })
    },
    closure(
      "a complete tree to /etc", "rootimg.tar.zst", "outside", path: "/etc"
    ) { RawZstd.stored(goodTarTree { _ in }) },
    closure(
      "a complete tree over the install folder", "rootimg.tar.zst", "outside", path: "/install"
    ) { RawZstd.stored(goodTarTree { _ in }) },
    closure(
      "a complete tree over the boot files", "below", path: ManifestDraft.boot
    ) { RawZstd.stored(goodTarTree { _ in }) },
    closure("a complete tree with dots", "clean absolute path", path: "/install/../etc") {
      RawZstd.stored(goodTarTree { _ in })
    },
    closure("a complete tree that is relative", "clean absolute path", path: "rootimg") {
      RawZstd.stored(goodTarTree { _ in })
    },
    .manifest("a complete tree that is not there", "rootimg.tar.zst", "not in the bundle") {
      $0.lines = [closureLine("complete/rootimg.tar.zst", location, "tree")]
    },
    .manifest("a closure without a path", "<member> or <path>") {
      $0.lines = ["<closure><member>complete/x</member></closure>"]
    },
    .manifest("a closure that leads out", "complete/../../x", "not in the bundle") {
      $0.lines = [closureLine("complete/../../x", "/install/x", "file")]
    },
    .manifest("a closure that is a command", "path", "shell") {
      $0.lines = [closureLine("complete/x", "/install/$(reboot)", "file")]
    },
    .manifest("20,000 closures", "not in the bundle") {
      $0.lines = (0..<20_000).map { closureLine("complete/\($0)", "/install/x/\($0)", "file") }
    },
  ]

  static func closureLine(_ member: String, _ path: String, _ kind: String) -> String {
    "<closure><kind>\(kind)</kind><member>\(member)</member><path>\(path)</path></closure>"
  }

  private static func closure(
    _ name: String, _ words: String..., path: String = location,
    bytes: @escaping @Sendable () -> [UInt8]
  ) -> HostileBundle {
    HostileBundle(name, words: words) {
      var draft = BundleDraft()
      draft.manifest.lines = [closureLine("complete/rootimg.tar.zst", path, "tree")]
      return draft.bundle { $0.file("./\(directory)/complete/rootimg.tar.zst", bytes()) }
    }
  }
}

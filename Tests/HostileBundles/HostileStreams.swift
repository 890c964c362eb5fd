// Sizes that lie, bombs, streams that end too early, and bundles in which something is missing.

private let directory = BundleDraft.directory

extension HostileBundle {
  static let sizes: [HostileBundle] = [
    .adding("a negative size", "size") {
      $0.header("\(directory)/x") { $0.put([UInt8](repeating: 0xff, count: 12), at: 124) }
    },
    .adding("a size of 2^94", "size", "out of range") {
      $0.header("\(directory)/x") { $0.put([0xbf] + [UInt8](repeating: 0xff, count: 11), at: 124) }
    },
    .adding("a size of 2^63", "size") {
      $0.header("\(directory)/x") { $0.put([0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], at: 124) }
    },
    .adding("a size of 2^63 - 1", "ends inside") {
      $0.header("\(directory)/x") {
        $0.put([0x80, 0, 0, 0, 0x7f] + [UInt8](repeating: 0xff, count: 7), at: 124)
      }
    },
    .adding("a size that is not a number", "size is not a number") {
      $0.header("\(directory)/x") { $0.put(Array("99999999999\u{0}".utf8), at: 124) }
    },
    .adding("a size with a sign", "size is not a number") {
      $0.header("\(directory)/x") { $0.put(Array("-0000000001\u{0}".utf8), at: 124) }
    },
    .adding("a size larger than the rest", "\(directory)/x", "ends inside") {
      $0.header("\(directory)/x", size: 1 << 20)
      $0.content([1, 2, 3])
    },
    .adding("a pax size larger than the rest", "ends inside") {
      $0.pax([("size", "9223372036854775807")])
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax size of 2^64", "pax size is not a number") {
      $0.pax([("size", "18446744073709551616")])
      $0.file("\(directory)/x", "x")
    },
    .adding("a negative pax size", "pax size is not a number") {
      $0.pax([("size", "-1")])
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax size smaller than the header's", "checksum") {
      $0.pax([("size", "1")])
      $0.file("\(directory)/x", [UInt8](repeating: 0x58, count: 2000))
    },
    .adding("an owner that is not a number", "owner") {
      $0.header("\(directory)/x") { $0.put(Array("root\u{0}\u{0}\u{0}\u{0}".utf8), at: 108) }
    },
    .adding("an owner out of range", "owner is out of range") {
      $0.header("\(directory)/x") { $0.put([0x80, 0, 1, 1, 1, 1, 1, 1], at: 108) }
    },
    .adding("a pax time that is not a number", "pax time") {
      $0.pax([("mtime", "yesterday")])
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax time before all time", "pax time") {
      $0.pax([("mtime", "-9223372036854775808.5")])
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax record longer than its header", "pax record") {
      $0.rawPax(Array("9999 path=x\n".utf8))
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax record of no length", "pax record") {
      $0.rawPax(Array("0 path=x\n".utf8))
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax record of negative length", "pax record") {
      $0.rawPax(Array("-12 path=x\n".utf8))
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax record whose length has a sign", "pax record") {
      $0.rawPax(Array("+10 path=x\n".utf8))
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax record without its end", "pax record") {
      $0.rawPax(Array("10 path=xy".utf8))
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax record without a value", "pax record") {
      $0.rawPax(Array("8 pathx\n".utf8))
      $0.file("\(directory)/x", "x")
    },
    .adding("a pax header of 5 MiB", "too many") {
      $0.rawPax([UInt8](repeating: 0x20, count: 5 << 20))
    },
    .adding("a hundred header records", "too many header records") {
      for _ in 0..<100 { $0.pax([("a", "b")]) }
      $0.file("\(directory)/x", "x")
    },
    .adding("a header whose checksum is wrong", "checksum") {
      $0.header("\(directory)/x", spoil: true)
    },
    .adding("noise where a header must be", "checksum") {
      $0.raw((0..<512).map { UInt8(truncatingIfNeeded: $0 &* 37) })
    },
    .adding("names of 20 MB together", "names of more than") { tar in
      let name = String(repeating: String(repeating: "n", count: 63) + "/", count: 60)
      for i in 0..<5000 {
        tar.longName("\(directory)/\(name)\(i)")
        tar.header("x")
      }
    },
    .adding("100,001 members", "members") { tar in
      var one = RawTar()
      one.directory("\(directory)/d/")
      let many = (0..<1000).flatMap { _ in one.bytes }
      for _ in 0..<101 { tar.raw(many) }
    },
  ]

  /// Streams of a few megabytes that become many gigabytes.
  static let bombs: [HostileBundle] = [
    HostileBundle("a root image of 10 GiB of zeros", "rootimg.cpio.gz", "expands") {
      var draft = BundleDraft()
      draft.files.removeAll { $0.name == "rootimg.cpio.gz" }
      var tar = draft.tar
      tar.header("./\(directory)/rootimg.cpio.gz", size: 10 << 30)
      return gzip(tar.bytes) + tenGibibytesOfZeros
    },
    HostileBundle("10 GiB of zeros in a member that nothing names", "expands") {
      var tar = BundleDraft().tar
      tar.header("./\(directory)/unnamed", size: 10 << 30)
      return gzip(tar.bytes) + tenGibibytesOfZeros
    },
    HostileBundle("10 GiB of zeros after the archive's end", "expands") {
      BundleDraft().bundle() + tenGibibytesOfZeros
    },
    HostileBundle("10 GiB of zeros before the archive", "bundle") { tenGibibytesOfZeros },
    HostileBundle("a manifest of 10 GiB of zeros", "manifest.xml") {
      var tar = RawTar()
      tar.header("./\(directory)/manifest.xml", size: 10 << 30)
      return gzip(tar.bytes) + tenGibibytesOfZeros
    },
    HostileBundle("a folder whose content is 10 GiB of zeros", "bundle") {
      var tar = RawTar()
      tar.header("./\(directory)/", type: "5", size: 10 << 30)
      return gzip(tar.bytes) + tenGibibytesOfZeros
    },
  ]

  /// gzip members of 16 MiB each: 10 MB in all.
  static let tenGibibytesOfZeros: [UInt8] = {
    let one = gzip([UInt8](repeating: 0, count: 16 << 20), level: 9)
    return (0..<640).flatMap { _ in one }
  }()

  static let truncations: [HostileBundle] =
    [1, 2, 5, 9, 10, 11, 18, 100, 300, 500, 600, 700].map { length in
      HostileBundle("the first \(length) bytes of a bundle", "bundle") {
        Array(BundleDraft().bundle().prefix(length))
      }
    }
    + (1...9).map { missing in
      HostileBundle("a bundle that lacks its last \(missing) bytes", "cut off") {
        Array(BundleDraft().bundle().dropLast(missing))
      }
    } + [
      HostileBundle("nothing at all", "end mark") { [] },
      HostileBundle("text", "not a tar archive") {
        Array("It was a dark and stormy night.\n".utf8)
      },
      HostileBundle("a gzip of text", "not a tar archive") { gzip(Array("dark and stormy".utf8)) },
      HostileBundle("a gzip of nothing", "manifest.xml") { gzip([]) },
      HostileBundle("a gzip within a gzip", "not a tar archive") { gzip(BundleDraft().bundle()) },
      HostileBundle("a wrong CRC", "damaged") { flipped(at: 8) },
      HostileBundle("a wrong length", "damaged") { flipped(at: 4) },
      HostileBundle("garbage after the gzip stream", "damaged") {
        BundleDraft().bundle() + Array("garbage".utf8)
      },
      HostileBundle("a method that gzip does not have", "damaged") {
        var bytes = BundleDraft().bundle()
        bytes[2] = 9
        return bytes
      },
      HostileBundle("a gzip header whose name never ends", "cut off") {
        [0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3] + [UInt8](repeating: 0x61, count: 1 << 20)
      },
      HostileBundle("a deflate block that is none", "damaged") {
        Array(BundleDraft().bundle().prefix(10)) + [UInt8](repeating: 0xff, count: 100)
      },
      HostileBundle("an archive cut inside a header", "cut off") {
        var tar = BundleDraft().tar
        tar.header("\(directory)/x")
        return gzip(Array(tar.bytes.dropLast(100)))
      },
      HostileBundle("an archive cut inside a file", "ends inside") {
        var tar = BundleDraft().tar
        tar.header("\(directory)/x", size: 1000)
        tar.raw([1, 2, 3])
        return gzip(tar.bytes)
      },
      HostileBundle("an archive cut inside a file's padding", "ends inside") {
        var tar = BundleDraft().tar
        tar.header("\(directory)/x", size: 3)
        tar.raw([1, 2, 3])
        return gzip(tar.bytes)
      },
      HostileBundle("an archive cut inside its manifest", "manifest.xml", "ends inside") {
        gzip(Array(BundleDraft().tar.bytes.prefix(1600)))
      },
      HostileBundle("an archive cut inside a long name", "cut off") {
        var tar = BundleDraft().tar
        tar.header("././@LongLink", type: "L", size: 3000)
        return gzip(tar.bytes)
      },
      HostileBundle("a plain archive, cut", "cut off") {
        Array(BundleDraft().tar { _ in }.prefix(700))
      },
    ]

  private static func flipped(at fromEnd: Int) -> [UInt8] {
    var bytes = BundleDraft().bundle()
    bytes[bytes.count - fromEnd] ^= 1
    return bytes
  }

  static let incomplete: [HostileBundle] =
    ["kernel", "initrd-stateless.gz", "rootimg.cpio.gz", "tiny.exlist", "extra/tinyscript"].map {
      name in
      HostileBundle("without \(name)", name, "not in the bundle") {
        BundleDraft().replacing(name) { _ in }
      }
    } + [
      HostileBundle("no manifest", "manifest.xml") {
        var tar = RawTar()
        tar.directory("./\(directory)/")
        tar.file("./\(directory)/kernel", "x")
        tar.end()
        return gzip(tar.bytes)
      },
      HostileBundle("an archive of nothing", "manifest.xml") {
        var tar = RawTar()
        tar.end()
        return gzip(tar.bytes)
      },
      HostileBundle("a kernel that is a folder", "kernel", "not in the bundle") {
        BundleDraft().replacing("kernel") { $0.directory("./\(directory)/kernel/") }
      },
      .manifest("a list missing in the bundle", "other.pkglist", "not in the bundle") {
        $0.linuximage["pkglist"] = "\(ManifestDraft.custom)/other.pkglist"
      },
    ]
    + ["imagename", "provmethod", "profile", "osvers", "osarch"].map { field in
      .manifest("no \(field)", field, "not defined") { $0.osimage[field] = nil }
    }
}

extension BundleDraft {
  /// The part after the last slash.
  static func baseName(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? ""
  }
}

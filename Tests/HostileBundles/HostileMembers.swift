// Members with names that lead out, members that are no files, and members that stand twice.

private let directory = BundleDraft.directory

extension HostileBundle {
  static let names: [HostileBundle] = [
    .adding("absolute name", "/etc/cron.d/evil", "absolute") { $0.file("/etc/cron.d/evil", "x") },
    .adding("absolute name with two slashes", "absolute") { $0.file("//etc/evil", "x") },
    .adding("absolute folder", "absolute") { $0.directory("/etc/") },
    .adding("absolute name by pax", "absolute") {
      $0.pax([("path", "/etc/evil")])
      $0.file("harmless", "x")
    },
    .adding("absolute name by a global pax header", "absolute") {
      $0.pax([("path", "/etc/evil")], type: "g")
      $0.file("harmless", "x")
    },
    .adding("absolute name by GNU long name", "absolute") {
      $0.longName("/etc/evil")
      $0.file("harmless", "x")
    },
    .adding("absolute name by ustar prefix", "absolute") {
      $0.header("evil") { $0.put(Array("/etc".utf8), at: 345) }
    },
    .adding("dots inside a name", "leads out") { $0.file("\(directory)/../../etc/x", "x") },
    .adding("dots behind a dot", "leads out") { $0.file("./\(directory)/../../x", "x") },
    .adding("dots that stay inside", "leads out") { $0.file("\(directory)/a/../b", "x") },
    .adding("dots alone", "leads out") { $0.directory("..") },
    .adding("dots at the end", "leads out") { $0.directory("\(directory)/..") },
    .adding("dots by pax", "leads out") {
      $0.pax([("path", "\(directory)/../../../evil")])
      $0.file("harmless", "x")
    },
    .adding("dots by GNU long name", "leads out") {
      $0.longName("../../evil")
      $0.file("harmless", "x")
    },
    .adding("dots by ustar prefix", "leads out") {
      $0.header("x") { $0.put(Array("../..".utf8), at: 345) }
    },
    .adding("a component of 256 bytes", "255") {
      $0.longName("\(directory)/" + String(repeating: "n", count: 256))
      $0.file("n", "x")
    },
    .adding("a hundred levels", "too deep") {
      $0.file(String(repeating: "a/", count: 40) + "x", "x")
      $0.longName("\(directory)/" + String(repeating: "a/", count: 100) + "x")
      $0.file("n", "x")
    },
    .adding("a name of 5,000 bytes", "too long") {
      $0.longName("\(directory)/" + String(repeating: "abcd/", count: 1000))
      $0.file("n", "x")
    },
    .adding("a name that is not UTF-8", "not UTF-8", "\\xff\\xfe") {
      $0.header(Array("\(directory)/".utf8) + [0xff, 0xfe])
    },
    .adding("an overlong slash", "not UTF-8") {
      $0.header(Array("\(directory)/..".utf8) + [0xc0, 0xaf] + Array("x".utf8))
    },
    .adding("a terminal escape in a name", "control character", "\\x1b") {
      $0.file("\(directory)/\u{1b}]0;owned\u{7}", "x")
    },
    .adding("a newline in a name", "control character") { $0.file("\(directory)/a\nb", "x") },
    .adding("an eight-bit terminal escape in a name", "control character") {
      $0.file("\(directory)/\u{9b}31m", "x")
    },
    .adding("an escape in a folder's name", "control character") {
      $0.directory("\(directory)/\u{1b}[2J/")
    },
    .adding("text that runs backwards in a name", "control character") {
      $0.file("\(directory)/\u{202e}gpj.exe", "x")
    },
    .adding("a NUL in a pax name", "NUL") {
      $0.pax([("path", "\(directory)/a\u{0}b")])
      $0.file("harmless", "x")
    },
    .adding("no name", "without a name") { $0.file("", "x") },
    .adding("a dot for a name", "without a name") { $0.file(".", "x") },
    .adding("outside the image's folder", "no image's directory") { $0.file("evil", "x") },
    .adding(
      "a manifest's name below a third folder", "other/deep/manifest.xml", "no image's directory"
    ) {
      $0.file("other/deep/manifest.xml", "x")
    },
    .adding("long name of a gigabyte", "too many") {
      $0.header("././@LongLink", type: "L", size: 1 << 30)
    },
    .adding("long link of a gigabyte", "too many") {
      $0.header("././@LongLink", type: "K", size: 1 << 30)
    },
  ]

  static let kinds: [HostileBundle] = [
    .adding("symbolic link, absolute", "is a link") {
      $0.header("\(directory)/evil", type: "2", link: "/etc/shadow")
    },
    .adding("symbolic link, relative", "is a link") {
      $0.header("\(directory)/evil", type: "2", link: "../../../etc/shadow")
    },
    .adding("symbolic link inside", "is a link") {
      $0.header("\(directory)/evil", type: "2", link: "kernel")
    },
    .adding("a chain of symbolic links", "is a link") {
      $0.header("\(directory)/a", type: "2", link: "b")
      $0.header("\(directory)/b", type: "2", link: "../..")
    },
    .adding("a link and a member through it", "is a link") {
      $0.header("\(directory)/out", type: "2", link: "/etc")
      $0.file("\(directory)/out/cron.d/evil", "x")
    },
    HostileBundle("the image's folder is a link", "is a link") {
      var tar = RawTar()
      tar.header("./\(directory)", type: "2", link: "/etc")
      tar.raw(BundleDraft().tar { _ in })
      return gzip(tar.bytes)
    },
    HostileBundle("the kernel is a link", "is a link", "kernel") {
      BundleDraft().replacing("kernel") {
        $0.header("./\(directory)/kernel", type: "2", link: "/etc/shadow")
      }
    },
    HostileBundle("the manifest is a link", "is a link", "manifest.xml") {
      var tar = RawTar()
      tar.header("./\(directory)/manifest.xml", type: "2", link: "/etc/passwd")
      tar.end()
      return gzip(tar.bytes)
    },
    .adding("hard link out", "is a link") {
      $0.header("\(directory)/evil", type: "1", link: "/etc/passwd")
    },
    .adding("hard link inside", "is a link") {
      $0.header("\(directory)/evil", type: "1", link: "\(directory)/kernel")
    },
    .adding("character device", "is a device") {
      $0.header("\(directory)/mem", type: "3") { $0.putOctal(1, at: 329, width: 8) }
    },
    .adding("block device", "is a device") {
      $0.header("\(directory)/sda", type: "4") { $0.putOctal(8, at: 329, width: 8) }
    },
    .adding("fifo", "a fifo") { $0.header("\(directory)/pipe", type: "6") },
    .adding("device with an impossible number", "device is out of range") {
      $0.header("\(directory)/mem", type: "3") { $0.put([0x80, 1, 1, 1, 1, 1, 1, 1], at: 329) }
    },
    .adding("continued from another volume", "type 'M'") { $0.header("\(directory)/m", type: "M") },
    .adding("pax sparse file of 8 EiB", "sparse") {
      $0.pax([
        ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"),
        ("GNU.sparse.realsize", "9223372036854775807"), ("GNU.sparse.name", "\(directory)/s"),
      ])
      $0.file("\(directory)/GNUSparseFile.0/s", "1\n0\n512\n")
    },
    .adding("pax sparse map", "sparse") {
      $0.pax([("GNU.sparse.map", "0,18446744073709551615"), ("GNU.sparse.size", "-1")])
      $0.file("\(directory)/s", "x")
    },
    .adding("unknown type", "type 'Z'") { $0.header("\(directory)/x", type: "Z") },
    .adding("a type that is a terminal escape", "\\x1b") {
      $0.header("\(directory)/x", type: "\u{1b}")
    },
    .adding("a type that is not ASCII", "\\xff") {
      $0.header("\(directory)/x") { $0.put([0xff], at: 156) }
    },
  ]

  static let doubles: [HostileBundle] = [
    .adding("a file twice", "kernel", "twice") { $0.file("./\(directory)/kernel", "other") },
    .adding("a file twice, without the dot", "twice") { $0.file("\(directory)/kernel", "other") },
    .adding("a file twice, with two slashes", "twice") { $0.file("\(directory)//kernel", "other") },
    .adding("a file twice, spelled otherwise in Unicode", "twice") {
      $0.file("\(directory)/e\u{301}", "x")
      $0.file("\(directory)/\u{e9}", "x")
    },
    .adding("a file and a folder of one name", "kernel", "twice") {
      $0.directory("./\(directory)/kernel/")
    },
    .adding("a folder and a file of one name", "twice") {
      $0.directory("./\(directory)/both/")
      $0.file("./\(directory)/both", "x")
    },
    .adding("a file below a file", "kernel/x", "lies below") {
      $0.file("./\(directory)/kernel/x", "x")
    },
    .adding("a file where a folder must be", "lies below") { $0.file("./\(directory)/extra", "x") },
    .adding("the manifest twice", "manifest.xml", "twice") {
      $0.file("./\(directory)/manifest.xml", ManifestDraft().text)
    },
    .adding("a manifest above the other", "and another in a directory") {
      $0.file("manifest.xml", ManifestDraft().text)
    },
    .adding("the same image in a second folder", "is named by the manifest, but is not in") {
      $0.file("./second/manifest.xml", ManifestDraft().text)
    },
    HostileBundle("a folder that is the manifest", "manifest.xml") {
      var tar = RawTar()
      tar.directory("./\(directory)/")
      tar.directory("./\(directory)/manifest.xml/")
      tar.end()
      return gzip(tar.bytes)
    },
  ]
}

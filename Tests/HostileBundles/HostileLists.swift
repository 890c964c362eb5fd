// Kits, litefile.csv, node lists, bundles of several images, checksums that lie, and compressed
// streams other than gzip.

private let directory = BundleDraft.directory

extension HostileBundle {
  static let kits: [HostileBundle] = [
    kit("a kit's folder that is /etc", "kitdir", "outside") {
      $0 = "<kit><kitname>k1</kitname><kitdir>/etc/k1</kitdir></kit>"
    },
    kit("a kit's folder that is the install folder", "kitdir", "below") {
      $0 = "<kit><kitname>k1</kitname><kitdir>/install</kitdir></kit>"
    },
    kit("a kit's folder with dots", "kitdir") {
      $0 = "<kit><kitname>k1</kitname><kitdir>/install/../etc/k1</kitdir></kit>"
    },
    kit("a kit's folder that is relative", "kitdir") {
      $0 = "<kit><kitname>k1</kitname><kitdir>kits/k1</kitdir></kit>"
    },
    kit("a kit's repository outside", "kitrepodir", "outside") {
      $0 =
        "<kitrepo><kitreponame>r</kitreponame><kitname>k1</kitname>"
        + "<kitrepodir>/etc/yum.repos.d</kitrepodir></kitrepo>"
    },
    kit("a kit's repository with dots", "kitrepodir") {
      $0 =
        "<kitrepo><kitreponame>r</kitreponame><kitname>k1</kitname>"
        + "<kitrepodir>/install/../etc</kitrepodir></kitrepo>"
    },
    kit("a kit called as a path", "kitname", "part of a path") {
      $0 = "<kit><kitname>../../etc/k1</kitname><kitdir>/install/kits/k1</kitdir></kit>"
    },
    kit("a kit called dots", "kitname", "part of a path") {
      $0 = "<kit><kitname>..</kitname><kitdir>/install/kits/k1</kitdir></kit>"
    },
    kit("a kit called as a path, its slash hidden by a mark", "combining mark") {
      $0 = "<kit><kitname>../\u{301}evil</kitname><kitdir>/install/k1</kitdir></kit>"
    },
    kit("a kit called as a command", "kitname", "shell") {
      $0 = "<kit><kitname>k;reboot</kitname><kitdir>/install/kits/k1</kitdir></kit>"
    },
    kit("a kit component whose script is a command", "postbootscripts", "shell") {
      $0 =
        "<kitcomp><kitcompname>c</kitcompname><kitname>k1</kitname>"
        + "<postbootscripts>a`reboot`</postbootscripts></kitcomp>"
    },
    kit("a kit component whose genimage script is a command", "genimage_postinstall", "shell") {
      $0 =
        "<kitcomp><kitcompname>c</kitcompname><kitname>k1</kitname>"
        + "<genimage_postinstall>x|sh</genimage_postinstall></kitcomp>"
    },
    kit("a kit that clears the screen", "description", "control") {
      $0 =
        "<kit><kitname>k1</kitname><kitdir>/install/kits/k1</kitdir>"
        + "<description>\u{9b}2J</description></kit>"
    },
    kit("a kit in two ways", "two ways") {
      $0 = "<kit><kitname>k1</kitname><kitdir>/install/kits/k2</kitdir></kit>"
    },
    kit("a kit without a name", "without a name") {
      $0 = "<kit><kitdir>/install/kits/k9</kitdir></kit>"
    },
    kit("a kit that is not there", "k9", "not in the bundle") {
      $0 = "<kit><kitname>k9</kitname><kitdir>/install/kits/k9</kitdir></kit>"
    },
    kit("a kit that is a file", "kernel", "not in the bundle") {
      $0 = "<kit><kitname>kx</kitname><kitdir>/install/kits/kernelfile</kitdir></kit>"
    },
    kit("a kit in the place of the image's folder", "below") {
      $0 = "<kit><kitname>tiny</kitname><kitdir>/install/netboot/rhels9/x86_64/k1</kitdir></kit>"
    },
    kit("30,000 kits", "kit", "more than") {
      $0 = (0..<30_000).map { "<kit><kitname>k\($0)</kitname></kit>" }.joined()
    },
    kit("a kit that is an element of elements", "manifest.xml") {
      $0 = "<kit><a><b><c>1</c></b></a></kit>"
    },
    trusted(
      HostileBundle("a trusted plugin below a file of the kit", "lies below") {
        BundleDraft.withDirectories.bundle { $0.file("./\(directory)/k1/plugins/Evil.pm/x", "x") }
      }),
    trusted(
      HostileBundle("a trusted plugin that leads out", "leads out") {
        BundleDraft.withDirectories.bundle {
          $0.file("./\(directory)/k1/plugins/../../../x.pm", "x")
        }
      }),
  ]

  private static func kit(
    _ name: String, _ words: String..., line: @escaping @Sendable (inout String) -> Void
  ) -> HostileBundle {
    HostileBundle(name, words: words) {
      var draft = BundleDraft.withDirectories
      var text = ""
      line(&text)
      // A second row for the one kit would only be a kit in two ways.
      if text.hasPrefix("<kit>"), !text.contains("two ways"), !name.contains("two ways") {
        draft.manifest.lines.removeFirst()
      }
      draft.manifest.lines.append(text)
      draft.files.append(("kernelfile", [1]))
      return draft.bundle()
    }
  }

  private static func trusted(_ bundle: HostileBundle) -> HostileBundle {
    var trusted = bundle
    trusted.trustsPlugins = true
    return trusted
  }

  // MARK: Lists of files and nodes

  static let lists: [HostileBundle] = [
    litefile("a litefile row with a relative path", "litefile.csv, line 2", "absolute path") {
      "\"i\",\"etc/hosts\",\"tmpfs,rw\",,\n"
    },
    litefile("a litefile row with a pattern", "litefile.file", "shell") {
      "\"i\",\"/etc/*\",\"tmpfs,rw\",,\n"
    },
    litefile("a litefile row of two paths", "litefile.file", "blank") {
      "\"i\",\"/etc/x /victim\",\"tmpfs,rw\",,\n"
    },
    litefile("litefile options that nobody knows", "litefile.options", "one of") {
      "\"i\",\"/etc/hosts\",\"evil\",,\n"
    },
    litefile("a litefile row with dots", "litefile.csv", "absolute path") {
      "\"i\",\"/../../etc/shadow\",\"tmpfs,rw\",,\n"
    },
    litefile("a litefile row with a newline", "litefile.csv", "control character") {
      "\"i\",\"/etc/a\nb\",\"tmpfs,rw\",,\n"
    },
    litefile("a litefile row with an escape", "litefile.csv", "control character") {
      "\"i\",\"/etc/\u{1b}[2J\",\"tmpfs,rw\",,\n"
    },
    litefile("a litefile row with an escape of eight bits", "litefile.csv", "control character") {
      "\"i\",\"/etc/\u{9b}2J\",\"tmpfs,rw\",,\n"
    },
    litefile("litefile options with an escape", "litefile.csv", "control character") {
      "\"i\",\"/etc/hosts\",\"\u{1b}[2J\",,\n"
    },
    litefile("a litefile row that is a command", "litefile.csv", "shell") {
      "\"i\",\"/etc/$(reboot)\",\"tmpfs,rw\",,\n"
    },
    litefile("litefile options that are a command", "litefile.csv", "litefile.options") {
      "\"i\",\"/etc/hosts\",\"tmpfs;reboot\",,\n"
    },
    litefile("a litefile row with a slash hidden by a mark", "litefile.csv", "combining mark") {
      "\"i\",\"/etc/../\u{301}x\",\"tmpfs,rw\",,\n"
    },
    litefile("a litefile row of two values", "litefile.csv", "not of the form") {
      "\"i\",\"/etc/hosts\"\n"
    },
    litefile("a quote that never ends", "litefile.csv", "never closed") { "\"i\",\"/etc/hosts\n" },
    litefile("a quote inside a value", "litefile.csv", "quote") { "i,/etc/ho\"sts,rw,,\n" },
    litefile("text behind a quote", "litefile.csv", "after a closing quote") {
      "\"i\"x,\"/etc/hosts\",rw,,\n"
    },
    HostileBundle("a litefile that is not UTF-8", "litefile.csv", "not UTF-8") {
      statelite(litefile: Array("\"i\",\"/etc/".utf8) + [0xff, 0xfe] + Array("\",rw,,\n".utf8))
    },
    HostileBundle("a litefile with NULs", "litefile.csv", "control character") {
      statelite(litefile: Array("\"i\",\"/etc/".utf8) + [0] + Array("\",rw,,\n".utf8))
    },
    HostileBundle("a litefile of 17 MiB", "litefile.csv", "16 MiB") {
      statelite(litefile: [UInt8](repeating: 0x0a, count: 17 << 20))
    },
    HostileBundle("a litefile that is a program", "litefile.csv") {
      statelite(litefile: [0x7f, 0x45, 0x4c, 0x46] + [UInt8](repeating: 0, count: 2000))
    },
    nodes("postscripts that are a command, for nodes", "postscripts", "shell") {
      $0.values["postscripts"] = "syslog,$(reboot)"
    },
    nodes("postbootscripts that are a command, for nodes", "postbootscripts", "shell") {
      $0.values["postbootscripts"] = "a|sh"
    },
    nodes("postscripts with a newline, for nodes", "postscripts", "control character") {
      $0.values["postscripts"] = "syslog\nreboot"
    },
    nodes("postscripts of a megabyte, for nodes", "postscripts", "longer") {
      $0.values["postscripts"] = String(repeating: "a,", count: 500_000)
    },
    nodes("postscripts, a comma hidden by a mark, for nodes", "postscripts", "combining mark") {
      $0.values["postscripts"] = "syslog,\u{301}x"
    },
    .manifest("an image's scripts that are a command", "postscripts", "shell") {
      $0.osimage["postscripts"] = "a;b"
    },
    .manifest("an image's environment that steers a terminal", "environvar", "control") {
      $0.osimage["environvar"] = "A=\u{9b}2J"
    },
    .manifest("a profile that is a path, its slash hidden by a mark", "combining mark") {
      $0.osimage["profile"] = "x/\u{301}y"
    },
    .manifest("an image's name, its slash hidden by a mark", "combining mark") {
      $0.osimage["imagename"] = "x/\u{301}y"
    },
    .manifest("a kernel, its slash hidden by a mark", "combining mark") {
      $0.values["kernel"] = "\(ManifestDraft.boot)/\u{301}kernel"
    },
    .manifest("a path of 5,000 levels", "kernel", "too deep") {
      $0.values["kernel"] = "/install/" + String(repeating: "a/", count: 5000) + "kernel"
    },
    .manifest("a path of 30,000 bytes", "kernel", "too long") {
      $0.values["kernel"] =
        "/install/" + String(repeating: String(repeating: "a", count: 250) + "/", count: 120)
        + "kernel"
    },
    .manifest("raw image files that name no file", "rawimagefiles") {
      $0.lines = ["<rawimagefiles><files>/install/..</files></rawimagefiles>"]
    },
    .manifest("a raw image file that is a command", "files", "shell") {
      $0.lines = ["<rawimagefiles><files>/install/raw/$(reboot).img</files></rawimagefiles>"]
    },
    .manifest("raw image files with elements inside", "manifest.xml") {
      $0.lines = ["<rawimagefiles><files><a>1</a></files></rawimagefiles>"]
    },
  ]

  private static func statelite(litefile bytes: [UInt8]) -> [UInt8] {
    var draft = BundleDraft.statelite(tree: gzip(goodTree { _ in }))
    draft.files.removeAll { $0.name == "litefile.csv" }
    draft.files.append(("litefile.csv", bytes))
    return draft.bundle()
  }

  private static func litefile(
    _ name: String, _ words: String..., line: @escaping @Sendable () -> String
  ) -> HostileBundle {
    HostileBundle(name, words: words) {
      statelite(litefile: Array(("\"i\",\"/etc/motd\",\"tmpfs,rw\",,\n" + line()).utf8))
    }
  }

  private static func nodes(
    _ name: String, _ words: String..., edit: @escaping @Sendable (inout ManifestDraft) -> Void
  ) -> HostileBundle {
    var bundle = HostileBundle(name, words: words) {
      var draft = BundleDraft()
      edit(&draft.manifest)
      return draft.bundle()
    }
    bundle.nodes = "n1"
    return bundle
  }

  // MARK: Several images

  static let several: [HostileBundle] = [
    HostileBundle("two images of one name", "more than once") {
      both { _ in }
    },
    HostileBundle("two images with one kernel", "one content in", "another in") {
      both { draft in
        rename(&draft)
        draft.files.removeAll { $0.name == "kernel" }
        draft.files.append(("kernel", [1, 2, 3]))
      }
    },
    HostileBundle("two images, one outside", "outside", "/etc/cron.d") {
      both { draft in
        rename(&draft)
        draft.manifest.values["kernel"] = "/etc/cron.d/kernel"
      }
    },
    HostileBundle("two images, one without its kernel", "kernel", "not in the bundle") {
      both { draft in
        rename(&draft)
        draft.files.removeAll { $0.name == "kernel" }
      }
    },
    HostileBundle("two images, one with a manifest that is none", "manifest.xml") {
      both { draft in draft.manifestBytes = Array("<xcatimage>".utf8) }
    },
    HostileBundle("a second folder without a manifest", "no image's directory") {
      BundleDraft().bundle { $0.file("./second/kernel", "x") }
    },
    HostileBundle("ten manifests of 16 MiB", "32 MiB") {
      var tar = RawTar()
      let blank = [UInt8](repeating: 0x20, count: 16 << 20)
      for i in 0..<10 { tar.file("\(i)/manifest.xml", blank) }
      tar.end()
      return gzip(tar.bytes)
    },
    HostileBundle("10,000 manifests", "manifest.xml") {
      var tar = RawTar()
      for i in 0..<10_000 { tar.file("\(i)/manifest.xml", "x") }
      tar.end()
      return gzip(tar.bytes)
    },
    lying("a kernel whose checksum lies", "kernel", "SHA-256") { tar in
      tar.file("./\(directory)/kernel", [UInt8](repeating: 0x4b, count: 1500))
    },
    HostileBundle("a manifest whose checksum lies", "manifest.xml", "SHA-256") {
      var tar = RawTar()
      tar.pax([("comment", "sha256=" + String(repeating: "0", count: 64))])
      tar.file("./\(directory)/manifest.xml", ManifestDraft().text)
      tar.end()
      return gzip(tar.bytes)
    },
    HostileBundle("a tree whose checksum lies", "rootimgtree.gz", "SHA-256") {
      var draft = BundleDraft.statelite(tree: [])
      draft.files.removeAll { $0.name == "rootimgtree.gz" }
      return draft.bundle {
        $0.pax([("comment", "sha256=" + String(repeating: "0", count: 64))])
        $0.file("./\(directory)/rootimgtree.gz", gzip(goodTree { _ in }))
      }
    },
    HostileBundle("an invalid checksum", "kernel", "SHA-256") {
      BundleDraft().replacing("kernel") {
        $0.pax([("comment", "sha256=\u{1b}[2J")])
        $0.file("./\(directory)/kernel", [UInt8](repeating: 0x4b, count: 1500))
      }
    },
  ]

  private static func lying(
    _ name: String, _ words: String..., more: @escaping @Sendable (inout RawTar) -> Void
  ) -> HostileBundle {
    HostileBundle(name, words: words) {
      BundleDraft().replacing("kernel") {
        $0.pax([("comment", "sha256=" + String(repeating: "0", count: 64))])
        more(&$0)
      }
    }
  }

  private static func rename(_ draft: inout BundleDraft) {
    draft.manifest.osimage["imagename"] = "second"
    draft.manifest.linuximage["imagename"] = "second"
  }

  private static func both(_ edit: (inout BundleDraft) -> Void) -> [UInt8] {
    var draft = BundleDraft()
    edit(&draft)
    return BundleDraft().bundle { tar in
      tar.file("./second/manifest.xml", draft.manifestBytes ?? Array(draft.manifest.text.utf8))
      for file in draft.files { tar.file("./second/\(file.name)", file.data) }
    }
  }

  // MARK: Other compressions

  static let streams: [HostileBundle] = [
    HostileBundle("a zstd window of 2 GiB", "bundle ", "memory") {
      RawZstd.zeros(1000, windowLog: 31)
    },
    HostileBundle("a zstd window of 256 MiB", "bundle ", "memory") {
      RawZstd.zeros(1000, windowLog: 28)
    },
    HostileBundle("an xz dictionary of 4 GiB", "bundle ", "memory") {
      RawXz.giantDictionary(BundleDraft().tar { _ in })
    },
    HostileBundle("10 GiB of zeros in zstd, in a member", "unnamed", "expands") {
      var tar = BundleDraft().tar
      tar.header("./\(directory)/unnamed", size: 10 << 30)
      return RawZstd.stored(tar.bytes) + RawZstd.zeros(10 << 30)
    },
    HostileBundle("10 GiB of zeros in zstd, behind the archive's end", "expands") {
      RawZstd.stored(BundleDraft().tar { _ in }) + RawZstd.zeros(10 << 30)
    },
    HostileBundle("4 GiB of zeros in xz, in a member", "unnamed", "expands") {
      var tar = BundleDraft().tar
      tar.header("./\(directory)/unnamed", size: 4 << 30)
      let one = RawXz.stream([UInt8](repeating: 0, count: 64 << 20))
      return RawXz.stream(tar.bytes) + (0..<64).flatMap { _ in one }
    },
    HostileBundle("zstd, cut", "cut off") {
      Array(RawZstd.stored(BundleDraft().tar { _ in }).dropLast(9))
    },
    HostileBundle("zstd, damaged", "bundle ") {
      var bytes = RawZstd.stored(BundleDraft().tar { _ in })
      bytes[6] |= 6
      return bytes
    },
    HostileBundle("zstd with garbage behind it", "damaged") {
      RawZstd.stored(BundleDraft().tar { _ in }) + Array("garbage".utf8)
    },
    HostileBundle("zstd that needs a dictionary", "damaged") {
      [0x28, 0xb5, 0x2f, 0xfd, 1, 0x38, 7] + RawZstd.stored(BundleDraft().tar { _ in }).dropFirst(6)
    },
    HostileBundle("a skippable frame of 4 GiB", "cut off") {
      [0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff] + RawZstd.stored(BundleDraft().tar { _ in })
    },
    HostileBundle("xz, cut", "cut off") {
      Array(RawXz.stream(BundleDraft().tar { _ in }).dropLast(9))
    },
    HostileBundle("xz, damaged", "damaged") {
      var bytes = RawXz.stream(BundleDraft().tar { _ in })
      bytes[bytes.count / 2] ^= 0x55
      return bytes
    },
    HostileBundle("xz with garbage behind it", "damaged") {
      RawXz.stream(BundleDraft().tar { _ in }) + Array("garbage, garbage, garbage".utf8)
    },
    HostileBundle("xz in xz", "not a tar archive") {
      RawXz.stream(RawXz.stream(BundleDraft().tar { _ in }))
    },
    HostileBundle("gzip, and zstd behind it", "damaged") {
      gzip(BundleDraft().tar.bytes) + RawZstd.zeros(1000)
    },
  ]
}

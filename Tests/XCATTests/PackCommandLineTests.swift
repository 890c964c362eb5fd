// The command lines of packimage and liteimg, and the effect of a synclist on an image.

import Platform
import Testing
import XCAT

@Suite struct PackCommandLineTests {
  @Test func `packimage's options are parsed as by xCAT`() {
    var expected = PackimageArguments(image: "img")
    (expected.method, expected.compressor, expected.skipsSyncfiles) = ("tar", "xz", true)
    for words in [
      ["-m", "tar", "-c", "xz", "--nosyncfiles", "img"], ["-mtar", "img", "-cxz", "--nosync"],
      ["--method=tar", "--compress", "xz", "--nosyncfiles", "--", "img"],
    ] {
      guard case .run(let arguments) = PackimageCommandLine.read(words) else {
        Issue.record("\(words)")
        continue
      }
      #expect(arguments == expected, "\(words)")
    }
    guard case .run(let plain) = PackimageCommandLine.read(["img"]) else {
      Issue.record("img")
      return
    }
    #expect(plain == PackimageArguments(image: "img"))
  }

  @Test(arguments: [
    (["-m", "zip", "img"], "Invalid archive method 'zip' requested"),
    (["-c", "lzop", "img"], "Invalid compress method 'lzop' requested"),
    (["-m", "cpio"], "An image name is required, use 'packimage <osimage name>'."),
    (
      ["-o", "rhels8", "-p", "compute", "-a", "x86_64"],
      "-o, -p and -a options are obsoleted, please use 'packimage <osimage name>' instead."
    ),
    (["img", "--bogus"], "Unknown option: bogus"),
    (["img", "other"], "Unexpected argument: other"),
    (["img", "-c"], "Option c requires an argument"),
  ])
  func `usage errors of packimage have xCAT's text`(_ words: [String], _ text: String) {
    guard case .invalid(let said) = PackimageCommandLine.read(words) else {
      Issue.record("\(words)")
      return
    }
    #expect(said == text)
  }

  @Test func `help, version and an empty command line are recognized`() {
    for words in [[], ["-h"], ["--help", "img"]] {
      guard case .help = PackimageCommandLine.read(words),
        case .help = LiteimgCommandLine.read(words)
      else {
        Issue.record("\(words)")
        continue
      }
    }
    guard case .version = PackimageCommandLine.read(["-v"]),
      case .version = LiteimgCommandLine.read(["--version"])
    else {
      Issue.record("version")
      return
    }
    guard case .invalid(let text) = LiteimgCommandLine.read(["img", "-p", "x"]) else {
      Issue.record("-p")
      return
    }
    #expect(text == "-o, -p and -a options are not allowed when a image name is specified.")
    var expected = LiteimgArguments(image: "img")
    (expected.rootFileSystem, expected.isVerbose) = ("ramdisk", true)
    guard case .run(let arguments) = LiteimgCommandLine.read(["-Vt", "ramdisk", "img"]) else {
      Issue.record("-V -t")
      return
    }
    #expect(arguments == expected)
  }
}

@Suite struct SyncCopiesTests {
  private let view = FileProvider(
    kind: { path in
      switch path.text {
      case "/s", "/s/dir", "/etc": .directory
      case "/s/a", "/s/b.conf", "/s/.h.conf": .file
      default: .absent
      }
    }, read: { _ in nil },
    list: { $0.text == "/s" ? ["a", "b.conf", ".h.conf", "dir"].map { Array($0.utf8) } : [] })

  private func read(_ text: String) throws -> SyncCopies {
    try SyncCopies(Array(text.utf8), variables: ["N": "a"], in: view)
  }

  @Test func `targets of a synclist are directories where rsync treats them so`() throws {
    let list = try read(
      """
      /s/a -> /x/y
      /s/a -> /x/y/
      /s/a -> /etc
      /s/a /s/b.conf -> /x
      /s/*.conf -> /x/*
      /s/dir/ -> /x
      /s/$N  ->  /z ;
      """)
    #expect(list.problems.isEmpty)
    #expect(list.copies.map(\.isDirectory) == [false, true, true, true, false, false, false])
    #expect(list.copies[4].sources.map(\.path.text) == ["/s/b.conf"])
    #expect(list.copies[5].sources.first?.isContent == true)
    #expect(list.copies[6].sources.first?.path.text == "/s/a")
    #expect(list.copies[6].target.text == "/z")
  }

  @Test func `node lines and clauses of a synclist do not apply to an image`() throws {
    let list = try read(
      "#x -> /y\n\n/s/a -> (n1,n2) /x\n/s/a -> /x\nMERGE:\n/s/a -> /passwd\n")
    #expect(list.copies.count == 1 && list.nodeLines == [3] && list.endLine == 5)
  }

  @Test(arguments: [
    ("/s/a /x", "line 1 has no arrow"), ("/s/none -> /x", "/s/none does not exist"),
    ("/s/a -> x", "'x' is not a clean absolute path"),
    ("/s/a -> /x/../y", "is not a clean absolute path"),
    ("../a -> /x", "../a does not exist"), (" -> /x", "line 1 has no arrow"),
  ])
  func `lines of a synclist that cannot be followed are reported`(_ line: String, _ problem: String)
    throws
  {
    let list = try read(line)
    #expect(list.copies.isEmpty)
    #expect(list.problems.contains { $0.contains(problem) }, "\(list.problems)")
  }
}

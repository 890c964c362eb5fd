// The program under the names packimage and liteimg, and imgstore pack and lite.

import Foundation
import Platform
import TestSupport
import Testing

/// A management node with an image, its tree, and the binary under xCAT's names.
private final class PackEnvironment: Sendable {
  let directory: TemporaryDirectory
  var tree: String { directory.path("root/img/rootimg") }

  init() throws {
    directory = try TemporaryDirectory()
    try shell(
      """
      cd "$1"; mkdir -p bin root/etc/xcat root/img/rootimg/{etc,opt} root/install/postscripts
      for name in packimage liteimg; do ln -s "$2" bin/$name; done
      echo post >root/install/postscripts/xcatdsklspost
      printf 'root:x:1:::::::\\n' >root/img/rootimg/etc/shadow; echo ntp >root/img/rootimg/etc/ntp.conf
      seq 1 50000 >root/img/rootimg/numbers
      """, directory.path, binary)
    let defined = try imgstore(
      "define", "img", "provmethod=netboot", "rootimgdir=/img", "profile=p", "osvers=rhels9",
      "osarch=x86_64")
    try #require(defined.status == 0, "\(defined.errors)")
  }

  var environment: [String: String] {
    [
      "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
      "TZ": "UTC",
    ]
  }

  func imgstore(_ words: String...) throws -> ToolResult {
    try run(binary, arguments: words, environment: environment)
  }

  func call(_ line: String) throws -> ToolResult {
    let words = line.split(separator: " ").map(String.init)
    return try run(
      directory.path("bin/\(words[0])"), arguments: Array(words.dropFirst()),
      environment: environment)
  }

  func sqlite(_ table: String, _ statement: String) throws {
    let result = try run("sqlite3", directory.path("root/etc/xcat/\(table).sqlite"), statement)
    try #require(result.didSucceed, "\(result.errors)")
  }

  func litefile(_ file: String, _ options: String) throws {
    try sqlite(
      "litefile",
      """
      CREATE TABLE IF NOT EXISTS litefile (image VARCHAR(128) NOT NULL, file VARCHAR(128) NOT NULL,
        options TEXT, comments TEXT, disable TEXT, PRIMARY KEY (image, file));
      INSERT INTO litefile (image, file, options) VALUES ('img', '\(file)', '\(options)');
      """)
  }
}

@Suite struct PackNameTests {
  static let packUsage = """
    Usage:
       packimage [-m| --method=cpio|tar|squashfs] [-c| --compress=gzip|pigz|xz|zstd] [--nosyncfiles] \
    <imagename>
       packimage [-h| --help]
       packimage [-v| --version]

    """
  static let liteUsage = """
    liteimg -h # this help message
    liteimg -v # version
    liteimg -V # verbose
    liteimg imagename

    """

  private static func mistake(_ text: String, _ name: String) -> String {
    "Error: \(text)\nhint: Nothing was done; '\(name) -h' shows the usage\n"
  }

  /// Command lines that only print: words, exit code, standard output, standard error.
  static let answers: [(String, Int32, String, String)] = [
    ("packimage", 0, packUsage, ""), ("packimage -h", 0, packUsage, ""),
    ("packimage --help img", 0, packUsage, ""), ("liteimg", 0, liteUsage, ""),
    ("liteimg --help", 0, liteUsage, ""), ("packimage -v", 0, "imgstore version 0.2.0\n", ""),
    ("liteimg -v", 0, "imgstore version 0.2.0\n", ""),
    ("packimage -m zip img", 1, "", mistake("Invalid archive method 'zip' requested", "packimage")),
    (
      "packimage -c lzo img", 1, "", mistake("Invalid compress method 'lzo' requested", "packimage")
    ),
    (
      "packimage -o rhels9 -p p -a x86_64", 1, "",
      mistake(
        "-o, -p and -a options are obsoleted, please use 'packimage <osimage name>' instead.",
        "packimage")
    ),
    (
      "packimage --nosyncfiles", 1, "",
      mistake("An image name is required, use 'packimage <osimage name>'.", "packimage")
    ),
    (
      "packimage nobody", 1, "", "Error: Cannot find image 'nobody' from the osimage table.\n"
    ),
    ("liteimg nobody", 1, "", "Error: Cannot find image 'nobody' from the osimage table.\n"),
    (
      "liteimg img", 1, "",
      "Error: Please make sure that osimage.provmethod is set to statelite before calling this "
        + "command.\n"
    ),
    (
      "liteimg img -p p", 1, "",
      mistake("-o, -p and -a options are not allowed when a image name is specified.", "liteimg")
    ),
  ]

  @Test func `help, version and usage errors have xCAT's text and do nothing`() throws {
    let site = try PackEnvironment()
    for (words, status, output, errors) in Self.answers {
      let result = try site.call(words)
      #expect(result.status == status, "\(words): \(result.errors)")
      #expect(result.output == output, "\(words)")
      #expect(result.errors == errors, "\(words)")
    }
    #expect(try run("ls", site.directory.path("root/img")).output == "rootimg\n")
  }

  @Test func `packimage packs every form and prints xCAT's messages`() throws {
    let site = try PackEnvironment()
    for (words, name, compressor) in [
      ("", "rootimg.cpio.gz", "gzip"), ("-m cpio -c pigz", "rootimg.cpio.gz", "pigz"),
      ("-c xz", "rootimg.cpio.xz", "xz"), ("-m tar", "rootimg.tar.gz", "gzip"),
      ("-m tar -c xz", "rootimg.tar.xz", "xz"), ("--method=squashfs", "rootimg.sfs", nil),
      ("-m tar -c zstd", "rootimg.tar.zst", "zstd"),
    ] as [(String, String, String?)] {
      let result = try site.call("packimage img \(words)")
      #expect(result.status == 0, "\(words): \(result.errors)")
      let lines = result.output.split(separator: "\n").map(String.init)
      let method = name.contains("cpio") ? "cpio" : name.contains("tar") ? "tar" : "squashfs"
      let said =
        ["Packing contents of /img/rootimg", "archive method:\(method)"]
        + (compressor.map { ["compress method:\($0)"] } ?? [])
      #expect(Array(lines.prefix(said.count)) == said, "\(words): \(lines)")
      // Earlier forms are removed, because a node would load them.
      #expect(try run("ls", site.directory.path("root/img")).output == "rootimg\n\(name)\n")
    }
  }

  @Test func `packimage prints warnings on stderr and still packs`() throws {
    let site = try PackEnvironment()
    try shell("mv \"$1/install/postscripts\" \"$1/away\"", site.directory.path("root"))
    let result = try site.call("packimage img")
    #expect(result.status == 0)
    #expect(result.errors.contains("Warning: /install/postscripts does not exist"))
    try shell("rm -r \"$1\"", site.tree)
    let absent = try site.call("packimage img")
    #expect(absent.status == 1)
    #expect(
      absent.errors.hasPrefix(
        "Error: /img/rootimg does not exist, run genimage -o rhels9 -p p on a server with matching "
          + "architecture"), "\(absent.errors)")
  }

  @Test func `liteimg prints xCAT's messages and the command that undoes it`() throws {
    let site = try PackEnvironment()
    _ = try site.imgstore("define", "img", "provmethod=statelite", "rootfstype=ramdisk")
    try site.litefile("/etc/ntp.conf", "bogus")
    let refused = try site.call("liteimg img")
    #expect(refused.status == 1)
    #expect(
      refused.errors.hasPrefix("Error: /etc/ntp.conf has invalid option. The valid options: tmpfs"),
      "\(refused.errors)")
    try site.sqlite("litefile", "UPDATE litefile SET options = 'link'")
    let result = try site.call("liteimg img")
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      result.output == """
        Modifying /img/rootimg ...
        creating /img/rootimg/.statelite
        Modifying /img/rootimg done.
        Packing contents of /img/rootimg ...
        compress method: gzip
        Packing contents of /img/rootimg done.
        undo with: imgstore revert img@1

        """)
    #expect(
      try run("ls", site.directory.path("root/img")).output == "rootimg\nrootimg-statelite.gz\n")
    #expect(
      try run("readlink", site.tree + "/etc/ntp.conf").output
        == "../.statelite/tmpfs/etc/ntp.conf\n")
    let again = try site.call("liteimg img")
    #expect(again.status == 0 && !again.output.contains("undo"))
    #expect(try site.imgstore("lite", "--undo", "img").status == 0)
    #expect(try run("readlink", site.tree + "/etc/ntp.conf").status == 1)
  }

  @Test func `pack and lite print text or JSON`() throws {
    let site = try PackEnvironment()
    let text = try site.imgstore("pack", "img", "-m", "tar", "-c", "zstd")
    #expect(
      text.output.contains("packed img@1 as tar, zstd, to /img/rootimg.tar.zst\n"), "\(text.output)"
    )
    let json = try site.imgstore("pack", "img", "--json").output
    let packed = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(packed["destination"] as? String == "/img/rootimg.cpio.gz")
    #expect(packed["droppedCapabilities"] as? Int == 0)
    _ = try site.imgstore("define", "img", "provmethod=statelite")
    try site.litefile("/etc/ntp.conf", "link")
    let dry = try site.imgstore("lite", "img", "-n")
    #expect(dry.output.contains("write   /img/rootimg/.default/etc/ntp.conf"), "\(dry.output)")
    let lite = try site.imgstore("lite", "img", "--json").output
    let done = try #require(
      try JSONSerialization.jsonObject(with: Data(lite.utf8)) as? [String: Any])
    #expect(done["safety"] as? String == "img@1" && done["recorded"] as? String == "img@2")
    for words in [["pack", "img", "-m", "zip"], ["pack", "img", "-c", "lzo"], ["lite"]] {
      #expect(try run(binary, arguments: words, environment: site.environment).status == 2)
    }
    #expect(try site.imgstore("pack", "img@1").status == 1)
  }

  @Test func `the manual pages of packimage and liteimg list every option of the usages`() throws {
    for (name, options) in [
      ("packimage", ["Fl m , -method", "Fl c , -compress", "Fl -nosyncfiles", "Fl v , -version"]),
      ("liteimg", ["Fl h , -help", "Fl v , -version", "Fl V , -verbose", "Fl t , -rootfstype"]),
    ] {
      let source = try String(contentsOfFile: "\(packageRoot)/docs/\(name).1", encoding: .utf8)
      for option in options { #expect(source.contains(option), "\(name): \(option)") }
    }
    let directory = try TemporaryDirectory()
    try shell("cd \"$1\"; touch imgstore; \"$2\"/scripts/links.sh .", directory.path, packageRoot)
    for name in ["packimage", "liteimg"] {
      #expect(try run("readlink", directory.path(name)).output == "imgstore\n")
    }
  }
}

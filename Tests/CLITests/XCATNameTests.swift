// The program under the names imgexport and imgimport, on a management node of the real xCAT.

import Foundation
import TestSupport
import Testing

/// A management node's files and tables below a directory, the binary under xCAT's names, and an scp
/// that copies to and from the directory "remote".
private final class XCATNode: Sendable {
  static let image = "rhels8.5.0-x86_64-netboot-compute"
  let directory: TemporaryDirectory
  var here: String { directory.path("here") }

  init(isEmpty: Bool = false) throws {
    directory = try TemporaryDirectory()
    try runFixture(
      "scripts/trees/make-node-with-xcat-names.sh", directory.path, binary, fixture("xcat/mn.tgz"),
      isEmpty ? "empty" : "")
  }

  var environment: [String: String] {
    [
      "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
      "TZ": "UTC",
      "PATH": "\(directory.path("bin")):" + (ProcessInfo.processInfo.environment["PATH"] ?? ""),
    ]
  }

  /// Runs a command of PATH in the directory "here".
  func call(_ words: String..., with more: [String: String] = [:]) throws -> ToolResult {
    try run(
      "bash", arguments: ["-c", "cd \"$0\" && exec \"$@\"", here] + words,
      environment: environment.merging(more) { $1 })
  }

  func imgstore(_ words: String...) throws -> ToolResult {
    try run(
      "bash", arguments: ["-c", "cd \"$0\" && exec \"$@\"", here, binary] + words,
      environment: environment)
  }

  func files(_ name: String) throws -> String { try run("ls", "-A", directory.path(name)).output }
  func text(_ name: String) throws -> String {
    try String(contentsOfFile: directory.path(name), encoding: .utf8)
  }
}

private func lines(_ text: String) -> [String] {
  text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
}

/// Whether the text is empty or only warns of files for generating the image again.
private func isWarnings(_ errors: String) -> Bool {
  lines(errors).allSatisfy { $0.hasPrefix("Warning: ") }
}

@Suite struct XCATNameTests {
  static let exportUsage = """
    imgexport: Creates a tarball (bundle) of an existing xCAT image
    Usage: 
    \timgexport [-h|--help]
    \timgexport <image_name> [destination] [[-e|--extra <file:dir> ] ... ] \
    [-p|--postscripts <node_name>] [-R|--remotehost <userid@host>] [-v]

    """
  static let importUsage = """
    imgimport: Takes in an xCAT image bundle and defines it to xCAT so you can use it
    Usage: 
    \timgimport [-h|--help]
    \timgimport <bundle_file_name> [-p|--postscripts <nodelist>] [-f|--profile <new_profile>] \
    [-R|--remotehost <userid@host>] [-n|--nozip] [-v]
    imgstore adds:
    \t[--orig]  keep each replaced file as FILE.ORIG next to the new one (a snapshot has it anyway)

    """

  /// Command lines that only print: words, exit code, standard output, standard error.
  static let answers: [(String, Int32, String, String)] = [
    ("imgexport", 1, exportUsage, ""), ("imgimport", 1, importUsage, ""),
    ("imgexport -h", 0, exportUsage, ""), ("imgimport --help", 0, importUsage, ""),
    ("imgexport -v -?", 0, exportUsage, ""), ("imgimport x.tgz --he", 0, importUsage, ""),
    ("imgimport -v", 1, importUsage, ""), ("imgimport -p n1", 1, importUsage, ""),
    (
      "imgexport IMAGE --bogus", 1, "",
      "Error: Unknown option: bogus\nhint: Nothing was done; 'imgexport -h' shows the usage\n"
    ),
    (
      "imgimport -x b.tgz", 1, "",
      "Error: Unknown option: x\nhint: Nothing was done; 'imgimport -h' shows the usage\n"
    ),
    (
      "imgexport IMAGE -e", 1, "",
      "Error: Option e requires an argument\nhint: Nothing was done; 'imgexport -h' shows the usage\n"
    ),
    (
      "imgexport IMAGE a.tgz b", 1, "",
      "Error: Unexpected argument: b\nhint: Nothing was done; 'imgexport -h' shows the usage\n"
    ),
    (
      "imgexport -v", 1, "Exporting  to HERE...\n",
      "Error: Cannot find image '' from the osimage table.\n"
        + "hint: 'imgstore images' and 'lsdef -t osimage' list the images\n"
    ),
    (
      "imgexport nobody", 1, "Exporting nobody to HERE...\n",
      "Error: Cannot find image 'nobody' from the osimage table.\n"
        + "hint: 'imgstore images' and 'lsdef -t osimage' list the images\n"
    ),
    ("imgimport b.tgz", 1, "", "Error: Cannot find HERE/b.tgz\n"),
    ("imgimport /b.tgz", 1, "", "Error: Cannot find HERE//b.tgz\n"),
    ("imgimport -", 1, "", "Error: Cannot find HERE/-\n"),
    (
      "imgexport IMAGE -R -oProxyCommand=x", 1, "",
      "Error: host '-oProxyCommand=x' is not [user@]host\nhint: Use letters, digits, '.', '_' and "
        + "'-', and put an IPv6 address in brackets\n"
    ),
    (
      "imgimport $(id).tgz -R mn2", 1, "",
      "Error: remote path '$(id).tgz' contains a character that a shell on mn2 might interpret\n"
        + "hint: Use letters, digits and '/._-+=,@%:~' there, and rename the file on that host\n"
    ),
    (
      "imgexport IMAGE -e /etc/motd:etc", 1, "Exporting IMAGE to HERE...\n",
      "Error: extra file '/etc/motd:etc' would be written to 'etc', which is not an absolute path\n"
        + "hint: Give "
        + "the absolute path of a directory on the management node that imports it\n"
    ),
  ]

  @Test
  func `usage errors and refusals of imgexport and imgimport have xCAT's text and change nothing`()
    throws
  {
    let node = try XCATNode()
    let before = try run("find", node.directory.path("root"), node.here, "-ls").output
    for (words, status, output, errors) in Self.answers {
      func fill(_ text: String) -> String {
        text.replacingOccurrences(of: "IMAGE", with: XCATNode.image)
          .replacingOccurrences(of: "HERE", with: node.here)
      }
      let result = try run(
        "bash",
        arguments: ["-c", "cd \"$0\" && exec \"$@\"", node.here]
          + fill(words).split(separator: " ").map(String.init), environment: node.environment)
      #expect(result.status == status, "\(words)")
      #expect(result.output == fill(output), "\(words)")
      #expect(result.errors == fill(errors), "\(words)")
    }
    #expect(try run("find", node.directory.path("root"), node.here, "-ls").output == before)
    #expect(!FileManager.default.fileExists(atPath: node.directory.path("scp.log")))
  }

  @Test func `imgexport and imgimport transfer an image and print xCAT's lines`() throws {
    let node = try XCATNode()
    let export = try node.call("imgexport", XCATNode.image)
    #expect(export.status == 0 && isWarnings(export.errors), "\(export.errors)")
    var said = lines(export.output)
    #expect(said.removeFirst() == "Exporting \(XCATNode.image) to \(node.here)...")
    #expect(said.removeLast() == "Done!")
    #expect(said.removeLast() == "Compressing \(XCATNode.image) bundle.  Please be patient.")
    let boot = "/install/netboot/rhels8.5.0/x86_64/compute/"
    let lists = "/install/custom/netboot/rh/compute."
    let files =
      ["kernel", "initrd-stateless.gz", "rootimg.cpio.gz"].map { boot + $0 }
      + ["pkglist", "otherpkgs.pkglist", "postinstall", "exlist", "synclist"].map { lists + $0 }
    #expect(Set(said).isSuperset(of: files))
    #expect(said.allSatisfy { $0.hasPrefix("/") })
    #expect(try node.files("here") == "\(XCATNode.image).tgz\n")

    // Another node, where neither image nor directories are.
    let other = try XCATNode(isEmpty: true)
    let bundle = "\(node.here)/\(XCATNode.image).tgz"
    let first = try other.call("imgimport", "-vn", bundle)
    #expect(first.status == 0 && first.errors == "", "\(first.errors)")
    said = lines(first.output)
    #expect(said.prefix(2) == ["Bundle file is located at \(bundle)", "Unbundling image..."])
    #expect(said.contains("Adding \(XCATNode.image)"))
    #expect(Set(said).isSuperset(of: files))
    #expect(said.last == "Successfully imported the image \(XCATNode.image).")

    // Again, over it: replaced as xCAT does, and had back.
    let kernel = other.directory.path("root" + boot + "kernel")
    try shell("echo mine >\"$1\"; cp \"$2\" \"$3/b.tgz\"", kernel, bundle, other.here)
    let second = try other.call("imgimport", "b.tgz")
    #expect(second.status == 0 && second.errors == "", "\(second.errors)")
    #expect(second.output.hasPrefix("Unbundling image...\n"))
    #expect(lines(second.output).last == "Successfully imported the image \(XCATNode.image).")
    let undo = try #require(lines(second.output).first { $0.hasPrefix("undo with: imgstore ") })
    #expect(try run("find", other.directory.path("root"), "-name", "*.ORIG").output == "")
    #expect(try run("cmp", kernel, node.directory.path("root" + boot + "kernel")).didSucceed)
    let words = undo.split(separator: " ").suffix(2).map(String.init)
    #expect(try other.imgstore(words[0], words[1]).status == 0)
    #expect(try String(contentsOfFile: kernel, encoding: .utf8) == "mine\n")
  }

  @Test func `an import with a new profile gets its own directory and image name`() throws {
    let node = try XCATNode()
    #expect(try node.call("imgexport", XCATNode.image, "b.tgz").status == 0)
    let result = try node.call("imgimport", "b.tgz", "-f", "compute_test")
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      lines(result.output).last
        == "Successfully imported the image rhels8.5.0-x86_64-netboot-compute_test.")
    #expect(
      try node.files("root/install/netboot/rhels8.5.0/x86_64/compute_test").contains("kernel"))
    #expect(try node.files("root/install/custom/netboot/rh").contains("compute_test.exlist"))
  }

  @Test func `imgexport writes to the current directory under the last part of the destination`()
    throws
  {
    let node = try XCATNode()
    try shell("mkdir \"$1/sub\"", node.here)
    for destination in ["sub/one.tgz", "/nowhere/two.bundle", "three", "sub/"] {
      let result = try node.call("imgexport", XCATNode.image, destination)
      #expect(result.status == 0, "\(result.errors)")
    }
    #expect(try node.files("here") == "one.tgz\n\(XCATNode.image).tgz\nsub\nthree\ntwo.bundle\n")
    #expect(try node.files("here/sub") == "")
  }

  @Test func `a failed export prints no "Done" and leaves no file`() throws {
    let node = try XCATNode()
    try shell(
      "rm \"$1\"/root/install/netboot/rhels8.5.0/x86_64/compute/kernel", node.directory.path)
    let result = try node.call("imgexport", XCATNode.image, "b.tgz")
    #expect(result.status == 1 && result.errors.hasPrefix("Error: "), "\(result.errors)")
    #expect(!result.output.contains("Done!"))
    #expect(try node.files("here") == "")
  }

  @Test func `imgimport refuses a damaged bundle and changes nothing`() throws {
    let node = try XCATNode()
    #expect(try node.call("imgexport", XCATNode.image, "b.tgz").status == 0)
    try shell("cd \"$1\"; truncate -s -3000 b.tgz", node.here)
    let before = try run("find", node.directory.path("root/install"), "-ls").output
    let result = try node.call("imgimport", "b.tgz")
    #expect(result.status == 1 && result.errors.hasPrefix("Error: "), "\(result.errors)")
    #expect(result.output == "Unbundling image...\n")
    #expect(try run("find", node.directory.path("root/install"), "-ls").output == before)
  }

  @Test func `imgexport adds extra files, and a missing one is an error`() throws {
    let node = try XCATNode()
    try shell(
      """
      cd "$1/root"; mkdir -p install/postscripts other; echo 1 >install/postscripts/mine
      mkdir -p tmp/dir; echo 2 >tmp/dir/.hidden; echo 3 >tmp/dir/two
      """, node.directory.path)
    let result = try node.call(
      "imgexport", "-e", "/install/postscripts/mine", XCATNode.image, "-e/tmp/dir:/usr/dir", "b.tgz"
    )
    #expect(result.status == 0, "\(result.errors)")
    #expect(lines(result.output).contains(" /install/postscripts/mine"))
    let members = try run("tar", "tzf", node.here + "/b.tgz").output
    #expect(members.contains("/extra/mine\n") && members.contains("/.hidden\n"))
    let absent = try node.call("imgexport", XCATNode.image, "-e", "/tmp/absent", "c.tgz")
    #expect(absent.status == 1 && absent.errors.contains("/tmp/absent"), "\(absent.errors)")
    #expect(!absent.output.contains("Done!"))
    #expect(try node.files("here") == "b.tgz\n")
  }

  @Test func `a bundle is copied to another host and imported from there`() throws {
    let node = try XCATNode()
    try shell(
      """
      sqlite3 "$1/root/etc/xcat/site.sqlite" "INSERT INTO site (key, value) VALUES ('tmpdir', '/tmpdir')"
      mkdir "$1/remote/images"
      """, node.directory.path)
    let sent = try node.call("imgexport", XCATNode.image, "images/b.tgz", "-R", "root@mn2")
    #expect(sent.status == 0 && isWarnings(sent.errors), "\(sent.errors)")
    #expect(sent.output.hasPrefix("Exporting \(XCATNode.image) to root@mn2...\n"))
    #expect(
      lines(sent.output).suffix(2) == [
        "Moving the image bundle to the remote system location root@mn2:images/b.tgz", "Done!",
      ])
    #expect(try node.files("here") == "" && node.files("root/tmpdir") == "")
    #expect(try run("tar", "tzf", node.directory.path("remote/images/b.tgz")).didSucceed)
    let home = try node.call("imgexport", XCATNode.image, "--remote=mn2")
    #expect(home.status == 0, "\(home.errors)")
    #expect(try node.files("remote") == "images\n\(XCATNode.image).tgz\n")

    let got = try node.call("imgimport", "-f", "far", "images/b.tgz", "-R", "root@mn2")
    #expect(got.status == 0 && got.errors == "", "\(got.errors)")
    #expect(
      lines(got.output).prefix(2) == [
        "Obtaining the image bundle from the remote system root@mn2:images/b.tgz",
        "Unbundling image...",
      ])
    #expect(try node.files("here") == "" && node.files("root/tmpdir") == "")

    // Each call has four words: -B, --, source and target, in a directory that only its owner can enter.
    let log = lines(try node.text("scp.log"))
    let own = "\\[\(node.directory.path)/root/tmpdir/img(ex|im)port\\.[^]]*\\]"
    for (line, pattern) in zip(
      log,
      [
        "\\[-B\\]\\[--\\]\(own)\\[root@mn2:images/b.tgz\\]",
        "\\[-B\\]\\[--\\]\(own)\\[mn2:\(XCATNode.image).tgz\\]",
        "\\[-B\\]\\[--\\]\\[root@mn2:images/b.tgz\\]\(own)",
      ])
    {
      #expect(
        line.range(of: "^\(pattern)$", options: .regularExpression) != nil, "\(line)")
    }
    #expect(log.count == 3)
    #expect(
      Set(lines(try node.text("scp.where"))) == ["\(node.directory.path)/root/tmpdir 700"])
  }

  @Test func `scp gets neither the caller's variables nor its open files`() throws {
    let node = try XCATNode()
    let sent = try run(
      "bash",
      arguments: [
        "-c", "cd \"$0\" && exec imgexport \"$1\" b.tgz -R mn2 7</etc/hostname 9>/dev/null",
        node.here,
        XCATNode.image,
      ],
      environment: node.environment.merging([
        "AWS_SECRET_ACCESS_KEY": "s3cret", "SSH_AUTH_SOCK": "/nowhere/agent",
        "BASH_ENV": "/nowhere",
        "LD_PRELOAD": "", "LC_ALL": "C.UTF-8",
      ]) { $1 })
    #expect(sent.status == 0, "\(sent.errors)")
    let variables = lines(try node.text("scp.env"))
    #expect(variables.contains("SSH_AUTH_SOCK=/nowhere/agent"))
    #expect(variables.contains("LC_ALL=C.UTF-8"))
    for name in ["AWS_SECRET_ACCESS_KEY", "BASH_ENV", "LD_PRELOAD", "IMGSTORE_STORE"] {
      #expect(!variables.contains { $0.hasPrefix(name + "=") }, "\(name)")
    }
    #expect(!FileManager.default.fileExists(atPath: node.directory.path("scp.files")))
  }

  @Test(arguments: [
    "-oProxyCommand=touch", "root@-oProxyCommand=x", "ssh://mn2", "scp://mn2/x", "[::1", "a b",
    "mn2;id", "",
    "user@host@mn2", "mn2:22",
  ])
  func `an invalid host is refused before scp runs`(_ host: String) throws {
    let node = try XCATNode()
    for words in [["imgexport", XCATNode.image, "b.tgz"], ["imgimport", "b.tgz"]] {
      let result = try run(
        "bash",
        arguments: ["-c", "cd \"$0\" && exec \"$@\"", node.here] + words + ["-R", host],
        environment: node.environment)
      #expect(result.status != 0, "\(words) \(host)")
    }
    #expect(!FileManager.default.fileExists(atPath: node.directory.path("scp.log")))
  }

  @Test func `a failed transfer is an error and leaves no copy`() throws {
    let node = try XCATNode()
    try shell("touch \"$1/scp.fail\"", node.directory.path)
    let sent = try node.call("imgexport", XCATNode.image, "b.tgz", "-R", "mn2")
    #expect(sent.status == 1 && !sent.output.contains("Done!"))
    #expect(
      sent.errors.contains(
        "lost connection\nError: Unable to copy the image bundle b.tgz to the remote host "
          + "(Maybe passwordless ssh was not setup?)\n"), "\(sent.errors)")
    let got = try node.call("imgimport", "b.tgz", "-R", "mn2")
    #expect(got.status == 1 && !got.output.contains("Unbundling"))
    #expect(
      got.errors.contains(
        "Error: Unable to copy the image bundle b.tgz from the remote host "
          + "(Maybe passwordless ssh was not setup?)\n"), "\(got.errors)")
    // Ended by a signal while scp runs.
    try shell("mv \"$1/scp.fail\" \"$1/scp.sleep\"", node.directory.path)
    for signal in ["TERM", "INT", "HUP"] {
      try? FileManager.default.removeItem(atPath: node.directory.path("scp.where"))
      let result = try run(
        fixture("scripts/processes/signal-during-scp.py"),
        arguments: [
          node.here, signal, "imgexport", XCATNode.image, "b.tgz", "-R", "mn2",
        ],
        environment: node.environment)
      let number = ["TERM": 15, "INT": 2, "HUP": 1][signal] ?? 0
      #expect(lines(result.output).last == "-\(number)", "\(result.errors)")
      #expect(try node.files("here") == "", "\(signal)")
    }
    #expect(try node.files("here") == "")
  }

  @Test func `imgstore export and import transfer bundles as imgexport and imgimport do`() throws {
    let node = try XCATNode()
    let sent = try node.imgstore(
      "export", XCATNode.image, "-R", "root@mn2", "--to", "b.tgz", "--json")
    #expect(sent.status == 0, "\(sent.errors)")
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(sent.output.utf8)) as? [String: Any])
    #expect(json["destination"] as? String == "root@mn2:./b.tgz")
    #expect(json["dryRun"] as? Bool == false)
    #expect((json["members"] as? [[String: Any]])?.isEmpty == false)
    // A bundle in xCAT's form does not contain the tree.
    let missing = (json["missing"] as? [[String: Any]])?.compactMap { $0["path"] as? String }
    #expect(missing == ["/install/netboot/rhels8.5.0/x86_64/compute/rootimg"])
    #expect(try node.files("remote") == "b.tgz\n")

    let refused = try node.imgstore("import", "b.tgz", "-R", "root@mn2")
    #expect(refused.status == 1 && refused.errors.contains("--force"), "\(refused.errors)")
    let got = try node.imgstore("import", "b.tgz", "--remote-host", "mn2", "--force", "--json")
    #expect(got.status == 0, "\(got.errors)")
    let result = try #require(
      try JSONSerialization.jsonObject(with: Data(got.output.utf8)) as? [String: Any])
    let image = try #require((result["images"] as? [[String: Any]])?.first)
    #expect(image["name"] as? String == XCATNode.image && image["replaced"] as? Bool == true)
    #expect(image["exact"] as? Bool == true)
    let undo = try #require(image["undo"] as? String)
    #expect(try node.imgstore("revert", undo).status == 0)

    let stream = try run(
      "bash", "-c", "\"$0\" export \"$1\" --to - | tar tzf - | grep -c /manifest.xml", binary,
      XCATNode.image, environment: node.environment)
    #expect(stream.output == "1\n")
    #expect(stream.errors.contains("imgstore: exported \(XCATNode.image)@"))
    #expect(try node.files("here") == "")

    for words in [
      ["export", XCATNode.image, "a", "--to", "b"], ["export", XCATNode.image, "-", "-R", "mn2"],
      ["import", "b.tgz", "--append-postscripts"], ["import", "b.tgz", "--allow", "opt"],
      ["import", "-", "-R", "mn2"], ["import", "b.tgz", "-f", ""], ["export", XCATNode.image, ""],
    ] {
      #expect(
        try run(binary, arguments: words, environment: node.environment).status == 2, "\(words)")
    }
  }

  @Test func `-p gives a bundle's script lists to nodes, and --orig keeps replaced files`()
    throws
  {
    let source = try XCATNode()
    #expect(try source.call("imgexport", XCATNode.image, "b.tgz", "-p", "node1").status == 0)
    let bundle = source.here + "/b.tgz"

    let node = try XCATNode()
    let tables = node.directory.path("root/etc/xcat")
    func lists() throws -> String {
      try run(
        "sqlite3", "\(tables)/postscripts.sqlite",
        "SELECT node, postscripts, postbootscripts FROM postscripts ORDER BY node"
      ).output
    }
    let boot = node.directory.path("root/install/netboot/rhels8.5.0/x86_64/compute")
    try shell("echo mine >\"$1/kernel\"", boot)
    let before = try lists()
    // A node that is not there is found before anything is done.
    let refused = try node.call("imgimport", bundle, "-p", "node2,nobody", "--orig")
    #expect(
      refused.status == 1
        && refused.errors.hasPrefix("Error: The nodes nobody are not defined in xCAT DB.\n"),
      "\(refused.errors)")
    #expect(try lists() == before)
    #expect(try String(contentsOfFile: boot + "/kernel", encoding: .utf8) == "mine\n")

    // xcatdefaults has the other names already.
    let result = try node.call("imgimport", bundle, "--orig", "-p", "node2")
    #expect(result.status == 0 && isWarnings(result.errors), "\(result.errors)")
    #expect(lines(result.output).contains("Adding postscripts."))
    #expect(
      lines(result.output).contains {
        $0.hasPrefix("  Moving old ") && $0.hasSuffix("/kernel.ORIG.")
      },
      "\(result.output)")
    #expect(try String(contentsOfFile: boot + "/kernel.ORIG", encoding: .utf8) == "mine\n")
    #expect(try lists().contains("node2|my1,my2|my3\n"))
    let undo = try #require(
      lines(result.output).first { $0.hasPrefix("undo with: imgstore revert ") })
    let words = undo.split(separator: " ").suffix(2).map(String.init)
    #expect(try node.imgstore(words[0], words[1]).status == 0)
    #expect(try lists() == before)
    #expect(try String(contentsOfFile: boot + "/kernel", encoding: .utf8) == "mine\n")
  }

  @Test func `an export to a pipe can be imported from it`() throws {
    let (node, other) = (try XCATNode(), try XCATNode(isEmpty: true))
    let script = """
      IMGSTORE_ROOT="$1/root" IMGSTORE_STORE="$1/store" "$0" export "$3" --to - --complete |
        IMGSTORE_ROOT="$2/root" IMGSTORE_STORE="$2/store" "$0" import - --allow-privileged
      """
    let result = try run(
      "bash",
      arguments: [
        "-o", "pipefail", "-c", script, binary, node.directory.path, other.directory.path,
        XCATNode.image,
      ], environment: ["TZ": "UTC"])
    #expect(result.status == 0, "\(result.errors)")
    let boot = "root/install/netboot/rhels8.5.0/x86_64/compute"
    let tree = boot + "/rootimg"
    #expect(try differences(node.directory.path(tree), other.directory.path(tree)) == "")
    #expect(try other.files(boot) == "initrd-stateless.gz\nkernel\nrootimg\nrootimg.cpio.gz\n")
    // A stream that ends too early imports nothing.
    try shell("rm -rf \"$1/root/install\" \"$1/store\"", other.directory.path)
    let cut = try run(
      "bash",
      arguments: [
        "-c", script.replacing("|\n", with: "| head -c 30000 |\n"), binary, node.directory.path,
        other.directory.path, XCATNode.image,
      ], environment: ["TZ": "UTC"])
    #expect(cut.status == 1 && cut.errors.contains("Nothing was imported"), "\(cut.errors)")
    #expect(!FileManager.default.fileExists(atPath: other.directory.path("root/install")))
  }

  @Test func `the manual pages of imgexport and imgimport list every option of the usages`() throws
  {
    for (name, usage) in [("imgexport", Self.exportUsage), ("imgimport", Self.importUsage)] {
      let path = "\(packageRoot)/docs/\(name).1"
      let source = try String(contentsOfFile: path, encoding: .utf8)
      for match in usage.matches(of: /-([A-Za-z])\|--([a-z]+)/) {
        #expect(source.contains("Fl \(match.1) , -\(match.2)"), "\(name): \(match.0)")
      }
      #expect(source.contains("-orig") == usage.contains("--orig"))
    }
  }

  @Test func `xCAT's names are linked next to the binary, and files of others are kept`() throws {
    let directory = try TemporaryDirectory()
    try shell(
      "cd \"$1\"; touch imgstore; ln -s xcatclientnnr imgexport; \"$2\"/scripts/links.sh .",
      directory.path, packageRoot)
    #expect(try run("readlink", directory.path("imgexport")).output == "xcatclientnnr\n")
    #expect(try run("readlink", directory.path("imgimport")).output == "imgstore\n")
    try shell("\"$2\"/scripts/links.sh \"$1\"", directory.path, packageRoot)
    #expect(try run("readlink", directory.path("imgimport")).output == "imgstore\n")
  }
}

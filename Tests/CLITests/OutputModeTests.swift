// Permissions of the files that commands create, for any umask and owner of the directory: a table
// of modes. The image is one of the real xCAT, and the commands run as root.

import Foundation
import Platform
import TestSupport
import Testing

extension TestNode {
  /// Creates the node of the real xCAT with directories for outputs: of root, of another user, and sticky.
  fileprivate static func withOutputDirectories() throws -> TestNode {
    let node = try TestNode.real()
    try shell(
      """
      mkdir "$1/own" "$1/foreign" "$1/sticky"; chmod 755 "$1" "$1/own" "$1/foreign"
      chown 65534:65534 "$1/foreign"; chmod 1777 "$1/sticky"
      """, node.directory.path)
    return node
  }

  fileprivate var install: String { path("install") }

  /// Runs the program under a umask.
  fileprivate func imgstore(umask: String, _ words: String...) throws -> ToolResult {
    try TestSupport.run(
      "sh", arguments: ["-c", "umask \"$0\"; exec \"$@\"", umask, binary] + words,
      environment: environment)
  }

  /// Returns "MODE UID" of a path and of all entries below it, each once.
  fileprivate func modes(_ path: String, _ kind: String) throws -> [String] {
    try TestSupport.run("find", path, "-type", kind, "-printf", "%m %U\n").output
      .split(separator: "\n").map(String.init).reduce(into: []) {
        if !$0.contains($1) { $0.append($1) }
      }.sorted()
  }
}

@Suite(.serialized) struct OutputModeTests {
  private static let image = "rhels8.5.0-x86_64-netboot-compute"

  @Test(arguments: ["022", "027", "077", "777"])
  func `each output has the mode of the table under every umask`(umask: String) throws {
    guard isRoot else { return }
    let site = try TestNode.withOutputDirectories()
    let less = (Int(umask, radix: 8) ?? 0) & 0o077
    func mode(_ expected: Int) -> [String] { [String(expected & ~less, radix: 8) + " 0"] }
    let image = Self.image
    let imported = try site.imgstore(
      umask: umask, "import", fixture("xcat/exported/stateless.tgz"), "-f", "fresh")
    #expect(imported.status == 0, "\(imported.errors)")
    // Nodes read these, and their contents have their own modes.
    let fresh = site.install + "/netboot/rhels8.5.0/x86_64/fresh"
    #expect(try run("stat", "-c", "%a %u", fresh).output == "755 0\n")
    #expect(try site.imgstore(umask: umask, "snapshot", image).status == 0)
    #expect(try site.imgstore(umask: umask, "pack", image).status == 0)
    let packed = site.install + "/netboot/rhels8.5.0/x86_64/compute/rootimg.cpio.gz"
    #expect(try site.modes(packed, "f") == ["644 0"], "nodes fetch it without a password")

    for location in ["own", "foreign", "sticky"] {
      let directory = site.directory.path(location)
      let before = try run("stat", "-c", "%a %u", directory).output
      for words in [
        ["export", image, "\(directory)/b.tgz"],
        ["export", image, "\(directory)/c.tgz", "--complete"],
        ["pack", image, "--output", "\(directory)/p.cpio.gz"],
      ] {
        let result = try run(
          "sh", arguments: ["-c", "umask \"$0\"; exec \"$@\"", umask, binary] + words,
          environment: site.environment)
        #expect(result.status == 0 || result.status == 3, "\(words): \(result.errors)")
        let file = words.first { $0.hasPrefix(directory) } ?? ""
        #expect(try site.modes(file, "f") == ["600 0"], "\(words)")
      }
      // On the way: as mkdir(1) makes them. The entry itself: as the snapshot has it.
      let extracted = try site.imgstore(
        umask: umask, "extract", "\(image):etc/passwd", "\(directory)/made/also/passwd")
      #expect(extracted.status == 0, "\(extracted.errors)")
      #expect(try site.modes("\(directory)/made", "d") == mode(0o777))
      #expect(try site.modes("\(directory)/made", "f") == ["644 0"])
      let chart = try site.imgstore(
        umask: umask, "bench", image, "--rounds", "1", "--no-peers", "--form", "cpio.gz", "--work",
        directory,
        "--plot", "\(directory)/chart.svg")
      #expect(chart.status == 0, "\(chart.errors)")
      #expect(try site.modes("\(directory)/chart.svg", "f") == mode(0o666))
      let names = try run("ls", "-A", directory).output.split(separator: "\n").map(String.init)
      #expect(
        names == ["b.tgz", "c.tgz", "chart.svg", "made", "p.cpio.gz"], "nothing is left over")
      #expect(try run("stat", "-c", "%a %u", directory).output == before)
    }
    // Changes that write journals, caches, parts and tables.
    try shell(
      "echo x >\"$1/rootimg/etc/hostname\"", site.install + "/netboot/rhels8.5.0/x86_64/compute")
    #expect(try site.imgstore(umask: umask, "revert", "\(image)@1").status == 0)
    #expect(try site.imgstore(umask: umask, "undo", image).status == 0)
    #expect(try site.imgstore(umask: umask, "copy", image, "copied").status == 0)
    #expect(try site.imgstore(umask: umask, "verify").status == 0)
    #expect(try site.imgstore(umask: umask, "gc").status == 0)
    #expect(try site.modes(site.directory.path("store"), "f") == ["600 0"])
    #expect(try site.modes(site.directory.path("store"), "d") == ["700 0"])
  }

  @Test(arguments: [SIGTERM, SIGKILL])
  func `an interrupted export leaves no file`(signal: Int32) throws {
    let site = try TestNode.withOutputDirectories()
    let image = Self.image
    let kernel = site.install + "/netboot/rhels8.5.0/x86_64/compute/kernel"
    try shell("head -c 60M /dev/urandom >\"$1\"", kernel)
    #expect(try site.imgstore("snapshot", image).status == 0)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // The tests' own children may have signals blocked.
    process.arguments = [
      "python3", "-c",
      "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, []); os.execv(sys.argv[1], sys.argv[1:])",
      binary, "export", image, site.directory.path("own/o.tgz"),
    ]
    process.environment = site.environment
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    // Until it writes: it has a file of that directory open, or (without such files) a part lies there.
    let files = "/proc/\(process.processIdentifier)/fd"
    var isWriting = false
    for _ in 0..<3000 where !isWriting && process.isRunning {
      isWriting = try run("sh", "-c", "ls -l \(files) | grep -q '/own/'").didSucceed
      usleep(3000)
    }
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(isWriting && process.terminationReason == .uncaughtSignal)
    #expect(try run("ls", "-A", site.directory.path("own")).output == "")
  }

  // MARK: Links that others made

  /// Every way to name an output, as arguments: with a link at its last component or on the way.
  private static func outputs(_ image: String, _ link: String) -> [[String]] {
    [
      ["export", image, link], ["export", image, "\(link)/x.tgz"],
      ["pack", image, "--output", link], ["pack", image, "--output", "\(link)/x.gz"],
      ["extract", "\(image)@1:etc/passwd", link, "--force"],
      ["extract", "\(image)@1:etc/passwd", "\(link)/passwd", "--force"],
      ["extract", "\(image)@1:etc", link, "--force"], ["extract", "\(image)@1:etc", link],
      ["restore", "\(image)@1", link], ["restore", "\(image)@1", "\(link)/out"],
      ["bench", image, "--rounds", "1", "--no-peers", "--form", "cpio.gz", "--plot", link],
    ]
  }

  @Test func `an output link that another user may have made is not followed`() throws {
    guard isRoot else { return }
    let site = try TestNode.withOutputDirectories()
    let image = Self.image
    #expect(try site.imgstore("snapshot", image).status == 0)
    try runFixture("scripts/trees/plant-links-of-another-user.sh", site.directory.path)
    func state() throws -> String {
      try run(
        "sh", "-c",
        "cd \"\(site.directory.path)\"; cat victim etcx/hosts; ls -A etcx empty; ls -Ad missing* ; ls -lAn sticky foreign | grep -v total"
      ).output
    }
    let before = try state()
    for location in ["sticky", "foreign"] {
      for name in ["file", "folder", "empty", "missing"] {
        for words in OutputModeTests.outputs(image, site.directory.path("\(location)/\(name)")) {
          let result = try run(binary, arguments: words, environment: site.environment)
          #expect(result.status == 1, "\(words): \(result.output)\(result.errors)")
        }
      }
    }
    #expect(try state() == before)
  }

  @Test func `links of root and regular files are accepted as outputs`() throws {
    guard isRoot else { return }
    let site = try TestNode.withOutputDirectories()
    let image = Self.image
    #expect(try site.imgstore("snapshot", image).status == 0)
    try shell(
      "cd \"$1\"; mkdir own/real; ln -s real own/link; ln -s own sticky/mine", site.directory.path)
    let passwd = "\(image)@1:etc/passwd"
    #expect(try site.imgstore("extract", passwd, site.directory.path("own/link/a")).status == 0)
    #expect(try run("ls", "-A", site.directory.path("own/real")).output == "a\n")
    // Nobody but root can replace a link of root in the sticky directory of root.
    try shell("cd \"$1\"; rm sticky/mine; ln -s ../own/real sticky/mine", site.directory.path)
    #expect(try site.imgstore("extract", passwd, site.directory.path("sticky/mine/b")).status == 0)
    #expect(try run("ls", "-A", site.directory.path("own/real")).output == "a\nb\n")
    // In a directory of another user no link is followed, regardless of its owner.
    try shell("cd \"$1\"; ln -s ../own/real foreign/mine", site.directory.path)
    #expect(try site.imgstore("extract", passwd, site.directory.path("foreign/mine/c")).status == 1)
    #expect(try site.imgstore("extract", passwd, site.directory.path("foreign/c")).status == 0)
  }

  // MARK: Whose store

  @Test func `a store that other users own or can write is refused`() throws {
    guard isRoot else { return }
    let site = try TestNode.withOutputDirectories()
    let image = Self.image
    let store = site.directory.path("store")
    let victim = site.directory.path("victim")
    try shell(
      """
      mkdir "$1"; echo precious >"$2"; ln -s "$2" "$1/format.new"; chown -hR 65534 "$1"
      """, store, victim)
    #expect(try site.imgstore("snapshot", image).status == 1)
    #expect(try run("cat", victim).output == "precious\n")
    #expect(try run("ls", "-A", store).output == "format.new\n")
    // Root's, with a link that was left in it.
    try shell("chown root \"$1\"", store)
    #expect(try site.imgstore("snapshot", image).status == 0)
    #expect(try run("cat", victim).output == "precious\n")

    for change in ["chmod 777 .", "chmod 1777 .", "chown :100 .; chmod 770 .", "chown 65534 ."]
      + [
        "packs", "refs", "tags", "pins", "journal", "tmp", "locks", "cache", "doomed", "signatures",
        "xcat",
      ]
      .map({ "mkdir -p \($0); chown 65534 \($0)" }) + ["chmod 777 refs"]
    {
      try shell("cd \"$1\"; \(change)", store)
      for words in [["log", image], ["snapshot", image], ["gc"], ["verify"]] {
        let refused = try run(binary, arguments: words, environment: site.environment)
        #expect(refused.status == 1 && refused.output == "", "\(change): \(words)")
      }
      #expect(try site.imgstore("log", image, "--trust-store").status == 0, "\(change)")
      let trusting = site.environment.merging(["IMGSTORE_TRUST_STORE": "1"]) { $1 }
      #expect(try run(binary, arguments: ["log", image], environment: trusting).status == 0)
      // The way that the message names.
      try shell("chown -hR 0:0 \"$1\"; chmod -R go-w \"$1\"; chmod 700 \"$1\"", store)
      #expect(try site.imgstore("log", image).status == 0, "\(change)")
    }
    // A group that only root belongs to counts as root.
    try shell("chmod 770 \"$1\"", store)
    #expect(try site.imgstore("log", image).status == 0)
  }

  // MARK: Links among the image's files

  @Test func `a list that is a link is exported only from the allowed directories`() throws {
    let site = try TestNode.withOutputDirectories()
    let image = Self.image
    let list = "/install/custom/netboot/rh/compute.pkglist"
    try shell(
      """
      cd "$1"; mkdir -p secret install/shared; echo 'root:HASH' >secret/shadow; echo bash >install/shared/list
      rm -f ".$2"; mkdir -p "$(dirname ".$2")"; ln -s /secret/shadow ".$2"
      """, site.directory.path("root"), list)
    let bundle = site.directory.path("own/b.tgz")
    #expect(try site.imgstore("export", image, bundle).status == 1)
    #expect(try run("ls", "-A", site.directory.path("own")).output == "")
    #expect(try site.imgstore("export", image, bundle, "--allow", "/secret").status == 0)
    for target in ["/install/shared/list", "list.real"] {
      try shell(
        """
        cd "$1"; rm ".$2"; ln -s "$3" ".$2"; echo vim >"$(dirname ".$2")/list.real"
        """, site.directory.path("root"), list, target)
      #expect(try site.imgstore("export", image, bundle).status == 0, "\(target)")
    }
  }
}

// Tests the candidates at the cursor, which depend on the syntax of a command, the store and the tables.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite struct CompletionTests {
  private static let globals: [CommandSyntax.Option] = [
    .init(["--store", "-r"], hasValue: true), .init(["--root"], hasValue: true),
    .init(["--quiet", "-q"]),
  ]

  /// Some commands, as the parser declares them.
  private static let tree = CommandTree(
    commands: [
      .init("revert", summary: "Make it so."), .init("remove", aliases: ["rm", "delete"]),
      .init("cat"), .init("diff"), .init("find"), .init("define"), .init("grep"), .init("untag"),
      .init("tag"),
      .init("gc"), .init("import"), .init("pack"), .init("blame"), .init("log"),
      .init("key", subcommands: [.init("trust"), .init("show")]), .init("help"),
    ], globalOptions: globals, rootOptions: [.init(["--version"])]
  ) { path in
    var syntax = CommandSyntax(options: globals)
    switch path {
    case ["revert"]:
      syntax.operands = [.init("ref"), .init("paths", isRepeating: true)]
      syntax.options += [
        .init(["--component"], hasValue: true, isRepeating: true), .init(["--dry-run", "-n"]),
        .init(["--swap"]),
      ]
    case ["cat"]: syntax.operands = [.init("files", isRepeating: true)]
    case ["remove"]: syntax.operands = [.init("refs", isRepeating: true)]
    case ["recipes"]: syntax.operands = [.init("ref")]
    case ["untag"]: syntax.operands = [.init("image@tag")]
    case ["tag"]: syntax.operands = [.init("ref"), .init("tag")]
    case ["log"]: syntax.operands = [.init("name"), .init("path")]
    case ["blame"]: syntax.operands = [.init("ref"), .init("path")]
    case ["grep"]: syntax.operands = [.init("pattern"), .init("ref")]
    case ["find"]:
      syntax.operands = [.init("ref"), .init("path")]
      syntax.options += [.init(["--type"], hasValue: true), .init(["--name"], hasValue: true)]
    case ["diff"]:
      syntax.operands = [
        .init("ref"), .init("newer"), .init("path", isRepeating: true, isAfterTerminator: true),
      ]
      syntax.options.append(.init(["--unified", "-u"], hasValue: true))
    case ["define"]: syntax.operands = [.init("name"), .init("attr=value", isRepeating: true)]
    case ["import"]: syntax.operands = [.init("bundle")]
    case ["pack"]:
      syntax.operands = [.init("ref")]
      syntax.options += [
        .init(["--compress", "-c"], hasValue: true, values: ["gzip", "zstd", "xz"]),
        .init(["--output", "-o"], hasValue: true),
      ]
    case ["key", "trust"]: syntax.operands = [.init("file")]
    case ["help"]: syntax.operands = [.init("subcommands", isRepeating: true)]
    default: break
    }
    return syntax
  }

  /// Returns the point at the end of a line, whose words are separated by single blanks.
  private static func point(_ line: String) -> CompletionPoint {
    var words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    let word = words.removeLast()
    return CompletionPoint(words, word, tree)
  }

  // MARK: The position of the cursor

  @Test(arguments: [
    ("", CompletionPoint.Kind.command([])), ("re", .command([])), ("-q re", .command([])),
    ("--store /s re", .command([])), ("--store=/s -r /t re", .command([])),
    ("key ", .command(["key"])),
    ("--store ", .value(.directory)), ("-r ", .value(.directory)),
    ("--root=/s", .value(.directory)),
    ("revert ", .value(.entry)), ("revert -n ", .value(.entry)), ("revert img ", .value(.path)),
    ("revert img a b c", .value(.path)), ("revert --component ", .value(.component)),
    ("revert --component=ker", .value(.component)), ("revert --component kernel ", .value(.entry)),
    ("rm ", .value(.snapshot)), ("delete x", .value(.snapshot)),
    ("rm x --store ", .value(.directory)),
    ("diff a b -- ", .value(.path)), ("diff a -- etc ", .value(.path)), ("diff a ", .value(.state)),
    ("diff -nu ", .value(.path)), ("diff -u ", .value(.path)), ("grep ", .value(.free)),
    ("grep x ", .value(.entry)), ("define x a=b ", .value(.assignment)),
    ("find --type ", .value(.oneOf(["f", "d", "l", "b", "c", "p", "s"]))),
    ("find x --name ", .value(.free)), ("key trust ", .value(.file)),
    ("untag ", .value(.taggedSnapshot)),
    ("pack -c ", .value(.oneOf(["gzip", "zstd", "xz"]))), ("pack x -o ", .value(.file)),
    ("help ", .value(.command)), ("nothing x", .nothing), ("revert --nothing=", .nothing),
    ("revert --swap=", .nothing), ("rm x y", .value(.snapshot)), ("revert -- -", .value(.entry)),
  ])
  func `the kind of the current word is found`(_ line: String, _ kind: CompletionPoint.Kind) {
    #expect(Self.point(line).kind == kind, "\(line)")
  }

  @Test func `global options are recognized in every position`() {
    let all = ["--store", "/s", "--quiet", "--root", "/r", "--store", "/t"]
    #expect(Self.point("-r /s -q --root=/r revert --store /t ").globalOptions == all)
    #expect(Self.point("--root=/s").kept == "--root=" && Self.point("--root=/s").word == "/s")
    #expect(
      Self.point("diff a@1 -u x b -- ").operands == [.init("a@1", .state), .init("b", .state)])
  }

  // MARK: Candidates

  private struct CompletionNode {
    let directory: TemporaryDirectory
    let workspace: Workspace

    func complete(_ line: String, describes: Bool = false) -> Completion {
      workspace.completion(at: point(line), tree, describes: describes)
    }

    /// Returns the offered words, each with a blank if it is complete; or "files".
    func words(_ line: String) -> [String] {
      let completion = complete(line)
      switch completion.source {
      case .files: return [completion.kept + "files"]
      case .directories: return [completion.kept + "folders"]
      case .candidates(let candidates):
        return candidates.map { completion.kept + $0.text + ($0.isFinished ? " " : "") }
      }
    }
  }

  /// Creates two images: one with a long name and two snapshots, and one without snapshots.
  private func site() throws -> CompletionNode {
    let directory = try TemporaryDirectory()
    try shell(
      """
      mkdir -p "$1/root/img/rootimg"; cd "$1/root/img/rootimg"
      mkdir -p etc/ssh usr/bin 'my docs' many; ln -s usr/bin bin; ln -s etc/passwd link
      echo a >etc/passwd; echo b >etc/passwd-; echo c >"my docs/it's"; echo d >usr/bin/bash
      echo e >$'odd\\nname'; echo f >$'odd\\xff'; echo k >../kernel
      seq 1500 | sed 's/^/many\\/aa/' | xargs touch; touch many/b
      """, directory.path)
    let workspace = try Workspace.test(directory)
    _ = try workspace.define("el9-x86_64-netboot-compute", ["rootimgdir=/img", "profile=compute"])
    for (message, tag) in [("first", "golden"), ("second", "gone")] {
      try shell("echo \"$2\" >\"$1/root/img/rootimg/change\"", directory.path, message)
      let taken = try workspace.snapshot("el9-x86_64-netboot-compute", message: message)
      _ = try workspace.tag(taken.committed.name, as: tag)
    }
    return CompletionNode(directory: directory, workspace: workspace)
  }

  @Test(.usesTools) func `commands, aliases and options are completed`() throws {
    let site = try site()
    #expect(site.words("re") == ["revert ", "remove "])
    #expect(site.words("r") == ["revert ", "remove ", "rm "])
    #expect(site.words("") == Self.tree.commands.map { $0.name + " " })
    #expect(site.words("key ") == ["trust ", "show "] && site.words("help key t") == ["trust "])
    #expect(site.words("revert --s") == ["--store ", "--swap "])
    #expect(
      site.words("revert -n --component x -") == [
        "--store ", "--root ", "--quiet ", "--component ", "--swap ",
      ])
    #expect(site.words("--") == ["--store ", "--root ", "--quiet ", "--version "])
    #expect(site.words("gc ") == ["--store ", "--root ", "--quiet "])
    #expect(
      site.words("pack -c z") == ["zstd "]
        && site.words("pack --compress=z") == ["--compress=zstd "])
    #expect(
      site.complete("rev", describes: true).source
        == .candidates([.init("revert", summary: "Make it so.")]))
  }

  @Test(.usesTools) func `the shell completes files and folders`() throws {
    let site = try site()
    #expect(site.words("import de") == ["files"] && site.words("import host:/x") == [])
    #expect(site.words("import ./a:b") == ["files"])
    #expect(
      site.words("--store ") == ["folders"] && site.words("gc --root=/") == ["--root=folders"])
    #expect(site.words("pack x -o ") == ["files"])
    #expect(site.words("define x rootimgdir=/i") == ["rootimgdir=folders"])
    #expect(site.words("define x pkglist=") == ["pkglist=files"])
  }

  @Test(.usesTools) func `images are completed`() throws {
    let site = try site()
    let name = "el9-x86_64-netboot-compute"
    // The directory of an image remains after all its snapshots are removed.
    try shell("mkdir \"$1/store/refs/gone\"", site.directory.path)
    #expect(site.words("log ") == ["\(name) ", "img "])
    #expect(site.words("log e") == ["\(name) "] && site.words("log nothing") == [])
    // The name replaces a unique part of it. `revert` adds no blank, because a snapshot can follow.
    #expect(site.words("log comp") == ["\(name) "] && site.words("revert comp") == [name])
    #expect(site.words("revert \(name)") == [name, "\(name)@", "\(name):"])
    #expect(site.words("rm \(name)") == [name, "\(name)@"])
  }

  @Test(.usesTools) func `snapshots are completed`() throws {
    let site = try site()
    #expect(
      site.words("rm compute@") == ["compute@golden ", "compute@gone ", "compute@2 ", "compute@1 "])
    #expect(site.words("rm compute@gol") == ["compute@golden "])
    #expect(site.words("revert compute@1") == ["compute@1"])
    #expect(site.words("rm compute@~") == ["compute@~0 ", "compute@~1 "])
    #expect(site.words("rm compute@y") == ["compute@yesterday "] && site.words("rm img@") == [])
    #expect(site.words("diff compute@l") == ["compute@live"] && site.words("rm compute@l") == [])
    #expect(site.words("untag compute@") == ["compute@golden ", "compute@gone "])
    #expect(site.words("tag compute@1 g") == ["golden ", "gone "])
    #expect(site.words("rm @") == [], "there are two images")
    guard case .candidates(let described) = site.complete("rm compute@g", describes: true).source
    else { throw TestFailure("no candidates") }
    #expect(described.first?.summary.hasPrefix("@1 2") == true)
    #expect(described.first?.summary.hasSuffix("first") == true)
  }

  @Test(.usesTools) func `paths in a snapshot are completed`() throws {
    let site = try site()
    #expect(
      site.words("revert compute:/etc/pass") == ["compute:/etc/passwd ", "compute:/etc/passwd- "])
    #expect(site.words("revert compute@1:etc/s") == ["compute@1:etc/ssh/"])
    #expect(site.words("revert compute@golden my") == ["my docs/"])
    #expect(site.words("revert compute:odd") == [#"compute:odd\nname "#, #"compute:odd\xff "#])
    // Links to directories count as directories, and paths may lead through them.
    #expect(site.words("revert compute:bi") == ["compute:bin/"])
    #expect(site.words("revert compute:lin") == ["compute:link "])
    #expect(site.words("revert compute:bin/") == ["compute:bin/bash "])
    #expect(site.words("revert compute:etc/../usr/bin/b") == ["compute:etc/../usr/bin/bash "])
    // Absolute paths on the management node.
    #expect(site.words("revert compute:/im") == ["compute:/img/"])
    #expect(
      site.words("revert compute:/img/") == ["compute:/img/kernel ", "compute:/img/rootimg/"])
    #expect(site.words("revert compute:/img/rootimg/etc/s") == ["compute:/img/rootimg/etc/ssh/"])
    // Separate operands, and values of options.
    #expect(site.words("cat compute@1 etc/s") == ["etc/ssh/"])
    #expect(site.words("cat compute@1 etc/passwd compute@1:etc/s") == ["compute@1:etc/ssh/"])
    #expect(site.words("diff compute@1 compute@2 -- etc/s") == ["etc/ssh/"])
    #expect(site.words("diff compute@1 -u etc/s") == ["etc/ssh/"])
    #expect(
      site.words("find compute:etc us") == ["usr/"] && site.words("log comp usr/b") == ["usr/bin/"])
    #expect(site.words("grep x compute@yesterday:") == [] && site.words("grep x compute@9:") == [])
    #expect(
      !site.words("grep x compute@today:").isEmpty && !site.words("grep x compute@~1:").isEmpty)
    #expect(
      site.words("revert compute:none/") == [] && site.words("revert compute:etc/passwd/") == [])
  }

  @Test(.usesTools)
  func `the number of candidates is limited, and the common prefix stays the same`()
    throws
  {
    let words = try site().words("find compute:many/")
    #expect(words.count == Completion.maxCandidates)
    #expect(words.contains("compute:many/b "))
  }

  @Test(.usesTools) func `components and attributes are completed`() throws {
    let site = try site()
    #expect(
      site.words("revert compute@1 --component ") == [
        "definition ", "kernel ", "tree ", "imagetype ", "profile ", "rootimgdir ",
      ])
    #expect(site.words("revert --component k") == ["kernel "])
    #expect(site.words("define x prov") == ["provmethod="])
    #expect(site.words("define x provmethod=net") == ["provmethod=netboot "])
    #expect(site.words("define x provmethod=netboot p").contains("pkglist="))
    #expect(!site.words("define x provmethod=netboot p").contains("provmethod="))
    #expect(!site.words("define x ").contains("imagename="))
  }

  // MARK: Without a store

  @Test(.usesTools) func `without a store there are no candidates, and no store is created`() throws
  {
    let directory = try TemporaryDirectory()
    try shell("mkdir \"$1/root\"", directory.path)
    let workspace = try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    ) { _ in Issue.record("something was said") }
    let site = CompletionNode(directory: directory, workspace: workspace)
    for line in ["log ", "rm i", "rm img@", "revert img:/", "tag img@1 "] {
      #expect(site.words(line) == [], "\(line)")
    }
    #expect(site.words("re") == ["revert ", "remove "])
    #expect(!FileManager.default.fileExists(atPath: directory.path("store")))
  }

  @Test(.usesTools) func `an image with a definition and no snapshot is offered`() throws {
    let site = try site()
    try shell(
      "mkdir -p \"$1/root/etc/xcat\"; mv \"$1/store/xcat/\"*.sqlite \"$1/root/etc/xcat/\"; rm -r \"$1/store\"",
      site.directory.path)
    let other = try Workspace(
      WorkspaceOptions(store: site.directory.path("store"), root: site.directory.path("root"))
    ) { _ in }
    #expect(CompletionNode(directory: site.directory, workspace: other).words("log i") == ["img "])
  }

  @Test(.usesTools) func `a damaged store gives fewer candidates and no error`() throws {
    let site = try site()
    try shell(
      """
      cd "$1/store"; for f in packs/*; do echo rubbish >"$f"; done
      echo rubbish >index.sqlite; echo rubbish >refs/el9-x86_64-netboot-compute/0000000002
      """, site.directory.path)
    let other = try Workspace(
      WorkspaceOptions(store: site.directory.path("store"), root: site.directory.path("root"))
    ) { _ in Issue.record("something was said") }
    let damaged = CompletionNode(directory: site.directory, workspace: other)
    #expect(damaged.words("revert compute@1:") == [] && damaged.words("revert compute@2:") == [])
    #expect(damaged.words("rm compute@").count == 4)
    _ = damaged.complete("rm compute@", describes: true)
  }
}

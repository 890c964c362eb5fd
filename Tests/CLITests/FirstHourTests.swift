// Command lines of new users with the habits of git, restic, borg and docker: each works or is
// answered with the right command.

import Foundation
import TestSupport
import Testing

@Suite struct FirstHourTests {
  private static let long = "rhels8.5.0-x86_64-netboot-compute"

  /// Two snapshots of one image with a long name; the tree has changed since.
  private func site() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell(
      """
      cd "$1/root"; mkdir -p compute/rootimg/etc/ssh compute/rootimg/old/a/b; cd compute/rootimg
      echo one >etc/hosts; echo key >etc/ssh/key; echo x >old/a/b/c
      """, site.directory.path)
    #expect(
      try site.imgstore(
        "define", Self.long, "provmethod=netboot", "rootimgdir=/compute", "profile=compute"
      ).status == 0)
    #expect(try site.imgstore("snapshot", Self.long, "--tag", "golden").status == 0)
    try shell(
      "echo two >\"$1/etc/hosts\"; rm -r \"$1/old\"", site.directory.path("root/compute/rootimg"))
    #expect(try site.imgstore("snapshot", Self.long).status == 0)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    return site
  }

  struct Row: Sendable {
    let typed: String
    let status: Int32
    /// The text that standard output and standard error together must contain.
    let says: String

    init(_ typed: String, _ status: Int32, _ says: String = "") {
      (self.typed, self.status, self.says) = (typed, status, says)
    }
  }

  static let rows = [
    // Names.
    Row("snapshot compute", 0, "'compute' is image \(long)"),
    Row("log x86_64-netboot", 0, "@2"), Row("status compote", 1, "Did you mean \(long)?"),
    Row("snapshot nothing-like-it", 1, "imgstore add nothing-like-it DIR"),
    Row("show compute@golden", 0, long), Row("log", 2, "Name one of img or \(long)"),
    Row("show compute@yesterday", 1, "has no snapshot as old as that"),
    Row("show compute@today", 0, "@2"),
    // Paths behind references.
    Row("revert compute@golden:/etc/hosts -n", 0, "write   /compute/rootimg/etc/hosts"),
    Row("revert compute golden", 2, "compute@golden"),
    Row("remove compute@1:/etc/hosts", 2, "names a path"),
    Row("tag compute@1:/etc/hosts x", 2, "names a path"),
    Row("diff compute@1:/etc compute@2:/etc", 0, "M  etc/hosts"),
    Row("diff compute@1 compute@2 -- etc/none", 1, "is neither in"),
    // Directories that went are one line; paths are relative to the tree.
    Row("diff compute@1 compute@2", 0, "/compute/rootimg:\n"),
    Row("diff compute@1 compute@2", 0, "D  old/  (3 entries in it)\n"),
    Row("diff compute@1 compute@2 --all", 0, "D  old/a/b/c\n"),
    Row("diff compute@1 compute@2 --name-only", 0, "etc/hosts\n"),
    Row("diff compute@1 compute@2 --exit-code", 7), Row("diff compute@1 compute@1 --exit-code", 0),
    Row("status compute --exit-code", 0), Row("diff img compute", 0, "osimage.profile"),
    // Tags.
    Row("tag compute@2 golden", 1, "imgstore tag --force"),
    Row("tag compute@2 golden --force", 0, "moved from \(long)@1"),
    Row("tags compute", 0, "\(long)@golden  @"),
    Row("snapshot compute --tag golden --move-tag", 0, "moved from @"),
    Row("tag compute@1 live", 2, "is reserved"),
    // Several images, and only where something changed.
    Row("snapshot --all", 0, "img@2"), Row("snapshot img compute", 0, "\(long)@3"),
    Row("snapshot --all --if-changed", 0, "unchanged, not recorded again"),
    Row("snapshot img nobody", 1, "nobody"), Row("snapshot img --all", 2, "--all"),
    // Commands that remove something do not guess.
    Row("rm compute@1 --force", 1, "Write the full name: \(long)"),
    Row("forget compute --keep-last 1", 1, "Write the full name: \(long)"),
    Row("log compute", 0, "@1"),
    // Paths written apart from the reference, and the wrong way round.
    Row("cat compute@1 /etc/hosts", 0, "one\n"), Row("cat compute@1:etc/hosts", 0, "one\n"),
    Row("cat compute@1 etc/hosts etc/ssh/key", 0, "one\nkey\n"),
    Row("ls compute@1 /etc", 0, "ssh/"), Row("ls -la compute@1:etc", 0, "ssh"),
    Row("ls compute@1 -lh", 0, "etc"), Row("grep one compute@1 /etc/hosts", 0, "one"),
    Row("grep compute one", 2, "imgstore grep one compute"),
    Row("blame compute:/etc/hosts", 0, "@2"), Row("blame compute /etc/hosts", 0, "@2"),
    Row("blame compute", 2, "names no path"), Row("log compute:/etc/hosts", 0, "@2"),
    Row("find compute hosts", 1, "--name hosts"), Row("find compute -name hosts", 0, "etc/hosts"),
    Row("find compute -type f -size +1M", 0),
    Row("find compute@1 etc --name hosts", 0, "etc/hosts"),
    Row("diff compute etc/hosts", 0, "no difference"),
    Row("diff compute@1..@2 --name-only", 0, "etc/hosts\n"),
    Row("diff compute@1..2 --stat", 0, "path"), Row("diff compute@2..1", 2, "lower number first"),
    Row("diff compute@1 compute@2 -p", 0, "-one\n+two\n"), Row("diff compute -p --stat", 2, "-p"),
    Row("restore compute@1 etc/hosts -o OUT/a", 0, "restored"),
    Row("restore compute@1:etc/hosts OUT/b", 0, "restored"),
    Row("extract compute@1 etc/hosts OUT/c", 0, "restored"), Row("restore compute@1", 2, "DEST"),
    // Policies and space.
    Row("gc -n", 0, "would free"), Row("du -h", 0, "img"),
    Row("forget img@1", 2, "imgstore remove img@1"),
    Row("forget img --keep-within 30d", 0, "within"), Row("forget img --keep-within 3x", 2, "30d"),
    Row("forget img --keep-yearly 1 -n", 0, "would forget"), Row("forget img --keep-auto 2 -n", 0),
    Row("forget img --entirely -n", 0, "would forget 1 snapshot"),
    Row("forget img --entirely --keep-last 1", 2, "--entirely"),
    Row("pin \(long)@1..2 -m audit", 0, "@2 is pinned"),
    Row("unpin \(long)@1..2", 1, "is not pinned"),
    Row("remove \(long)@7..9", 1, "has no snapshot"),
    // Directories.
    Row("snapshot TREE", 0, "tree@1"), Row("snapshot TREE/none", 1, "does not exist"),
    Row("status TREE", 1, "is not an image"),
    Row("add TREE --exclude '*.log'", 0, "left out: *.log"),
    Row("add TREE --exclude a//b", 2, "two slashes"), Row("add img TREE", 1, "exists already"),
    Row("define img path=/x", 2, "imgstore add NAME DIR"),
    Row("import none.tgz --to ''", 2, "--to"), Row("init OUT/store", 0, "created a store"),
    // Words of other programs.
    Row("list", 0, long), Row("check", 0, "all data is present"), Row("fsck", 0), Row("prune", 0),
    Row("rm \(long)@1 --force -n", 0), Row("cp compute other -n", 0),
    Row("version", 0, "imgstore 0"),
    Row("-v", 0, "imgstore 0"), Row("-V", 0, "imgstore 0"), Row("ls", 2, "imgstore images"),
    Row("commit", 2, "imgstore snapshot"), Row("checkout", 2, "imgstore revert"),
    Row("backup", 2, "imgstore snapshot"), Row("mount", 2, "imgstore restore"),
    Row("clone", 2, "<url>"), Row("push", 2, "<remote>"), Row("fetch", 2, "imgstore pull"),
    Row("abort", 2, "imgstore resume --back"), Row("unlock", 2, "nothing to unlock"),
    Row("completion bash", 0, "complete"), Row("completions", 2, "imgstore completion bash"),
    Row("lgo compute", 2, "'log'"),
    Row("frobnicate", 2, "imgstore help --all"),
    Row("repair -n", 0, "nothing to do"), Row("stats", 0, "total"),
    Row("bench /no/tree", 1, "is not a directory below"),
    Row("untag compute@golden", 0, "removed the tag"), Row("untag compute@none", 1, "none"),
    Row("copy compute@1 other -n", 0, "would take"), Row("undo img", 1, "img"),
    Row("cat compute:", 1, "is a directory"), Row("ls compute@1:etc/none", 1, "etc/none"),
    Row("export compute -o OUT/x.tgz", 1, "kernel"),
    // Options before the command, and suggestions only where they are near.
    Row("-q log compute", 0, "@2"), Row("--no-wait log compute", 0, "@2"),
    Row("resume --abort", 0, "no image has an unfinished change"),
    Row("resume img", 1, "has no unfinished change"),
    Row("--json images", 0, "\"document\""), Row("log compute -n1", 0, "@2"),
    Row("log -1 compute", 0, "@2"),
    Row("log --all", 0, "img@1"), Row("status --all", 0, "identical to img@1"), Row("pins", 0),
    Row("check --read-data", 0, "undamaged"), Row("save img", 2, "imgstore export"),
    Row("load x.tgz", 2, "imgstore import"), Row("build", 2, "imgstore snapshot"),
    Row("tag \(long)@2 golden --force", 0), Row("tag \(long)@1 golden", 0, "golden"),
    Row("forget img --keep-last 0", 2, "keeps 0 snapshots"),
    Row("forget img --keep-within-daily 7d", 2, "Unknown option"),
    Row("gc --max-time 1h30m -n", 0), Row("optimize --max-bytes 1GiB", 0),
    Row("diff compute --exitcode", 2, "--exit-code"),
    Row("gc --max-bytes 1.5G -n", 0), Row("gc --max-bytes 1.5 -n", 2, "1.5G"),
    // Names of nothing, and references as git writes them.
    Row("log nothing-like-it", 1, "imgstore images"), Row("diff HEAD", 1, "IMAGE@latest"),
    Row("show HEAD~1", 1, "IMAGE@~1"), Row("show img~1", 1, "img@~1"),
    Row("status im", 1, "Did you mean img?"), Row("show compute@latest", 0, long),
    Row("show compute@HEAD", 0, long), Row("tag img@1 latest", 2, "is reserved"),
    Row("tag img@1 HEAD", 2, "is reserved"),
    Row("show compute@goldne", 1, "Did you mean \(long)@golden?"),
    Row("cat etc/hosts", 1, "IMAGE:etc/hosts"), Row("revert etc/hosts", 1, "IMAGE:etc/hosts"),
    Row("diff etc/hosts", 1, "IMAGE:etc/hosts"), Row("blame etc/hosts", 2, "IMAGE:etc/hosts"),
    // Destinations.
    Row("restore compute@1 etc/hosts", 2, "etc/hosts DEST"),
    Row("restore compute@1 ./etc/hosts", 0, "restored"),
    Row("restore compute@1 elsewhere", 0, "restored"),
    Row("restore compute@1 --target OUT/d", 0, "restored"),
    Row("restore compute@1:etc/hosts -o -", 2, "./-"),
    Row("pack compute -o -", 2, "./-"),
    // Options of git and restic.
    Row("status --porcelain", 2, "--json"), Row("diff compute --name-status", 2, "letter"),
    Row("log compute --oneline", 2, "one line"), Row("diff compute -U3", 2, "-p"),
    Row("tag -d golden", 2, "imgstore untag"), Row("tag -l", 2, "imgstore tags"),
    Row("forget img --keep-tag x", 2, "--keep-tagged"),
    Row("prune --keep-last 3", 2, "imgstore forget"),
    Row("forget img --keep-last 1 --prune -n", 0, "would forget"),
    Row("forget img --keep-last 1 --prune", 0, "free"),
    Row("exclude '*.log'", 2, "imgstore add NAME --exclude"),
    Row("help restoer", 2, "'restore'"), Row("help nope", 2, "help --all"),
    Row("images -r STORE", 0, long), Row("status img -q", 0), Row("diff compute@1 compute@2 -q", 7),
  ]

  @Test(arguments: rows)
  func `command lines of a new user work or are answered with the right command`(_ row: Row) throws
  {
    let site = try site()
    let words: [String] = row.typed.split(separator: " ").map { word in
      word.replacingOccurrences(of: "'", with: "")
        .replacingOccurrences(of: "TREE", with: "/tree")
        .replacingOccurrences(of: "OUT", with: site.directory.path("out"))
        .replacingOccurrences(of: "STORE", with: site.directory.path("store"))
    }
    try shell("mkdir -p \"$1/root/tree/etc\"; echo t >\"$1/root/tree/etc/t\"", site.directory.path)
    let result = try run(
      binary, arguments: words, environment: site.environment,
      directory: site.directory.path("root"))
    let said = result.output + result.errors
    #expect(result.status == row.status, "\(row.typed): \(said)")
    #expect(row.says.isEmpty || said.contains(row.says), "\(row.typed): \(said)")
    #expect(!said.contains("Did you mean '--store'") && !said.contains("Did you mean '--root'"))
  }

  @Test func `options may precede the command`() throws {
    let site = try site()
    let plain = ["TZ": "UTC"]
    let (store, root) = (site.directory.path("store"), site.directory.path("root"))
    for words in [
      ["--store", store, "--root", root, "log", "compute"],
      ["--store=\(store)", "--root=\(root)", "-q", "log", "compute"],
      ["-r", store, "--root", root, "log", "compute"], ["--repo", store, "log", "compute"],
      ["log", "compute", "--store", store, "--root", root],
    ] {
      let result = try run(binary, arguments: words, environment: plain)
      #expect(
        result.status == 0 && result.output.contains("[golden]"), "\(words): \(result.errors)")
    }
  }

  @Test func `the program without arguments prints one screen`() throws {
    for words in [[], ["help"]] {
      let text = try run(binary, arguments: words, environment: [:]).output
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(lines.count <= 24 && lines.allSatisfy { $0.count <= 80 }, "\(lines.count)")
      #expect(text.contains("imgstore revert REF:PATH"))
    }
    let all = try run(binary, arguments: ["help", "--all"], environment: [:]).output
    #expect(all.contains("optimize") && all.contains("untag"))
  }

  @Test func `-q suppresses output of success only`() throws {
    let site = try site()
    try shell("echo new >\"$1/root/img/rootimg/new\"", site.directory.path)
    for words in [
      ["snapshot", "img"], ["tag", "img@1", "t"], ["gc"], ["verify"], ["optimize"],
      ["forget", "--all", "--keep-last", "9"], ["revert", "img@1"], ["undo", "img"],
      ["define", "img", "osvers=rhels10"],
    ] {
      let result = try run(binary, arguments: words + ["-q"], environment: site.environment)
      #expect(
        result.status == 0 && result.output == "" && result.errors == "", "\(words): \(result)")
    }
    // Requested output is printed, and so are problems.
    #expect(try site.imgstore("log", "img", "-q").output.contains("@1"))
    #expect(try site.imgstore("verify", "-q", "--json").output.contains("clean"))
    #expect(try site.imgstore("revert", "img@1", "-n", "-q").output != "")
    let unsafe = try site.imgstore("define", "img", "addkcmdline=a $(id)", "-q")
    #expect(unsafe.output == "" && unsafe.errors.contains("addkcmdline"), "\(unsafe)")
    #expect(try site.imgstore("log", "compute", "-q").errors == "")
    #expect(try site.imgstore("snapshot", "nobody", "-q").errors.contains("nobody"))
  }

  @Test func `only writing commands create a store, and they report it`() throws {
    let directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1/root/img/rootimg\" \"$1/disk/lost+found\"", directory.path)
    let store = directory.path("store")
    let environment = [
      "IMGSTORE_STORE": store, "IMGSTORE_ROOT": directory.path("root"), "TZ": "UTC",
    ]
    func typed(_ words: String...) throws -> ToolResult {
      try run(binary, arguments: words, environment: environment)
    }
    for words in [
      ["images"], ["images", "--json"], ["images", "-z"], ["tags"], ["log", "img"], ["verify"],
    ] {
      _ = try run(binary, arguments: words, environment: environment)
      #expect(!FileManager.default.fileExists(atPath: store), "\(words)")
    }
    #expect(try typed("images").status == 0)
    #expect(try typed("images").output.contains("there is no store in \(store) yet"))
    let defined = try typed("define", "img", "provmethod=netboot", "rootimgdir=/img")
    #expect(defined.status == 0 && defined.errors.contains("made a new store in \(store)"))
    #expect(try typed("images").errors == "")
    // A file system of its own has this directory.
    let disk = try typed("define", "img", "provmethod=netboot", "--store", directory.path("disk"))
    #expect(disk.status == 0, "\(disk.errors)")
    #expect(try typed("images", "--store", directory.path("disk")).output.contains("img"))
    #expect(try typed("verify", "--store", directory.path("disk")).status == 0)
  }

  @Test func `an image with an unfinished change is marked in every list`() throws {
    let site = try site()
    // Killed at a later and later change of a file system, until a journal stays behind.
    var images = try site.imgstore("images")
    for operation in 5..<200 where !images.output.contains("(unfinished)") {
      _ = try run(
        killatBinary,
        arguments: [
          "\(operation)", site.directory.path("count"), binary, "revert", "compute@1", "--in-place",
        ], environment: site.environment)
      images = try site.imgstore("images")
    }
    #expect(images.output.contains("(unfinished)"), "\(images.output)")
    #expect(images.output.contains("a revert to \(Self.long)@1 was begun 20"))
    let status = try site.imgstore("status", "compute")
    #expect(status.status == 3, "\(status.errors)")
    #expect(try site.imgstore("resume", "--abort").status == 0)
    #expect(try !site.imgstore("images").output.contains("(unfinished)"))
  }
}

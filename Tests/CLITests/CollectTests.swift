// gc, forget and du of the program: killed at each system call that changes something, run next to
// other processes and on a full disk, and their output.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.serialized) struct CollectTests {
  private static let isThorough =
    ProcessInfo.processInfo.environment["IMGSTORE_SWEEP"] == "all"

  /// Snapshots of a small tree that changes.
  private func fill(_ site: TestNode, _ count: Int) throws {
    try shell(
      """
      cd "$1"; mkdir -p a b
      for i in $(seq 40); do head -c $((i * 100)) /dev/urandom >a/$i; done
      head -c 300000 /dev/urandom >large
      """, site.tree)
    for i in 1...count {
      try shell(
        "cd \"$1\"; echo $2 >n; for i in 1 2 3; do head -c 9000 /dev/urandom >b/$((($2 + i) % 7)); done",
        site.tree, "\(i)")
      let taken = try site.imgstore("snapshot", "img", "-m", "change \(i)", "-q")
      #expect(taken.status == 0, "\(taken.errors)")
    }
  }

  /// Sweeps take 1, 3, 6, 12 … as the call at which it is killed; IMGSTORE_SWEEP=all each one.
  /// System calls that change the disk or affect other processes.
  private static let calls = [
    "rename,renameat,renameat2", "unlink,unlinkat", "write,pwrite64", "fsync,fdatasync", "flock",
    "ftruncate,openat",
  ]

  @Test(arguments: calls)
  func `gc killed at any system call loses only disk space`(_ calls: String) throws {
    guard try run("strace", "-qq", "-e", "trace=none", "true").didSucceed else { return }
    let base = try TestNode(image: "img")
    try fill(base, 6)
    #expect(try base.imgstore("forget", "img", "--keep-last", "2").status == 0)
    let final = try TestNode(image: "img")
    try shell(
      "rm -rf \"$2/store\"; cp -a \"$1/store\" \"$2/\"", base.directory.path, final.directory.path)
    #expect(try final.imgstore("gc").status == 0)
    let least = try packBytes(final)
    var n = 1
    while n < 2000 {
      let site = try TestNode(image: "img")
      try shell(
        "rm -rf \"$2/store\"; cp -a \"$1/store\" \"$2/\"", base.directory.path, site.directory.path)
      let result = try run(
        "strace",
        arguments: [
          "-f", "-qq", "-o", "/dev/null", "-e", "trace=\(calls)", "-e",
          "inject=\(calls):signal=SIGKILL:when=\(n)", binary, "gc",
        ], environment: site.environment)
      let when = "\(calls) \(n)"
      let verify = try site.imgstore("verify")
      #expect(verify.status == 0, "\(when): \(verify.errors)")
      try shell("rm -f \"$1/index.sqlite\"", site.directory.path("store"))
      let again = try site.imgstore("verify", "--deep")
      #expect(again.status == 0, "\(when), without its index: \(again.errors)")
      let taken = try site.imgstore("snapshot", "img", "-q")
      #expect(taken.status == 0, "\(when): \(taken.errors)")
      let next = try site.imgstore("gc")
      #expect(next.status == 0, "\(when): \(next.errors)")
      #expect(try run("ls", site.directory.path("store/doomed")).output == "", "\(when)")
      #expect(try run("ls", site.directory.path("store/tmp")).output == "", "\(when)")
      let collected = try site.imgstore("verify", "--deep", "--json")
      #expect(
        collected.status == 0 && collected.output.contains("\"snapshots\" : 3"), "\(when)")
      let bytes = try packBytes(site)
      #expect(Double(bytes) < Double(least) * 1.02 + 40_000, "\(when): \(bytes), \(least)")
      // strace exits as the traced program; a call that is not reached kills nothing.
      if result.status == 0 { return }
      n += Self.isThorough ? 1 : max(2, n)
    }
    Issue.record("the sweep does not end")
  }

  private func packBytes(_ site: TestNode) throws -> Int {
    let text = try shell("cat \"$1\"/packs/* | wc -c", site.directory.path("store")).output
    return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
  }

  @Test func `gc loses nothing while other processes take snapshots, export and import`() throws {
    let site = try TestNode(image: "img")
    try fill(site, 4)
    let bundle = site.directory.path("bundle.tgz")
    try shell("cp \"$1\" \"$2\"", fixture("xcat/stateless.tgz"), bundle)
    // Each line is a loop of one process after the other; the collectors go on until all are done.
    let result = try run(
      fixture("scripts/processes/collect-during-commands.sh"), binary, site.tree,
      try prepared(site), bundle, environment: site.environment)
    #expect(result.status == 0 && result.errors == "", "\(result.errors)")
    let verify = try site.imgstore("verify", "--deep")
    #expect(verify.status == 0, "\(verify.errors)")
    #expect(try site.imgstore("gc").status == 0)
    #expect(try site.imgstore("verify", "--deep").status == 0)
    #expect(try site.imgstore("status", "img").output.contains("identical"))
    for i in 1...8 {
      #expect(
        try run("gzip", "-t", site.directory.path("out/e\(i).tgz")).didSucceed, "export \(i)")
    }
  }

  private func prepared(_ site: TestNode) throws -> String {
    try shell(
      "mkdir -p \"$1/out\"; touch \"$1/out/go\"; echo k >\"$1/root/img/kernel\"; echo i >\"$1/root/img/initrd-stateless.gz\"; echo l >\"$1/root/img/list\"; echo p | gzip >\"$1/root/img/rootimg.gz\"",
      site.directory.path)
    _ = try site.imgstore(
      "define", "img", "osvers=rhels9", "osarch=x86_64", "profile=p", "pkglist=/img/list")
    return site.directory.path("out")
  }

  @Test func `gc waits for earlier commands, names them, and leaves their objects to the next gc`()
    throws
  {
    let site = try TestNode(image: "img")
    try fill(site, 3)
    #expect(try site.imgstore("forget", "img", "--keep-last", "1").status == 0)
    // A command that reads its input, and so lives on.
    let result = try run(
      fixture("scripts/processes/collect-during-import.sh"), binary, site.directory.path,
      environment: site.environment)
    let lines = result.output.split(separator: "\n")
    #expect(lines.filter { $0 == "status 0" }.count == 2, "\(result.output)\(result.errors)")
    #expect(lines[0].hasPrefix("nothing to free"), "\(result.output)")
    #expect(
      lines.contains {
        $0.contains("when these commands have ended: process") && $0.contains("import")
      },
      "\(result.output)")
    #expect(result.errors.contains("waiting for imgstore commands that started earlier: process"))
    #expect(try run("ls", site.directory.path("store/doomed")).output == "")
    #expect(try site.imgstore("verify", "--deep").status == 0)
  }

  @Test func `gc frees space on a full disk`() throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1/disk\" \"$1/root/img/rootimg\"", directory.path)
    let disk = directory.path("disk")
    guard try run("mount", "-t", "tmpfs", "-o", "size=12m", "none", disk).didSucceed else { return }
    defer { _ = try? run("umount", disk) }
    let environment = ["IMGSTORE_STORE": disk + "/store", "IMGSTORE_ROOT": directory.path("root")]
    func imgstore(_ arguments: String...) throws -> ToolResult {
      try run(binary, arguments: arguments, environment: environment)
    }
    let tree = directory.path("root/img/rootimg")
    _ = try imgstore("define", "img", "provmethod=netboot", "rootimgdir=/img")
    for i in 1...3 {
      try shell("head -c 2500000 /dev/urandom >\"$1/f\"", tree)
      #expect(try imgstore("snapshot", "img").status == 0, "\(i)")
    }
    // Not a byte is left.
    _ = try run("bash", "-c", "cat /dev/zero >\"$0/filler\"", disk)
    // Less than what gc frees: it also records when it ran.
    try shell("head -c 4900000 /dev/urandom >\"$1/f\"", tree)
    #expect(try imgstore("snapshot", "img").status == 1)
    let forgotten = try imgstore("forget", "img", "--keep-last", "1")
    #expect(forgotten.status == 0, "\(forgotten.errors)")
    let collected = try imgstore("gc")
    #expect(collected.output.hasPrefix("freed 5.0 MB: removed 2 packs"), "\(collected)")
    #expect(try imgstore("verify", "--deep").status == 0)
    #expect(try imgstore("snapshot", "img").status == 0)
    #expect(try imgstore("verify", "--deep").status == 0)
  }

  /// Sizes, times and ids masked.
  private func masked(_ text: String) throws -> String {
    try run(
      "sed", "-E",
      "s/[0-9]+(\\.[0-9]+)? (B|kB|MB|bytes|s)\\b/# \\2/g; s/[0-9-]{10} [0-9:]{8}/TIME/g; s/  +/ /g",
      input: text
    ).output
  }

  @Test func `forget, du and gc list kept and removed snapshots and freed space`() throws {
    let site = try TestNode(image: "img")
    try fill(site, 4)
    #expect(try site.imgstore("tag", "img@2", "golden").output == "img@2 is img@golden\n")
    #expect(try site.imgstore("pin", "img@1", "-m", "audit").output == "img@1 is pinned\n")
    let dry = try site.imgstore("forget", "img", "--keep-last", "1", "--dry-run")
    #expect(
      try masked(dry.output) == """
        keep img@1 TIME pinned: audit
        keep img@2 TIME tagged golden
        keep img@4 TIME latest, last
        forget img@3 TIME change 3
        would forget 1 snapshot; with 'imgstore gc' this frees # kB (# bytes)

        """)
    #expect(
      try site.imgstore("forget", "img", "--keep-last", "1").output.hasSuffix(
        "forgot 1 snapshot; 'imgstore gc' frees the space\n"))
    #expect(
      try masked(try site.imgstore("du", "-s").output) == """
        reached unique shared freed
        # kB # kB # kB # kB img@1
        # kB # kB # kB # kB img@2
        # kB # kB # kB # kB img@4
        # kB # kB # B # kB total
        4 packs, # kB; 'imgstore gc' frees # kB
        on disk # kB, with the index (# kB) and the cache (# kB)

        """)
    let gc = try masked(try site.imgstore("gc").output)
    #expect(gc.hasPrefix("freed # kB: removed 1 pack, "), "\(gc)")
    let stats = try masked(try site.imgstore("stats").output)
    #expect(stats.hasPrefix("images 1\nsnapshots 3 "), "\(stats)")
    #expect(stats.contains("\nchunks ") && stats.contains("\npacks "))
    #expect(try site.imgstore("log", "img").output.contains("[golden] change 2"))
    #expect(try site.imgstore("untag", "img@golden").output == "removed the tag; img@2 stays\n")
    #expect(try site.imgstore("unpin", "img@1").output == "img@1 is no longer pinned\n")
    let remove = try site.imgstore("remove", "img@4")
    #expect(remove.status == 1 && remove.errors.contains("is the latest of its image"))
    #expect(try site.imgstore("remove", "img@1", "--dry-run").status == 0)
    #expect(try site.imgstore("remove", "img@1").status == 0)
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 2)
    for words in [
      "forget img", "forget --keep-last 1", "forget img --all --keep-last 1",
      "forget img --keep-last -1", "gc --max-bytes lots", "optimize --level 30", "gc --max-time 1x",
    ] {
      let result = try run(
        binary, arguments: words.split(separator: " ").map(String.init),
        environment: site.environment)
      #expect(result.status == 2, "\(words): \(result.output)\(result.errors)")
    }
    let optimized = try site.imgstore("optimize", "--json")
    #expect(optimized.status == 0 && optimized.output.contains("\"rewrittenPacks\" : "))
    #expect(try site.imgstore("optimize").output == "nothing to do\n")
    #expect(try site.imgstore("verify", "--deep").status == 0)
  }
}

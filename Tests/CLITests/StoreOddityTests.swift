// The program in stores with unexpected files and in stores that cannot be written: no command
// hangs, only commands that need the damaged part fail, and each names the problem.

import Foundation
import TestSupport
import Testing

@Suite struct StoreOddityTests {
  private static let pack = String(repeating: "ab", count: 32)

  private func filled(owner: Int = 0) throws -> TestNode {
    let site = try TestNode(image: "img")
    #expect(
      try site.imgstore(
        "define", "img", "profile=p", "osvers=rhels9", "osarch=x86_64", "pkglist=/img/list"
      ).status == 0)
    try shell(
      "cd \"$1/root/img\"; touch kernel initrd-stateless.gz rootimg.cpio.gz list",
      site.directory.path)
    try shell("for i in $(seq 20); do echo \"file $i\" >\"$1/etc/$i\"; done", site.tree)
    if owner != 0, getuid() == 0 { try shell("chown -R \(owner):\(owner) \"$1\"", site.tree) }
    #expect(try site.imgstore("snapshot", "img", "-q", "--tag", "golden").status == 0)
    try shell("echo more >\"$1/etc/more\"; chown --reference=\"$1\" \"$1/etc/more\"", site.tree)
    #expect(try site.imgstore("snapshot", "img", "-q").status == 0)
    #expect(try site.imgstore("pin", "img@1", "-m", "why").status == 0)
    return site
  }

  /// Runs a command for 20 seconds at most.
  private func timed(_ site: TestNode, _ arguments: String...) throws -> ToolResult {
    try run(
      "timeout", arguments: ["20", binary] + arguments, environment: site.environment)
  }

  /// Files without a meaning in the store, of any kind.
  @Test(arguments: [
    "mkfifo tmp/f; mkdir tmp/d; ln -s /dev/zero tmp/l", "truncate -s 1T tmp/big",
    "head -c 5000 /dev/zero >index.stamp", "truncate -s 1T index.stamp",
    "rm index.stamp; mkdir index.stamp", "rm index.stamp; mkfifo index.stamp",
    "rm index.stamp; ln -s /dev/zero index.stamp",
    "rm index.sqlite; mkdir index.sqlite; touch index.sqlite/x",
    "rm index.sqlite; mkfifo index.sqlite", "rm index.sqlite; ln -s /etc/passwd index.sqlite",
    "truncate -s 1T index.sqlite", "mkfifo index.sqlite-journal", "mkdir index.sqlite.new",
    "mkfifo index.sqlite-wal", "rm locks/lease-0; mkdir locks/lease-0",
    "rm locks/lease-0; mkfifo locks/lease-0", "rm locks/index; ln -s /etc/passwd locks/index",
    "truncate -s 1T locks/lease-0", "rm -r locks; mkfifo locks", "rm -r cache; ln -s /tmp cache",
    "rm -r tmp; touch tmp", "mkfifo locks/phase-1",
    "for f in cache/stat-*; do truncate -s 1T $f; done",
    "for f in cache/stat-*; do rm $f; mkfifo $f; done",
    "for f in cache/stat-*; do ln -sf /dev/zero $f; done",
    "for f in cache/stat-*; do rm $f; mkfifo $f.new; done",
    "rm -f cache/stat-*; mkfifo cache/segments cache/verified", "mkfifo quarantine",
    "yes | head -c 9000 >>format",
  ])
  func `unrelated files in a store change nothing`(_ damage: String) throws {
    let site = try filled()
    try shell("cd \"$1/store\"; \(damage)", site.directory.path)
    for command in [
      ["log", "img"], ["cat", "img@2:etc/more"], ["verify"], ["verify", "--deep"], ["images"],
      ["snapshot", "img"], ["gc"], ["du"], ["restore", "img@1", site.directory.path("out")],
      ["verify", "--max-bytes", "1M"], ["repair"], ["reindex"],
    ] {
      let result = try run(
        "timeout", arguments: ["20", binary] + command, environment: site.environment)
      #expect(result.status == 0, "\(damage): \(command): \(result.errors)")
    }
    #expect(try run("stat", "-c", "%s", "/etc/passwd").didSucceed)
  }

  /// Files of the store in a wrong form: each is named, and only its own data are lost.
  @Test(arguments: [
    ("mkfifo packs/P", "packs"), ("ln -s /etc/passwd packs/P", "packs"), ("mkdir packs/P", "packs"),
    ("truncate -s 1T packs/P", "packs"), ("truncate -s 700M packs/P", "packs"),
    ("mkfifo doomed/P", "packs"), ("rm refs/img/0000000001; mkfifo refs/img/0000000001", "ref"),
    ("truncate -s 1T refs/img/0000000001", "ref"), ("touch refs/stray", "mark"),
    ("mkfifo refs/stray", "mark"), ("mkfifo tags/img/zz", "tag"),
    ("truncate -s 1T tags/img/golden", "tag"), ("rm -r tags/img; touch tags/img", "mark"),
    ("mkdir pins/img/0000000002", "tag"), ("mkfifo refs/img/removed", "mark"),
    ("mkfifo journal/other", "mark"), ("truncate -s 1T journal/other", "mark"),
  ])
  func `irregular files in place of store files are reported, and no command waits for them`(
    _ damage: String, _ kind: String
  ) throws {
    let site = try filled()
    try shell(
      "cd \"$1/store\"; \(damage.replacingOccurrences(of: "/P", with: "/" + Self.pack))",
      site.directory.path)
    // A damaged tag or pin may keep any snapshot, so a repair leaves it in force.
    let stays = kind == "ref" || kind == "tag"
    let deep = try timed(site, "verify", "--deep")
    #expect(deep.status == 5, "\(damage): \(deep.output)\(deep.errors)")
    for command in [
      ["log", "img"], ["cat", "img@2:etc/more"], ["snapshot", "img"], ["images"],
      ["restore", "img@2", site.directory.path("out")], ["status", "img"],
    ] {
      let result = try run(
        "timeout", arguments: ["20", binary] + command, environment: site.environment)
      // The list names the snapshot or the tag that is damaged.
      let expected: Int32 = stays && command.first == "log" ? 5 : 0
      #expect(result.status == expected, "\(damage): \(command): \(result.errors)")
    }
    #expect(try timed(site, "gc").status != 124, "\(damage)")
    let repaired = try timed(site, "repair")
    #expect(
      stays || damage.contains("journal") ? repaired.status == 5 : repaired.status == 0)
    let again = try timed(site, "repair").output
    #expect(
      again.contains("nothing to do") || again.contains("nothing can be repaired"), "\(damage)")
    if !stays, !damage.contains("journal") {
      #expect(try timed(site, "verify", "--deep").status == 0, "\(damage)")
    }
  }

  // MARK: Stores that cannot be written

  private static let reads = [
    "images", "log img", "show img", "ls img", "cat img@2:etc/more", "find img --name more",
    "grep more img@2", "diff img@1 img@2", "diff img", "status img", "restore img@2 $OUT/tree",
    "verify", "verify --deep", "verify --max-bytes 1M", "du", "stats", "blame img etc/more",
    "export img@1 $OUT/one.tgz", "export img $OUT/live.tgz", "pack img@1 --output $OUT/root.gz",
  ]
  private static let dryRuns = [
    "revert img@1 --dry-run", "forget img --keep-last 1 --dry-run",
    "remove img@1 --force --dry-run", "snapshot img --dry-run",
  ]
  private static let writes = [
    "snapshot img", "tag img@1 other", "pin img@2 -m no", "unpin img@1", "untag img@golden",
    "forget img --keep-last 1", "remove img@1", "gc", "optimize", "revert img@1",
    "define img osvers=rhels8", "copy img other", "repair", "undo img", "reindex",
  ]

  private func check(_ site: TestNode, prefix: String, setup: String) throws {
    let out = site.directory.path("readable")
    try shell("mkdir -m 777 \"$1\"", out)
    let script = """
      \(setup)
      export OUT=\(out)
      \(Self.reads.map { "\(prefix) timeout 20 \(binary) \($0) >$OUT/o 2>&1 </dev/null || echo \"$? of read: \($0): $(tail -n 3 $OUT/o)\"" }.joined(separator: "\n"))
      \(Self.dryRuns.map { "\(prefix) timeout 20 \(binary) \($0) >$OUT/o 2>&1 </dev/null; r=$?; [ $r = 1 ] && grep -q would $OUT/o && grep -q read-only $OUT/o || echo \"$r of dry run: \($0): $(cat $OUT/o)\"" }.joined(separator: "\n"))
      \(Self.writes.map { "\(prefix) timeout 20 \(binary) \($0) >$OUT/o 2>&1 </dev/null; r=$?; [ $r = 1 ] && grep -q read-only $OUT/o || echo \"$r of write: \($0): $(cat $OUT/o)\"" }.joined(separator: "\n"))
      """
    let before = try shell(
      "cd \"$1/store\"; find . -type f ! -path './cache/*' | sort | xargs sha256sum",
      site.directory.path
    ).output
    let result = try run(
      "unshare", arguments: ["-m", "bash", "-c", script], environment: site.environment)
    #expect(result.output == "" && result.status == 0, "\(result.output)\(result.errors)")
    let after = try shell(
      "cd \"$1/store\"; find . -type f ! -path './cache/*' | sort | xargs sha256sum",
      site.directory.path
    ).output
    #expect(before == after)
    #expect(try differences(site.tree, "\(out)/tree") == "")
  }

  private static let isRoot = getuid() == 0

  @Test(.enabled(if: isRoot), arguments: ["true", "rm $S/index.stamp", "echo x >$S/index.sqlite"])
  func `a store on a read-only file system can be read`(_ damage: String) throws {
    guard try run("unshare", "-m", "true").didSucceed else { return }
    let site = try filled()
    try shell("S=\(site.directory.path("store")); \(damage)")
    try check(
      site, prefix: "",
      setup: """
        S=\(site.directory.path("store"))
        mount --bind $S $S; mount -o remount,bind,ro $S
        """)
  }

  @Test(.enabled(if: isRoot)) func `a store of another user can be read`() throws {
    guard try run("unshare", "-m", "true").didSucceed else { return }
    // Owned by another user, so that a restore by that user is exact.
    let site = try filled(owner: 65534)
    try shell("chmod -R a+rX \"$1\"", site.directory.path)
    try check(
      site, prefix: "setpriv --reuid=65534 --regid=65534 --clear-groups", setup: "true")
  }
}

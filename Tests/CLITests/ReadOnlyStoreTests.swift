// A read-only store with directory images, and a store whose readers cannot read xCAT's tables.

import Foundation
import Platform
import TestSupport
import Testing

@Suite struct ReadOnlyStoreTests {
  private static let canMount = isRoot && (try? run("unshare", "-m", "true").didSucceed) == true

  /// Runs a script with the store on a read-only file system.
  private func readOnly(_ site: TestNode, _ script: String) throws -> ToolResult {
    try run(
      "unshare",
      arguments: [
        "-m", "bash", "-euc",
        "mount --bind $1/store $1/store; mount -o remount,bind,ro $1/store; cd $1/out; \(script)",
        "test", site.directory.path,
      ], environment: site.environment.merging(["imgstore": binary]) { $1 })
  }

  @Test(.enabled(if: canMount)) func `a read-only store restores, extracts and exports images`()
    throws
  {
    let site = try TestNode(image: "img")
    try shell(
      """
      mkdir -p "$1/root/srv/compute/etc" "$1/out"; cd "$1/root/srv/compute"
      printf 'root:$6$salt$0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn.:1::::::\\n' >etc/shadow
      head -c 300000 /dev/urandom >etc/large
      """, site.directory.path)
    #expect(try site.imgstore("snapshot", "/srv/compute", "--tag", "golden").status == 0)
    for command in [
      "export compute@golden file.tgz", "export compute --scrub scrubbed.tgz",
      "export compute@golden --to - >pipe.tgz", "repair --dry-run",
      "pack compute@golden -o a.tar.xz",
    ] {
      let result = try readOnly(site, "$imgstore \(command)")
      #expect(result.status == 0, "\(command): \(result.errors)")
    }
    let other = ["--store", site.directory.path("other"), "--to", "/srv/again"]
    for bundle in ["file.tgz", "pipe.tgz"] {
      try shell("rm -rf \"$1/root/srv/again\" \"$1/other\"", site.directory.path)
      let result = try run(
        binary, arguments: ["import", site.directory.path("out/\(bundle)")] + other,
        environment: site.environment)
      #expect(result.status == 0, "\(bundle): \(result.errors)")
      #expect(
        try differences(
          site.directory.path("root/srv/compute"), site.directory.path("root/srv/again"))
          == "")
    }
    // If nothing can be written, the message names the directory.
    let nowhere = try readOnly(
      site, "TMPDIR=/proc/nowhere $imgstore export compute@golden x.tgz")
    #expect(nowhere.status == 1 && nowhere.errors.contains("/proc/nowhere"), "\(nowhere.errors)")
  }

  @Test(.enabled(if: isRoot)) func `members of the store's group read it without xCAT's tables`()
    throws
  {
    let site = try TestNode(image: "img")
    let group = "2345"
    try shell("mkdir -p \"$1/root/etc/xcat\"; chmod 755 \"$1\"", site.directory.path)
    let site2 = site.environment
    for words in [
      ["define", "img", "provmethod=netboot", "rootimgdir=/img"], ["snapshot", "img"],
      ["init", "--group", group],
    ] {
      let result = try run(binary, arguments: words, environment: site2)
      #expect(result.status == 0, "\(words): \(result.errors)")
    }
    try shell(
      "chmod 600 \"$1\"/root/etc/xcat/*; chmod -R a+rX \"$1/root/img\"", site.directory.path)
    for command in [
      "images", "status img", "diff img", "log img", "show img", "ls img",
      "export img@1 $OUT/x.tgz", "pack img@1 --plain -o $OUT/x.cpio.gz",
    ] {
      let result = try run(
        "bash",
        arguments: [
          "-c",
          "OUT=$(mktemp -d); trap 'rm -r $OUT' EXIT; chmod 777 $OUT; setpriv --reuid=65534 --regid=65534 --groups=\(group) $imgstore \(command)",
        ],
        environment: site2.merging(["imgstore": binary, "OUT": ""]) { $1 })
      // An export of an image without a kernel fails, as root's does.
      let expected: Int32 = command.hasPrefix("export") ? 1 : 0
      #expect(result.status == expected, "\(command): \(result.errors)")
      #expect(!result.errors.contains("SQLite"), "\(command): \(result.errors)")
      #expect(!result.errors.contains("private index"), "\(command): \(result.errors)")
    }
    let define = try run(
      "setpriv",
      arguments: [
        "--reuid=65534", "--regid=65534", "--groups=\(group)", binary, "define", "img", "osvers=x",
      ], environment: site2)
    #expect(define.status == 1)
  }
}

// `repair` of the program, killed at system calls that change something: no intact data are lost,
// and the next repair completes it.

import Foundation
import TestSupport
import Testing

@Suite(.sweep) struct RepairKillTests {
  private func damaged() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell(
      "for i in $(seq 30); do head -c 20000 /dev/urandom >\"$1/etc/$i\"; done", site.tree)
    for i in 1...3 {
      try shell("echo \(i) >\"$1/etc/motd\"; head -c 90000 /dev/urandom >\"$1/etc/n\"", site.tree)
      #expect(try site.imgstore("snapshot", "img", "-q", "--tag", "t\(i)").status == 0)
    }
    // A pack with one damaged frame, two refs with each other's name, a tag that was moved.
    try shell(
      """
      cd "$1/store"; p=packs/$(ls -S packs | head -1)
      printf x | dd of=$p bs=1 seek=$(($(stat -c %s $p) / 2)) conv=notrunc status=none
      cd refs/img; mv 0000000001 x; mv 0000000002 0000000001; mv x 0000000002
      mv ../../tags/img/t1 ../../tags/img/other
      """, site.directory.path)
    return site
  }

  @Test(arguments: [
    "rename,renameat,renameat2", "unlink,unlinkat", "write,pwrite64", "fsync,fdatasync",
    "link,linkat",
  ])
  func `a repair killed at any system call is completed by the next repair`(_ calls: String) throws
  {
    guard try run("strace", "-qq", "-e", "trace=none", "true").didSucceed else { return }
    let base = try damaged()
    var n = 1
    while n < 1000 {
      let site = try TestNode(image: "img")
      try shell(
        "rm -rf \"$2/store\" \"$2/root\"; cp -a \"$1/store\" \"$1/root\" \"$2/\"",
        base.directory.path,
        site.directory.path)
      let result = try run(
        "strace",
        arguments: [
          "-f", "-qq", "-o", "/dev/null", "-e", "trace=\(calls)", "-e",
          "inject=\(calls):signal=SIGKILL:when=\(n)", binary, "repair",
        ], environment: site.environment)
      let when = "\(calls) \(n)"
      let again = try site.imgstore("repair")
      #expect(again.status == 0, "\(when): \(again.output)\(again.errors)")
      let verify = try site.imgstore("verify", "--deep")
      #expect(verify.status == 0, "\(when): \(verify.output)\(verify.errors)")
      for i in 1...3 {
        #expect(try site.imgstore("cat", "img@t\(i):etc/motd").output == "\(i)\n", "\(when)")
      }
      #expect(try site.imgstore("repair").output.contains("nothing to do"), "\(when)")
      if result.status == 0 { break }
      n = n < 4 ? n + 1 : n * 3 / 2
    }
  }
}

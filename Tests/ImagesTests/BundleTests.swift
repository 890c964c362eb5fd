// Import and export of bundles that the real xCAT wrote.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct BundleTests {
  /// Creates a staging root like the fresh node of the fixtures.
  private func stage(_ directory: TemporaryDirectory) throws -> Workspace {
    try shell(
      "mkdir -p \"$1/root/install/postscripts\" \"$1/root/install/rhels8.5.0/x86_64\"",
      directory.path)
    return try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    ) { _ in }
  }

  private func members(_ bundle: String, _ directory: TemporaryDirectory) throws -> [String: String]
  {
    let out = directory.path("x-\(randomName())")
    try shell("mkdir \"$2\"; tar xzpf \"$1\" -C \"$2\"", bundle, out)
    let list = try shell(
      """
      cd "$1"; find . | sort | while read -r f; do
        if [ -f "$f" ]; then case "$f" in */manifest.xml) h=manifest;; *) h=$(sha256sum <"$f");; esac; else h=dir; fi
        echo "$f $(stat -c '%a %u %g' "$f") $h"
      done
      """, out)
    var members: [String: String] = [:]
    for line in list.output.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1)
      members[String(parts[0])] = String(parts[1])
    }
    return members
  }

  private func manifest(_ bundle: String) throws -> String {
    // In canonical XML, equal documents have equal text.
    try shell(
      """
      tar xzOf "$1" --wildcards '*/manifest.xml' | python3 -c '
      import sys, xml.etree.ElementTree as E
      def show(e): return (e.tag, (e.text or "").strip(), sorted(show(c) for c in e))
      print(show(E.fromstring(sys.stdin.buffer.read())))'
      """, bundle
    ).output
  }

  @Test(arguments: ["stateless", "stateless-base-exlist", "stateless-sfs"])
  func `a bundle of the real xCAT is exported as it was imported`(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    let bundle = fixture("xcat/\(name).tgz")
    let imported = try workspace.importing(bundle)
    #expect(imported.remaining?.isEmpty == true)
    #expect(imported.apply.report.problems.isEmpty)
    #expect(try workspace.status("rhels8.5.0-x86_64-netboot-compute").isClean)

    let out = directory.path("out.tgz")
    _ = try workspace.exporting("rhels8.5.0-x86_64-netboot-compute", to: out)
    #expect(try run("gzip", "-t", out).didSucceed)
    #expect(try manifest(out) == manifest(bundle))
    if isRoot { #expect(try members(out, directory) == members(bundle, directory)) }
    // Equal snapshots give equal bytes.
    _ = try workspace.exporting(
      "rhels8.5.0-x86_64-netboot-compute", to: directory.path("again.tgz"))
    #expect(try run("cmp", out, directory.path("again.tgz")).didSucceed)
    // A new snapshot of the imported image exports the same bundle, including the extras.
    _ = try workspace.snapshot("rhels8.5.0-x86_64-netboot-compute")
    _ = try workspace.exporting("rhels8.5.0-x86_64-netboot-compute", to: directory.path("live.tgz"))
    #expect(try manifest(directory.path("live.tgz")) == manifest(bundle))
  }

  @Test func `an existing image is replaced only with force, and a revert restores it`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    let bundle = fixture("xcat/stateless.tgz")
    let name = "rhels8.5.0-x86_64-netboot-compute"
    _ = try workspace.importing(bundle)
    let kernel = directory.path("root/install/netboot/rhels8.5.0/x86_64/compute/kernel")
    try shell("echo mine >\"$1\"", kernel)
    #expect(throws: ImageError.self) { try workspace.importing(bundle) }
    #expect(try String(contentsOfFile: kernel, encoding: .utf8) == "mine\n")
    let forced = try workspace.importing(bundle) { $0.replaces = true }
    let safety = try #require(forced.safety)
    _ = try workspace.revert(safety.name)
    #expect(try String(contentsOfFile: kernel, encoding: .utf8) == "mine\n")
    #expect(try workspace.status(name).isClean)
  }

  @Test func `files of another image are not overwritten`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    _ = try workspace.importing(fixture("xcat/stateless-sfs.tgz"))
    let before = try run("find", directory.path("root"), "-ls").output
    #expect(throws: ImageError.self) {
      try workspace.importing(fixture("xcat/stateless.tgz")) { $0.name = "foo" }
    }
    #expect(try run("find", directory.path("root"), "-ls").output == before)
    // The image is replaced completely: no old file remains that xCAT would boot instead.
    let forced = try workspace.importing(fixture("xcat/stateless.tgz")) { $0.replaces = true }
    #expect(forced.remaining?.isEmpty == true)
    let boot = directory.path("root/install/netboot/rhels8.5.0/x86_64/compute")
    #expect(try run("ls", boot).output == "initrd-stateless.gz\nkernel\nrootimg.cpio.gz\n")
    let safety = try #require(forced.safety)
    _ = try workspace.revert(safety.name)
    #expect(try run("ls", boot).output == "initrd-stateless.gz\nkernel\nrootimg.sfs\n")
    // Even with force, another image's files are replaced only if the bundle has files of its own for them.
    _ = try workspace.importing(fixture("xcat/stateless.tgz")) {
      ($0.name, $0.replaces) = ("foo", true)
    }
    #expect(try run("ls", boot).output.contains("rootimg.sfs"))
  }

  /// Returns a bundle with one change, which `script` makes in the unpacked directory.
  private func tampered(_ directory: TemporaryDirectory, _ script: String, tar: String = "") throws
    -> String
  {
    let work = directory.path("w-\(randomName())")
    try shell(
      """
      mkdir "$2"; tar xzf "$1" -C "$2"; cd "$2"/rhels*; \(script); cd ..
      tar czf "$2.tgz" \(tar) .
      """, fixture("xcat/stateless.tgz"), work)
    return work + ".tgz"
  }

  @Test(arguments: [
    "sed -i s,/install/netboot/rhels8.5.0/x86_64/compute/kernel,/etc/cron.d/evil, manifest.xml",
    "sed -i s,compute/kernel,../../../../etc/cron.d/kernel, manifest.xml",
    "rm kernel; ln -s /etc/shadow kernel",
    "mknod evil c 1 3 || mkfifo evil",
    "rm kernel",
    "ln kernel other-link",
    "echo garbage >manifest.xml",
    "rm manifest.xml",
    "sed -i '1a <!DOCTYPE x [<!ENTITY a \"b\">]>' manifest.xml",
    "sed -i s,netboot-compute,../../evil, manifest.xml",
    "truncate -s 0 manifest.xml",
    "sed -i s,compute/kernel,compute, manifest.xml; mv kernel compute",
    "sed -i s,compute/initrd-stateless.gz,compute/kernel/initrd-stateless.gz, manifest.xml",
    "sed -i s,netboot/rhels8.5.0/x86_64/compute/kernel,postscripts, manifest.xml; mv kernel postscripts",
  ])
  func `a hostile bundle is refused and changes nothing`(_ script: String) throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    let bundle = try tampered(directory, script)
    let before = try run("find", directory.path("root"), "-ls").output
    #expect(throws: (any Error).self) { try workspace.importing(bundle) }
    #expect(try run("find", directory.path("root"), "-ls").output == before)
    #expect(try workspace.images().isEmpty)
  }

  @Test(arguments: ["mtime=-9223372036854775808.5", "size=99999999999999999999", "many", "year"])
  func `hostile tar headers are refused or cause no harm`(_ header: String) throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    try runFixture(
      "scripts/damage/rewrite-bundle-headers.py", fixture("xcat/stateless.tgz"),
      directory.path("h.tgz"), header)
    // Python corrects its own mtime and size where it can. The test requires only that nothing traps.
    _ = try? workspace.importing(directory.path("h.tgz"))
    _ = try workspace.verify(deep: true)
  }

  @Test(arguments: ["--transform=s,kernel,../../kernel,", "-P --transform=s,^./,/,"])
  func `member names that lead out of the bundle are refused`(_ option: String) throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    let bundle = try tampered(directory, "true", tar: option)
    #expect(throws: (any Error).self) { try workspace.importing(bundle) }
    #expect(try workspace.images().isEmpty)
  }

  @Test func `a symbolic link below the install folder is not written through`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    // Any user may write to the directory of the link, so any user may have made the link.
    try shell(
      "mkdir \"$1/outside\"; ln -s \"$1/outside\" \"$1/root/install/netboot\"; chmod 777 \"$1/root/install\"",
      directory.path)
    let before = try run("find", directory.path("root"), "-ls").output
    #expect(throws: ImageError.self) { try workspace.importing(fixture("xcat/stateless.tgz")) }
    #expect(try run("find", directory.path("root"), "-ls").output == before)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("outside")).isEmpty)
  }

  @Test(arguments: seeds) func `a damaged bundle never changes the site`(_ seed: UInt64) throws {
    let directory = try TemporaryDirectory()
    let workspace = try stage(directory)
    var random = SplitMix64(seed)
    let good = try Data(contentsOf: URL(fileURLWithPath: fixture("xcat/stateless.tgz")))
    for _ in 0..<40 {
      var bytes = good
      if Bool.random(using: &random) {
        bytes = bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))
      } else {
        bytes[Int.random(in: 12..<bytes.count, using: &random)] ^=
          1 << UInt8.random(in: 0..<8, using: &random)
      }
      let path = directory.path("bad.tgz")
      try bytes.write(to: URL(fileURLWithPath: path))
      #expect(throws: (any Error).self, "seed \(seed)") { try workspace.importing(path) }
    }
    #expect(try workspace.images().isEmpty)
    #expect(try workspace.verify(deep: true).isClean)
  }

  @Test func `an unwritable table row is detected before any file is placed`() throws {
    let node = try TestNode.fresh()
    _ = try node.workspace.importing(fixture("xcat/stateless.tgz"))
    try node.sql("linuximage", "UPDATE linuximage SET disable = 'yes'")
    let before = try node.state()
    for isDryRun in [true, false] {
      #expect(throws: (any Error).self) {
        try node.workspace.importing(fixture("xcat/stateless-sfs.tgz")) {
          ($0.replaces, $0.isDryRun) = (true, isDryRun)
        }
      }
      #expect(try node.state() == before)
    }
  }
}

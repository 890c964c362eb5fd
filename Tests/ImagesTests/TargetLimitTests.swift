// File systems and users that do not support every attribute: the content comes first, and attributes that
// could not be set are reported. A second run writes nothing.

import Apply
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct TargetLimitTests {
  private func restored(
    _ fault: FaultyFileSystem.Fault, _ script: String
  ) throws -> (RestoreOutcome, TemporaryDirectory) {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("cd \"$1\"; " + script, directory.path("root/img/rootimg"))
    try FileManager.default.createDirectory(
      atPath: directory.path("out"), withIntermediateDirectories: true)
    _ = try workspace.snapshot("img")
    let files = FaultyFileSystem(fault)
    let outcome = try Workspace(workspace.options, fileSystem: files) { _ in }
      .restore("img", to: directory.path("out"))
    #expect(files.isHit)
    return (outcome, directory)
  }

  private func mode(_ path: String) throws -> UInt16 {
    let files = KernelFileSystem.shared
    return try files.stat(at: files.workingDirectory, Array(path.utf8), followLink: false).mode
  }

  @Test(
    .enabled(if: isRoot),
    arguments: [SystemError.Code.notPermitted, .invalid, .overflow, .notSupported])
  func `a refused owner change loses neither content nor mode`(_ code: SystemError.Code) throws {
    let (outcome, directory) = try restored(
      .always("setOwner", code),
      "echo a >f; echo b >s; mkdir d; chown 7:8 f s d; chmod 6755 s; chmod 751 d; chmod 640 f")
    #expect(outcome.report.problems.allSatisfy { $0.isAttribute })
    #expect(Set(outcome.report.problems.map(\.path)).count == 3)
    #expect(try String(contentsOfFile: directory.path("out/f"), encoding: .utf8) == "a\n")
    #expect(try mode(directory.path("out/f")) == 0o640)
    #expect(try mode(directory.path("out/d")) == 0o751)
    // Setuid and setgid are not set on a file with another owner.
    #expect(try mode(directory.path("out/s")) == 0o755)
  }

  @Test(arguments: [("setXattr", SystemError.Code.notSupported), ("setMode", .notPermitted)])
  func `refused attributes lose no content`(_ name: String, _ code: SystemError.Code) throws {
    let (outcome, directory) = try restored(
      .always(name, code), "echo a >f; setfattr -n user.x -v 1 f; chmod 640 f")
    #expect(outcome.report.problems.contains { $0.isAttribute })
    #expect(try String(contentsOfFile: directory.path("out/f"), encoding: .utf8) == "a\n")
  }

  @Test(arguments: [SystemError.Code.tooManyLinks, .crossDevice, .notPermitted])
  func `hard links that are refused become copies`(_ code: SystemError.Code) throws {
    let (outcome, directory) = try restored(
      .always("link", code), "mkdir d; echo a >f; ln f g; ln f d/h; ln -s x l; cp -al l l2")
    #expect(outcome.report.problems.count == 3)
    for name in ["f", "g", "d/h"] {
      #expect(try String(contentsOfFile: directory.path("out/\(name)"), encoding: .utf8) == "a\n")
    }
  }

  @Test func `names that the file system cannot distinguish are refused and not merged`() throws {
    // If a name exists already in an empty directory, the file system ignores case.
    let (outcome, directory) = try restored(
      .always("makeDirectory", .exists), "mkdir d; echo a >d/f; echo b >g")
    let paths = outcome.report.problems.map { String(decoding: $0.path, as: UTF8.self) }
    #expect(paths.contains("out/d") && paths.contains("out/d/f"))
    #expect(!FileManager.default.fileExists(atPath: directory.path("out/d/f")))
  }

  /// Mounts an image file of a file system, and unmounts it at the end.
  private func onVolume(
    _ make: String, _ body: (TemporaryDirectory, Workspace, String) throws -> Void
  ) throws {
    let directory = try TemporaryDirectory()
    let tree = directory.path("root/img/rootimg")
    let workspace = try Workspace.test(directory)
    let disk = directory.path("disk")
    try shell("truncate -s 80M \"$1\"; \(make) \"$1\" >/dev/null 2>&1", disk)
    try shell("mount -o loop \"$1\" \"$2\"; rm -rf \"$2/lost+found\"", disk, tree)
    defer { _ = try? TestSupport.run("umount", tree) }
    try body(directory, workspace, tree)
  }

  @Test(.enabled(if: isRoot))
  func `coarse time stamps and large blocks are reported as limits and cause no second write`()
    throws
  {
    try onVolume("mkfs.ext4 -q -b 4096 -I 128") { directory, workspace, tree in
      // A snapshot of a file system that supports more attributes.
      let fine = directory.path("fine")
      try shell(
        """
        mkdir "$2"; mount -t tmpfs none "$2"; cd "$2"; mkdir etc; echo a >etc/a; ln -s a etc/l
        umount "$1"; mount --bind "$2" "$1"
        """, tree, fine)
      _ = try workspace.snapshot("img")
      try shell("umount \"$1\"; mount -o loop \"$2\" \"$1\"", tree, directory.path("disk"))
      let first = try workspace.revert("img@1")
      #expect(!first.isExact && !first.limits.isEmpty)
      #expect(first.remaining?.isEmpty == true)
      let second = try workspace.revert("img@1")
      #expect(second.apply.report.writtenFiles == 0)
      #expect(second.apply.report.changedAttributes == 0)
      #expect(second.limits.count == first.limits.count)
      #expect(try workspace.status("img").isClean)
      _ = try TestSupport.run("umount", fine)
    }
  }

  @Test(.enabled(if: isRoot))
  func `a label that was added later stays after a change in place and goes with a swap`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let tree = directory.path("root/img/rootimg")
    try shell("cd \"$1\"; mkdir etc; echo a >etc/a; echo b >etc/b", tree)
    _ = try workspace.snapshot("img")
    try shell(
      "find \"$1\" -exec setfattr -h -n security.selinux -v system_u:object_r:etc_t:s0 {} +", tree)
    try shell("echo c >\"$1/etc/b\"", tree)
    var request = RevertRequest("img@1")
    request.method = .inPlace
    let first = try workspace.revert(request)
    #expect(first.remaining?.isEmpty == true && !first.limits.isEmpty)
    #expect(try String(contentsOfFile: tree + "/etc/b", encoding: .utf8) == "b\n")
    let second = try workspace.revert(request)
    #expect(second.apply.report.writtenFiles == 0 && !second.limits.isEmpty)
    request.method = .swap
    #expect(try workspace.revert(request).isExact)
  }
}

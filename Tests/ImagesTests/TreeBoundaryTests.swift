// The boundaries of a tree are determined by evidence: mounts, subvolumes, other layers.

import Apply
import Foundation
import Images
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct TreeBoundaryTests {
  private func tree(_ directory: TemporaryDirectory) -> String {
    directory.path("root/img/rootimg")
  }

  private func mounting(
    _ arguments: [String], _ body: () throws -> Void
  ) throws {
    guard isRoot, try run("mount", arguments: arguments).didSucceed else { return }
    defer { _ = try? run("umount", try #require(arguments.last)) }
    try body()
  }

  /// Returns the paths of a tree in a snapshot, relative to the tree.
  private func paths(_ workspace: Workspace, _ name: String) throws -> Set<String> {
    let reader = try workspace.reader(of: try workspace.find(try Reference(name)))
    let top = try reader.require("/img/rootimg")
    var paths: Set<String> = []
    try reader.walk(top) { paths.insert(printable($0.path.dropFirst(top.path.count))) }
    return paths
  }

  @Test func `a mount table is read with its escapes, and truncated lines are skipped`() {
    let text = """
      22 1 8:1 / / rw - ext4 /dev/sda1 rw
      30 22 0:5 / /a/with\\040blank rw shared:1 - tmpfs none rw
      31 30 8:1 /x /a/with\\040blank/in rw - ext4 /dev/sda1 rw
      32 22
      33 22 0:6 / relative rw - tmpfs none rw
      """
    let table = MountTable(parsing: Array(text.utf8))
    #expect(table.mounts.map { printable($0.point) } == ["/", "/a/with blank", "/a/with blank/in"])
  }

  @Test(arguments: [false, true])
  func `bind mounts of the same file system are detected, also on old kernels`(_ isOld: Bool) throws
  {
    let directory = try TemporaryDirectory()
    let files: any FileSystem =
      isOld ? FaultyFileSystem(isOldKernel: true) : KernelFileSystem.shared
    let workspace = try Workspace.test(directory, fileSystem: files)
    try shell(
      """
      mkdir -p "$1/mnt/a b" "$1/etc" "$2"; echo own > "$1/etc/file"; echo o > "$1/etc/other"; echo precious > "$2/h"
      """, tree(directory), directory.path("data"))
    _ = try workspace.snapshot("img")
    try mounting(["--bind", directory.path("data"), tree(directory) + "/mnt/a b"]) {
      try mounting(["--bind", directory.path("data/h"), tree(directory) + "/etc/file"]) {
        let second = try workspace.snapshot("img").committed.snapshot
        let mounts = second.notes.filter { $0.kind == .mountPoint }.map { printable($0.path) }
        #expect(mounts == ["/img/rootimg/etc/file", "/img/rootimg/mnt/a b"])
        // Entries under a mount belong to the image. If they cannot be read, a note reports it.
        let reader = try workspace.reader(of: try workspace.find(try Reference("img@2")))
        let covered = try reader.require("/img/rootimg/etc/file").entry
        #expect(covered.content.isMissing == isOld && second.isComplete != isOld)
        if !isOld {
          var bytes: [UInt8] = []
          try reader.read(try reader.require("/img/rootimg/etc/file")) { bytes += $0 }
          #expect(bytes == Array("own\n".utf8))
        }
        try shell("echo x > \"$1/etc/new\"", tree(directory))
        #expect(try workspace.revert("img@1").apply.methods.allSatisfy { !$0.isSwap })
        #expect(
          try FileManager.default.contentsOfDirectory(atPath: directory.path("data")) == ["h"])
        #expect(
          try String(contentsOfFile: directory.path("data/h"), encoding: .utf8) == "precious\n")
      }
    }
  }

  @Test(arguments: [false, true])
  func `a removal stops at a bind mount, also on old kernels`(_ isOld: Bool) throws {
    let directory = try TemporaryDirectory()
    let files: any FileSystem =
      isOld ? FaultyFileSystem(isOldKernel: true) : KernelFileSystem.shared
    try shell("mkdir -p \"$1/old/x/m\" \"$1/data\"; echo h > \"$1/data/h\"", directory.path)
    try mounting(["--bind", directory.path("data"), directory.path("old/x/m")]) {
      let above = try files.openDirectory(at: files.workingDirectory, Array(directory.path.utf8))
      #expect(throws: SystemError.self) {
        try TreeRemover(files).remove(at: above.raw, Array("old".utf8))
      }
      #expect(FileManager.default.fileExists(atPath: directory.path("data/h")))
    }
  }

  @Test func `files of another overlay layer with another device number belong to the tree`() throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell(
      """
      mkdir -p "$1/src/etc" "$1/low" "$1/up"; echo hi > "$1/src/etc/hostname"; ln "$1/src/etc/hostname" "$1/src/etc/other"
      ln -s hostname "$1/src/etc/link"; touch -h -d 2020-01-01 "$1/src/etc"/* "$1/src/etc"
      """, directory.path)
    guard
      try run(
        "mksquashfs", directory.path("src"), directory.path("l.sfs"), "-quiet", "-no-progress"
      )
      .didSucceed
    else { return }
    try mounting(["-o", "loop,ro", directory.path("l.sfs"), directory.path("low")]) {
      try mounting(["-t", "tmpfs", "none", directory.path("up")]) {
        try shell("mkdir \"$1/u\" \"$1/w\"", directory.path("up"))
        let layers =
          "lowerdir=\(directory.path("low")),upperdir=\(directory.path("up/u")),workdir=\(directory.path("up/w"))"
        try mounting(["-t", "overlay", "overlay", "-o", layers, tree(directory)]) {
          let first = try workspace.snapshot("img")
          #expect(!first.committed.snapshot.notes.contains { $0.kind == .mountPoint })
          #expect(
            try paths(workspace, "img")
              == ["", "/etc", "/etc/hostname", "/etc/other", "/etc/link"])
          // The cache is valid for entries of both devices.
          #expect(try workspace.status("img").readBytes == 0)
          try shell("rm \"$1/etc/link\"", tree(directory))
          #expect(try !workspace.status("img").isClean)
        }
      }
    }
  }

  @Test func `subvolumes are recorded, and their read-only snapshots are not`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    guard isRoot, try run("truncate", "-s", "200M", directory.path("b.img")).didSucceed,
      try run("mkfs.btrfs", "-q", directory.path("b.img")).didSucceed
    else { return }
    try mounting(["-o", "loop", directory.path("b.img"), tree(directory)]) {
      try shell(
        """
        cd "$1"; echo a > a; btrfs subvolume create home >/dev/null; echo data > home/u
        btrfs subvolume create usr >/dev/null; echo bin > usr/bin; btrfs property set usr ro true
        mkdir .snapshots; btrfs subvolume snapshot -r . .snapshots/1 >/dev/null
        touch db; chattr +C db; echo rows > db; sleep 0.2
        """, tree(directory))
      let first = try workspace.snapshot("img").committed.snapshot
      func noted(_ kind: Snapshot.Note.Kind) -> [String] {
        first.notes.filter { $0.kind == kind }.map { printable($0.path) }
      }
      #expect(noted(.subvolume) == ["/img/rootimg/home", "/img/rootimg/usr"])
      #expect(noted(.subvolumeSnapshot) == ["/img/rootimg/.snapshots/1"])
      let kept = try paths(workspace, "img")
      #expect(kept.isSuperset(of: ["/home/u", "/usr/bin", "/.snapshots/1"]))
      #expect(!kept.contains("/.snapshots/1/a"))
      let reader = try workspace.reader(of: try workspace.find(try Reference("img")))
      #expect(try reader.require("/img/rootimg/db").entry.flags == .noCopyOnWrite)
      #expect(try workspace.status("img").readBytes == 0)
      try shell(
        "cd \"$1\"; btrfs property set usr ro false; echo x > usr/bin; btrfs property set usr ro true",
        tree(directory))
      #expect(throws: ImageError.self) { try workspace.revert("img@1") }
      #expect(try workspace.unfinished(of: "img").isEmpty)
      try shell(
        "cd \"$1\"; btrfs property set usr ro false; rm a; echo broken > home/u", tree(directory))
      let back = try workspace.revert("img@1")
      #expect(back.apply.methods.allSatisfy { !$0.isSwap })
      #expect(try String(contentsOfFile: tree(directory) + "/home/u", encoding: .utf8) == "data\n")
      #expect(
        try run("stat", "-c", "%i", tree(directory) + "/home").output == "256\n",
        "still a subvolume")
    }
  }

  @Test func `a tree whose file system is not mounted is not restored into the mount point`() throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try mounting(["-t", "tmpfs", "none", tree(directory)]) {
      try shell("mkdir \"$1/etc\"; echo a > \"$1/etc/a\"", tree(directory))
      _ = try workspace.snapshot("img")
    }
    let notes = try workspace.log("img").first?.committed.snapshot.notes ?? []
    guard notes.contains(where: { $0.kind == .mountedFolder }) else {
      #expect(!isRoot)
      return
    }
    #expect(throws: ImageError.self) { _ = try workspace.revert("img@1") }
    #expect(try workspace.unfinished().isEmpty)
    #expect(try FileManager.default.contentsOfDirectory(atPath: tree(directory)).isEmpty)
    // A mount point that is missing, or has entries, does not block the change.
    try shell("rmdir \"$1\"", tree(directory))
    #expect(try workspace.revert("img@1").isExact)
    #expect(FileManager.default.fileExists(atPath: tree(directory) + "/etc/a"))
  }

  @Test func `an unmounted file system above the image's directory is detected`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try mounting(["-t", "tmpfs", "none", directory.path("root/img")]) {
      try shell("mkdir -p \"$1/etc\"; echo a > \"$1/etc/a\"", tree(directory))
      _ = try workspace.snapshot("img")
      #expect(try workspace.revert("img@1").isExact)
    }
    try shell("rm -rf \"$1\"/*", directory.path("root/img"))
    guard isRoot else { return }
    #expect(throws: ImageError.self) { _ = try workspace.revert("img@1") }
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("root/img")).isEmpty)
  }
}

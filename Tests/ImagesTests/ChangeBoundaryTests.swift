// A change affects nothing outside the image, can always be ended, and stops before its first step if an
// obstacle would stop it later.

import Apply
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools, .enabled(if: isRoot)) struct ChangeBoundaryTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var tree: String { directory.path("root/img/rootimg") }

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
  }

  private func stat(_ path: String) throws -> FileStat {
    let files = KernelFileSystem.shared
    return try files.stat(at: files.workingDirectory, Array(path.utf8), followLink: false)
  }

  private func revert(
    _ reference: String = "img@1", _ method: ApplyStrategy = .automatic
  ) throws -> RevertOutcome {
    var request = RevertRequest(reference)
    request.method = method
    return try workspace.revert(request)
  }

  // MARK: Shared inodes

  @Test func `a revert does not change attributes or privileges of hard links outside the image`()
    throws
  {
    try shell(
      "cd \"$1\"; echo s >s; chmod 600 s; echo o >o; echo u >u; chmod 4755 u; echo g >g; ln g h",
      tree)
    _ = try workspace.snapshot("img")
    try shell(
      """
      cd "$1"; chmod 644 s; chown 7:7 o; chmod 755 u; chmod 604 g
      cp -al "$1" "$2"
      """, tree, directory.path("copy"))
    let before = try ["s", "o", "u", "g", "h"].map { try stat(directory.path("copy/\($0)")) }
    #expect(try revert("img@1", .inPlace).isExact)
    for (name, old) in zip(["s", "o", "u", "g", "h"], before) {
      let now = try stat(directory.path("copy/\(name)"))
      #expect(now.mode == old.mode && now.uid == old.uid && now.modified == old.modified, "\(name)")
    }
    // Hard links inside the tree stay hard links.
    let (g, h) = (try stat(tree + "/g"), try stat(tree + "/h"))
    #expect(g.inode == h.inode)
    #expect(try stat(tree + "/u").inode != before[2].inode)
  }

  @Test func `removed names of an inode become its hard links again`() throws {
    let names = ["a/x", "b/y", "c/deep/z", "c/w"]
    try shell(
      "cd \"$1\"; mkdir -p a b c/deep; echo l >a/x; for n in b/y c/deep/z c/w; do ln a/x $n; done",
      tree)
    _ = try workspace.snapshot("img")
    for chosen in 1..<16 {
      for (i, name) in names.enumerated() where chosen & 1 << i != 0 {
        // One name was removed, and another became a separate file.
        try shell(
          i % 2 == 0
            ? "rm \"$1/$2\"" : "cp -p \"$1/$2\" \"$1/copy\"; mv \"$1/copy\" \"$1/$2\"", tree, name)
      }
      #expect(try revert("img@1", .inPlace).isExact, "\(chosen)")
      let inodes = try Set(names.map { try stat(tree + "/" + $0).inode })
      #expect(inodes.count == 1, "\(chosen)")
    }
  }

  @Test func `owner and setuid are never set on an existing inode`() throws {
    try shell("cd \"$1\"; echo t >t; chmod 4755 t", tree)
    _ = try workspace.snapshot("img")
    try shell("cd \"$1\"; chmod 755 t; chown 65534 t", tree)
    let open = FileHandle(forUpdatingAtPath: tree + "/t")
    let old = try stat(tree + "/t")
    #expect(try revert("img@1", .inPlace).isExact)
    #expect(try stat(tree + "/t").inode != old.inode)
    try open?.seekToEnd()
    try open?.write(contentsOf: Data("evil".utf8))
    #expect(try String(contentsOfFile: tree + "/t", encoding: .utf8) == "t\n")
  }

  // MARK: Users of a tree

  /// Returns whether a dry run would swap while `holder` runs. The holder prints a line when it is ready.
  private func swaps(while holder: String) throws -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", holder, "holder", tree, directory.path("other")]
    let output = Pipe()
    process.standardOutput = output
    let input = Pipe()
    process.standardInput = input
    process.standardError = FileHandle.nullDevice
    try process.run()
    _ = output.fileHandleForReading.availableData
    defer {
      // The process ends at the end of its input. Signals may be blocked here.
      try? input.fileHandleForWriting.close()
      process.waitUntilExit()
    }
    let outcome = try workspace.revert("img@1", dryRun: true)
    return try #require(outcome.apply.methods.first).isSwap
  }

  @Test func `a tree in use by any process in any namespace is not swapped`() throws {
    try shell("cd \"$1\"; mkdir etc mnt; seq 100 >etc/f; head -c 100000 /dev/zero >img", tree)
    try shell("mkdir \"$1\"", directory.path("other"))
    _ = try workspace.snapshot("img")
    try shell("echo x >\"$1/etc/f\"; echo y >\"$1/etc/g\"", tree)
    #expect(try swaps(while: "echo ready; read"))
    for holder in [
      "unshare -m bash -c 'mount --make-rprivate /; mount --bind \"$1\" \"$2\"; echo ready; read' x \"$1\" \"$2\"",
      "unshare -m bash -c 'mount --make-rprivate /; mount -t tmpfs none \"$1/mnt\"; echo ready; read' x \"$1\"",
      "unshare -m bash -c 'mount --make-rprivate /; mount --bind \"$1/etc\" \"$2\"; cd \"$2\"; umount -l \"$2\"; echo ready; read' x \"$1\" \"$2\"",
      "exec 5<\"$1/etc/f\"; echo ready; read",
      "L=$(losetup -f --show \"$1/img\" 2>/dev/null); trap \"losetup -d $L\" EXIT; echo ready; read",
      """
      python3 -c 'import mmap,os,sys
      f=os.open(sys.argv[1],os.O_RDWR); import ctypes
      c=ctypes.CDLL(None); c.mmap.restype=ctypes.c_void_p
      c.mmap(None,4096,3,1,f,0); os.close(f); print("ready",flush=True); sys.stdin.read()' "$1/img"
      """,
      """
      python3 -c 'import socket,os,sys
      a,b=socket.socketpair(socket.AF_UNIX); f=os.open(sys.argv[1],0)
      socket.send_fds(a,[b"x"],[f]); os.close(f); print("ready",flush=True); sys.stdin.read()' "$1/img"
      """,
      // No path leads to the overlay's layer directory any more.
      """
      unshare -m bash -c 'mount --make-rprivate /; mount -t tmpfs none "$2"; cd "$2"; mkdir l u w o
      mount --bind "$1" l; mount -t overlay none -o lowerdir="$2/l",upperdir="$2/u",workdir="$2/w" o
      umount l; cd /; echo ready; read' x "$1" "$2"
      """,
      """
      python3 -c 'import ctypes,os,sys,threading
      ready=threading.Event()
      def work():
        ctypes.CDLL(None).unshare(0x200); os.chdir(sys.argv[1]); ready.set(); sys.stdin.read()
      threading.Thread(target=work).start(); ready.wait(); print("ready",flush=True)' "$1/etc"
      """,
      "\(quotedFixture("scripts/processes/mount-in-namespace.py")) \"$1\" \"$2\"",
      """
      python3 -c 'import os,socket,sys
      os.chdir(sys.argv[1]); s=socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(); os.chdir("/")
      print("ready",flush=True); sys.stdin.read()' "$1"
      """,
    ] {
      #expect(try !swaps(while: holder), "\(holder)")
    }
  }

  // MARK: Flags

  @Test(arguments: [ApplyStrategy.inPlace, .swap])
  func `inode flags are recorded and do not block a change`(_ method: ApplyStrategy) throws {
    try shell(
      """
      cd "$1"; mkdir etc prot; echo one >etc/i; chattr +i etc/i; echo log >etc/a; chattr +a etc/a
      echo x >prot/x; echo y >prot/y; chattr +i prot; echo l >etc/l; ln etc/l etc/m; chattr +i etc/l
      """, tree)
    defer { _ = try? TestSupport.run("chattr", "-R", "-ia", directory.path("root")) }
    _ = try workspace.snapshot("img")
    try shell(
      """
      cd "$1"; chattr -i etc/i prot etc/l; chattr -a etc/a; echo two >etc/i; chattr +i etc/i
      echo more >>etc/a; chattr +a etc/a; rm prot/y; echo z >prot/z; chattr +i prot/z prot; rm etc/m
      """, tree)
    func flags() throws -> String {
      try shell("cd \"$1\"; lsattr -d etc/* prot prot/* | sed 's/^\\(.\\{10\\}\\)[^ ]*/\\1/'", tree)
        .output
    }
    let changed = try flags()
    #expect(try revert("img@1", method).isExact)
    #expect(try String(contentsOfFile: tree + "/etc/i", encoding: .utf8) == "one\n")
    #expect(try stat(tree + "/prot").flags.contains(.immutable))
    #expect(try stat(tree + "/etc/a").flags.contains(.appendOnly))
    #expect(try stat(tree + "/etc/m").flags.contains(.immutable))
    #expect(try workspace.undo("img").isExact)
    #expect(try flags() == changed)
    #expect(try workspace.unfinished(of: "img").isEmpty)
  }

  @Test func `an obstacle refuses a change before its first step`() throws {
    try shell("cd \"$1\"; echo a >f", tree)
    _ = try workspace.snapshot("img")
    try shell("echo b >\"$1/f\"; echo k >\"$2\"", tree, directory.path("root/img/kernel"))
    try shell("chattr +i \"$1\"", directory.path("root/img"))
    defer { _ = try? TestSupport.run("chattr", "-i", directory.path("root/img")) }
    // The kernel would have to be removed, but its directory has a protecting flag.
    #expect(throws: ImageError.self) { try revert() }
    #expect(try workspace.unfinished(of: "img").isEmpty)
    #expect(try String(contentsOfFile: tree + "/f", encoding: .utf8) == "b\n")
  }

  // MARK: The end of a change

  @Test func `a deep tree is removed with few descriptors, and links are not followed`() throws {
    try shell(
      """
      python3 -c 'import os,sys; os.chdir(sys.argv[1])
      for i in range(700): os.mkdir("d"); os.chdir("d"); open("f","w").close()' "$1"
      ln -s / "$1/d/root"; chattr +i "$1/d/d/f"; ln "$1/d/f" "$2"; chattr +i "$1/d/f"
      """, tree, directory.path("outside"))
    defer { _ = try? TestSupport.run("chattr", "-i", directory.path("outside")) }
    let files = KernelFileSystem.shared
    let parent = try files.openDirectory(
      at: files.workingDirectory, Array(directory.path("root/img").utf8))
    let removed = try TreeRemover(files).remove(at: parent.raw, Array("rootimg".utf8))
    #expect(removed == 1402)
    #expect(!FileManager.default.fileExists(atPath: tree))
    // The inode still exists outside, with its flag.
    #expect(try stat(directory.path("outside")).flags.contains(.immutable))
  }

  @Test func `a change can be abandoned although leftovers cannot be removed`() throws {
    try shell("cd \"$1\"; echo a >f", tree)
    let snapshot = try workspace.snapshot("img").committed
    let journal = Journal(
      operation: .revert, image: "img", started: now(), method: .automatic, target: snapshot.id,
      before: nil, command: "revert", message: "revert to @1")
    try workspace.store().journals.write(journal.encode(), of: ImageName("img"))
    // A file system is mounted on the change's leftover.
    let left = directory.path("root/img/.imgstore-\(journal.token)-tree0")
    try shell("mkdir \"$1\"; mount -t tmpfs none \"$1\"", left)
    defer { _ = try? TestSupport.run("umount", left) }
    #expect(throws: (any Error).self) { try workspace.resume("img", .forward) }
    let outcome = try workspace.resume("img", .abandon)
    #expect(outcome.leftovers.count == 1)
    #expect(try workspace.unfinished(of: "img").isEmpty)
  }

  // MARK: Other images, other places

  @Test func `files outside the image change only on request`() throws {
    try shell("mkdir -p \"$1/etc\"; echo one >\"$1/etc/hosts\"", directory.path("root"))
    _ = try workspace.define("img", ["exlist=/etc/hosts"])
    try shell("echo a >\"$1/f\"", tree)
    _ = try workspace.snapshot("img")
    try shell("echo two >\"$1/etc/hosts\"", directory.path("root"))
    let hosts = directory.path("root/etc/hosts")
    let kept = try workspace.revert("img@1")
    #expect(!kept.isExact && kept.apply.skipped.count == 1)
    #expect(try String(contentsOfFile: hosts, encoding: .utf8) == "two\n")
    var request = RevertRequest("img@1")
    request.allowed = ["/etc"]
    #expect(try workspace.revert(request).isExact)
    #expect(try String(contentsOfFile: hosts, encoding: .utf8) == "one\n")
  }

  @Test func `images that share a directory exclude each other and report it`() throws {
    _ = try workspace.define(
      "img2",
      ["provmethod=netboot", "rootimgdir=/img", "profile=q", "osvers=rhels9", "osarch=x86_64"])
    for (image, letter) in [("img", "a"), ("img2", "b")] {
      try shell("cd \"$1\"; for i in $(seq 200); do echo $2$i >f$i; done", tree, letter)
      _ = try workspace.snapshot(image)
    }
    let options = workspace.options
    for _ in 0..<3 {
      let exact = Monitor<[Bool]>([])
      let next = Monitor(["img@1", "img2@1"])
      try runThreads(2) { _ in
        guard let reference = next.withLock({ $0.popLast() }) else { return }
        var request = RevertRequest(reference)
        request.method = .inPlace
        let outcome = try Workspace(options) { _ in }.revert(request)
        #expect(outcome.apply.remarks.count <= 1)
        exact.withLock { $0.append(outcome.isExact) }
      }
      #expect(exact.withLock { $0 } == [true, true])
      let letters = try shell("cat \"$1\"/f* | cut -c1 | sort -u | wc -l", tree).output
      #expect(letters.trimmingCharacters(in: .whitespacesAndNewlines) == "1")
    }
  }

  @Test func `a snapshot waits for a change of the same files, through any path`()
    throws
  {
    for (other, location) in [
      ("same", "/img"), ("inside", "/img/rootimg/opt"), ("bound", "/bound"),
    ] {
      try shell(
        "mkdir -p \"$1/opt/rootimg\" \"$2\"; echo a >\"$1/f\"; echo o >\"$1/opt/rootimg/o\"", tree,
        directory.path("root/bound"))
      if other == "bound" {
        try shell("mount --bind \"$1\" \"$2\"", tree + "/opt", directory.path("root/bound"))
      }
      defer { if other == "bound" { _ = try? run("umount", directory.path("root/bound")) } }
      _ = try workspace.define(
        other,
        ["provmethod=netboot", "rootimgdir=\(location)", "profile=q", "osvers=r", "osarch=x86_64"])
      let first = try workspace.snapshot("img").committed
      _ = try workspace.snapshot(other)
      try shell("echo b >\"$1/f\"; echo p >\"$1/opt/rootimg/o\"", tree)
      let state = Monitor((waits: false, ends: false))
      let options = workspace.options
      let files = FaultyFileSystem(
        .before(
          0, "exchange",
          {
            _ = try? startThread {
              let waiting = try? Workspace(options) { _ in state.update { $0.waits = true } }
              _ = try? waiting?.snapshot(other)
              state.update { $0.ends = true }
            }
            _ = state.wait { $0.waits || $0.ends ? true : nil }
          }))
      var request = RevertRequest(first.name)
      request.method = .inPlace
      #expect(try Workspace(options, fileSystem: files, warn: { _ in }).revert(request).isExact)
      _ = state.wait { $0.ends ? true : nil }
      #expect(state.withLock { $0.waits }, "\(other)")
      #expect(try workspace.status(other).isClean, "the snapshot is of the tree as it became")
    }
  }

  @Test func `every change of a tree respects xCAT's lock`() throws {
    try shell("cd \"$1\"; echo a >f", tree)
    _ = try workspace.snapshot("img")
    try shell("echo b >\"$1/f\"", tree)
    let locks = directory.path("root/var/lock/xcat")
    let sum = try shell("printf /img/rootimg | md5sum | cut -c1-32").output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    let files = KernelFileSystem.shared
    try shell("mkdir -p \"$1\"", locks)
    let file = try files.openFile(
      at: files.workingDirectory, Array("\(locks)/.img.rootimg.\(sum)".utf8),
      [.readWrite, .create])
    #expect(try files.lock(file.raw, exclusive: true, wait: false))
    func expectBusy(_ body: () throws -> Void) {
      let error = #expect(throws: ImageError.self) { try body() }
      #expect(error?.errorCode.category == .busy)
    }
    expectBusy { _ = try revert() }
    expectBusy { _ = try workspace.pack(PackRequest("img")) }
    // A tree that genimage is building must not be captured.
    expectBusy { _ = try workspace.snapshot("img") }
    expectBusy { _ = try workspace.copy(CopyRequest("img", to: "copy")) }
    #expect(try workspace.log("img").count == 1)
    #expect(try String(contentsOfFile: tree + "/f", encoding: .utf8) == "b\n")
  }

  /// Takes xCAT's lock of a root tree below a staging root.
  private func holdLock(_ path: String, below root: String) throws -> Descriptor {
    let files = KernelFileSystem.shared
    let sum = try shell("printf %s \"$1\" | md5sum | cut -c1-32", path).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try shell("mkdir -p \"$1/var/lock/xcat\"", root)
    let name = path.replacing("/", with: ".") + "." + sum
    let file = try files.openFile(
      at: files.workingDirectory, Array("\(root)/var/lock/xcat/\(name)".utf8),
      [.readWrite, .create])
    #expect(try files.lock(file.raw, exclusive: true, wait: false))
    return file
  }

  @Test func `import and copy respect the lock of their target directory`() throws {
    let node = try TestNode.fresh()
    let bundle = fixture("xcat/stateless.tgz")
    let dry = try node.workspace.importing(bundle) { $0.isDryRun = true }
    // The bundle has boot files but no tree. Their directory is still the one of the tree.
    let kernel = try #require(
      dry.apply.writes.map { printable($0) }.first { $0.hasSuffix("/kernel") })
    let imported = try holdLock(
      String(kernel.dropLast("/kernel".count)) + "/rootimg", below: node.path(""))
    #expect(throws: ImageError.self) { try node.workspace.importing(bundle) }
    #expect(!node.exists(kernel))
    withExtendedLifetime(imported) {}

    try shell("echo a >\"$1/f\"", tree)
    var request = CopyRequest("img", to: "d")
    request.isDryRun = true
    let copyDirectory = try workspace.copy(request).directory
    request.isDryRun = false
    let copied = try holdLock(
      copyDirectory.appending("rootimg").text, below: directory.path("root"))
    #expect(throws: ImageError.self) { try workspace.copy(request) }
    withExtendedLifetime(copied) {}
  }
}

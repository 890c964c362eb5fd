// Changes of a live image, killed at every file operation: `resume` leads exactly to the target and
// `resume --back` to the start, including the tables. Readers of a swapped tree see one or the
// other.

import Foundation
import Platform
import TestSupport
import Testing
import XCAT

/// A management node in a directory, killed and resumed.
private struct KillSweep {
  /// How many points of a thinned sweep there are.
  static let points = 8

  let base: TemporaryDirectory
  let arguments: [String]
  /// The name of the image's state in failures, and the directories and tables that belong to it.
  var image = "img"
  /// A mounted file system for the copies of the node; nil for the usual one.
  var disk: LoopMount?
  /// The commands that prepare each copy: what depends on inodes cannot be copied.
  var preparation: [[String]] = []

  /// Everything that the change may touch, and nothing that it may not.
  private struct State: Equatable {
    let tables: [String: [[String: String]]]
    let definition: String
    /// The content of a file of the tree of img, which some changes change alone.
    let file: String

    init(_ directory: TemporaryDirectory, _ sweep: KillSweep) throws {
      let xcatDirectory = directory.path("root/etc/xcat")
      let files = SQLiteTableBackend(
        KernelFileSystem.shared, directory: Array(xcatDirectory.utf8), mayCreate: true)
      var tables: [String: [[String: String]]] = [:]
      for table in ["osimage", "linuximage", "litefile", "postscripts"] {
        tables[table] = try files.rows(table).sorted {
          "\($0.sorted(by: <))" < "\($1.sorted(by: <))"
        }
      }
      self.tables = tables
      definition = try sweep.imgstore(directory, ["show", sweep.image, "-z"]).output
      file = try String(
        contentsOfFile: directory.path("root/install/img/rootimg/etc/motd"), encoding: .utf8)
    }
  }

  func imgstore(_ directory: TemporaryDirectory, _ arguments: [String]) throws -> ToolResult {
    try TestSupport.run(binary, arguments: arguments, environment: environment(directory))
  }

  private func environment(_ directory: TemporaryDirectory) -> [String: String] {
    [
      "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
      "TZ": "UTC",
      "IMGSTORE_XCAT_DIR": directory.path("root/etc/xcat"),
    ]
  }

  private func copy() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory(in: disk?.path)
    try shell("cp -a \"$1/.\" \"$2/\"", base.path, directory.path)
    for command in preparation {
      let result = try imgstore(directory, command)
      try #require(result.status == 0, "\(command): \(result.errors)")
    }
    return directory
  }

  /// Runs a verb that is killed at an operation; nil where it ended before that.
  private func kill(
    _ directory: TemporaryDirectory, _ arguments: [String], at operation: Int
  ) throws -> (status: Int32, operations: Int) {
    let counts = directory.path("count")
    let result = try TestSupport.run(
      killatBinary, arguments: ["\(operation)", counts, binary] + arguments,
      environment: environment(directory))
    let text = try String(contentsOfFile: counts, encoding: .utf8)
    return (result.status, Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0)
  }

  /// Kills a command that changes no image at one operation after the other, and repeats it.
  func sweepUnchanged() throws {
    let pristine = try copy()
    let state = try State(pristine, self)
    let whole = try kill(try copy(), arguments, at: 0)
    try #require(whole.status == 0 && whole.operations > 20, "the command itself: \(whole)")
    let every = Sweep.isWhole ? 1 : max(1, whole.operations / KillSweep.points)
    for operation in stride(from: Int.random(in: 1...every), through: whole.operations, by: every) {
      let directory = try copy()
      let killed = try kill(directory, arguments, at: operation)
      let name = "\(arguments), operation \(operation)"
      #expect(killed.status == 137, "\(name)")
      #expect(try State(directory, self) == state, "\(name)")
      let again = try imgstore(directory, arguments)
      #expect(again.status == 0, "\(name): \(again.errors)")
      let list = try imgstore(directory, ["standby", "--list"])
      #expect(list.output.split(separator: "\n").count == 1, "\(name): \(list)")
      try checkStandbyTrees(directory, name)
      #expect(try leftBetween(pristine, directory) == "", "\(name)")
    }
  }

  /// What differs in two staging areas: the trees wholly; of other directories all but their times, which
  /// change with the names in them.
  private func leftBetween(_ pristine: TemporaryDirectory, _ directory: TemporaryDirectory) throws
    -> String
  {
    let (a, b) = (pristine.path("root/install"), directory.path("root/install"))
    let files = try TestSupport.run(
      "rsync", "-aHAXnO", "--delete", "--checksum", "--itemize-changes", "--exclude=rootimg",
      "--exclude=.imgstore-*-standby",
      a + "/", b + "/")
    var text = files.output
    for tree in ["/img/rootimg", "/netboot/rhels9/x86_64/q/rootimg"] {
      let there = [a + tree, b + tree].map { FileManager.default.fileExists(atPath: $0) }
      if there == [true, true] { text += try differences(a + tree, b + tree) }
      if there[0] != there[1] { text += "\(tree) is in one only" }
    }
    return text
  }

  /// Kills the command at one operation after the other, then resumes and rolls back.
  /// - Parameter minOperations: how many there are at least.
  func sweep(seed: UInt64, expecting minOperations: Int) throws {
    let start = try copy()
    let startState = try State(start, self)
    let target = try copy()
    let whole = try kill(target, arguments, at: 0)
    try #require(whole.status == 0, "the verb itself: \(whole)")
    let targetState = try State(target, self)
    #expect(targetState != startState)
    #expect(whole.operations >= minOperations, "\(whole.operations) operations")
    var random = SplitMix64(seed)
    let every = Sweep.isWhole ? 1 : max(1, whole.operations / KillSweep.points)
    let first = Sweep.isWhole ? 1 : Int.random(in: 1...every, using: &random)
    var (resumed, untouched) = (0, 0)
    for operation in stride(from: first, through: whole.operations + 2, by: every) {
      for isBack in Sweep.isWhole ? [false, true] : [operation / every % 2 == 0] {
        let directory = try copy()
        _ = try kill(directory, arguments, at: operation)
        var wasNotBegun = false
        let name = "\(arguments), operation \(operation), \(isBack ? "back" : "forward")"
        let isUnfinished =
          try FileManager.default.contentsOfDirectory(
            atPath: directory.path("store/journal")
          ).isEmpty == false
        let way = ["resume", image] + (isBack ? ["--back"] : [])
        if isUnfinished {
          resumed += 1
          let other = try imgstore(directory, ["define", image, "comments=mine"])
          #expect(other.status == 6 && other.errors.contains("imgstore resume \(image)"), "\(name)")
          // The resuming command may be killed as well.
          if Bool.random(using: &random) {
            _ = try kill(directory, way, at: Int.random(in: 1...60, using: &random))
          }
          let isStill = try !FileManager.default.contentsOfDirectory(
            atPath: directory.path("store/journal")
          ).isEmpty
          let result = isStill ? try imgstore(directory, way) : nil
          wasNotBegun = result?.output.contains("had not touched") ?? true
          if let result, !result.output.contains("had not touched") {
            #expect(result.status == 0, "\(name): \(result.errors)")
            #expect(
              result.output.contains("verified: the live image matches"),
              "\(name): \(result.output)")
          }
        } else {
          untouched += 1
        }
        let state = try State(directory, self)
        let isTarget = state == targetState
        #expect(isTarget || state == startState, "\(name): \(state)")
        if isUnfinished {
          #expect(isTarget == !isBack || wasNotBegun && !isTarget, "\(name)")
        }
        let left = try leftBetween(isTarget ? target : start, directory)
        #expect(left == "", "\(name), \(isTarget ? "target" : "start"): \(left)")
        if disk != nil { try checkStandbyTrees(directory, name) }
        let hidden =
          FileManager.default.enumerator(atPath: directory.path("root"))?
          .compactMap { $0 as? String }.filter { $0.contains(".imgstore-") } ?? []
        #expect(hidden.isEmpty, "\(name): \(hidden)")
        if operation % 5 == 0 {
          let verify = try imgstore(directory, ["verify", "--deep"])
          #expect(verify.status == 0, "\(name): \(verify.errors)")
        }
      }
    }
    #expect(resumed > 0 && untouched > 0, "\(resumed) resumed, \(untouched) untouched")
  }
}

extension KillSweep {
  /// Checks that every standby tree that the program knows is intact, and removes all.
  fileprivate func checkStandbyTrees(_ directory: TemporaryDirectory, _ name: String) throws {
    let list = try imgstore(directory, ["standby", "--list"])
    #expect(list.status == 0 && !list.output.contains("changed"), "\(name): \(list)")
    if !list.output.isEmpty {
      let removed = try imgstore(directory, ["standby", "--remove", image])
      #expect(removed.status == 0, "\(name): \(removed.errors)")
    }
    let collected = try imgstore(directory, ["gc"])
    #expect(collected.status == 0, "\(name): \(collected.errors)")
  }
}

@Suite(.serialized, .sweep) struct KillSweepTests {
  /// An image with two states: one in a snapshot, the other live and in none.
  private func prepare() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    let tree = directory.path("root/install/img/rootimg")
    try runFixture("scripts/trees/make-image-for-kill-sweep.sh", directory.path, tree)
    let environment = [
      "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
      "IMGSTORE_XCAT_DIR": directory.path("root/etc/xcat"),
    ]
    func imgstore(_ arguments: String...) throws {
      let result = try run(binary, arguments: arguments, environment: environment)
      try #require(result.status == 0, "\(arguments): \(result.errors)")
    }
    try imgstore(
      "define", "img", "provmethod=netboot", "rootimgdir=/install/img", "osvers=rhels9",
      "exlist=/install/lists/exlist", "pkglist=/install/lists/pkglist", "osarch=x86_64",
      "profile=p")
    try imgstore("snapshot", "img")
    try imgstore("export", "img", "--complete", directory.path("bundle.tgz"))
    try imgstore("export", "img", "--oci", directory.path("image.oci.tar"))
    try shell(
      """
      cd "$1"; echo two >etc/motd; rm -r old; mkdir new; echo new >new/file; ln -sfn new link
      head -c 50000 /dev/urandom >>large; rm both/deep/linked; echo linked >both/deep/linked
      chmod 600 mode; touch -d 2005-05-05 time; rm pipe; echo no pipe >pipe; chmod 700 both
      ln both/f5 both/f7; echo kernel2 >../kernel; echo list2 >../../lists/exlist
      echo other >../initrd-statelite.gz; rm ../initrd-stateless.gz
      """, tree)
    try imgstore("define", "img", "osvers=rhels10", "description=changed")
    return directory
  }

  @Test func `a swap killed at any operation can be resumed or rolled back`() throws {
    let killing = KillSweep(
      base: try prepare(), arguments: ["revert", "img@1", "--swap", "-q"])
    try killing.sweep(seed: 1, expecting: 100)
  }

  @Test func `an in-place revert killed at any operation can be resumed or rolled back`() throws {
    let killing = KillSweep(
      base: try prepare(), arguments: ["revert", "img@1", "--in-place", "-q"])
    try killing.sweep(seed: 2, expecting: 100)
  }

  @Test(.needsLoopMounts, arguments: LoopMount.kindsWithClones)
  func `an exchange with a standby tree killed at any operation can be resumed or rolled back`(
    _ kind: String
  ) throws {
    var killing = KillSweep(base: try prepare(), arguments: ["revert", "img@1", "-q"])
    killing.disk = try LoopMount(kind)
    killing.preparation = [["standby", "img@1", "-q"]]
    try killing.sweep(seed: 6, expecting: 40)
  }

  @Test(.needsLoopMounts)
  func `the making of a standby tree killed at any operation leaves the image as it was`() throws {
    let disk = try LoopMount("xfs")
    var killing = KillSweep(base: try prepare(), arguments: ["standby", "img@1", "-q"])
    killing.disk = disk
    try killing.sweepUnchanged()
  }

  @Test func `an import killed at any operation can be resumed or rolled back`() throws {
    let base = try prepare()
    let killing = KillSweep(
      base: base,
      arguments: ["import", base.path("bundle.tgz"), "--force", "--allow-privileged", "-q"])
    try killing.sweep(seed: 3, expecting: 100)
  }

  @Test func `an import of a new image killed at any operation can be resumed or rolled back`()
    throws
  {
    let base = try prepare()
    var killing = KillSweep(
      base: base,
      arguments: ["import", base.path("bundle.tgz"), "-f", "q", "--allow-privileged", "-q"])
    killing.image = "rhels9-x86_64-netboot-q"
    try killing.sweep(seed: 4, expecting: 100)
  }

  @Test func `an import of an OCI image as root tree killed at any operation can be resumed`()
    throws
  {
    let base = try prepare()
    let killing = KillSweep(
      base: base,
      arguments: [
        "import", base.path("image.oci.tar"), "--name", "img", "--force", "--allow-privileged",
        "-q",
      ])
    try killing.sweep(seed: 7, expecting: 60)
  }

  @Test func `a copy killed at any operation can be resumed or rolled back`() throws {
    var killing = KillSweep(
      base: try prepare(), arguments: ["copy", "img@1", "new", "--profile", "q", "-q"])
    killing.image = "new"
    try killing.sweep(seed: 5, expecting: 100)
  }

  @Test func `a reader of a swapped tree sees the old tree or the new one, never a mixture`() throws
  {
    let site = try TestNode(image: "img")
    try shell(
      "cd \"$1\"; mkdir d; for i in $(seq 60); do echo one >f$i; echo one >d/g$i; done", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    try shell(
      "cd \"$1\"; for i in $(seq 60); do echo two >f$i; echo two >d/g$i; done; echo two >more",
      site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    let watcher = Process()
    watcher.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let stop = site.directory.path("stop")
    watcher.arguments = [
      fixture("scripts/processes/watch-swapped-tree.py"), site.tree, stop,
    ]
    let output = site.directory.path("watched")
    _ = FileManager.default.createFile(atPath: output, contents: nil)
    watcher.standardOutput = FileHandle(forWritingAtPath: output)
    watcher.standardError = FileHandle(forWritingAtPath: output)
    try watcher.run()
    for round in 0..<(Sweep.isWhole ? 200 : 10) {
      let result = try site.imgstore("revert", "img@\(round % 2 + 1)", "--swap")
      #expect(result.status == 0 && result.output.contains("swapped"), "\(result.errors)")
    }
    _ = FileManager.default.createFile(atPath: stop, contents: nil)
    watcher.waitUntilExit()
    let seen = try String(contentsOfFile: output, encoding: .utf8)
    #expect(watcher.terminationStatus == 0 && !seen.contains("MIXED"), "\(seen)")
    #expect(seen.contains("one") && seen.contains("two"), "\(seen)")
  }
}

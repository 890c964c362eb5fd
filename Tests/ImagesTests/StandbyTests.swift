// Standby trees on XFS and btrfs: a revert is one exchange, its result is that of any other revert, and a
// tree that is not what its record says is never used.

import Apply
import Foundation
import Images
import Platform
import Settings
import Store
import TestSupport
import Testing

@Suite(.usesTools, .needsLoopMounts) struct StandbyTests {
  private func twoStates(_ kind: String) throws -> StandbyNode {
    try StandbyNode.withTwoStates(kind)
  }

  private func text(_ node: StandbyNode, _ name: String) -> String? {
    try? String(contentsOfFile: node.tree + "/" + name, encoding: .utf8)
  }

  @Test(arguments: LoopMount.kindsWithClones)
  func `a revert and an undo exchange whole trees with everything in them`(
    _ kind: String
  ) throws {
    let node = try StandbyNode(kind)
    // XFS has no symbolic links of more than 1,024 bytes.
    let nasty = node.directory.path("nasty")
    try FileManager.default.createDirectory(atPath: nasty, withIntermediateDirectories: true)
    try makeNastyTree(nasty, wide: 200)
    try shell("rm \"$1/long-link\"", nasty)
    try copyTree(nasty, node.tree)
    let first = try node.copy("first")
    _ = try node.workspace.snapshot("img")
    try runFixture("scripts/trees/change-nasty-tree.sh", node.tree)
    let second = try node.copy("second")
    _ = try node.workspace.snapshot("img")
    _ = try node.workspace.makeStandby(["img@1"])
    // The standby tree takes no inode and no block from the live one.
    #expect(try differences(second, node.tree) == "")

    let reverted = try node.workspace.revert("img@1")
    #expect(reverted.apply.methods.map(\.isStandby) == [true] && reverted.isExact)
    #expect(reverted.apply.report.isEmpty && reverted.safety == nil)
    #expect(try differences(first, node.tree) == "")
    #expect(try node.workspace.standbyTrees().trees.map(\.snapshot.number) == [2])
    // Nothing needs to be read after the exchange.
    let status = try node.workspace.status("img")
    #expect(status.isClean && status.readBytes == 0)

    let undone = try node.workspace.undo("img")
    #expect(undone.apply.methods.map(\.isStandby) == [true] && undone.isExact)
    #expect(try differences(second, node.tree) == "")
    #expect(try node.workspace.verify(deep: true).isClean)
    #expect(try node.workspace.standbyTrees().trees.allSatisfy(\.isIntact))
    #expect(try node.standbyTrees().count == 1)
  }

  @Test(arguments: LoopMount.kindsWithClones)
  func `unsaved changes become a snapshot, and their tree its standby tree`(
    _ kind: String
  ) throws {
    let node = try twoStates(kind)
    try shell("echo unsaved >\"$1/unsaved\"", node.tree)
    let reverted = try node.workspace.revert("img@production")
    #expect(reverted.apply.methods.map(\.isStandby) == [true] && reverted.isExact)
    let safety = try #require(reverted.safety)
    #expect(try node.workspace.standbyTrees().trees.map(\.snapshot.number) == [safety.number])
    _ = try node.workspace.revert(safety.name)
    #expect(text(node, "unsaved") == "unsaved\n" && text(node, "etc/z") == "new\n")
  }

  @Test(arguments: LoopMount.kindsWithClones)
  func `without a snapshot of the state before, the old tree is removed`(_ kind: String) throws {
    let node = try twoStates(kind)
    try shell("echo unsaved >\"$1/unsaved\"", node.tree)
    var request = RevertRequest("img@1")
    request.keepsSafety = false
    let reverted = try node.workspace.revert(request)
    #expect(reverted.apply.methods.map(\.isStandby) == [true] && reverted.isExact)
    #expect(try node.standbyTrees().isEmpty)
    #expect(try run("find", node.disk.path("root"), "-name", ".imgstore*").output == "")
  }

  @Test(arguments: [
    ("content", "echo bad >etc/z"),
    (
      "content of the same size and time",
      "touch -r etc/z ../r; echo OLD >etc/z; touch -r ../r etc/z; rm ../r"
    ),
    ("a new name", "echo bad >etc/name"), ("a removed name", "rm etc/g"),
    ("another inode", "cp -a etc/z etc/t; echo bad >etc/t; touch -r etc/z etc/t; mv etc/t etc/z"),
    ("a mode", "chmod 4755 etc/z"), ("an owner", "chown 1 etc/z"),
    ("an attribute", "setfattr -n user.a -v b etc/z"), ("the mode of the top", "chmod 700 ."),
    ("a file through another link", "echo bad >etc/g"),
  ])
  func `a standby tree that was changed is not used`(_ what: String, _ script: String) throws {
    let node = try twoStates(LoopMount.kindsWithClones.randomElement() ?? "xfs")
    let standby = try #require(try node.standbyTrees().first)
    try shell("cd \"$1\"; \(script)", standby)
    #expect(try node.workspace.standbyTrees().trees.map(\.isIntact) == [false], "\(what)")
    let reverted = try node.workspace.revert("img@1")
    #expect(reverted.isExact && reverted.apply.methods.allSatisfy { !$0.isStandby }, "\(what)")
    #expect(text(node, "etc/z") == "old\n" && text(node, "etc/g") == "one\n", "\(what)")
    let warnings = node.warnings.withLock { $0 }
    #expect(warnings.contains { $0.contains("imgstore standby img@1") })
    // The command makes it again.
    _ = try node.workspace.undo("img")
    let again = try node.workspace.makeStandby(["img@1"])
    #expect(again.trees.map(\.isNew) == [true] && again.trees[0].isIntact)
    #expect(try node.standbyTrees().count == 1)
    #expect(try node.workspace.revert("img@1").apply.methods.map(\.isStandby) == [true])
  }

  @Test(arguments: [
    "rm -r \"$1\"/.imgstore-*-standby/*.stat",
    "cd \"$1\"/.imgstore-*-standby; cp -a * ../t; rm -r *; mv ../t .",
    "for f in \"$1\"/.imgstore-*-standby/*.stat; do head -c 100 $f >$f.n; mv $f.n $f; done",
    "for f in \"$1\"/.imgstore-*-standby/*.stat; do printf x | dd of=$f bs=1 seek=10 conv=notrunc; done",
    "rm -r \"$1\"/.imgstore-*-standby", "chmod 755 \"$1\"/.imgstore-*-standby",
    "cd \"$1\"; d=$(echo .imgstore-*-standby); mv $d o; ln -s o $d",
  ])
  func `a standby tree without its record, or in an open directory, is not used`(
    _ script: String
  ) throws {
    let node = try twoStates("xfs")
    _ = try run("bash", "-c", script, "test", node.disk.path("root/img"))
    let reverted = try node.workspace.revert("img@1")
    #expect(reverted.isExact && reverted.apply.methods.allSatisfy { !$0.isStandby })
    #expect(text(node, "etc/z") == "old\n")
  }

  @Test(arguments: LoopMount.kindsWithClones)
  func `a tree in use is changed in place, and its standby tree stays`(_ kind: String) throws {
    let node = try twoStates(kind)
    let user = Process()
    user.executableURL = URL(fileURLWithPath: "/bin/sleep")
    user.arguments = ["60"]
    user.currentDirectoryURL = URL(fileURLWithPath: node.tree + "/etc")
    try user.run()
    defer { user.terminate() }
    let reverted = try node.workspace.revert("img@1")
    #expect(reverted.isExact && reverted.apply.methods.allSatisfy { !$0.isStandby && !$0.isSwap })
    #expect(try node.workspace.standbyTrees().trees.map(\.isIntact) == [true])
  }

  @Test func `a dry run lists the differences, and names the exchange`() throws {
    let node = try twoStates("xfs")
    let plan = try node.workspace.revert("img@1", dryRun: true)
    #expect(plan.apply.methods.map(\.isStandby) == [true])
    #expect(plan.apply.writes.contains { String(decoding: $0, as: UTF8.self).hasSuffix("/large") })
    #expect(text(node, "etc/z") == "new\n")
    var inPlace = RevertRequest("img@1")
    inPlace.method = .inPlace
    #expect(try node.workspace.revert(inPlace).apply.methods.map(\.isStandby) == [false])
  }

  // MARK: Other writers and crashes

  @Test(arguments: LoopMount.kindsWithClones)
  func `files written just before the exchange stay in the live tree`(_ kind: String) throws {
    let node = try twoStates(kind)
    let tree = node.tree
    let files = FaultyFileSystem(
      .before(0, "exchange") { _ = try? shell("echo precious >\"$1/etc/name\"", tree) })
    let outcome = try node.open(files).revert("img@1")
    #expect(files.isHit)
    #expect(outcome.apply.methods.allSatisfy { !$0.isStandby && !$0.isSwap })
    #expect(text(node, "etc/name") == "precious\n" && text(node, "etc/f") == "one\n")
    // The standby tree is back at its place, and may be used later.
    #expect(try node.workspace.standbyTrees().trees.map(\.snapshot.number) == [1])
    #expect(try node.workspace.unfinished().isEmpty)
  }

  @Test(arguments: [ResumeDirection.forward, .back, .abandon])
  func `files written before an exchange that a crash follows are kept by the resume`(
    _ direction: ResumeDirection
  ) throws {
    let node = try twoStates(LoopMount.kindsWithClones.randomElement() ?? "xfs")
    let tree = node.tree
    let files = FaultyFileSystem(
      .crash(after: 0, "exchange") {
        _ = try? shell("cd \"$1\"; echo precious >etc/name; echo more >>etc/z", tree)
      })
    #expect(throws: (any Error).self) { try node.open(files).revert("img@1") }
    #expect(files.isHit && text(node, "etc/name") == nil)
    #expect(try node.workspace.unfinished().count == 1)
    // Neither removes the only copy of these files.
    _ = try node.workspace.collect()
    _ = try? node.workspace.remove(["img@1"], force: true)
    _ = try node.workspace.resume("img", direction)
    let all = try node.workspace.log("img").map(\.committed)
    let kept = try #require(all.first { $0.snapshot.message.hasPrefix("found in the tree") })
    let out = node.directory.path("kept")
    _ = try node.workspace.restore(kept.name, to: out)
    #expect(try String(contentsOfFile: out + "/etc/name", encoding: .utf8) == "precious\n")
    #expect(try String(contentsOfFile: out + "/etc/z", encoding: .utf8) == "new\nmore\n")
    #expect(text(node, "etc/z") == (direction == .back ? "new\n" : "old\n"))
    #expect(try node.workspace.verify(deep: true).isClean)
    _ = try node.workspace.collect()
    #expect(try node.standbyTrees().isEmpty)
  }

  // MARK: Space and removal

  @Test(arguments: LoopMount.kindsWithClones)
  func `du and the list show the bytes that a tree shares with no other`(_ kind: String) throws {
    let node = try StandbyNode(kind)
    try shell(
      "head -c 20000000 /dev/urandom >\"$1/same\"; head -c 3000000 /dev/urandom >\"$1/other\"",
      node.tree)
    _ = try node.workspace.snapshot("img")
    try shell("head -c 3000000 /dev/urandom >\"$1/other\"", node.tree)
    _ = try node.workspace.snapshot("img")
    _ = try node.workspace.makeStandby(["img@1"])
    let listed = try node.workspace.standbyTrees(["img"]).trees
    let tree = try #require(listed.first)
    #expect(tree.space.entries == 2 && tree.space.contentBytes == 23_000_000)
    let exclusive = try #require(tree.space.exclusiveBytes)
    #expect((3_000_000...3_200_000).contains(exclusive), "\(exclusive)")
    #expect(try node.workspace.diskUse([]).standby.map(\.space.exclusiveBytes) == [exclusive])
    #expect(try node.workspace.diskUse(["img@2"]).standby.isEmpty)
  }

  @Test func `a tree whose snapshot is removed goes with it`() throws {
    let node = try twoStates("xfs")
    _ = try node.workspace.snapshot("img")
    _ = try node.workspace.remove(["img@1"], force: true)
    #expect(try node.standbyTrees().isEmpty)
    #expect(try run("find", node.disk.path("root"), "-name", ".imgstore*").output == "")
    _ = try node.workspace.makeStandby(["img@2"])
    _ = try node.workspace.forgetEntirely(["img"])
    #expect(try run("find", node.disk.path("root"), "-name", ".imgstore*").output == "")
  }

  @Test func `gc removes what an interrupted command left, and doctor names it`() throws {
    let node = try twoStates("xfs")
    try shell(
      "cd \"$1\"; cp -a root/img/rootimg $(echo root/img/.imgstore-*-standby)/0123456789abcdef",
      node.disk.path)
    #expect(node.workspace.doctor().findings.contains { $0.check == "standby" && !$0.isProblem })
    #expect(try node.workspace.standbyTrees().trees.count == 1)
    _ = try node.workspace.collect()
    #expect(try node.standbyTrees().count == 1)
    #expect(node.workspace.doctor().findings.allSatisfy { $0.check != "standby" })
    #expect(try node.workspace.removeStandby(["img"], dryRun: true).trees.count == 1)
    #expect(try node.workspace.removeStandby(["img@production"]).trees.count == 1)
    #expect(try run("find", node.disk.path("root"), "-name", ".imgstore*").output == "")
    #expect(errorCode { _ = try node.workspace.removeStandby(["img"]) } == .notFound)
  }

  // MARK: The setting

  @Test(arguments: LoopMount.kindsWithClones)
  func `maintain keeps the trees that the setting names`(_ kind: String) throws {
    let node = try StandbyNode(kind)
    let light =
      "[maintain]\noptimize-time = 0\nverify-time = 0\n[image.img]\nschedule = \"never\"\n"
    func maintain(_ setting: String) throws -> MaintenanceOutcome {
      try node.open(KernelFileSystem.shared, light + "standby = [\(setting)]\n").maintain()
    }
    for state in 1...3 {
      try shell("echo \(state) >\"$1/state\"", node.tree)
      _ = try node.workspace.snapshot("img", tags: ["t\(state)"])
    }
    #expect(try maintain("\"t1\"").images[0].standby == ["img@1"])
    #expect(try maintain("\"t1\"").images[0].standby == [])
    // A tree that is no longer named goes, unless the setting names more snapshots than there are trees.
    #expect(try maintain("\"t2\"").images[0].standby == ["img@2"])
    #expect(try node.workspace.standbyTrees().trees.map(\.snapshot.number) == [2])
    #expect(try maintain("\"t2\", \"t3\"").images[0].standby == [], "the live state needs none")
    _ = try node.workspace.revert("img@t2")
    #expect(try maintain("\"t2\"").images[0].standby == [])
    // The tree that a revert left stays while it is the only one.
    #expect(try node.standbyTrees().count == 1)
    let missing = try maintain("\"t2\", \"none\"")
    #expect(
      missing.problems.map(\.code) == [.tagNotFound]
        || missing.problems.map(\.code) == [.snapshotNotFound])
  }

  @Test func `random histories end with the right trees`() throws {
    for seed in seeds {
      var random = SplitMix64(seed)
      let node = try StandbyNode(LoopMount.kindsWithClones.randomElement(using: &random) ?? "xfs")
      try shell(
        "cd \"$1\"; mkdir a b; for i in $(seq 40); do echo $i >a/f$i; done; ln a/f1 b/l", node.tree)
      var copies: [Int: String] = [:]
      func keep() throws {
        let number = try node.workspace.snapshot("img").committed.number
        copies[number] = try node.copy("state\(number)")
      }
      try keep()
      var exchanges = 0
      for round in 0..<Sweep.rounds(24) {
        let numbers = copies.keys.sorted()
        let number = numbers.randomElement(using: &random) ?? 1
        switch Int.random(in: 0..<5, using: &random) {
        case 0:
          try shell(
            """
            cd "$1"; RANDOM=$2; for i in $(seq 6); do f=a/f$((RANDOM % 40)); case $((RANDOM % 7)) in
            0) echo $RANDOM >$f ;; 1) rm -f $f ;; 2) ln -f b/l $f ;; 3) ln -sfn x $f ;;
            4) rm -f $f; truncate -s 200000 $f; printf x | dd of=$f bs=1 seek=100000 conv=notrunc status=none ;;
            5) touch $f; setfattr -h -n trusted.t -v $RANDOM $f ;; 6) mkdir -p b/d$RANDOM; chmod 711 b/d* ;;
            esac; done
            """, node.tree, "\(random.next() % 30000)")
          try keep()
        case 1: _ = try node.workspace.makeStandby(["img@\(number)"])
        case 2:
          let standby = try node.standbyTrees()
          if let one = standby.randomElement(using: &random) {
            try shell("echo bad >>\"$1/a/f7\" || true", one)
          }
        default:
          let reverted = try node.workspace.revert("img@\(number)")
          #expect(reverted.isExact, "seed \(seed), round \(round)")
          if reverted.apply.methods.contains(where: \.isStandby) { exchanges += 1 }
          let left = try differences(try #require(copies[number]), node.tree)
          #expect(left == "", "seed \(seed), round \(round), img@\(number): \(left)")
        }
      }
      _ = try node.workspace.makeStandby(["img@1"])
      let last = try node.workspace.revert("img@1")
      #expect(last.isExact && (last.apply.methods.isEmpty || last.apply.methods[0].isStandby))
      #expect(try differences(try #require(copies[1]), node.tree) == "")
      #expect(try node.workspace.verify(deep: true).isClean, "seed \(seed), \(exchanges) exchanges")
    }
  }
}

@Suite(.usesTools) struct NoCloneTests {
  @Test func `without reflinks a standby tree is refused, and the setting is one warning`() throws {
    let directory = try TemporaryDirectory()
    let parent = try KernelFileSystem.shared.openDirectory(
      at: KernelFileSystem.workingDirectory, Array(directory.path.utf8))
    guard !KernelFileSystem.shared.canClone(in: parent.raw) else { return }
    let warnings = Monitor<[String]>([])
    let workspace = try Workspace.test(directory)
    try shell("echo a >\"$1/root/img/rootimg/f\"", directory.path)
    _ = try workspace.snapshot("img", tags: ["t"])
    #expect(errorCode { _ = try workspace.makeStandby(["img@t"]) } == .unsupported)
    #expect(try run("find", directory.path("root"), "-name", ".imgstore*").output == "")
    var options = workspace.options
    options.configuration =
      ConfigurationReader.read(
        Array(
          "[maintain]\noptimize-time = 0\n[image.\"*\"]\nstandby = [\"t\"]\nschedule = \"never\"\n"
            .utf8),
        path: "t.toml"
      ).configuration
    try shell("echo b >\"$1/root/img/rootimg/f\"", directory.path)
    _ = try workspace.snapshot("img")
    let configured = try Workspace(options) { line in warnings.withLock { $0.append(line) } }
    let outcome = try configured.maintain()
    #expect(outcome.result == .ok && outcome.images[0].standby == [])
    let lines = warnings.withLock { $0 }
    #expect(lines.count { $0.contains("reflinks") } == 1)
    #expect(configured.doctor().findings.contains { $0.check == "standby" && !$0.isProblem })
    #expect(try workspace.revert("img@t").isExact)
  }
}

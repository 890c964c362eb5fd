// Attributes that the kernel derives from others. Snapshots of earlier versions contain them: nothing sets
// them, and they are not a difference. Changes in place of the others end exactly on each file system.

import Apply
import Codec
import Foundation
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite struct OldDerivedAttributeTests {
  private let site: ExecutorFixture

  init() throws { site = try ExecutorFixture() }

  private func attribute(_ name: String, _ value: [UInt8] = [1]) -> XattrSet.Attribute {
    .init(name: Array(name.utf8), value: value)
  }

  private func entry(_ attributes: [XattrSet.Attribute]) throws -> Entry {
    let bytes = XattrSet(attributes).encode()
    let id = SHA256.digest(of: bytes)
    let session = try site.store.beginSession()
    try session.withWorker { worker in try worker.add(.xattrs, id, bytes) }
    try session.finish()
    return Entry(
      name: Array("f".utf8), content: .file(blob: emptyBlob, sizeBytes: 0), mode: 0o644,
      uid: getuid(), gid: getgid(), xattrs: id,
      modified: Timestamp(seconds: 1_000_000_000, nanoseconds: 5))
  }

  @Test func `names and values tell derived attributes from others`() {
    for name in ["trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT", "trusted.SGI_DMI_X", "afs.x"] {
      #expect(attribute(name).isDerived)
    }
    for name in ["trusted.SGI", "system.posix_acl_access", "btrfs.compression", "user.afs.x"] {
      #expect(!attribute(name).isDerived)
    }
    #expect(attribute("security.evm", [2, 9]).isDerived && attribute("security.evm", []).isDerived)
    #expect(!attribute("security.evm", [5, 2, 4]).isDerived)
    let own = attribute("user.a")
    #expect(
      XattrSet([attribute("trusted.SGI_ACL_FILE"), own]).withoutDerived == XattrSet([own]))
  }

  @Test func `attributes that only an old snapshot has are not a difference`() throws {
    let own = attribute("user.a")
    let old = try entry([attribute("trusted.SGI_ACL_FILE"), own])
    let new = try entry([own])
    #expect(old.changes(to: new) == .xattrs)
    let limits = AttributeLimits(site.kernel, site.store, in: site.root)
    for (current, desired) in [(old, new), (new, old)] {
      let result = try limits.reachable(.xattrs, from: current, site.store, to: desired)
      #expect(result.left.isEmpty && result.reasons.isEmpty)
    }
    let other = try entry([attribute("trusted.SGI_ACL_FILE"), attribute("user.a", [2])])
    #expect(try limits.reachable(.xattrs, from: new, site.store, to: other).left == .xattrs)
  }

  @Test func `attributes of an old snapshot that XFS derives are not set`() throws {
    let old = try entry([attribute("trusted.SGI_ACL_FILE"), attribute("user.a")])
    var plan = Plan()
    plan.files = [Step(action: .write, path: "f", entry: old)]
    let report = try Executor(
      site.kernel, site.store, site.target, ExecutionOptions(.overwrite), progress: Progress()
    ).run(plan)
    #expect(report.problems.isEmpty, "\(report.problems)")
    let names = try site.kernel.xattrNames(at: site.root.raw, Array("tree/f".utf8))
    #expect(names == [Array("user.a".utf8)])
  }
}

@Suite(.usesTools, .needsLoopMounts) struct AttributeChangeTests {
  private let site: ExecutorFixture

  init() throws { site = try ExecutorFixture() }

  /// Returns every attribute of a tree, as the usual tools print it.
  private func attributes(_ tree: String) throws -> String {
    try shell(
      """
      cd "$1"; find . -printf '%P %m %U:%G\\n' | sort; find . -type f -o -type d | sort | xargs getfacl -np
      find . -type f -o -type d | sort | while read f; do getfattr -hd -m - -e hex "$f" | sort; done
      """, tree
    ).output
  }

  /// Captures the tree, without reading the files that a change has just written.
  private func captured(_ root: Descriptor, after report: ApplyReport? = nil) throws -> Entry {
    let session = try site.store.beginSession()
    let known = report?.writtenFileStates.map {
      ($0.path, VerifiedFile(stat: $0.stat, flags: $0.flags, blob: $0.blob))
    }
    let result = try Capture(PathResolver(site.kernel, root: root), progress: Progress()).run(
      [CaptureRoot(role: .rootTree, path: try #require(AbsolutePath("/tree")))], cache: nil,
      verifiedFiles: VerifiedFiles(known ?? []), into: .store(session))
    try session.finish()
    #expect(result.notes.isEmpty)
    return try #require(result.components.first?.entry)
  }

  @Test(arguments: LoopMount.kindsWithClones + ["ext4"], Transition.all)
  func `attributes change exactly in place, in both directions`(
    _ kind: String, _ transition: Transition
  ) throws {
    if transition.needsBtrfs, kind != "btrfs" { return }
    let disk = try LoopMount(kind)
    let tree = disk.path("tree")
    let root = try site.kernel.openDirectory(
      at: site.kernel.workingDirectory, Array(disk.path.utf8))
    try shell("mkdir \"$1\"; cd \"$1\"; umask 022; " + transition.first, tree)
    var states = [(try captured(root), try attributes(tree))]
    try shell("cd \"$1\"; " + transition.second, tree)
    states.append((try captured(root), try attributes(tree)))
    for (from, to) in [(1, 0), (0, 1), (1, 0)] {
      var planner = Planner(
        target: site.store, live: site.store,
        limits: AttributeLimits(site.kernel, site.store, in: root))
      let plan = try planner.plan(current: states[from].0, desired: states[to].0)
      let target = ExecutionTarget(
        ResolvedPath(directory: root, name: Array("tree".utf8)), component: Array("/tree".utf8))
      let report = try Executor(
        site.kernel, site.store, target, ExecutionOptions(.overwrite), progress: Progress()
      ).run(plan)
      #expect(report.problems.isEmpty, "\(kind): \(report.problems.map(\.what))")
      #expect(
        plan.limits.isEmpty, "\(kind): \(plan.limits.map { "\($0.path.text): \($0.reason)" })")
      #expect(try attributes(tree) == states[to].1, "\(kind)")
      #expect(try captured(root, after: report) == states[to].0, "\(kind)")
      #expect(try captured(root) == states[to].0, "\(kind)")
    }
  }
}

/// Two states of a tree.
struct Transition: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let first: String
  let second: String
  var needsBtrfs = false

  static let all = [
    Transition(
      testDescription: "access lists, owners and capabilities",
      first: """
        mkdir none both defaults; touch added removed masked changed capable
        setfacl -m u:7:rw,m::r removed masked changed; setfacl -m u:7:rwx,d:g:8:rx both
        setfacl -m d:u:9:rwx defaults; touch defaults/inherits both/inherits
        setcap cap_net_raw+ep capable; setfattr -n trusted.own -v 1 removed
        """,
      second: """
        setfacl -b removed both defaults/inherits; setfacl -k defaults; chmod g+w masked
        setfacl -m u:7:r,u:8:w changed; setfacl -m u:5:rw added; setfacl -m d:u:5:rw,g:6:x none
        chown 3:4 capable changed; setfattr -x trusted.own removed
        """),
    Transition(
      testDescription: "compression and copy on write",
      first: """
        mkdir d e; touch d/plain; chattr +C d/plain; echo text >d/plain
        setfattr -n btrfs.compression -v zstd d; seq 9999 >d/inherits; seq 9 >e/own
        setfattr -n btrfs.compression -v lzo e/own
        """,
      second: """
        setfattr -n btrfs.compression -v zlib d/inherits; setfattr -x btrfs.compression e/own
        rm d/plain; setfattr -n btrfs.compression -v zstd e
        """, needsBtrfs: true),
    Transition(
      testDescription: "copy on write of files and directories",
      first: """
        mkdir d; chattr +C d; mkdir d/inherits; touch d/inherits/f d/own; chattr -C d/own
        echo text >d/inherits/f; echo text | tee d/own d/content >added
        touch removed; chattr +C removed; echo text >removed; mkdir e; echo text >e/f
        """,
      second: """
        chattr -C d d/inherits; rm d/own; echo more >d/content
        touch new; chattr +C new; cat added >new; mv new added
        cat removed >new; mv new removed; chattr +C e; rm e/f; echo text >e/f; echo text >e/g
        """, needsBtrfs: true),
    Transition(
      testDescription: "copy on write and compression of directories",
      first: """
        mkdir a b c; chattr +C a c; setfattr -n btrfs.compression -v zstd b; mkdir c/new
        echo text >a/f; echo text >b/f; echo text >c/f
        """,
      second: """
        rm a/f b/f; chattr -C a; setfattr -n btrfs.compression -v zstd a
        setfattr -x btrfs.compression b; chattr +C b; echo more >a/f; echo more >b/f; rmdir c/new
        mkdir c/new; chattr -C c/new; setfattr -n btrfs.compression -v zstd c/new; echo text >c/new/f
        """, needsBtrfs: true),
    Transition(
      testDescription: "flags that new files inherit",
      first: """
        mkdir d; chattr +d d; touch d/f d/g d/linked; chattr -d d/g d/linked; mkdir e; echo text >e/f
        ln d/linked d/too; ln d/f d/other
        """,
      second: """
        echo more >d/g; rm d/f; chattr +d e/f e; echo text >e/g
        rm d/linked; echo more >d/linked; ln -f d/linked d/too; chattr -d d
        """),
  ]
}

// The hooks of xCAT's programs, dnf and apt: their files, and the snapshots that they take.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite struct HookTests {
  /// Creates a node with what the hooks look for.
  private func node() throws -> TestNode {
    let node = try TestNode(image: "img")
    for directory in [
      "etc/apt/apt.conf.d", "etc/dnf/libdnf5-plugins", "usr/lib/python3/dist-packages/dnf",
    ] {
      try FileManager.default.createDirectory(
        atPath: node.path(directory), withIntermediateDirectories: true)
    }
    return node
  }

  private static let files: [HookKind: [String]] = [
    .genimage: ["/usr/local/lib/imgstore/hooks/genimage"],
    .packimage: ["/usr/local/lib/imgstore/hooks/packimage"],
    .dnf: [
      "/usr/lib/python3/dist-packages/dnf-plugins/imgstore.py",
      "/etc/dnf/libdnf5-plugins/actions.d/imgstore.actions",
    ],
    .apt: ["/etc/apt/apt.conf.d/90imgstore"],
  ]

  @Test(arguments: HookKind.allCases, HookPolicy.allCases)
  func `a hook is switched on and off by its own files`(_ kind: HookKind, _ policy: HookPolicy)
    throws
  {
    let node = try node()
    let before = try FileManager.default.subpathsOfDirectory(atPath: node.path("")).filter {
      !isDirectory(node.path($0))
    }
    try node.workspace.enableHooks([kind], program: "/usr/bin/imgstore", policy: policy)
    let state = try #require(try node.workspace.hooks().first { $0.kind == kind })
    #expect(state.isEnabled && state.policy == policy)
    #expect(state.files == Self.files[kind])
    #expect(try node.workspace.hooks().filter(\.isEnabled).count == 1)
    // Again, with the other policy.
    try node.workspace.enableHooks([kind], program: "/usr/bin/imgstore", policy: .refuse)
    #expect(try node.workspace.hooks().first { $0.kind == kind }?.policy == .refuse)
    try node.workspace.disableHooks([kind])
    try node.workspace.disableHooks([kind])
    let after = try FileManager.default.subpathsOfDirectory(atPath: node.path("")).filter {
      !isDirectory(node.path($0))
    }
    #expect(Set(after) == Set(before))
  }

  private func isDirectory(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
      && isDirectory.boolValue
  }

  @Test func `a file of another program is neither replaced nor removed`() throws {
    let node = try node()
    try node.write("other\n", to: "etc/apt/apt.conf.d/90imgstore")
    #expect(
      errorCode {
        try node.workspace.enableHooks([.dnf, .apt], program: "/usr/bin/imgstore", policy: .warn)
      } == .alreadyExists)
    #expect(errorCode { try node.workspace.disableHooks([.apt]) } == .alreadyExists)
    #expect(node.content("etc/apt/apt.conf.d/90imgstore") == "other\n")
    #expect(
      try node.workspace.hooks().filter(\.isEnabled).isEmpty, "dnf's hook is not written alone")
  }

  @Test func `a hook for a program that is not installed is refused`() throws {
    let node = try TestNode(image: "img")
    for kind in [HookKind.dnf, .apt] {
      #expect(
        errorCode {
          try node.workspace.enableHooks([kind], program: "/usr/bin/imgstore", policy: .warn)
        } == .notFound)
    }
    #expect(
      errorCode {
        try node.workspace.enableHooks([.genimage], program: "/a b/imgstore", policy: .warn)
      } == .usage)
  }

  @Test func `the hooks of an operation take two snapshots of its image`() throws {
    let node = try node()
    let words = ["dnf", "install", "x"].map { Array($0.utf8) }
    #expect(
      try node.workspace.takeHookSnapshot(.before, tree: "/img/rootimg", operation: words)?.number
        == 1)
    #expect(
      try node.workspace.takeHookSnapshot(.before, tree: "/img/rootimg", operation: words) == nil)
    try node.write("new\n", to: "img/rootimg/etc/new")
    let after = try #require(
      try node.workspace.takeHookSnapshot(.after, tree: "/img/rootimg/", operation: words))
    #expect(after.snapshot.message == "dnf install x")
    #expect(after.snapshot.origin == .manual)
    _ = try node.workspace.undo("img")
    #expect(!node.exists("img/rootimg/etc/new"))
    #expect(try node.workspace.takeHookSnapshot(.after, tree: "/", operation: words) == nil)
    #expect(
      try node.workspace.takeHookSnapshot(.after, tree: "/img/other", operation: words) == nil)
  }

  @Test(
    arguments: [
      (["apt-get", "-o", "Dir=/t", "install", "x"], "/t"),
      (["apt-get", "-oRootDir=/t", "update"], "/t"),
      (["apt", "--option=Dir=/a", "-o", "DPkg::Options::=--root=/b", "install"], "/b"),
      (["apt-get", "install", "x"], nil), (["apt-get", "-o", "Dir=/", "install"], nil),
      (["apt-get", "-o"], nil), (["apt-get", "-o", "Dir::Etc=/e", "install"], nil), ([], nil),
    ] as [([String], String?)])
  func `apt's command line names the tree`(_ words: [String], _ tree: String?) {
    #expect(AptCommandLine.tree(words) == tree)
  }

  @Test(
    arguments: [
      (["apt-get", "-oRootDir=/t", "update"], true),
      (["apt", "--option=DPkg::Chroot-Directory=/t", "install"], true),
      (["apt-get", "-o", "RootDir=/", "install"], false),
      (["apt-get", "-o", "Dir=/t", "-o", "DPkg::Options::=--root=/t", "install"], false),
      (["apt-get", "install", "rootdir=/t"], false),
    ] as [([String], Bool)])
  func `apt's command line tells whether hooks start inside the tree`(
    _ words: [String], _ isInside: Bool
  ) {
    #expect(AptCommandLine.startsHooksInTree(words) == isInside)
  }
}

// Reverts of files, directories and components: they become equal to the snapshot, and everything else stays.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct RevertPartsTests {
  private func tree(_ folder: TemporaryFolder) -> String { folder.path("root/img/rootimg") }

  private func revert(
    _ workspace: Workspace, _ reference: String, _ paths: String..., components: [String] = [],
    dryRun: Bool = false
  ) throws -> RevertOutcome {
    var request = RevertRequest(reference)
    request.parts = ImageParts(paths: paths, components: components)
    request.isDryRun = dryRun
    return try workspace.revert(request)
  }

  /// Lists everything in the tree, with content, modes, owners, times and links.
  private func listing(_ folder: TemporaryFolder) throws -> [String: String] {
    let text = try shell(
      """
      cd "$1"; find . -printf '%P %y %m %U %G %l %n ' -exec sh -c \
        '[ -f "$1" ] && [ ! -L "$1" ] && stat -c %Y "$1" | tr "\\n" " " && sha256sum <"$1" || echo -' _ {} \\;
      """, tree(folder)
    ).output
    return Dictionary(
      text.split(separator: "\n").map { line in
        let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), String(parts.count > 1 ? parts[1] : ""))
      }
    ) { $1 }
  }

  private let change = """
    cd "$1"; echo two >etc/hosts; rm -r etc/ssh; echo new >etc/new; mkdir usr/added; echo x >usr/added/x
    chmod 600 etc/passwd; ln -sf /other etc/link; echo changed >>usr/a; rm -r usr/gone
    """

  private func site(_ folder: TemporaryFolder) throws -> Workspace {
    let workspace = try Workspace.test(folder)
    try shell(
      """
      cd "$1"; mkdir -p etc/ssh usr/gone/deep; chmod 700 etc/ssh; echo one >etc/hosts; echo key >etc/ssh/key
      chmod 600 etc/ssh/key; echo p >etc/passwd; ln -s /target etc/link; echo a >usr/a; ln usr/a usr/b
      echo deep >usr/gone/deep/file; chmod 751 usr/gone usr/gone/deep; echo kernel >"$2"
      """, tree(folder), folder.path("root/img/kernel"))
    _ = try workspace.snapshot("img", tag: "golden")
    try shell(change, tree(folder))
    return workspace
  }

  @Test(arguments: [
    // The requested parts, and the entries that revert to their old state.
    ("img@golden:etc/hosts", [String](), ["etc/hosts"]),
    ("img@golden", ["/etc/hosts"], ["etc/hosts"]),
    ("img@1", ["/img/rootimg/etc/hosts"], ["etc/hosts"]),
    ("img@1:etc/ssh", [], ["etc/ssh", "etc/ssh/key"]),
    ("img@1:etc/ssh/key", [], ["etc/ssh", "etc/ssh/key"]),
    ("img@1:etc/new", [], ["etc/new"]),
    ("img@1:usr/added", [], ["usr/added", "usr/added/x"]),
    ("img@1", ["etc/link", "etc/passwd"], ["etc/link", "etc/passwd"]),
    (
      "img@1:usr/gone/deep/file", [], ["usr/gone", "usr/gone/deep", "usr/gone/deep/file"]
    ),
    (
      "img@1", ["./etc/hosts/", "usr/gone"],
      [
        "etc/hosts", "usr/gone", "usr/gone/deep", "usr/gone/deep/file",
      ]
    ),
  ])
  func `a revert of a path changes only that path`(
    reference: String, paths: [String], expected: [String]
  ) throws {
    let folder = try TemporaryFolder()
    let workspace = try site(folder)
    let changed = try listing(folder)
    try shell("cp -a \"$1\" \"$2\"", tree(folder), folder.path("changed"))
    _ = try workspace.restore("img@1", to: folder.path("golden"))
    var request = RevertRequest(reference)
    request.parts.paths = paths
    request.isDryRun = true
    let planned = try workspace.revert(request)
    #expect(try listing(folder) == changed, "a dry run changes nothing")
    #expect(try workspace.log("img").count == 1)
    #expect(planned.apply.plannedSteps > 0)
    request.isDryRun = false
    let outcome = try workspace.revert(request)
    #expect(outcome.isExact && outcome.safety != nil && outcome.recorded != nil)
    // The entries that differ from the previous state, and those that differ from the snapshot.
    let now = try listing(folder)
    let moved = Set(now.keys).union(changed.keys).filter {
      now[$0] != changed[$0] && !isFolder(now[$0]) || (now[$0] == nil) != (changed[$0] == nil)
    }
    #expect(Set(moved) == Set(expected), "\(moved.sorted())")
    for path in expected {
      let pair = [folder.path("golden/\(path)"), tree(folder) + "/\(path)"]
      let stats = try pair.map {
        try run("stat", "-c", "%f %u %g %s", $0).output
      }
      if !isFolder(now[path]) { #expect(stats[0] == stats[1], "\(path)") }
    }
    // It is a change like any other: it verifies as clean, and an undo restores every attribute.
    #expect(try workspace.status("img").isClean)
    #expect(try workspace.undo("img").isExact)
    #expect(try differences(folder.path("changed"), tree(folder)) == "")
    #expect(try workspace.verify(deep: true).isClean)
  }

  private func isFolder(_ line: String?) -> Bool { line?.hasPrefix("d ") == true }

  @Test func `a revert of one hard link does not change the others`() throws {
    let folder = try TemporaryFolder()
    let workspace = try site(folder)
    // usr/a and usr/b are one changed inode. Only usr/a is reverted.
    #expect(try revert(workspace, "img@1", "usr/a").isExact)
    #expect(try String(contentsOfFile: tree(folder) + "/usr/a", encoding: .utf8) == "a\n")
    #expect(try String(contentsOfFile: tree(folder) + "/usr/b", encoding: .utf8) == "a\nchanged\n")
    #expect(try run("stat", "-c", "%h", tree(folder) + "/usr/b").output == "1\n")
    #expect(try workspace.status("img").isClean)
    #expect(try workspace.undo("img").isExact)
    #expect(try run("stat", "-c", "%h", tree(folder) + "/usr/b").output == "2\n")
  }

  @Test func `a revert of a component changes only that component`() throws {
    let folder = try TemporaryFolder()
    let workspace = try site(folder)
    try shell("echo newer >\"$1\"", folder.path("root/img/kernel"))
    _ = try workspace.define("img", ["profile=q", "usercomment=mine", "osvers=rhels10"])
    let changed = try listing(folder)

    #expect(try revert(workspace, "img@1", components: ["kernel"]).isExact)
    #expect(
      try String(contentsOfFile: folder.path("root/img/kernel"), encoding: .utf8) == "kernel\n")
    #expect(
      try workspace.findEntry("etc/new", in: workspace.find(Reference("img"))).entry.kind == .file)

    #expect(try revert(workspace, "img@1", components: ["osimage.profile", "usercomment"]).isExact)
    let stanza = try workspace.stanza(of: "img")
    #expect(stanza.contains("profile=p\n") && stanza.contains("osvers=rhels10\n"))
    #expect(!stanza.contains("comment="))

    #expect(try revert(workspace, "img@1", components: ["definition"]).isExact)
    #expect(try workspace.stanza(of: "img").contains("osvers=rhels9\n"))
    #expect(try listing(folder) == changed, "the tree is as it was")
    #expect(try revert(workspace, "img@1", components: ["tree"]).isExact)
    #expect(try workspace.diff("img@1", nil).isEmpty)
  }

  @Test func `a path below a link that was a directory is refused, and the link stays`() throws {
    let folder = try TemporaryFolder()
    let workspace = try site(folder)
    // The same situation as when /lib becomes a link to usr/lib.
    try shell("cd \"$1\"; mkdir usr/ssh; ln -s ../usr/ssh etc/ssh", tree(folder) + "/.")
    let before = try listing(folder)
    #expect(throws: ImageError.self) { try revert(workspace, "img@1", "etc/ssh/key") }
    #expect(try listing(folder) == before)
    #expect(try revert(workspace, "img@1", "etc/ssh").isExact)
    #expect(try run("stat", "-c", "%F", tree(folder) + "/etc/ssh").output == "directory\n")
    #expect(try workspace.undo("img").isExact)
    #expect(try listing(folder) == before)
  }

  @Test func `a diff of a path follows directories that are links`() throws {
    let folder = try TemporaryFolder()
    let workspace = try Workspace.test(folder)
    try shell("cd \"$1\"; mkdir -p usr/bin; ln -s usr/bin bin; echo 1 >usr/bin/tool", tree(folder))
    _ = try workspace.snapshot("img")
    try shell("echo 22 >\"$1/usr/bin/tool\"", tree(folder))
    for path in ["bin/tool", "usr/bin/tool", "/img/rootimg/bin/tool"] {
      let entries = try workspace.comparison("img@1", nil, paths: [path]).diff.entries
      #expect(entries.map { printable($0.path) } == ["/img/rootimg/usr/bin/tool"], "\(path)")
    }
  }

  @Test func `an unknown or invalid path changes nothing`() throws {
    let folder = try TemporaryFolder()
    let workspace = try site(folder)
    let before = try listing(folder)
    for (reference, path, code) in [
      ("img@1", "etc/none", ErrorCategory.notFound), ("img@1", "etc/../etc/hosts", .usage),
      ("img@1", "etc/hosts/below", .notFound), ("img@1:etc/hosts", "a\\q", .usage),
      ("img@1:", "etc", .usage),
      ("img", "golden", .usage),
    ] {
      let error = #expect(throws: ImageError.self, "\(path)") {
        try revert(workspace, reference, path)
      }
      #expect(error?.errorCode.category == code, "\(path)")
    }
    #expect(throws: ImageError.self) { try revert(workspace, "img@1", components: ["nonsense"]) }
    #expect(try listing(folder) == before)
    #expect(try workspace.log("img").count == 1)
    // Unchanged entries are neither written nor recorded.
    let same = try revert(workspace, "img@1", "usr")
    #expect(same.recorded != nil)
    #expect(try revert(workspace, "img@1", "usr").recorded == nil)
  }

  @Test func `an interrupted revert of paths can be resumed or rolled back`() throws {
    for isBack in [false, true] {
      let folder = try TemporaryFolder()
      let workspace = try site(folder)
      try shell("cp -a \"$1\" \"$2\"", tree(folder), folder.path("changed"))
      let files = FaultyFileSystem(failing: 0, .always("setModified", .inputOutput))
      let cut = try Workspace(workspace.options, fileSystem: files) { _ in }
      #expect(throws: (any Error).self) { try revert(cut, "img@1", "etc", "usr/gone") }
      #expect(try workspace.unfinished().count == 1)
      #expect(try workspace.resume(nil, isBack ? .back : .forward).revert?.isExact ?? isBack)
      if isBack {
        #expect(try differences(folder.path("changed"), tree(folder)) == "")
      } else {
        let left = try workspace.diff("img@1", nil).entries.map { printable($0.path) }
        #expect(
          left.allSatisfy { $0.hasPrefix("/img/rootimg/usr") || $0 == "/img/rootimg" }, "\(left)")
        #expect(try workspace.undo("img").isExact)
        #expect(try differences(folder.path("changed"), tree(folder)) == "")
      }
    }
  }
}

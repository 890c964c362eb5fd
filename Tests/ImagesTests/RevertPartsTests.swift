// Reverts of files, directories and components: they become equal to the snapshot, and everything else stays.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct RevertPartsTests {
  private func tree(_ directory: TemporaryDirectory) -> String {
    directory.path("root/img/rootimg")
  }

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
  private func listing(_ directory: TemporaryDirectory) throws -> [String: String] {
    let text = try shell(
      """
      cd "$1"; find . -printf '%P %y %m %U %G %l %n ' -exec sh -c \
        '[ -f "$1" ] && [ ! -L "$1" ] && stat -c %Y "$1" | tr "\\n" " " && sha256sum <"$1" || echo -' _ {} \\;
      """, tree(directory)
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

  private func site(_ directory: TemporaryDirectory) throws -> Workspace {
    let workspace = try Workspace.test(directory)
    try shell(
      """
      cd "$1"; mkdir -p etc/ssh usr/gone/deep; chmod 700 etc/ssh; echo one >etc/hosts; echo key >etc/ssh/key
      chmod 600 etc/ssh/key; echo p >etc/passwd; ln -s /target etc/link; echo a >usr/a; ln usr/a usr/b
      echo deep >usr/gone/deep/file; chmod 751 usr/gone usr/gone/deep; echo kernel >"$2"
      """, tree(directory), directory.path("root/img/kernel"))
    _ = try workspace.snapshot("img", tags: ["golden"])
    try shell(change, tree(directory))
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
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    let changed = try listing(directory)
    try shell("cp -a \"$1\" \"$2\"", tree(directory), directory.path("changed"))
    _ = try workspace.restore("img@1", to: directory.path("golden"))
    var request = RevertRequest(reference)
    request.parts.paths = paths
    request.isDryRun = true
    let planned = try workspace.revert(request)
    #expect(try listing(directory) == changed, "a dry run changes nothing")
    #expect(try workspace.log("img").count == 1)
    #expect(planned.apply.plannedSteps > 0)
    request.isDryRun = false
    let outcome = try workspace.revert(request)
    #expect(outcome.isExact && outcome.safety != nil && outcome.recorded != nil)
    // The entries that differ from the previous state, and those that differ from the snapshot.
    let now = try listing(directory)
    let moved = Set(now.keys).union(changed.keys).filter {
      now[$0] != changed[$0] && !isDirectory(now[$0]) || (now[$0] == nil) != (changed[$0] == nil)
    }
    #expect(Set(moved) == Set(expected), "\(moved.sorted())")
    for path in expected {
      let pair = [directory.path("golden/\(path)"), tree(directory) + "/\(path)"]
      let stats = try pair.map {
        try run("stat", "-c", "%f %u %g %s", $0).output
      }
      if !isDirectory(now[path]) { #expect(stats[0] == stats[1], "\(path)") }
    }
    // It is a change like any other: it verifies as clean, and an undo restores every attribute.
    #expect(try workspace.status("img").isClean)
    #expect(try workspace.undo("img").isExact)
    #expect(try differences(directory.path("changed"), tree(directory)) == "")
    #expect(try workspace.verify(deep: true).isClean)
  }

  private func isDirectory(_ line: String?) -> Bool { line?.hasPrefix("d ") == true }

  @Test func `a revert of one hard link does not change the others`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    // usr/a and usr/b are one changed inode. Only usr/a is reverted.
    #expect(try revert(workspace, "img@1", "usr/a").isExact)
    #expect(try String(contentsOfFile: tree(directory) + "/usr/a", encoding: .utf8) == "a\n")
    #expect(
      try String(contentsOfFile: tree(directory) + "/usr/b", encoding: .utf8) == "a\nchanged\n")
    #expect(try run("stat", "-c", "%h", tree(directory) + "/usr/b").output == "1\n")
    #expect(try workspace.status("img").isClean)
    #expect(try workspace.undo("img").isExact)
    #expect(try run("stat", "-c", "%h", tree(directory) + "/usr/b").output == "2\n")
  }

  @Test func `a revert of a component changes only that component`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    try shell("echo newer >\"$1\"", directory.path("root/img/kernel"))
    _ = try workspace.define("img", ["profile=q", "usercomment=mine", "osvers=rhels10"])
    let changed = try listing(directory)

    #expect(try revert(workspace, "img@1", components: ["kernel"]).isExact)
    #expect(
      try String(contentsOfFile: directory.path("root/img/kernel"), encoding: .utf8) == "kernel\n")
    #expect(
      try workspace.findEntry("etc/new", in: workspace.find(Reference("img"))).entry.kind == .file)

    #expect(try revert(workspace, "img@1", components: ["osimage.profile", "usercomment"]).isExact)
    let stanza = try workspace.stanza(of: "img")
    #expect(stanza.contains("profile=p\n") && stanza.contains("osvers=rhels10\n"))
    #expect(!stanza.contains("comment="))

    #expect(try revert(workspace, "img@1", components: ["definition"]).isExact)
    #expect(try workspace.stanza(of: "img").contains("osvers=rhels9\n"))
    #expect(try listing(directory) == changed, "the tree is as it was")
    #expect(try revert(workspace, "img@1", components: ["tree"]).isExact)
    #expect(try workspace.diff("img@1", nil).isEmpty)
  }

  @Test func `a path below a link that was a directory is refused, and the link stays`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    // The same situation as when /lib becomes a link to usr/lib.
    try shell("cd \"$1\"; mkdir usr/ssh; ln -s ../usr/ssh etc/ssh", tree(directory) + "/.")
    let before = try listing(directory)
    #expect(throws: ImageError.self) { try revert(workspace, "img@1", "etc/ssh/key") }
    #expect(try listing(directory) == before)
    #expect(try revert(workspace, "img@1", "etc/ssh").isExact)
    #expect(try run("stat", "-c", "%F", tree(directory) + "/etc/ssh").output == "directory\n")
    #expect(try workspace.undo("img").isExact)
    #expect(try listing(directory) == before)
  }

  @Test func `a diff of a path follows directories that are links`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell(
      "cd \"$1\"; mkdir -p usr/bin; ln -s usr/bin bin; echo 1 >usr/bin/tool", tree(directory))
    _ = try workspace.snapshot("img")
    try shell("echo 22 >\"$1/usr/bin/tool\"", tree(directory))
    for path in ["bin/tool", "usr/bin/tool", "/img/rootimg/bin/tool"] {
      let entries = try workspace.comparison("img@1", nil, paths: [path]).diff.entries
      #expect(entries.map { printable($0.path) } == ["/img/rootimg/usr/bin/tool"], "\(path)")
    }
  }

  @Test func `an unknown or invalid path changes nothing`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try site(directory)
    let before = try listing(directory)
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
    #expect(try listing(directory) == before)
    #expect(try workspace.log("img").count == 1)
    // Unchanged entries are neither written nor recorded.
    let same = try revert(workspace, "img@1", "usr")
    #expect(same.recorded != nil)
    #expect(try revert(workspace, "img@1", "usr").recorded == nil)
  }

  @Test func `an interrupted revert of paths can be resumed or rolled back`() throws {
    for isBack in [false, true] {
      let directory = try TemporaryDirectory()
      let workspace = try site(directory)
      try shell("cp -a \"$1\" \"$2\"", tree(directory), directory.path("changed"))
      let files = FaultyFileSystem(failing: 0, .always("setModified", .inputOutput))
      let cut = try Workspace(workspace.options, fileSystem: files) { _ in }
      #expect(throws: (any Error).self) { try revert(cut, "img@1", "etc", "usr/gone") }
      #expect(try workspace.unfinished().count == 1)
      #expect(try workspace.resume(nil, isBack ? .back : .forward).revert?.isExact ?? isBack)
      if isBack {
        #expect(try differences(directory.path("changed"), tree(directory)) == "")
      } else {
        let left = try workspace.diff("img@1", nil).entries.map { printable($0.path) }
        #expect(
          left.allSatisfy { $0.hasPrefix("/img/rootimg/usr") || $0 == "/img/rootimg" }, "\(left)")
        #expect(try workspace.undo("img").isExact)
        #expect(try differences(directory.path("changed"), tree(directory)) == "")
      }
    }
  }
}

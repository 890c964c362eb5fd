// Directory images: they have no attributes, only a tree and its excludes.

import Apply
import Foundation
import Images
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct DirectoryImageTests {
  /// Creates a node with a directory image that has a cache, a temporary directory and old times.
  private func directory() throws -> TestNode {
    let node = try TestNode.directory(tree: [
      "etc/hosts": "one\n", "usr/lib/a": "a\n", "var/cache/apt/c": "c\n", "tmp/t": "t\n",
    ])
    try shell(
      "cd \"$1\"; touch -d @1000000000 etc usr tmp var/cache var/cache/apt var .", node.tree)
    return node
  }

  @Test func `a directory is added as an image of its name and can be reverted`() throws {
    let site = try directory()
    let first = try site.workspace.snapshot(site.tree)
    #expect(first.committed.name == "compute@1")
    #expect(first.committed.snapshot.components.map(\.path) == [Array(site.tree.utf8)])
    #expect(first.committed.snapshot.tables.map(\.name) == ["directory"])
    try shell("cd \"$1\"; echo two >etc/hosts; rm -r usr; echo n >new", site.tree)
    for method in [ApplyStrategy.inPlace, .swap] {
      let outcome = try site.revert("compute@1", method)
      #expect(outcome.isExact)
      #expect(
        site.content("srv/compute/etc/hosts") == "one\n"
          && site.content("srv/compute/usr/lib/a") == "a\n")
      #expect(site.content("srv/compute/new") == nil)
      _ = try site.workspace.undo("compute")
      #expect(
        site.content("srv/compute/etc/hosts") == "two\n" && site.content("srv/compute/new") == "n\n"
      )
    }
    #expect(try site.workspace.status("compute").isClean)
  }

  @Test func `an image is found by any spelling of its directory`() throws {
    let site = try directory()
    _ = try site.workspace.snapshot(site.tree)
    try shell("ln -s compute \"$1/srv/link\"", site.directory.path(""))
    for text in [
      site.tree, site.tree + "/", site.directory.path("srv/../srv/compute"),
      site.directory.path("srv/link"),
    ] {
      #expect(try site.workspace.status(text).snapshot.name == "compute@1", "\(text)")
    }
    #expect(try site.workspace.snapshot(site.tree).committed.name == "compute@2")
    #expect(try site.workspace.images().map(\.name) == ["compute"])
  }

  @Test func `a directory that cannot be an image is refused with its own code`() throws {
    let site = try directory()
    func code(_ body: () throws -> Void) -> ErrorCode? {
      do { try body() } catch let error as any ExplainedError { return error.errorCode } catch {}
      return nil
    }
    #expect(
      code { _ = try site.workspace.snapshot(site.directory.path("nothing")) }?.category
        == .notFound)
    #expect(code { _ = try site.workspace.status(site.tree) }?.category == .notFound)
    #expect(code { _ = try site.workspace.snapshot("/") }?.category == .usage)
    _ = try site.workspace.snapshot(site.tree)
    #expect(
      code { _ = try site.workspace.addDirectory("other", at: site.tree) }?.category == .failed)
    #expect(
      code { _ = try site.workspace.addDirectory("compute", at: site.directory.path("srv")) }?
        .category
        == .failed)
    #expect(code { _ = try site.workspace.define("compute", ["profile=p"]) }?.category == .usage)
    #expect(
      code { _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["a//b"]) }?.category
        == .usage
    )
  }

  @Test(arguments: ["empty", "gone", "file"])
  func `a missing directory gets no snapshot`(kind: String) throws {
    let site = try directory()
    if kind != "empty" { _ = try site.workspace.addDirectory(nil, at: site.tree) }
    try shell(
      "rm -r \"$1\"; case $2 in empty) mkdir \"$1\";; file) : >\"$1\";; esac", site.tree, kind)
    #expect(throws: ImageError.self) {
      try site.workspace.snapshot(kind == "empty" ? site.tree : "compute")
    }
    #expect(try site.workspace.images().map(\.snapshots) == (kind == "empty" ? [] : [0]))
  }

  // MARK: Excludes

  private func excluding(_ site: TestNode) throws {
    _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["var/cache/*", "/tmp/*"])
  }

  @Test func `excluded files are not recorded and do not count as changes`() throws {
    let site = try directory()
    try excluding(site)
    let first = try site.workspace.snapshot("compute")
    #expect(first.committed.snapshot.notes.isEmpty)
    let reader = try site.workspace.reader(of: first.committed)
    #expect(try reader.find("var/cache/apt", followLast: false) == nil)
    #expect(try reader.find("tmp", followLast: false) != nil)
    try shell(
      "cd \"$1\"; rm -r var/cache/apt; echo 2 >tmp/t2; mkdir var/cache/dnf; echo x >var/cache/dnf/x",
      site.tree)
    let status = try site.workspace.status("compute")
    #expect(status.isClean)
    #expect(status.excluded.map(\.pattern) == ["/tmp/*", "var/cache/*"])
    #expect(status.excluded.map(\.entries) == [2, 1])
    #expect(try !site.workspace.snapshot("compute", .skipIfUnchanged).isNew)
    // The same without the stat cache.
    try shell("rm -r \"$1/store/cache\"/*", site.directory.path(""))
    let cold = try Workspace(WorkspaceOptions(store: site.directory.path("store"))) { _ in }
    #expect(try cold.status("compute").isClean)
    #expect(try !cold.snapshot("compute", .skipIfUnchanged).isNew)
  }

  @Test(arguments: [ApplyStrategy.automatic, .inPlace])
  func `a revert does not touch excluded files`(method: ApplyStrategy) throws {
    let site = try directory()
    try excluding(site)
    _ = try site.workspace.snapshot("compute")
    try shell(
      "cd \"$1\"; echo two >etc/hosts; echo 2 >tmp/t2; rm usr/lib/a; echo m >var/cache/apt/more",
      site.tree)
    let outcome = try site.revert("compute@1", method)
    #expect(outcome.isExact && outcome.apply.skipped.isEmpty)
    #expect(
      site.content("srv/compute/etc/hosts") == "one\n"
        && site.content("srv/compute/usr/lib/a") == "a\n")
    #expect(
      site.content("srv/compute/tmp/t2") == "2\n" && site.content("srv/compute/tmp/t") == "t\n")
    #expect(site.content("srv/compute/var/cache/apt/more") == "m\n")
    #expect(try site.workspace.status("compute").isClean)
  }

  @Test func `a swap that would lose excluded files is refused`() throws {
    let site = try directory()
    try excluding(site)
    _ = try site.workspace.snapshot("compute")
    try shell("echo two >\"$1/etc/hosts\"", site.tree)
    #expect(throws: ImageError.self) { try site.revert("compute@1", .swap) }
    #expect(
      site.content("srv/compute/etc/hosts") == "two\n" && site.content("srv/compute/tmp/t") == "t\n"
    )
  }

  @Test func `a directory with excluded files stays if the target does not have it`() throws {
    let site = try directory()
    _ = try site.workspace.snapshot(site.tree)
    try shell("cd \"$1\"; mkdir -p opt/work; echo p >opt/work/p.log; echo q >opt/q", site.tree)
    _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["*.log"])
    let outcome = try site.revert("compute@1")
    #expect(site.content("srv/compute/opt/work/p.log") == "p\n", "nobody has kept it")
    #expect(site.content("srv/compute/opt/q") == nil)
    #expect(!outcome.isExact, "the directory is there for the file's sake")
  }

  @Test func `current and recorded excludes are both respected in every direction`() throws {
    let site = try directory()
    // @1 has all; then the cache is excluded, and the tree's own list excludes logs.
    _ = try site.workspace.snapshot(site.tree)
    try excluding(site)
    try shell(
      "cd \"$1\"; printf '*.log\\n!keep.log\\n' >.imgstoreignore; echo l >etc/a.log; echo k >etc/keep.log",
      site.tree)
    _ = try site.workspace.snapshot("compute")
    try shell("cd \"$1\"; echo changed >var/cache/apt/c; echo 2 >etc/hosts", site.tree)
    for (reference, hosts) in [
      ("compute@1", "one\n"), ("compute@2", "one\n"), ("compute@1", "one\n"),
    ] {
      let outcome = try site.revert(reference)
      #expect(outcome.isExact, "\(reference)")
      #expect(site.content("srv/compute/etc/hosts") == hosts)
      #expect(site.content("srv/compute/var/cache/apt/c") == "changed\n")
      #expect(site.content("srv/compute/etc/a.log") == "l\n")
      #expect(try site.workspace.status("compute").isClean, "\(reference)")
    }
    _ = try site.workspace.undo("compute")
    #expect(site.content("srv/compute/etc/keep.log") == "k\n")
    #expect(try site.workspace.status("compute").isClean)
    let definition = try site.workspace.define("compute", [])
    #expect(definition.excludes == ["var/cache/*", "/tmp/*"], "a revert leaves them as they are")
  }

  @Test func `an unreadable exclude list stops the snapshot`() throws {
    let site = try directory()
    try shell("head -c 70000 /dev/zero | tr '\\0' a >\"$1/.imgstoreignore\"", site.tree)
    #expect(throws: ImageError.self) { try site.workspace.snapshot(site.tree) }
    try shell("printf 'a//b\\n' >\"$1/.imgstoreignore\"", site.tree)
    #expect(throws: ImageError.self) { try site.workspace.snapshot(site.tree) }
    // A link is not accepted as a list.
    try shell("echo '*' >\"$1/../list\"; ln -sf ../list \"$1/.imgstoreignore\"", site.tree)
    let taken = try site.workspace.snapshot(site.tree)
    #expect(taken.committed.snapshot.entryCount > 8)
  }

  @Test func `a moved directory keeps its history`() throws {
    let site = try directory()
    _ = try site.workspace.snapshot(site.tree)
    let moved = site.directory.path("srv/moved")
    try shell("mv \"$1\" \"$2\"; echo two >\"$2/etc/hosts\"", site.tree, moved)
    let added = try site.workspace.addDirectory("compute", at: moved)
    #expect(added.movedFrom == site.tree && !added.isNew)
    #expect(try site.workspace.status("compute").diff.entries.count == 1)
    #expect(try site.revert("compute@1").isExact)
    #expect(try String(contentsOfFile: moved + "/etc/hosts", encoding: .utf8) == "one\n")
    #expect(!FileManager.default.fileExists(atPath: site.tree))
  }

  @Test func `an exclude list in the tree does not protect files of a snapshot`() throws {
    let site = try directory()
    _ = try site.workspace.snapshot(site.tree)
    try shell(
      "cd \"$1\"; echo '*' >.imgstoreignore; echo two >etc/hosts; rm usr/lib/a; echo bad >etc/bad",
      site.tree)
    let outcome = try site.revert("compute@1")
    #expect(outcome.isExact)
    #expect(
      site.content("srv/compute/etc/hosts") == "one\n"
        && site.content("srv/compute/usr/lib/a") == "a\n")
    #expect(site.content("srv/compute/.imgstoreignore") == nil)
    #expect(site.content("srv/compute/etc/bad") == "bad\n", "no snapshot has it")
    // Files that the list excludes were snapshotted before they were replaced.
    _ = try site.workspace.undo("compute")
    #expect(
      site.content("srv/compute/etc/hosts") == "two\n"
        && site.content("srv/compute/etc/bad") == "bad\n")
    #expect(site.content("srv/compute/.imgstoreignore") == "*\n")
  }

  @Test func `an exclude list in the tree protects files of no snapshot`() throws {
    let site = try directory()
    _ = try site.workspace.snapshot(site.tree)
    try shell(
      "cd \"$1\"; echo scratch/ >.imgstoreignore; mkdir scratch; echo s >scratch/s; echo two >etc/hosts",
      site.tree)
    _ = try site.revert("compute@1")
    #expect(
      site.content("srv/compute/scratch/s") == "s\n"
        && site.content("srv/compute/etc/hosts") == "one\n")
  }

  // MARK: Bundles and copies

  /// A bundle of the directory whose tree has another list.
  private func bundle(_ site: TestNode, list: String) throws -> String {
    var export = ExportRequest(try site.workspace.snapshot(site.tree).committed.name)
    export.destination = .file(site.directory.path("plain.tgz"))
    _ = try site.workspace.export(export)
    try shell(
      """
      cd "$1"; mkdir work; tar xzf plain.tgz -C work; cd work/compute/complete; mkdir t
      tar --zstd -xpf rootimg.tar.zst -C t; printf "$2" >t/rootimg/.imgstoreignore
      tar --zstd -cf rootimg.tar.zst -C t rootimg; rm -r t; cd "$1"; tar czf changed.tgz -C work compute
      """, site.directory.path(""), list)
    return site.directory.path("changed.tgz")
  }

  @Test(arguments: ["*\\n", "/etc\\n", "*.x\\nhosts\\n", "a//b\\n"])
  func `a bundle whose exclude list hides its own files is refused`(list: String) throws {
    let site = try directory()
    let bundle = try bundle(site, list: list)
    try shell("echo two >\"$1/etc/hosts\"", site.tree)
    let count = try site.workspace.log("compute").count
    #expect(throws: BundleError.self) {
      try site.workspace.importing(bundle) { $0.replaces = true }
    }
    #expect(
      site.content("srv/compute/etc/hosts") == "two\n"
        && site.content("srv/compute/.imgstoreignore") == nil)
    #expect(try site.workspace.log("compute").count == count)
    #expect(try site.workspace.unfinished(of: "compute").isEmpty)
    // One that hides something else is taken.
    let other = try directory()
    let fine = try self.bundle(other, list: "*.log\\n")
    #expect(try other.workspace.importing(fine) { $0.replaces = true }.remaining?.isEmpty == true)
  }

  @Test func `an undo of an import restores the excludes`() throws {
    let site = try directory()
    _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["*.theirs"])
    let bundle = try bundle(site, list: "")
    _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["*.ours"])
    _ = try site.workspace.snapshot("compute")
    _ = try site.workspace.importing(bundle) { $0.replaces = true }
    #expect(try site.workspace.define("compute", []).excludes == ["*.theirs"])
    _ = try site.workspace.undo("compute")
    #expect(try site.workspace.define("compute", []).excludes == ["*.ours"])
  }

  @Test func `an import fills an empty directory, and several trees need new directories`() throws {
    let site = try directory()
    let bundle = try bundle(site, list: "")
    let other = try Workspace(WorkspaceOptions(store: site.directory.path("other"))) { _ in }
    try shell("mkdir \"$1/empty\"", site.directory.path(""))
    let image = try other.importing(bundle) { $0.directory = site.directory.path("empty") }
    #expect(image.remaining?.isEmpty == true)
    try shell(
      """
      cd "$1/work"; cp -a compute second; sed -i 's,<imagename>compute<,<imagename>second<,' second/manifest.xml
      tar czf ../two.tgz compute second
      """, site.directory.path(""))
    do {
      _ = try other.importBundle(
        {
          var request = ImportRequest(site.directory.path("two.tgz"))
          request.directory = site.directory.path("both")
          return request
        }())
      Issue.record("two images cannot be one directory")
    } catch let error as any ExplainedError { #expect(error.errorCode.category == .usage) }
    #expect(!FileManager.default.fileExists(atPath: site.directory.path("both")))
  }

  @Test func `a bundle is imported only into the directory that the administrator names`() throws {
    let site = try directory()
    try excluding(site)
    _ = try site.workspace.snapshot("compute")
    var export = ExportRequest("compute@1")
    let bundle = site.directory.path("compute.tgz")
    export.destination = .file(bundle)
    let outcome = try site.workspace.export(export)
    #expect(outcome.members.map(\.name) == ["complete/rootimg.tar.zst"])

    let other = try Workspace(WorkspaceOptions(store: site.directory.path("other"))) { _ in }
    #expect(throws: BundleError.self) { try other.importBundle(ImportRequest(bundle)) }
    let image = try other.importing(bundle) { $0.directory = site.directory.path("srv/there") }
    #expect(image.name == "compute" && image.remaining?.isEmpty == true)
    try shell(
      "diff -r --exclude=cache --exclude=tmp \"$1\" \"$2\"; test -d \"$2/tmp\" -a ! -e \"$2/tmp/t\"",
      site.tree, site.directory.path("srv/there"))
    #expect(try other.define("compute", []).excludes == ["var/cache/*", "/tmp/*"])
    #expect(try other.status("compute").isClean)
    // It is there: only by the administrator's word again, and then at its own place.
    #expect(throws: ImageError.self) {
      try other.importing(bundle) { $0.directory = site.directory.path("srv/there") }
    }
    try shell("echo two >\"$1/etc/hosts\"", site.tree)
    let again = try site.workspace.importing(bundle) { $0.replaces = true }
    #expect(again.remaining?.isEmpty == true && site.content("srv/compute/etc/hosts") == "one\n")
    #expect(site.content("srv/compute/tmp/t") == "t\n", "what is excluded stays")
    _ = try site.workspace.undo("compute")
    #expect(site.content("srv/compute/etc/hosts") == "two\n")
  }

  @Test func `a bundle cannot choose a target in another image, behind a link or in the store`()
    throws
  {
    let site = try directory()
    _ = try site.workspace.snapshot(site.tree)
    var export = ExportRequest("compute@1")
    let bundle = site.directory.path("compute.tgz")
    export.destination = .file(bundle)
    _ = try site.workspace.export(export)
    func isRefused(_ directory: String) -> Bool {
      do {
        _ = try site.workspace.importing(bundle) {
          $0.name = "second"
          $0.directory = directory
        }
        return false
      } catch { return true }
    }
    #expect(isRefused(site.tree), "the directory of another image")
    #expect(isRefused(site.tree + "/etc"), "within the directory of another image")
    #expect(isRefused(site.directory.path("store/inside")))
    try shell("mkdir -p \"$1/srv/full\"; echo x >\"$1/srv/full/x\"", site.directory.path(""))
    #expect(isRefused(site.directory.path("srv/full")), "a directory with files of nobody's")
    #expect(site.content("srv/compute/etc/hosts") == "one\n")
  }

  @Test func `a copy is placed next to its source or in the given directory`() throws {
    let site = try directory()
    try excluding(site)
    _ = try site.workspace.snapshot("compute")
    let first = try site.workspace.copy(CopyRequest("compute", to: "variant"))
    #expect(first.directory.text == site.directory.path("srv/variant"))
    #expect(first.remaining?.isEmpty == true)
    var request = CopyRequest("compute@1", to: "third")
    request.directory = site.directory.path("elsewhere/third")
    #expect(
      try site.workspace.copy(request).directory.text == site.directory.path("elsewhere/third"))
    #expect(try site.workspace.status("third").isClean)
    #expect(try site.workspace.diff("compute@1", "third@live").entries.isEmpty)
    #expect(throws: ImageError.self) {
      var inside = CopyRequest("compute@1", to: "fourth")
      inside.directory = site.tree + "/copy"
      _ = try site.workspace.copy(inside)
    }
  }

  @Test func `packing does not change the tree of a directory image`() throws {
    let site = try directory()
    try excluding(site)
    let outcome = try site.workspace.pack(PackRequest(site.tree))
    #expect(outcome.destination == site.tree + ".cpio.gz")
    let names = try shell("gzip -dc \"$1\" | cpio -it --quiet | sort", outcome.destination).output
    #expect(
      names.split(separator: "\n").map(String.init) == [
        ".", "etc", "etc/hosts", "tmp", "usr", "usr/lib", "usr/lib/a", "var", "var/cache",
      ])
    #expect(site.messages.withLock { $0 }.allSatisfy { !$0.contains("xCAT") })
  }
}

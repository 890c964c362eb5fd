// The list of directory images: adding, changing and removing images.

import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct DirectoryListTests {
  // MARK: On the list

  @Test func `a directory whose first snapshot fails does not become an image`() throws {
    let site = try TestNode.smallDirectory()
    try site.run("mkdir srv/empty")
    #expect(throws: ImageError.self) {
      try site.workspace.snapshot(site.directory.path("srv/empty"))
    }
    #expect(
      errorCode { _ = try site.workspace.snapshot(site.tree, tags: ["-no tag-"]) } != nil)
    #expect(try site.workspace.images().isEmpty)
    _ = try site.workspace.snapshot(site.tree)
    #expect(try site.workspace.images().map(\.name) == ["compute"])
  }

  @Test func `kernel file systems, devices, the store and the root are refused as images`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    try site.run("ln -s / top")
    for path in [
      "/proc", "/proc/self", "/sys", "/", site.directory.path("top"), site.directory.path("store"),
      site.directory.path("store/packs"),
    ] {
      #expect(errorCode { _ = try site.workspace.snapshot(path) }?.category == .usage, "\(path)")
      #expect(
        errorCode { _ = try site.workspace.addDirectory("x", at: path) }?.category == .usage,
        "\(path)")
    }
    #expect(try site.workspace.images().map(\.name) == ["compute"])
  }

  @Test func `an image inside another image is refused`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    try site.run("ln -s srv/compute/etc link")
    for path in [site.tree + "/etc", site.directory.path("srv"), site.directory.path("link")] {
      #expect(throws: ImageError.self, "\(path)") { try site.workspace.snapshot(path) }
    }
    #expect(try site.workspace.images().map(\.name) == ["compute"])
  }

  @Test func `a path in an image is refused with the name of that image`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    for path in ["/etc/hosts", "/etc", "/gone"] {
      do {
        _ = try site.workspace.revert(site.tree + path)
        Issue.record("\(path) was accepted")
      } catch let error as ImageError {
        #expect(error.errorCode.category == .notFound)
        #expect(error.hint.contains("imgstore revert compute \(path.dropFirst())"), "\(path)")
      }
    }
  }

  // MARK: Off the list

  @Test func `an image removed from the list keeps its snapshots`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    let rehearsal = try site.workspace.removeDefinitions(["compute"], dryRun: true)
    #expect(rehearsal.map(\.snapshots) == [1] && rehearsal.map(\.path) == [site.tree])
    #expect(try site.workspace.images().map(\.isDefined) == [true])
    // Its directory may be gone.
    try site.run("rm -r srv/compute")
    #expect(try site.workspace.removeDefinitions([site.tree]).map(\.image) == ["compute"])
    #expect(try site.workspace.images().map(\.isDefined) == [false])
    #expect(try site.workspace.log("compute").count == 1)
    #expect(
      errorCode { _ = try site.workspace.removeDefinitions(["compute"]) }?.category == .notFound)
    // A revert makes it an image again.
    _ = try site.workspace.revert("compute@1")
    #expect(site.content("srv/compute/etc/hosts") == "one\n")
    #expect(try site.workspace.images().map(\.isDefined) == [true])
  }

  @Test func `remove --definition removes only the definition and requires the whole name`() throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let site = try TestNode.smallDirectory()
    #expect(errorCode { _ = try workspace.removeDefinitions(["img"]) }?.category == .usage)
    _ = try site.workspace.snapshot(site.tree)
    #expect(errorCode { _ = try site.workspace.removeDefinitions(["comp"]) }?.category == .notFound)
    #expect(
      errorCode { _ = try site.workspace.removeDefinitions(["compute@1"]) }?.category == .usage)
  }

  @Test func `remove of an image without '@' never removes a snapshot`() throws {
    let site = try TestNode.smallDirectory()
    for _ in 1...2 { _ = try site.workspace.snapshot(site.tree) }
    for force in [false, true] {
      #expect(
        errorCode { _ = try site.workspace.remove(["compute"], force: force) }?.category == .usage)
    }
    #expect(try site.workspace.log("compute").count == 2)
  }

  @Test func `all snapshots of an image can be removed after its directory is gone`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    try site.run("rm -r srv/compute")
    _ = try site.workspace.forgetEntirely(["compute"])
    #expect(try site.workspace.images().isEmpty)
  }

  @Test func `the error for a moved directory explains how to continue`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    try site.run("mv srv/compute srv/moved")
    let hint = "imgstore add compute NEWDIR"
    do {
      _ = try site.workspace.snapshot("compute")
      Issue.record("it is not there")
    } catch let error as ImageError { #expect(error.hint.contains(hint)) }
    let note = try site.workspace.status("compute").notes.first { $0.kind == .absent }
    #expect(note?.detail.contains(hint) == true)
  }

  // MARK: Patterns

  @Test func `invalid patterns are refused, and patterns without a match are reported`() throws {
    let site = try TestNode.smallDirectory()
    for pattern in ["", " ", "#x", "[z-a", "[z-a]", "a[", site.tree + "/var/log/*", site.tree] {
      #expect(
        errorCode { _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: [pattern]) }?
          .category
          == .usage, "\(pattern)")
    }
    #expect(try site.workspace.images().isEmpty)
    let added = try site.workspace.addDirectory(
      nil, at: site.tree, excludes: ["/var/log/*", "*.none", "usr/", "hosts/", "[a-h]osts", "!x"])
    #expect(added.unmatched == ["*.none", "hosts/"])
  }

  @Test func `an existing image is changed by name, without its directory`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    let added = try site.workspace.addDirectory(nil, at: "compute", excludes: ["var/log/*"])
    #expect(added.path == site.tree && added.excludes == ["var/log/*"] && !added.isNew)
  }

  @Test func `excludes that match everything and an unmounted tree have different errors`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["*"])
    do {
      _ = try site.workspace.snapshot("compute")
      Issue.record("nothing is left")
    } catch let error as ImageError { #expect(!error.hint.contains("mounted")) }
  }

  @Test func `status distinguishes current from recorded excludes`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["var/log/*", "usr/lib"])
    _ = try site.workspace.snapshot("compute")
    _ = try site.workspace.addDirectory(nil, at: site.tree, excludes: ["usr/lib"])
    let status = try site.workspace.status("compute")
    #expect(status.excluded.map(\.pattern) == ["usr/lib"])
    #expect(status.excludedBefore.map(\.pattern) == ["var/log/*"])
    #expect(status.excludedBefore.map(\.entries) == [1])
    _ = try site.workspace.snapshot("compute")
    #expect(try site.workspace.status("compute").excludedBefore.isEmpty)
  }

  // MARK: Others

  @Test func `a snapshot has several names`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree, tags: ["foo1", "stable"])
    #expect(try site.workspace.tags(of: "compute").map(\.tag) == ["foo1", "stable"])
    // None is given where one is taken.
    #expect(throws: StoreError.self) {
      try site.workspace.snapshot("compute", tags: ["new", "stable"])
    }
    #expect(try site.workspace.tags(of: "compute").count == 2)
    #expect(try site.workspace.log("compute").count == 1)
  }

  @Test func `an undo names the change that was made without a safety snapshot`() throws {
    let site = try TestNode.smallDirectory()
    _ = try site.workspace.snapshot(site.tree)
    try site.run("echo two >srv/compute/etc/hosts")
    var request = RevertRequest("compute@1")
    request.keepsSafety = false
    _ = try site.workspace.revert(request)
    #expect(try site.workspace.find(Reference("compute")).snapshot.origin == .change)
    do {
      _ = try site.workspace.undo("compute")
      Issue.record("nothing was kept")
    } catch let error as ImageError {
      #expect(error.reason.contains("compute@2") && error.reason.contains("--no-safety"))
    }
  }

  @Test func `a directory with blanks and quotes in its path is exported and imported`() throws {
    let site = try TestNode.smallDirectory()
    try site.run("mkdir 'srv/lab img'; cp -a srv/compute \"srv/lab img/it's\"")
    let tree = site.directory.path("srv/lab img/it's")
    _ = try site.workspace.addDirectory("lab", at: tree)
    var export = ExportRequest(try site.workspace.snapshot("lab").committed.name)
    export.destination = .file(site.directory.path("lab.tgz"))
    let outcome = try site.workspace.export(export)
    #expect(outcome.remarks.isEmpty)
    let other = try Workspace(WorkspaceOptions(store: site.directory.path("other"))) { _ in }
    let image = try other.importing(site.directory.path("lab.tgz")) {
      $0.directory = site.directory.path("there")
    }
    #expect(image.remaining?.isEmpty == true)
    _ = try site.workspace.importing(site.directory.path("lab.tgz")) { $0.replaces = true }
  }

  @Test func `messages do not mention xCAT if it is not installed`() throws {
    let site = try TestNode.smallDirectory()
    try site.run(
      """
      cd srv/compute; echo 'root:$6$salt$3Jm8w1p4pJmZ1X1YxGZ0F1uLrY0V2n8v0k5cQe1w2rT3y4u5i6o7p8a9s0d1f2g3h4j5k6l7z8x9c0v1b2n3m4:19000:0:99999:7:::' >etc/shadow
      chmod 600 etc/shadow; mkdir -p etc/ssh; ssh-keygen -q -t ed25519 -N '' -f etc/ssh/ssh_host_ed25519_key
      """)
    let report = try site.workspace.secrets(
      try site.workspace.snapshot(site.tree).committed.name)
    #expect(!report.deliveries.isEmpty)
    #expect(report.deliveries.allSatisfy { !$0.contains("xCAT") && !$0.contains("synclist") })
  }

  @Test func `the hint to restrict a directory is not given for a shared one`() throws {
    let site = try TestNode.smallDirectory()
    try site.run("echo x >srv/compute/usr/su; chmod 4755 srv/compute/usr/su")
    let bundle = try site.bundle("b.tgz")
    try site.run("mkdir -p 'own place' shared/other")
    for (location, isAdvised) in [("own place/tree", true), ("shared/tree", false)] {
      let other = try Workspace(WorkspaceOptions(store: site.directory.path("o-\(isAdvised)"))) {
        _ in
      }
      let image = try other.importing(bundle) { $0.directory = site.directory.path(location) }
      let remarks = image.remarks.joined(separator: "\n")
      #expect(remarks.contains("chmod 700") == isAdvised, "\(location)")
      if isAdvised {
        #expect(remarks.contains("chmod 700 \"\(site.directory.path("own place"))\""))
      }
    }
  }
}

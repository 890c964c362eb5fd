// An import that fails at any operation. Either nothing outside the store has changed, or the error names the
// commands to continue, and both commands work.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools, .sweep) struct ImportFaultTests {
  /// Files with kind, mode and content, and rows: the content of `TestNode`'s listing. It runs no other
  /// program, because the sweep collects it hundreds of times.
  private struct State: Equatable {
    var files: [String: String] = [:]
    var rows: [String: [[String: String]]]

    var withoutOriginals: State {
      var state = self
      state.files = files.filter { !$0.key.hasSuffix(".ORIG") }
      return state
    }

    init(_ directory: TemporaryDirectory) throws {
      let root = directory.path("root")
      let tables = SQLiteTableBackend(
        KernelFileSystem.shared, directory: Array("\(root)/etc/xcat".utf8), mayCreate: true)
      let manager = FileManager.default
      for case let name as String in manager.enumerator(atPath: root) ?? .init()
      where !name.hasPrefix("etc/xcat") {
        let path = "\(root)/\(name)"
        let attributes = try manager.attributesOfItem(atPath: path)
        let isFile = attributes[.type] as? FileAttributeType == .typeRegular
        let content =
          isFile ? try Data(contentsOf: URL(fileURLWithPath: path)).base64EncodedString() : ""
        files[name] = "\(attributes[.posixPermissions] ?? "") \(isFile) \(content)"
      }
      rows = [:]
      for table in ["osimage", "linuximage", "litefile", "postscripts"] {
        rows[table] = try tables.rows(table).sorted {
          "\($0.sorted(by: <))" < "\($1.sorted(by: <))"
        }
      }
    }
  }

  /// Returns the result of the import without a failure.
  private func goodState(_ base: TestNode, _ request: ImportRequest) throws -> State {
    let directory = try TemporaryDirectory()
    try copy(base, to: directory)
    let workspace = try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    ) { _ in }
    _ = try workspace.importBundle(request)
    return try State(directory)
  }

  private func copy(_ base: TestNode, to directory: TemporaryDirectory) throws {
    for name in ["root", "store"]
    where FileManager.default.fileExists(atPath: base.directory.path(name)) {
      try FileManager.default.copyItem(
        atPath: base.directory.path(name), toPath: directory.path(name))
    }
  }

  private func draft(_ content: String) -> BundleDraft {
    var draft = BundleDraft()
    draft.put("kernel", content)
    draft.put("tiny.exlist", content)
    draft.manifest.osimage["description"] = content
    return draft
  }

  /// Fails one operation after another. An import has more than a thousand.
  private func sweep(_ fault: FaultyFileSystem.Fault, over existing: Bool) throws {
    let base = try TestNode.fresh()
    if existing {
      // The image and its snapshots exist already, and its tree and files differ.
      try base.importing(draft("first"))
      try base.put("\(TestNode.boot)/kernel", "mine")
      try base.put("\(TestNode.boot)/rootimg.tar.gz", "mine")
    }
    let bundle = try base.write(draft("second").bundle())
    func request() -> ImportRequest {
      var request = ImportRequest(bundle)
      (request.replaces, request.keepsOriginals, request.nodes) = (true, true, "node1")
      return request
    }
    let good = try goodState(base, request())
    var (isDone, interruptedCount, untouched, wasSaid) = (false, 0, 0, 0)
    let sweep = Sweep(every: 41)
    for number in sweep {
      if isDone || number > 6000 { break }
      let directory = try TemporaryDirectory()
      try copy(base, to: directory)
      let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      func state() throws -> State { try State(directory) }
      let before = try state()
      let files = FaultyFileSystem(failing: number, fault)
      var outcome: ImportOutcome?
      var thrown: (any Error)?
      do {
        let workspace = try Workspace(options, fileSystem: files) { _ in }
        outcome = try workspace.importBundle(request())
      } catch { thrown = error }
      let name = "operation \(number), \(fault), over \(existing): \(String(describing: thrown))"
      isDone = !files.isHit
      let after = try Workspace(options) { _ in }
      if let image = outcome?.images.first {
        // The import succeeded despite the failure. Then it is complete, or the outcome lists the rest, and
        // both snapshots can be restored.
        if image.remaining?.isEmpty == true, image.apply.report.problems.isEmpty {
          #expect(try state() == good, "\(name)")
        } else {
          wasSaid += 1
          #expect(try after.revert(#require(image.imported).name).isExact, "\(name)")
          #expect(try state().withoutOriginals == good.withoutOriginals, "\(name)")
        }
        #expect(try after.revert(#require(image.safety).name).isExact, "\(name)")
        #expect(try state().withoutOriginals == before, "\(name)")
        continue
      }
      guard let change = try after.unfinished().first else {
        untouched += 1
        // The failed operation may be the removal of the journal.
        let now = try state()
        #expect(now == before || now == good, "\(name)")
        continue
      }
      interruptedCount += 1
      let explained = (thrown as? any ExplainedError)?.messageWithHint ?? ""
      #expect(explained.contains("imgstore resume \(change.image)"), "\(name)")
      let isBack = interruptedCount % 2 == 0
      let resumed = try after.resume(nil, isBack ? .back : .forward)
      guard let revert = resumed.revert else {
        #expect(try state() == before, "\(name)")
        continue
      }
      // Reverts, redoes and reverts again. The .ORIG files belong to the administrator and stay.
      #expect(revert.isExact, "\(name)")
      #expect(try state().withoutOriginals == (isBack ? before : good.withoutOriginals), "\(name)")
      let (finish, undo) = (try #require(change.target), try #require(change.before))
      if isBack { #expect(try after.revert(finish).isExact, "\(name)") }
      #expect(try state().withoutOriginals == good.withoutOriginals, "\(name)")
      #expect(try after.revert(undo).isExact, "\(name)")
      #expect(try state().withoutOriginals == before, "\(name)")
    }
    #expect(isDone)
    let counts = "\(untouched) untouched, \(interruptedCount) half done, \(wasSaid) done in part"
    #expect(
      untouched > sweep.share(of: 60) && interruptedCount > sweep.share(of: 30), "\(counts)")
  }

  @Test(arguments: [false, true])
  func `an import that fails at one operation can be resumed or rolled back`(_ existing: Bool)
    throws
  {
    try sweep(.once(.noSpace), over: existing)
  }

  @Test func `a killed import can be resumed or rolled back`() throws {
    try sweep(.forGood, over: true)
  }

  @Test func `an import whose rows cannot be written changes no file and no row`() throws {
    // Defect 18: xCAT writes rows first, table by table, and never rolls anything back.
    let node = try TestNode.fresh()
    try node.importing(draft("first"))
    let before = try node.state()
    try node.sql(
      "linuximage",
      "CREATE TRIGGER stop BEFORE INSERT ON linuximage BEGIN SELECT RAISE(ABORT, 'stopped'); END")
    let text = refusal {
      _ = try node.importing(draft("second")) { request in
        (request.replaces, request.nodes) = (true, "node2")
      }
    }
    #expect(text?.contains("stopped") == true, "\(text ?? "imported")")
    var after = try node.state()
    // The table's file contains the trigger now.
    after.files["/etc/xcat/linuximage.sqlite"] = before.files["/etc/xcat/linuximage.sqlite"]
    #expect(after == before, "the rows are tried before the files are placed")
    try node.sql("linuximage", "DROP TRIGGER stop")
    try node.importing(draft("second")) { $0.replaces = true }
    #expect(try node.rows()["postscripts"] == before.rows["postscripts"])
  }
}

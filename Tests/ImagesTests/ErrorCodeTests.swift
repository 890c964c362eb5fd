// An error's code names its kind of failure. Exit codes and JSON documents depend on it.

import Apply
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct ErrorCodeTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    for text in ["one", "two"] {
      try shell(
        "cd \"$1\"; for i in 1 2 3 4 5 6 7 8; do echo \"$2 $i\" >f$i; done",
        directory.path("root/img/rootimg"), text)
      _ = try workspace.snapshot("img")
    }
  }

  @Test func `an error caused by an unfinished change has the code unfinished`() throws {
    let log = try workspace.log("img").map(\.committed)
    // A second image with the same root tree.
    _ = try workspace.define("twin", ["provmethod=netboot", "rootimgdir=/img"])
    let journal = Journal(
      operation: .revert, image: "img", started: now(), method: .inPlace, target: log[1].id,
      before: log[0].id, command: "revert", message: "revert to @1")
    try workspace.store().journals.write(journal.encode(), of: try ImageName("img"))
    #expect(errorCode { _ = try workspace.snapshot("img") } == .changeUnfinished)
    #expect(errorCode { _ = try workspace.revert(RevertRequest("img@1")) } == .changeUnfinished)
    #expect(errorCode { _ = try workspace.remove(["img@1"], force: true) } == .changeUnfinished)
    #expect(errorCode { _ = try workspace.snapshot("twin") } == .changeUnfinished)
    #expect(errorCode { _ = try workspace.resume("img", .abandon) } == nil)
    #expect(errorCode { _ = try workspace.resume("img", .forward) } == .nothingToResume)
  }

  @Test func `an interrupted change has the code unfinished for every cause`() throws {
    let files = FaultyFileSystem(.nth(3, "exchange", .noSpace))
    let failing = try Workspace(workspace.options, fileSystem: files) { _ in }
    var request = RevertRequest("img@1")
    request.method = .inPlace
    #expect(errorCode { _ = try failing.revert(request) } == .changeUnfinished)
  }

  @Test(arguments: [
    ("rm packs/*", ErrorCode.objectMissing), ("printf x >refs/img/0000000001", .damaged),
    ("rm refs/img/0000000001", .snapshotNotFound), ("echo foreign >format", .damaged),
    ("rm format", .damaged), ("rm -r refs; touch refs", .damaged), ("rm -r *", .storeNotFound),
    ("rm format; rm -r locks journal", .storeIncompatible),
    ("printf 'imgstore store\\nversion 99\\n' >format", .storeIncompatible),
  ])
  func `damage and missing objects have different codes`(_ damage: String, _ expected: ErrorCode)
    throws
  {
    try shell("cd \"$1\"; \(damage)", directory.path("store"))
    let again = try Workspace(workspace.options) { _ in }
    let found = errorCode { _ = try again.restore("img@1", to: directory.path("out")) }
    #expect(found == expected)
  }

  @Test func `a missing file has the code not-found`() {
    #expect(SystemError(code: .notFound, "open", Array("/nowhere".utf8)).errorCode == .notFound)
    #expect(
      SystemError(code: .accessDenied, "open", Array("/root".utf8)).errorCode == .accessDenied)
  }

  @Test func `docs/json.md lists every code with its category`() throws {
    let document = try String(
      contentsOfFile: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path + "/docs/json.md",
      encoding: .utf8)
    let rows = document.split(separator: "\n").compactMap { line -> [String]? in
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      return cells.count == 4 && cells[0].hasPrefix("`") && cells[2].hasPrefix("`") ? cells : nil
    }
    #expect(
      Set(rows.map { "\($0[0]) \($0[2])" })
        == Set(ErrorCode.allCases.map { "`\($0.rawValue)` `\($0.category.rawValue)`" }))
  }
}

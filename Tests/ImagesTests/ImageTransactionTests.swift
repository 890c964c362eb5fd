// The order of steps of a change of a live image. Each test is one invariant of ImageTransaction.swift, checked for every
// command that changes images, on a record of all file operations. `make test-mutations` breaks each invariant and
// requires that its test fails.

import Foundation
import HostileBundles
import Images
import Platform
import Store
import TestSupport
import Testing
import XCAT

@Suite struct ImageTransactionTests {
  /// A command that changes an image.
  enum Command: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case revertInPlace = "a revert in place"
    case revertBySwap = "a revert by swap"
    case revertOfParts = "a revert of one path"
    case undo = "an undo"
    case importing = "an import over the image"
    case copy = "a copy"
    case editing = "an edit of the tree"
    case resumeForward = "a resumed revert"
    case resumeBack = "a revert that is rolled back"

    var testDescription: String { rawValue }
    /// Whether the command records the live state before it changes it.
    var takesSafety: Bool { ![.undo, .editing, .resumeForward, .resumeBack].contains(self) }
    /// Whether the journal exists before the command.
    var isResume: Bool { self == .resumeForward || self == .resumeBack }
    /// Whether the state to reach is recorded before the files are changed.
    var recordsFirst: Bool { [.revertOfParts, .importing, .copy, .editing].contains(self) }
    var changesRows: Bool { [.revertInPlace, .revertBySwap, .copy].contains(self) }
  }

  /// A node with a snapshot of an image, and changes that the command will take back.
  private func node(for command: Command) throws -> TestNode {
    if command == .importing {
      let node = try TestNode.fresh()
      let name = try node.importing(BundleDraft()).name
      try node.run("echo changed >>install/netboot/*/*/*/kernel")
      #expect(try !node.workspace.status(name).isClean)
      return node
    }
    let node = try TestNode(image: "img", tree: ["etc/motd": "one\n", "etc/keep": "kept\n"])
    _ = try node.workspace.snapshot("img")
    if [.copy, .editing].contains(command) { return node }
    try node.write("two\n", to: "img/rootimg/etc/motd")
    if command == .undo {
      _ = try node.workspace.revert("img@1")
      return node
    }
    try node.write("new\n", to: "img/rootimg/etc/new")
    _ = try node.workspace.define("img", ["kernelver=2"])
    if command.isResume {
      let crash = FaultyFileSystem(.crash(after: 0, "exchange", {}))
      _ = try? node.open(fileSystem: crash).revert(swapping: "img@1")
      try #require(try node.workspace.unfinished().count == 1)
    }
    return node
  }

  /// Runs a command, and returns its operations.
  private func order(of command: Command) throws -> Order {
    let node = try node(for: command)
    let tables = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(node.directory.path("store/xcat").utf8),
      mayCreate: false)
    let trace = FileTrace {
      guard command.changesRows, let rows = try? tables.rows("linuximage") else { return "" }
      return rows.map { "\($0["imagename"] ?? "") \($0["kernelver"] ?? "")" }.sorted()
        .joined(separator: ", ")
    }
    let traced = try node.open(fileSystem: FaultyFileSystem(trace: trace))
    switch command {
    case .revertInPlace: _ = try traced.revert("img@1")
    case .revertBySwap: _ = try traced.revert(swapping: "img@1")
    case .revertOfParts: _ = try traced.revert("img@1:etc/motd")
    case .undo: _ = try traced.undo("img")
    case .importing:
      try traced.importing(try node.write(BundleDraft().bundle())) { $0.replaces = true }
    case .copy:
      var request = CopyRequest("img@1", to: "other")
      request.directory = "/other"
      _ = try traced.copy(request)
    case .editing: try traced.touch(["etc/motd"], of: "img")
    case .resumeForward: _ = try traced.resume("img", .forward)
    case .resumeBack: _ = try traced.resume("img", .back)
    }
    return Order(trace.operations, node)
  }

  /// The operations of a command, with names for what they mean.
  private struct Order {
    let steps: [FileTrace.Operation]
    private let store: String
    private let root: String

    init(_ steps: [FileTrace.Operation], _ node: TestNode) {
      self.steps = steps
      store = node.directory.path("store")
      root = node.directory.path("root")
    }

    private func indices(_ match: (FileTrace.Operation) -> Bool) -> [Int] {
      steps.indices.filter { match(steps[$0]) }
    }

    private static let changes: Set<String> = [
      "create", "write", "truncate", "rename", "exchange", "link", "remove", "makeDirectory",
      "makeSymlink", "setMode", "setModified",
    ]

    /// The changes of the image's own files, and of temporary ones next to them. Files without a name, such as those
    /// that probe the file system, and xCAT's lock and tables are none.
    var imageChanges: [Int] {
      indices {
        Order.changes.contains($0.name) && $0.path.hasPrefix(root + "/")
          && !$0.path.hasSuffix(" (deleted)") && !$0.path.hasPrefix(root + "/var/lock")
          && !$0.path.hasPrefix(root + "/etc/xcat")
      }
    }
    var journalWritten: [Int] {
      indices { $0.name == "rename" && $0.path.hasPrefix(store + "/journal/") }
    }
    var journalRemoved: [Int] {
      indices { $0.name == "remove" && $0.path.hasPrefix(store + "/journal/") }
    }
    var refs: [Int] {
      indices {
        ["rename", "link"].contains($0.name) && $0.path.hasPrefix(store + "/refs/")
      }
    }
    var caches: [Int] {
      indices { $0.name == "rename" && $0.path.hasPrefix(store + "/cache/stat-") }
    }
    var dataSyncs: [Int] { indices { $0.name == "syncFileSystem" && $0.path.hasPrefix(root) } }
    /// The listings of directories of trees. A capture lists all of them.
    var listings: [Int] {
      indices { $0.name == "names" && $0.path.hasPrefix(root + "/") && $0.path.hasSuffix("/etc") }
    }
    var exchanges: [Int] { indices { $0.name == "exchange" } }
    /// The last change of the image, apart from leftovers and old trees.
    var lastChange: Int { imageChanges.last { !steps[$0].path.contains("/.imgstore-") } ?? 0 }
    var rowChanges: [Int] { indices { $0.name == "state" }.dropFirst().map { $0 } }
    /// Whether something with this name was synced between two steps.
    func isSynced(_ path: String, from: Int, to: Int) -> Bool {
      steps[from..<to].contains { $0.name == "sync" && $0.path == path }
    }
    var journalDirectory: String { store + "/journal" }
    var temporaryDirectory: String { store + "/tmp/" }
  }

  @Test(arguments: Command.allCases.filter(\.takesSafety))
  func `the state before is recorded before the journal is written`(_ command: Command) throws {
    let order = try order(of: command)
    let journal = try #require(order.journalWritten.first)
    #expect(order.refs.contains { $0 < journal })
  }

  @Test(arguments: Command.allCases)
  func `the journal is durable before the image is touched`(_ command: Command) throws {
    let order = try order(of: command)
    let change = try #require(order.imageChanges.first)
    if command.isResume, order.journalWritten.isEmpty {
      #expect(order.journalRemoved.allSatisfy { $0 > change })
      return
    }
    let journal = try #require(order.journalWritten.first)
    // The leftovers of an interrupted change are removed first.
    if !command.isResume { #expect(journal < change) }
    #expect(
      order.isSynced(
        order.journalDirectory, from: journal,
        to: order.imageChanges.first { $0 > journal } ?? journal))
    // The file was synced before it got its name.
    let created = try #require(
      order.steps[..<journal].lastIndex {
        $0.name == "create" && $0.path.hasPrefix(order.temporaryDirectory)
      })
    #expect(order.isSynced(order.steps[created].path, from: created, to: journal))
  }

  @Test(arguments: Command.allCases.filter(\.recordsFirst))
  func `a target that no snapshot has is recorded before the image is touched`(
    _ command: Command
  ) throws {
    let order = try order(of: command)
    let journal = try #require(order.journalWritten.first)
    let change = try #require(order.imageChanges.first)
    #expect(order.refs.contains { $0 > journal && $0 < change })
  }

  // A rollback finds the state before in its snapshot, and records nothing.
  @Test(arguments: Command.allCases.filter { !$0.recordsFirst && $0 != .resumeBack })
  func `the new state is recorded after a capture has proven it and a sync has ended`(
    _ command: Command
  ) throws {
    let order = try order(of: command)
    let lastChange = order.lastChange
    let journal = order.journalWritten.last ?? 0
    let records = order.refs.filter { $0 > max(journal, order.imageChanges.first ?? 0) }
    let record = try #require(records.last)
    #expect(records.count == 1)
    #expect(order.listings.contains { $0 > lastChange && $0 < record })
    #expect(order.dataSyncs.contains { $0 > lastChange && $0 < record })
  }

  @Test(arguments: [Command.revertBySwap, .resumeForward])
  func `the old tree is removed after the new one is recorded`(_ command: Command) throws {
    let order = try order(of: command)
    guard let exchange = order.exchanges.last else { return }
    let removal = try #require(
      order.steps.indices.first {
        $0 > exchange && order.steps[$0].name == "remove"
          && order.steps[$0].path.contains("/.imgstore-")
      })
    #expect(order.listings.contains { $0 > exchange && $0 < removal })
    #expect(order.refs.contains { $0 > exchange && $0 < removal })
    // A tree that came back after a power failure would have no journal that names it.
    let end = try #require(order.journalRemoved.last)
    #expect(order.dataSyncs.contains { $0 > removal && $0 < end })
  }

  @Test func `a staged tree is on disk before it is exchanged`() throws {
    let order = try order(of: .revertBySwap)
    let exchange = try #require(order.exchanges.first)
    let built = try #require(order.imageChanges.last { $0 < exchange })
    #expect(order.dataSyncs.contains { $0 > built && $0 < exchange })
  }

  @Test(arguments: Command.allCases.filter(\.changesRows))
  func `table rows change after the files are on disk`(_ command: Command) throws {
    let order = try order(of: command)
    let rows = try #require(order.rowChanges.first)
    let lastFile = order.lastChange
    #expect(lastFile < rows)
    #expect(order.dataSyncs.contains { $0 > lastFile && $0 < rows })
  }

  @Test(arguments: Command.allCases)
  func `the stat cache is saved after the files are on disk`(_ command: Command) throws {
    let order = try order(of: command)
    let lastChange = order.lastChange
    let caches = order.caches.filter { $0 > lastChange }
    // A resumed change may find the cache of the interrupted run.
    #expect(!caches.isEmpty || command.isResume)
    for cache in caches {
      #expect(order.dataSyncs.contains { $0 > lastChange && $0 < cache })
    }
  }

  @Test(arguments: Command.allCases)
  func `the journal is removed last`(_ command: Command) throws {
    let order = try order(of: command)
    let end = try #require(order.journalRemoved.last)
    #expect(order.journalRemoved.count == 1)
    for steps in [order.imageChanges, order.refs, order.caches, order.exchanges, order.rowChanges] {
      #expect(steps.allSatisfy { $0 < end })
    }
    #expect(order.isSynced(order.journalDirectory, from: end, to: order.steps.count))
  }
}

extension Workspace {
  /// Reverts by a swap.
  fileprivate func revert(swapping reference: String) throws -> RevertOutcome {
    var request = RevertRequest(reference)
    request.method = .swap
    return try revert(request)
  }
}

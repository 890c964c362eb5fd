// The list of the stores that `init` created: nothing is lost from it, and no store in it is created twice by
// accident.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct StoreRegistryTests {
  private func workspace(
    _ directory: TemporaryDirectory, _ store: String,
    warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    var options = WorkspaceOptions(store: directory.path(store))
    options.environment["IMGSTORE_CONFIG_DIR"] = directory.path("config")
    return try Workspace(options, warn: warn)
  }

  private func list(_ directory: TemporaryDirectory) throws -> [String] {
    try String(contentsOfFile: directory.path("config/stores"), encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  @Test func `init creates a listed store that is missing only with force`() throws {
    let directory = try TemporaryDirectory()
    #expect(try workspace(directory, "store").initializeStore(group: nil).isNew)
    try shell("rm -r \"$1/store\"; mkdir \"$1/store\"", directory.path(""))
    let error = #expect(throws: ImageError.self) {
      try workspace(directory, "store").initializeStore(group: nil)
    }
    #expect(error?.errorCode == .storeNotFound)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("store")).isEmpty)
    #expect(try workspace(directory, "store").initializeStore(group: nil, force: true).isNew)
    #expect(try list(directory) == [directory.path("store")])
  }

  @Test func `parallel inits are all listed`() throws {
    let directory = try TemporaryDirectory()
    let failures = Monitor<[String]>([])
    let threads = try (0..<16).map { i in
      try startThread {
        do {
          // Two of them create each store.
          let workspace = try self.workspace(directory, "store\(i / 2)") { line in
            failures.withLock { $0.append(line) }
          }
          _ = try workspace.initializeStore(group: nil)
        } catch {
          failures.withLock { $0.append("\(error)") }
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(failures.withLock { $0 } == [])
    #expect(try list(directory).sorted() == (0..<8).map { directory.path("store\($0)") })
  }

  @Test func `a list that cannot be read is not replaced`() throws {
    let directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1/config/stores\"", directory.path(""))
    let warnings = Monitor(0)
    _ = try workspace(directory, "store") { _ in warnings.withLock { $0 += 1 } }
      .initializeStore(group: nil)
    #expect(warnings.withLock { $0 } == 1)
    try shell("cd \"$1/config\"; rmdir stores; printf /one >stores", directory.path(""))
    _ = try workspace(directory, "store").initializeStore(group: nil)
    #expect(try list(directory) == ["/one", directory.path("store")])
  }

  @Test func `a path with a newline is refused`() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: ImageError.self) {
      try workspace(directory, "a\nb").initializeStore(group: nil)
    }
    #expect(error?.errorCode == .usage)
    #expect(!FileManager.default.fileExists(atPath: directory.path("a\nb")))
  }
}

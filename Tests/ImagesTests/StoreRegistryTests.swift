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
    _ folder: TemporaryFolder, _ store: String,
    warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    var options = WorkspaceOptions(store: folder.path(store))
    options.environment["IMGSTORE_CONFIG_DIR"] = folder.path("config")
    return try Workspace(options, tell: warn)
  }

  private func list(_ folder: TemporaryFolder) throws -> [String] {
    try String(contentsOfFile: folder.path("config/stores"), encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  @Test func `init creates a listed store that is missing only with force`() throws {
    let folder = try TemporaryFolder()
    #expect(try workspace(folder, "store").initializeStore(group: nil).isNew)
    try shell("rm -r \"$1/store\"; mkdir \"$1/store\"", folder.path(""))
    let error = #expect(throws: ImageError.self) {
      try workspace(folder, "store").initializeStore(group: nil)
    }
    #expect(error?.errorCode == .storeNotFound)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("store")).isEmpty)
    #expect(try workspace(folder, "store").initializeStore(group: nil, force: true).isNew)
    #expect(try list(folder) == [folder.path("store")])
  }

  @Test func `parallel inits are all listed`() throws {
    let folder = try TemporaryFolder()
    let failures = Monitor<[String]>([])
    let threads = try (0..<16).map { i in
      try startThread {
        do {
          // Two of them create each store.
          let workspace = try self.workspace(folder, "store\(i / 2)") { line in
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
    #expect(try list(folder).sorted() == (0..<8).map { folder.path("store\($0)") })
  }

  @Test func `a list that cannot be read is not replaced`() throws {
    let folder = try TemporaryFolder()
    try shell("mkdir -p \"$1/config/stores\"", folder.path(""))
    let warnings = Monitor(0)
    _ = try workspace(folder, "store") { _ in warnings.withLock { $0 += 1 } }
      .initializeStore(group: nil)
    #expect(warnings.withLock { $0 } == 1)
    try shell("cd \"$1/config\"; rmdir stores; printf /one >stores", folder.path(""))
    _ = try workspace(folder, "store").initializeStore(group: nil)
    #expect(try list(folder) == ["/one", folder.path("store")])
  }

  @Test func `a path with a newline is refused`() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: ImageError.self) {
      try workspace(folder, "a\nb").initializeStore(group: nil)
    }
    #expect(error?.errorCode == .usage)
    #expect(!FileManager.default.fileExists(atPath: folder.path("a\nb")))
  }
}

// A store, and an empty directory next to it that plans write into.

import Apply
import Foundation
import Platform
import Store
import TestSupport

struct ExecutorFixture {
  let directory: TemporaryDirectory
  let kernel = KernelFileSystem.shared
  /// `directory`, open.
  let root: Descriptor
  let store: ObjectStore
  /// The directory, as the component "/tree".
  var target: ExecutionTarget {
    ExecutionTarget(
      ResolvedPath(directory: root, name: Array("tree".utf8)), component: Array("/tree".utf8))
  }

  init() throws {
    directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(
      atPath: directory.path("tree"), withIntermediateDirectories: true)
    root = try kernel.openDirectory(at: kernel.workingDirectory, Array(directory.path.utf8))
    store = try ObjectStore(
      kernel, path: Array(directory.path("store").utf8), create: true
    ) { _ in }
  }
}

// A store, and an empty directory next to it that plans write into.

import Foundation
import Platform
import Store
import TestSupport

struct ExecutorFixture {
  let folder: TemporaryFolder
  let kernel = KernelFileSystem.shared
  /// `folder`, open.
  let root: Descriptor
  let store: ObjectStore

  init() throws {
    folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: folder.path("tree"), withIntermediateDirectories: true)
    root = try kernel.openDirectory(at: kernel.workingDirectory, Array(folder.path.utf8))
    store = try ObjectStore(
      kernel, path: Array(folder.path("store").utf8), create: true
    ) { _ in }
  }
}

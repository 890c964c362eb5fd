// xCAT's lock on a root tree, held by the test.

import Foundation
import Platform

/// xCAT's lock on a root tree below a staging root, as another process holds it.
public final class TreeLock: Sendable {
  private let file: Descriptor

  /// Takes the lock.
  /// - Throws: `SystemError` if the lock file cannot be made.
  public init(of tree: String, below root: String) throws {
    let files = KernelFileSystem.shared
    let sum = try shell("printf %s \"$1\" | md5sum | cut -c1-32", tree).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try shell("mkdir -p \"$1/var/lock/xcat\"", root)
    let name = tree.replacing("/", with: ".") + "." + sum
    file = try files.openFile(
      at: files.workingDirectory, Array("\(root)/var/lock/xcat/\(name)".utf8),
      [.readWrite, .create])
    guard try files.lock(file.raw, exclusive: true, wait: false) else {
      throw TestFailure("the tree is locked already")
    }
  }
}

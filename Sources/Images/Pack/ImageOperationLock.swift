// xCAT's own lock on a root tree, which genimage, packimage and rmimage take (docs/xcat-contract.md#locks).
// It is `flock` on a file in /var/lock/xcat. The holder writes its process id into the file, and removes the
// file before it releases the lock.

import Codec
import Glibc
import Platform

/// A held lock. It is released when this value is destroyed; like xCAT, `deinit` removes the file first.
final class ImageOperationLock: Sendable {
  private let fileSystem: any FileSystem
  private let path: ResolvedPath
  private let file: Descriptor

  private init(_ fileSystem: any FileSystem, _ path: ResolvedPath, _ file: Descriptor) {
    self.fileSystem = fileSystem
    self.path = path
    self.file = file
  }

  deinit {
    try? fileSystem.remove(at: path.directory.raw, path.name, isDirectory: false)
    fileSystem.unlock(file.raw)
  }

  /// Takes the lock on a root tree.
  /// - Parameters:
  ///   - createsDirectory: creates a missing directory of xCAT's locks. False below a staging root, where any
  ///     xCAT that runs has created the directory.
  ///   - wait: how long to wait for another process; nil for not at all.
  /// - Returns: nil if the directory of xCAT's locks does not exist or is not writable. Then no xCAT runs
  ///   here that this command could disturb.
  /// - Throws: `ImageError` (`imageLocked`), in xCAT's words, if another process still holds it after that
  ///   time.
  static func acquire(
    _ resolver: PathResolver, tree: AbsolutePath, createsDirectory: Bool = true,
    waiting wait: TreeLockWait? = nil
  ) throws -> ImageOperationLock? {
    try TreeLockWait.retrying(wait, resolver, tree) {
      try acquireNow(resolver, tree: tree, createsDirectory: createsDirectory)
    }
  }

  private static func acquireNow(
    _ resolver: PathResolver, tree: AbsolutePath, createsDirectory: Bool
  ) throws -> ImageOperationLock? {
    let fileSystem = resolver.fileSystem
    guard let lockPath = lockPath(resolver, tree) else { return nil }
    // The previous holder removes the file before it releases the lock. So a locked file may have lost its
    // name, and the lock is then taken again.
    for _ in 0..<100 {
      guard let path = try? resolver.resolve(lockPath, create: createsDirectory ? .readable : nil),
        let file = try? fileSystem.openFile(
          at: path.directory.raw, path.name, [.readWrite, .create, .noFollow], mode: 0o644)
      else { return nil }
      guard try fileSystem.lock(file.raw, exclusive: true, wait: false) else {
        throw busyError(fileSystem, path, tree)
      }
      let own = try fileSystem.stat(file.raw)
      let named = try fileSystem.statIfPresent(at: path.directory.raw, path.name)
      guard named?.inode == own.inode, named?.device == own.device else { continue }
      try fileSystem.truncate(file.raw, to: 0)
      try fileSystem.write(file.raw, Array(String(getpid()).utf8))
      return ImageOperationLock(fileSystem, path, file)
    }
    return nil
  }

  /// Checks that no other process holds the lock. It changes nothing.
  /// - Parameter wait: how long to wait for another process; nil for not at all.
  /// - Throws: `ImageError` (`imageLocked`), in xCAT's words, if one still holds it after that time.
  static func expectFree(
    _ resolver: PathResolver, tree: AbsolutePath, waiting wait: TreeLockWait? = nil
  ) throws {
    try TreeLockWait.retrying(wait, resolver, tree) { try expectFreeNow(resolver, tree: tree) }
  }

  private static func expectFreeNow(_ resolver: PathResolver, tree: AbsolutePath) throws {
    let fileSystem = resolver.fileSystem
    guard let lockPath = lockPath(resolver, tree), let path = try? resolver.resolve(lockPath),
      let file = try? fileSystem.openFile(
        at: path.directory.raw, path.name, [.read, .noFollow, .nonBlocking])
    else { return }
    guard try fileSystem.lock(file.raw, exclusive: false, wait: false) else {
      throw busyError(fileSystem, path, tree)
    }
    fileSystem.unlock(file.raw)
  }

  private static func busyError(
    _ fileSystem: any FileSystem, _ path: ResolvedPath, _ tree: AbsolutePath
  ) -> ImageError {
    ImageError(
      .imageLocked, "image directory \(tree.parent.text)",
      "failed to acquire lock, seems there is another genimage/packimage/rmimage process "
        + "\(holder(fileSystem, path)) running on root image dir \"\(tree.text)\"",
      hint: "Run the command again later, or let it wait with '--wait 10m'")
  }

  /// Returns the file that xCAT locks: the real path of the root tree with "." for each "/", then "." and its
  /// MD5 in hexadecimal. Nil without /proc.
  private static func lockPath(_ resolver: PathResolver, _ tree: AbsolutePath) -> AbsolutePath? {
    guard let real = realPath(resolver, tree), let sum = MD5.digest(of: real) else { return nil }
    let name = real.map { $0 == 0x2f ? 0x2e : $0 } + [0x2e] + sum.flatMap(hexDigits)
    return AbsolutePath("/var/lock/xcat")?.appending(name)
  }

  /// Returns the process that holds the lock, for messages; nil if it is unknown.
  static func holderText(_ resolver: PathResolver, tree: AbsolutePath) -> String? {
    guard let lockPath = lockPath(resolver, tree), let path = try? resolver.resolve(lockPath) else {
      return nil
    }
    let holders = FileLock.holders(resolver.fileSystem, at: path.directory.raw, path.name)
    if !holders.isEmpty { return holders.joined(separator: ", ") }
    let number = holder(resolver.fileSystem, path)
    return number.isEmpty ? nil : "process \(number)"
  }

  /// Returns the process id that the holder wrote.
  private static func holder(_ fileSystem: any FileSystem, _ path: ResolvedPath) -> String {
    let text = try? fileSystem.readSmallFile(at: path.directory.raw, path.name, limitBytes: 64)
    return printable(text ?? [])
  }

  /// Returns the tree's path with all links resolved, below the root that xCAT sees; nil without /proc.
  private static func realPath(_ resolver: PathResolver, _ tree: AbsolutePath) -> [UInt8]? {
    let fileSystem = resolver.fileSystem
    func name(_ file: Int32) -> [UInt8]? {
      try? fileSystem.readLink(
        at: fileSystem.workingDirectory, Array("/proc/self/fd/\(file)".utf8))
    }
    guard let root = name(resolver.root.raw) else { return nil }
    func below(_ path: [UInt8]) -> [UInt8] {
      if root == [0x2f] { return path }
      return path.starts(with: root + [0x2f]) ? Array(path.dropFirst(root.count)) : path
    }
    if let resolved = try? resolver.resolve(tree),
      let directory = try? fileSystem.openDirectory(at: resolved.directory.raw, resolved.name),
      let path = name(directory.raw)
    {
      return below(path)
    }
    // A tree that does not exist yet has the path that xCAT would give it.
    return tree.bytes
  }
}

private func hexDigits(_ byte: UInt8) -> [UInt8] {
  [byte >> 4, byte & 15].map { $0 < 10 ? 0x30 + $0 : 0x61 + $0 - 10 }
}

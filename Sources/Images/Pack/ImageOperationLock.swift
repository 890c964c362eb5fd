// xCAT's own lock on a root image (xcat.md section 4): genimage, packimage and rmimage take it, with
// `flock` on a file in /var/lock/xcat that the holder writes its process id into and removes.

import Codec
import Glibc
import Platform

/// Held while this value lives; the file goes with it, as xCAT does it.
final class ImageOperationLock: Sendable {
  private let fileSystem: any FileSystem
  private let place: ResolvedPath
  private let file: Descriptor

  private init(_ fileSystem: any FileSystem, _ place: ResolvedPath, _ file: Descriptor) {
    self.fileSystem = fileSystem
    self.place = place
    self.file = file
  }

  deinit {
    try? fileSystem.remove(at: place.directory.raw, place.name, isDirectory: false)
    withExtendedLifetime(file) {}
  }

  /// Takes the lock on a root tree.
  /// - Parameter createsFolder: makes the folder of xCAT's locks where it is missing. (Below a staging
  ///   root no xCAT runs that has not made it.)
  /// - Returns: nil where this machine has no place for xCAT's locks, or lets us not in: then no
  ///   xCAT that we could disturb runs here.
  /// - Throws: `ImageError`, in xCAT's words, while another process has it.
  static func acquire(
    _ resolver: PathResolver, tree: AbsolutePath, createsFolder: Bool = true
  ) throws -> ImageOperationLock? {
    let fileSystem = resolver.fileSystem
    guard let path = path(resolver, tree) else { return nil }
    // The holder removes the file before it lets go: what was opened may be nobody's by then.
    for _ in 0..<100 {
      guard let place = try? resolver.resolve(path, create: createsFolder ? .readable : nil),
        let file = try? fileSystem.openFile(
          at: place.directory.raw, place.name, [.readWrite, .create, .noFollow], mode: 0o644)
      else { return nil }
      guard try fileSystem.lock(file.raw, exclusive: true, wait: false) else {
        throw isHeld(fileSystem, place, tree)
      }
      let own = try fileSystem.stat(file.raw)
      let named = try fileSystem.statIfPresent(at: place.directory.raw, place.name)
      guard named?.inode == own.inode, named?.device == own.device else { continue }
      try fileSystem.truncate(file.raw, to: 0)
      try fileSystem.write(file.raw, Array(String(getpid()).utf8))
      return ImageOperationLock(fileSystem, place, file)
    }
    return nil
  }

  /// Looks whether another process has the lock, and leaves everything as it is.
  /// - Throws: `ImageError`, in xCAT's words, while one has it.
  static func expectFree(_ resolver: PathResolver, tree: AbsolutePath) throws {
    let fileSystem = resolver.fileSystem
    guard let path = path(resolver, tree), let place = try? resolver.resolve(path),
      let file = try? fileSystem.openFile(
        at: place.directory.raw, place.name, [.read, .noFollow, .nonBlocking])
    else { return }
    guard try fileSystem.lock(file.raw, exclusive: false, wait: false) else {
      throw isHeld(fileSystem, place, tree)
    }
  }

  private static func isHeld(
    _ fileSystem: any FileSystem, _ place: ResolvedPath, _ tree: AbsolutePath
  ) -> ImageError {
    ImageError(
      .busy, "image folder \(tree.parent.text)",
      "failed to acquire lock, seems there is another genimage/packimage/rmimage process "
        + "\(holder(fileSystem, place)) running on root image dir \"\(tree.text)\"",
      advice: "Wait until that process is done, and run the command again")
  }

  /// The file that xCAT locks; nil without /proc.
  private static func path(_ resolver: PathResolver, _ tree: AbsolutePath) -> AbsolutePath? {
    guard let real = realPath(resolver, tree), let sum = MD5.digest(of: real) else { return nil }
    let name = real.map { $0 == 0x2f ? 0x2e : $0 } + [0x2e] + sum.flatMap(hexDigits)
    return AbsolutePath("/var/lock/xcat")?.appending(name)
  }

  private static func holder(_ fileSystem: any FileSystem, _ place: ResolvedPath) -> String {
    let text = try? fileSystem.readSmallFile(at: place.directory.raw, place.name, limitBytes: 64)
    return printable(text ?? [])
  }

  /// The tree's path with all links resolved, below the root that xCAT sees; nil without /proc.
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
    if let place = try? resolver.resolve(tree),
      let folder = try? fileSystem.openDirectory(at: place.directory.raw, place.name),
      let path = name(folder.raw)
    {
      return below(path)
    }
    // A tree that is still to be made has the name that xCAT would give it.
    return tree.bytes
  }
}

private func hexDigits(_ byte: UInt8) -> [UInt8] {
  [byte >> 4, byte & 15].map { $0 < 10 ? 0x30 + $0 : 0x61 + $0 - 10 }
}

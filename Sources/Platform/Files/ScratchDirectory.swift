// A temporary directory for one command: it has a random name and is removed at the end, also on Ctrl-C.

/// A temporary directory.
public struct ScratchDirectory: Sendable {
  public let path: [UInt8]
  public let directory: Descriptor

  /// Creates a directory in `parent`, passes it to `body`, and removes it with its content.
  public static func with<R>(
    in parent: [UInt8], named prefix: String, _ fileSystem: any FileSystem,
    _ body: (ScratchDirectory) throws -> R
  ) throws -> R {
    let above = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, parent, followLink: true)
    let name = Array("\(prefix)-\(randomName())".utf8)
    try fileSystem.makeDirectory(at: above.raw, name, mode: 0o700)
    let remove: @Sendable () -> Void = { removeDirectory(fileSystem, above, name) }
    defer { remove() }
    return try Interruption.cleaningUp(remove) {
      let directory = try fileSystem.openDirectory(at: above.raw, name)
      return try body(ScratchDirectory(path: parent + [0x2f] + name, directory: directory))
    }
  }
}

/// Removes one of our own directories with its content, without following links. Entries that cannot be
/// removed stay.
public func removeDirectory(_ fileSystem: any FileSystem, _ parent: Descriptor, _ name: [UInt8]) {
  if let directory = try? fileSystem.openDirectory(at: parent.raw, name) {
    for child in (try? fileSystem.names(of: directory.raw)) ?? [] {
      let stat = try? fileSystem.stat(at: directory.raw, child, followLink: false)
      if stat?.kind == .directory {
        removeDirectory(fileSystem, directory, child)
      } else {
        try? fileSystem.remove(at: directory.raw, child, isDirectory: false)
      }
    }
  }
  try? fileSystem.remove(at: parent.raw, name, isDirectory: true)
}

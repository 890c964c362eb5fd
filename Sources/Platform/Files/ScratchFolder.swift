// A temporary folder for one command: it has a random name and is removed at the end, also on Ctrl-C.

/// A temporary folder.
public struct ScratchFolder: Sendable {
  public let path: [UInt8]
  public let directory: Descriptor

  /// Creates a folder in `parent`, passes it to `body`, and removes it with its content.
  public static func with<R>(
    in parent: [UInt8], named prefix: String, _ fileSystem: any FileSystem,
    _ body: (ScratchFolder) throws -> R
  ) throws -> R {
    let above = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, parent, followLink: true)
    let name = Array("\(prefix)-\(randomName())".utf8)
    try fileSystem.makeDirectory(at: above.raw, name, mode: 0o700)
    let remove: @Sendable () -> Void = { removeFolder(fileSystem, above, name) }
    defer { remove() }
    return try Interruption.cleaningUp(remove) {
      let directory = try fileSystem.openDirectory(at: above.raw, name)
      return try body(ScratchFolder(path: parent + [0x2f] + name, directory: directory))
    }
  }
}

/// Removes one of our own folders with its content, without following links. Entries that cannot be
/// removed stay.
public func removeFolder(_ fileSystem: any FileSystem, _ parent: Descriptor, _ name: [UInt8]) {
  if let folder = try? fileSystem.openDirectory(at: parent.raw, name) {
    for child in (try? fileSystem.names(of: folder.raw)) ?? [] {
      let stat = try? fileSystem.stat(at: folder.raw, child, followLink: false)
      if stat?.kind == .directory {
        removeFolder(fileSystem, folder, child)
      } else {
        try? fileSystem.remove(at: folder.raw, child, isDirectory: false)
      }
    }
  }
  try? fileSystem.remove(at: parent.raw, name, isDirectory: true)
}

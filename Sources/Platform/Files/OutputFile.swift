// A file that a command makes for its user (a bundle, a packed image, a chart): complete, or absent.
//
// 1. An incomplete file has no name (O_TMPFILE, open(2)), so nothing is left however the command ends.
//    On file systems without such files, and just before the last rename, it has a random name. That
//    name is removed if the command fails or a signal ends it. A file that SIGKILL left is recognised
//    by its name and its missing lock; the next file of its kind removes it (`removeLeftovers`).
// 2. Only the caller can read it (mode 0600), unless another mode is requested.

/// A file that is being written.
public final class OutputFile: Sendable {
  /// The mode of a file that only the caller can read.
  public static let privateMode: UInt16 = 0o600
  /// The suffix of the temporary names.
  public static let suffix = Array(".imgstore-part".utf8)

  /// The open file.
  public let file: Descriptor
  private let fileSystem: any FileSystem
  private let directory: Descriptor
  private let name: [UInt8]
  private let state: Monitor<State>

  private struct State {
    /// The name before publication.
    var temporary: [UInt8]?
    var cleanUp: Int?
  }

  /// Creates a file that will be named `name` in `directory`, after removing leftovers of others.
  /// - Parameter mode: the mode before the umask.
  public init(
    _ fileSystem: any FileSystem, in directory: Descriptor, named name: [UInt8],
    mode: UInt16 = OutputFile.privateMode
  ) throws(SystemError) {
    self.fileSystem = fileSystem
    self.directory = directory
    self.name = name
    OutputFile.removeLeftovers(fileSystem, directory.raw)
    if let nameless = try? fileSystem.openFile(
      at: directory.raw, [0x2e], [.readWrite, .nameless], mode: mode)
    {
      file = nameless
      state = Monitor(State())
    } else {
      let temporary = OutputFile.temporaryName(name)
      file = try fileSystem.openFile(
        at: directory.raw, temporary, [.readWrite, .create, .exclusive, .noFollow],
        mode: mode)
      state = Monitor(State(temporary: temporary))
    }
    // The lock shows other processes that the writer is alive.
    _ = try? fileSystem.lock(file.raw, exclusive: true, wait: false)
    if let temporary = state.withLock({ $0.temporary }) { removeOnSignal(temporary) }
  }

  deinit {
    let last = state.withLock { $0 }
    if let id = last.cleanUp { Interruption.cancelCleanUp(id) }
    guard let temporary = last.temporary else { return }
    try? fileSystem.remove(at: directory.raw, temporary, isDirectory: false)
  }

  /// Gives the complete file a temporary name in its directory, for the rename that publishes it. The
  /// caller has synced it.
  public func nameTemporarily() throws(SystemError) -> [UInt8] {
    if let temporary = state.withLock({ $0.temporary }) { return temporary }
    let temporary = OutputFile.temporaryName(name)
    removeOnSignal(temporary)
    try fileSystem.link(open: file.raw, to: directory.raw, temporary)
    state.withLock { $0.temporary = temporary }
    return temporary
  }

  /// Marks the file as published: the temporary name no longer exists.
  public func setPublished() {
    state.withLock { state in
      state.temporary = nil
      if let id = state.cleanUp { Interruption.cancelCleanUp(id) }
      state.cleanUp = nil
      Interruption.announce(nil)
    }
  }

  /// Makes the file durable and gives it its name, replacing an existing entry.
  public func publish() throws(SystemError) {
    try fileSystem.sync(file.raw)
    let temporary = try nameTemporarily()
    try fileSystem.rename(
      at: directory.raw, temporary, to: directory.raw, name, exclusively: false)
    setPublished()
    // The file exists durably only after its directory is synced.
    try fileSystem.sync(directory.raw)
  }

  /// Writes a small file and publishes it.
  public func publish(_ bytes: [UInt8]) throws(SystemError) {
    try fileSystem.write(file.raw, bytes)
    try publish()
  }

  private func removeOnSignal(_ temporary: [UInt8]) {
    let (fileSystem, directory) = (fileSystem, directory)
    let id = Interruption.addCleanUp {
      try? fileSystem.remove(at: directory.raw, temporary, isDirectory: false)
    }
    state.withLock { $0.cleanUp = id }
  }

  /// Returns a name that snapshots ignore.
  private static func temporaryName(_ name: [UInt8]) -> [UInt8] {
    [0x2e] + name.prefix(200) + [0x2e] + Array(randomName().utf8) + suffix
  }

  /// Removes the files that killed writers have left in a directory.
  public static func removeLeftovers(_ fileSystem: any FileSystem, _ directory: Int32) {
    for name in (try? fileSystem.names(of: directory)) ?? []
    where name.first == 0x2e && name.count > suffix.count
      && name.suffix(suffix.count) == suffix[...]
    {
      guard
        let file = try? fileSystem.openFile(
          at: directory, name, [.read, .noFollow, .nonBlocking]),
        (try? fileSystem.lock(file.raw, exclusive: true, wait: false)) == true
      else { continue }
      try? fileSystem.remove(at: directory, name, isDirectory: false)
    }
  }
}

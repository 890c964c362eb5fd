// A file that a command makes for its user (a bundle, a packed image, a chart): whole, or not at all.
//
// 1. Until it is complete it has no name (O_TMPFILE, open(2)): whatever ends the command, nothing is left.
//    On file systems without such files, and for the moment before the last rename, it has a random
//    name, which goes when the command fails or a signal ends it. What SIGKILL leaves of that is known
//    by its name and its lock, and goes with the next file of its kind (`removeLeftovers`).
// 2. Only the caller can read it (mode 0600), unless another mode is asked for.

/// A file under way.
public final class OutputFile: Sendable {
  /// The mode of a file that only the caller can read.
  public static let privateMode: UInt16 = 0o600
  /// The end of the temporary names.
  public static let suffix = Array(".imgstore-part".utf8)

  public let file: Descriptor
  private let fileSystem: any FileSystem
  private let directory: Descriptor
  private let name: [UInt8]
  private let state: Monitor<State>

  private struct State {
    /// The name that it has until it is published.
    var temporary: [UInt8]?
    var cleanUp: Int?
  }

  /// Begins a file that will have `name` in `directory`; leftovers of others go first.
  /// - Parameter mode: which the umask lessens.
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
    // The lock tells others that the file's writer lives.
    _ = try? fileSystem.lock(file.raw, exclusive: true, wait: false)
    if let temporary = state.withLock({ $0.temporary }) { removeOnSignal(temporary) }
  }

  deinit {
    let last = state.withLock { $0 }
    if let id = last.cleanUp { Interruption.cancelCleanUp(id) }
    guard let temporary = last.temporary else { return }
    try? fileSystem.remove(at: directory.raw, temporary, isDirectory: false)
  }

  /// Gives the complete file a name in its directory, for the rename that publishes it. The caller has
  /// synced it.
  public func nameTemporarily() throws(SystemError) -> [UInt8] {
    if let temporary = state.withLock({ $0.temporary }) { return temporary }
    let temporary = OutputFile.temporaryName(name)
    removeOnSignal(temporary)
    try fileSystem.link(open: file.raw, to: directory.raw, temporary)
    state.withLock { $0.temporary = temporary }
    return temporary
  }

  /// Says that the temporary name is gone: the file has its own.
  public func setPublished() {
    state.withLock { state in
      state.temporary = nil
      if let id = state.cleanUp { Interruption.cancelCleanUp(id) }
      state.cleanUp = nil
      Interruption.announce(nil)
    }
  }

  /// Makes the file durable and gives it its name, in place of whatever has it.
  public func publish() throws(SystemError) {
    try fileSystem.sync(file.raw)
    let temporary = try nameTemporarily()
    try fileSystem.rename(
      at: directory.raw, temporary, to: directory.raw, name, exclusively: false)
    setPublished()
    // Until its name is on the disk, the file is not there.
    try fileSystem.sync(directory.raw)
  }

  /// Writes a small file, and publishes it.
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

  /// A name that no snapshot takes for content.
  private static func temporaryName(_ name: [UInt8]) -> [UInt8] {
    [0x2e] + name.prefix(200) + [0x2e] + Array(randomName().utf8) + suffix
  }

  /// Removes what killed writers have left in a directory.
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

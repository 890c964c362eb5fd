// Locks between processes: `flock` on a file that is never removed. The kernel drops the lock when
// its holder ends, however it ends; there are no stale locks and no clocks.

/// A lock that is held while this value lives.
public final class FileLock: Sendable {
  private let file: Descriptor

  private init(_ file: Descriptor) { self.file = file }

  /// Takes the lock `name` in `directory`, waiting if another process has it.
  /// - Parameter onWait: called once, before waiting.
  public static func acquire(
    _ fileSystem: any FileSystem, at directory: Int32, _ name: [UInt8], exclusive: Bool,
    onWait: () -> Void = {}
  ) throws(SystemError) -> FileLock {
    let file = try fileSystem.openFile(at: directory, name, [.readWrite, .create, .noFollow])
    if try !fileSystem.lock(file.raw, exclusive: exclusive, wait: false) {
      onWait()
      _ = try fileSystem.lock(file.raw, exclusive: exclusive, wait: true)
    }
    return FileLock(file)
  }
}

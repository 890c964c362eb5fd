// Ownership of open files.

/// Owns an open file and closes it with its last reference.
public final class Descriptor: Sendable {
  /// The descriptor's number.
  public let raw: Int32
  private let fileSystem: any FileSystem

  /// Takes ownership of an open descriptor.
  public init(owning raw: Int32, of fileSystem: any FileSystem) {
    self.raw = raw
    self.fileSystem = fileSystem
  }

  deinit { fileSystem.close(raw) }
}

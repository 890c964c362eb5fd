// The store's own configuration file, config.toml. This module does not interpret it.
//
// 1. The file is replaced as a whole, synced: a crash leaves the old text or the new one.
// 2. One process changes it at a time.

import Platform

/// Gives access to the configuration file in a store's directory.
public struct StoreConfigurationFile: Sendable {
  let layout: Layout
  static let fileName = Array("config.toml".utf8)
  private static let maxBytes = 1 << 20

  /// The path of the file.
  public var path: [UInt8] { layout.path + [0x2f] + StoreConfigurationFile.fileName }

  /// Returns the content; nil if the file does not exist.
  /// - Throws: `damaged` if it is not a regular file, or is too large; `system`.
  public func read() throws(StoreError) -> [UInt8]? {
    let object = printable(path)
    let file = try mapSystemError(
      object,
      try layout.read(
        layout.root, StoreConfigurationFile.fileName, limitBytes: StoreConfigurationFile.maxBytes))
    switch file {
    case .absent: return nil
    case .unexpected(let reason): throw .damaged(object, reason)
    case .content(let bytes): return bytes
    }
  }

  /// Replaces the content.
  /// - Parameter body: receives the present content and returns the new one.
  /// - Throws: `refused` if the store is read-only; `busy`; `system`; errors of `body`.
  public func change(
    waiting: LockWait, _ body: ([UInt8]?) throws -> [UInt8]
  ) throws {
    let object = printable(path)
    try layout.requireWritable(object)
    let lock = try mapSystemError(
      object, try layout.lock(Array("config".utf8), exclusive: true, waiting: waiting))
    defer { withExtendedLifetime(lock) {} }
    let bytes = try body(try read())
    try mapSystemErrors(object) { () throws(SystemError) in
      try TemporaryFile.write(
        bytes, in: layout.root, as: StoreConfigurationFile.fileName, exclusively: false, layout)
    }
  }
}

extension UnlockedStore {
  /// Returns the store's configuration file.
  public var configurationFile: StoreConfigurationFile { StoreConfigurationFile(layout: layout) }
}

extension ObjectStore {
  /// Returns the store's configuration file.
  public var configurationFile: StoreConfigurationFile { StoreConfigurationFile(layout: layout) }
}

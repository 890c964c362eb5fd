// What a caller decides about an open depot.

import Platform
import Store

/// The settings of an open depot.
public struct DepotOptions: Sendable {
  public var fileSystem: any FileSystem = KernelFileSystem.shared
  /// The directory for caches, without a slash at its end; nil keeps them in memory. It may be deleted at any
  /// time. Processes may share it.
  public var cachePath: [UInt8]?
  /// The directory for packs that wait for their upload.
  public var temporaryPath = temporaryDirectoryPath
  /// The number of requests at once. With 1, everything runs on the caller's thread.
  public var requestCount = 8
  /// A pack is uploaded when it has this size.
  public var packBytes = 32 << 20
  /// Packs up to this size wait in memory.
  public var memoryPackBytes = 2 << 20
  /// Reads plans, which tell the blobs that a blob is made from; nil refuses such blobs.
  public var reconstructor: (any BlobReconstructor)?
  /// A store of this machine that may have the same trees, so that they need not be fetched.
  public var localStore: ObjectStore?
  /// Makes ids of writers. Tests make them predictable.
  public var makeID: @Sendable () -> WriterID = {
    let text = randomName() + randomName()
    guard let id = WriterID(text) else { preconditionFailure("randomName returns 16 digits") }
    return id
  }
  /// Returns the process that `writers/` names.
  public var process: @Sendable () -> ProcessIdentity = { ProcessIdentity.current() }

  /// Creates the usual settings.
  public init() {}
}

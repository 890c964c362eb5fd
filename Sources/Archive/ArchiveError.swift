// Archive: tar and gzip as pull readers and push writers over byte spans; knows nothing of stores.
// This file: the room's error.

import Codec

/// An archive that cannot be read or written.
public struct ArchiveError: Error, Sendable, CustomStringConvertible {
  /// The member it is about; empty for the archive as a whole.
  public let member: [UInt8]
  public let finding: String

  public init(member: [UInt8] = [], _ finding: String) {
    self.member = member
    self.finding = finding
  }

  public var description: String { finding }
}

/// Fills a buffer with the next bytes of a stream.
/// - Returns: how many; 0 only at the end.
public typealias ByteSource = (UnsafeMutableRawBufferPointer) throws -> Int

/// Takes the next bytes of a stream.
public typealias ByteSink = (UnsafeRawBufferPointer) throws -> Void

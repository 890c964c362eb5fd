// The error of the module Archive: pull readers of tar, cpio and compressed streams, and headers of their
// members. The module does not depend on stores.

/// An archive that cannot be read or written.
public struct ArchiveError: Error, Sendable, CustomStringConvertible {
  /// The member that the error is about; empty for the archive as a whole.
  public let member: [UInt8]
  /// The reason, as a clause of its own.
  public let reason: String

  /// Whether compressed data expands more than allowed.
  public let isExpansionLimit: Bool

  /// What to do about an archive of a format that is not supported; empty for a damaged one.
  public let remedy: String

  /// Creates an error.
  public init(
    member: [UInt8] = [], _ reason: String, isExpansionLimit: Bool = false, remedy: String = ""
  ) {
    self.member = member
    self.reason = reason
    self.isExpansionLimit = isExpansionLimit
    self.remedy = remedy
  }

  public var description: String { reason }
}

/// Fills a buffer with the next bytes of a stream.
/// - Returns: the number of bytes; 0 only at the end.
public typealias ByteSource = (UnsafeMutableRawBufferPointer) throws -> Int

/// Consumes the next bytes of a stream.
public typealias ByteSink = (UnsafeRawBufferPointer) throws -> Void

// A member of an archive, in any format: a header, content, and zeros up to a multiple of a unit.

/// The header of a member.
public protocol ArchiveMember {
  /// The member's name.
  var path: [UInt8] { get }
  /// The number of content bytes that follow the header.
  var sizeBytes: UInt64 { get }
  /// The unit that content is padded to.
  static var unitBytes: UInt64 { get }

  /// Returns the bytes before the content.
  /// - Throws: `ArchiveError` for members that the format cannot hold.
  func header() throws(ArchiveError) -> [UInt8]
  /// Returns the end of an archive.
  /// - Parameter totalBytes: the length of all members.
  static func end(after totalBytes: UInt64) -> [UInt8]
}

extension ArchiveMember {
  /// Returns the number of zeros after content of this size.
  public static func paddingBytes(after sizeBytes: UInt64) -> Int {
    Int((unitBytes - sizeBytes % unitBytes) % unitBytes)
  }

  /// Returns bytes with the zeros that follow them.
  public static func padded(_ bytes: [UInt8]) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: paddingBytes(after: UInt64(bytes.count)))
  }
}

// The stream that archive readers parse: headers, and the content of one member at a time.

/// Reads the parts of an archive.
struct ArchiveStream {
  private let source: ByteSource
  /// The bytes that were read ahead.
  private var ahead: ArraySlice<UInt8> = []
  /// The name of the current member, for errors.
  var current: [UInt8] = []
  /// The unread bytes of the current member's content.
  var remainingBytes: UInt64 = 0
  /// The number of zeros after the content.
  var padding = 0

  init(_ source: @escaping ByteSource) { self.source = source }

  /// Reads content, up to the size of `target`.
  /// - Returns: the number of bytes; 0 at the content's end.
  mutating func readContent(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    let count = Int(min(remainingBytes, UInt64(target.count)))
    if count == 0 { return 0 }
    let n = try fill(UnsafeMutableRawBufferPointer(rebasing: target[..<count]))
    guard n > 0 else { throw endsInsideMember }
    remainingBytes -= UInt64(n)
    return n
  }

  /// Skips unread content and the zeros after it.
  mutating func skipContent() throws {
    remainingBytes += UInt64(padding)
    padding = 0
    var buffer = [UInt8](repeating: 0, count: Int(min(remainingBytes, 64 << 10)))
    while remainingBytes > 0 { _ = try buffer.withUnsafeMutableBytes { try readContent($0) } }
  }

  /// Returns the next bytes; fewer at the end of the stream.
  mutating func read(_ count: Int) throws -> [UInt8] {
    if count == 0 { return [] }
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let n = try bytes.withUnsafeMutableBytes {
        try fill(UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
      }
      if n == 0 { break }
      done += n
    }
    bytes.removeSubrange(done...)
    return bytes
  }

  /// Puts bytes back that were just read.
  mutating func unread(_ bytes: [UInt8]) { ahead = bytes[...] }

  /// The error of an archive that ends in a member.
  var endsInsideMember: ArchiveError {
    ArchiveError(member: current, "the archive ends inside this member")
  }

  private mutating func fill(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if ahead.isEmpty { return try source(target) }
    let n = min(ahead.count, target.count)
    target.copyBytes(from: ahead.prefix(n))
    ahead.removeFirst(n)
    return n
  }
}

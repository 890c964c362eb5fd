// Recognises the format of an archive by its first bytes.

/// The archive formats that can be read.
public enum ArchiveFormat: Sendable {
  case cpio
  case tar

  /// Examines the first bytes of a plain stream.
  /// - Returns: the format, and the stream with those bytes still in it. A stream that is not cpio
  ///   counts as tar; the tar reader reports it if it is not.
  /// - Throws: `ArchiveError` for the older forms of cpio, and the source's errors.
  public static func recognise(
    _ source: @escaping ByteSource
  ) throws -> (format: ArchiveFormat, source: ByteSource) {
    var head = [UInt8](repeating: 0, count: 6)
    var count = 0
    while count < head.count {
      let n = try head.withUnsafeMutableBytes {
        try source(UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
      }
      if n == 0 { break }
      count += n
    }
    head.removeSubrange(count...)
    if head.isEmpty { throw ArchiveError("it is empty") }
    guard head != Array("070707".utf8), !head.starts(with: [0x71, 0xc7]),
      !head.starts(with: [0xc7, 0x71])
    else {
      throw ArchiveError(
        "it is a cpio archive of an old form; only newc (cpio -H newc) is supported")
    }
    let isCpio = head == CpioHeader.plain || head == CpioHeader.summed
    var rest = head[...]
    return (
      isCpio ? .cpio : .tar,
      { target in
        if rest.isEmpty { return try source(target) }
        let n = min(rest.count, target.count)
        target.copyBytes(from: rest.prefix(n))
        rest.removeFirst(n)
        return n
      }
    )
  }
}

extension ArchiveFormat {
  /// Returns the error for a stream that is not a tar archive, from its first bytes.
  static func notTar(_ head: [UInt8]) -> ArchiveError {
    if head.isEmpty { return ArchiveError("it is empty") }
    if let form = UnsupportedFormat.of(head) {
      let remedy = form.remedy.isEmpty ? "" : "; \(form.remedy)"
      return ArchiveError("it is not a tar archive: it is \(form.description)\(remedy)")
    }
    if let compression = UnsupportedFormat.compression(of: head) {
      return ArchiveError("it is not a tar archive: it is compressed with \(compression) twice")
    }
    return ArchiveError("it is not a tar archive")
  }
}

/// Reads a stream to its end, after an archive's end mark.
/// - Returns: whether only zeros followed.
public func hasOnlyZerosLeft(_ source: ByteSource) throws -> Bool {
  var buffer = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    let (n, isZero) = try buffer.withUnsafeMutableBytes { buffer in
      let n = try source(buffer)
      return (n, buffer[..<n].allSatisfy { $0 == 0 })
    }
    if n == 0 { return true }
    if !isZero { return false }
  }
}

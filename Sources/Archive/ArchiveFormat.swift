// Which archive a stream is, told by its first bytes.

/// The forms of archives that are read.
public enum ArchiveFormat: Sendable {
  case cpio
  case tar

  /// Looks at the first bytes of a plain stream.
  /// - Returns: the form, and the stream with those bytes still in it. What is no cpio counts as
  ///   tar, whose reader says so where it is none.
  /// - Throws: `ArchiveError` for the older forms of cpio, and what the source throws.
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
      throw ArchiveError("it is a cpio archive of an old form; only newc (cpio -H newc) is read")
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
  /// The error for a stream that is no tar archive, from how it begins.
  static func notTar(_ head: [UInt8]) -> ArchiveError {
    if head.isEmpty { return ArchiveError("it is empty") }
    if let form = ForeignForm.of(head) {
      let remedy = form.remedy.isEmpty ? "" : "; \(form.remedy)"
      return ArchiveError("it is no tar archive: it is \(form.description)\(remedy)")
    }
    if let compression = ForeignForm.compression(of: head) {
      return ArchiveError("it is no tar archive: it is compressed with \(compression) twice")
    }
    return ArchiveError("it is no tar archive")
  }
}

/// Reads a stream to its end, as behind an archive's end mark.
/// - Returns: false where anything but zeros came.
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

// Walks an archive member by member and optionally writes it without some members: byte for byte,
// except for removed and replaced ones. For packed images, ramdisks, and archives among extras.
//
//     stream = { zeros | cpio archive | compressed stream } …   as the kernel unpacks an initramfs
//            | tar archive
//
// 1. Unknown content is an `ArchiveError`: no byte is copied unexamined.
// 2. Headers are copied unchanged. A replaced member gets a header with its new size.
// 3. The archive is hostile: lengths are checked before use.

/// A walk over one archive.
public final class ArchiveWalk {
  let visitor: any ArchiveVisitor
  private let compress: StreamCompressor?
  private let limit: ExpansionLimit
  var number = 0
  private var depth = 0

  private static let maxDepth = 8
  static let windowBytes = 256 << 10
  static let cpioMagics = [Array("070701".utf8), Array("070702".utf8)]

  /// Creates a walk.
  /// - Parameters:
  ///   - compress: compresses streams again; nil if nothing is written.
  ///   - limit: the limit on the expansion of compressed streams.
  public init(
    _ visitor: any ArchiveVisitor, compress: StreamCompressor? = nil, limit: ExpansionLimit = .holes
  ) {
    self.visitor = visitor
    self.compress = compress
    self.limit = limit
  }

  /// Returns whether these bytes begin an archive, compressed or not.
  public static func isArchive(_ head: ArraySlice<UInt8>) -> Bool {
    if StreamFormat.of(head) != nil { return true }
    if cpioMagics.contains(where: { head.starts(with: $0) }) { return true }
    return head.count >= 262 && head[(head.startIndex + 257)...].starts(with: "ustar".utf8)
  }

  /// Walks to the stream's end.
  /// - Parameter sink: receives the resulting archive; nil to only read.
  /// - Throws: `ArchiveError` for unknown content, and the errors of visitor and sink.
  public func run(_ source: @escaping ByteSource, to sink: ByteSink? = nil) throws {
    depth += 1
    defer { depth -= 1 }
    guard depth <= ArchiveWalk.maxDepth else {
      throw ArchiveError("it is compressed more than \(ArchiveWalk.maxDepth) times")
    }
    let reader = PeekingReader(source)
    var isFirst = true
    while true {
      try skipZeros(reader, sink)
      let head = try reader.peek(512)
      if head.isEmpty { return }
      if ArchiveWalk.cpioMagics.contains(where: { head.starts(with: $0) }) {
        try walkCpio(reader, sink)
      } else if let form = StreamFormat.of(head) {
        // The rest of the stream belongs to the compressed stream.
        return try walkCompressed(form, reader, sink)
      } else if isFirst {
        // An old tar has no magic, but a checksum.
        guard head.count == TarBlock.size, TarHeader(Array(head)).isSound else {
          throw ArchiveError(ArchiveWalk.unsupported(head))
        }
        return try walkTar(reader, sink)
      } else {
        throw ArchiveError("data that is not an archive follows an archive")
      }
      isFirst = false
    }
  }

  /// Returns the reason why content with this beginning cannot be walked: the kind of archive is not known,
  /// so no kind is expected.
  private static func unsupported(_ head: ArraySlice<UInt8>) -> String {
    UnsupportedFormat.of(head).map { "it is \($0.description)" }
      ?? "it is not an archive in a supported format"
  }

  func emit(_ bytes: [UInt8], _ sink: ByteSink?) throws {
    guard let sink, !bytes.isEmpty else { return }
    try bytes.withUnsafeBytes { try sink($0) }
  }

  private func skipZeros(_ reader: PeekingReader, _ sink: ByteSink?) throws {
    while case let head = try reader.peek(4096), head.first == 0 {
      let count = head.prefix { $0 == 0 }.count
      try emit(try reader.take(count), sink)
    }
  }

  private func walkCompressed(
    _ form: StreamFormat, _ reader: PeekingReader, _ sink: ByteSink?
  ) throws {
    let plain = DecompressingReader({ try reader.read($0) }, limit: limit)
    guard let sink else { return try run({ try plain.read($0) }) }
    guard let compress else { preconditionFailure("a walk that writes has a compressor") }
    try compress(form, { inner in try self.run({ try plain.read($0) }, to: inner) }, sink)
  }
}

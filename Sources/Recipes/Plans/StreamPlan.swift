// The plan of a compressed file: its deflate streams or zstd frames, and the bytes around them (docs/format.md, "Plans").
//
// A stream consists of runs that can be encoded independently. A run has its offsets in the stream and in
// the plain bytes, and the bits that it shares with the previous run. It also has a CRC of its bytes, which
// reveals a different encoder.

import Codec
import Store

/// Describes how a file of compressed streams is rebuilt.
public struct StreamPlan: Sendable, Hashable {
  /// A part of the file.
  public enum Span: Sendable, Hashable {
    /// Headers, trailers and similar bytes.
    case literal([UInt8])
    /// Bytes that are stored unchanged.
    case blob(Digest, sizeBytes: UInt64)
    /// A deflate stream, or the blocks of a zstd frame.
    case encoded(Stream)

    /// Returns the size of the span in bytes.
    public var sizeBytes: UInt64 {
      switch self {
      case .literal(let bytes): UInt64(bytes.count)
      case .blob(_, let size): size
      case .encoded(let stream): stream.sizeBytes
      }
    }
  }

  /// A compressed stream, as runs over one blob.
  public struct Stream: Sendable, Hashable {
    /// The blob that the stream decodes to.
    public let inner: Digest
    public let innerBytes: UInt64
    public let methods: [StreamMethod]
    public let runs: [Run]
    public let sizeBytes: UInt64

    /// Creates a stream.
    /// - Parameter runs: the runs in order; together they encode all bytes of `inner`.
    public init(inner: Digest, innerBytes: UInt64, methods: [StreamMethod], runs: [Run]) {
      self.inner = inner
      self.innerBytes = innerBytes
      self.methods = methods
      self.runs = runs
      sizeBytes = runs.last.map { $0.offset + UInt64($0.sizeBytes) } ?? 0
    }
  }

  /// A part of a stream that can be encoded independently.
  public struct Run: Sendable, Hashable {
    /// The offset of its plain bytes in the inner blob.
    public let plainOffset: UInt64
    public let plainBytes: Int
    /// The offset of its encoded bytes in the stream.
    public let offset: UInt64
    public let sizeBytes: Int
    public let carry: RunEncoder.Carry
    public let crc: UInt32
    /// The index of its method in the stream's methods.
    public let method: Int

    /// Creates a run.
    /// - Parameters:
    ///   - plain: the range of its plain bytes in the inner blob.
    ///   - encoded: the range of its encoded bytes in the stream.
    public init(
      plain: Range<UInt64>, encoded: Range<UInt64>, carry: RunEncoder.Carry, crc: UInt32,
      method: Int
    ) {
      plainOffset = plain.lowerBound
      plainBytes = plain.count
      offset = encoded.lowerBound
      sizeBytes = encoded.count
      self.carry = carry
      self.crc = crc
      self.method = method
    }
  }

  /// The maximum number of plain bytes of a run, which is encoded in memory.
  public static let maxRunBytes = 32 << 20
  private static let maxMethods = 16

  /// The size of the file in bytes.
  public let sizeBytes: UInt64
  /// The fingerprints of the encoders (`EncoderFingerprint`), one for each encoder that its methods use.
  public let fingerprints: [String]
  public let spans: [Span]

  public init(fingerprints: [String], spans: [Span]) {
    self.fingerprints = fingerprints
    self.spans = spans
    sizeBytes = spans.reduce(0) { $0 + $1.sizeBytes }
  }

  // MARK: Bytes

  /// Returns the bytes of the plan.
  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(ReconstructionPlan.streamsTag)
    writer.varint(sizeBytes)
    writer.varint(fingerprints.count)
    for fingerprint in fingerprints { writer.string(fingerprint) }
    writer.varint(spans.count)
    for span in spans {
      switch span {
      case .literal(let bytes):
        writer.byte(0)
        writer.string(bytes)
      case .blob(let id, let size):
        writer.byte(1)
        writer.digest(id)
        writer.varint(size)
      case .encoded(let stream):
        writer.byte(2)
        stream.encode(to: &writer)
      }
    }
    return writer.bytes
  }

  /// Reads a plan.
  /// - Throws: `corrupt` for another kind of plan, an unknown encoder, or sizes that do not add up;
  ///   `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> StreamPlan {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      guard try reader.byte() == ReconstructionPlan.streamsTag else {
        throw .corrupt("not a plan of streams")
      }
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      var fingerprints: [String] = []
      for _ in 0..<(try reader.count(bytesEach: 1)) { fingerprints.append(try reader.text()) }
      var spans: [Span] = []
      var total: UInt64 = 0
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        let span = try Span.decode(&reader, limit: size - total)
        total += span.sizeBytes
        spans.append(span)
      }
      try reader.expectEnd()
      guard total == size else { throw .corrupt("the spans do not add up to the size of the blob") }
      return StreamPlan(fingerprints: fingerprints, spans: spans)
    }
  }

  fileprivate static func decodeMethods(
    _ reader: inout ByteReader
  ) throws(CodecError) -> [StreamMethod] {
    let count = Int(try reader.varint(limit: UInt64(maxMethods), "a count of methods"))
    var methods: [StreamMethod] = []
    for _ in 0..<count {
      guard let encoder = StreamMethod.Encoder(rawValue: try reader.byte()) else {
        throw .corrupt("an encoder is unknown")
      }
      let (level, memory, strategy) = (try reader.byte(), try reader.byte(), try reader.byte())
      guard let joints = StreamMethod.BlockBoundary(rawValue: try reader.byte()),
        let history = StreamMethod.History(rawValue: try reader.byte())
      else { throw .corrupt("a block boundary or a history is unknown") }
      let method = StreamMethod(
        encoder, level: level, memoryLevel: memory, strategy: strategy, joints: joints,
        history: history, blockBytes: Int(try reader.varint(limit: 1 << 30, "a block's size")))
      guard method.isPossible else { throw .corrupt("an encoder has impossible settings") }
      methods.append(method)
    }
    return methods
  }
}

extension StreamPlan.Span {
  fileprivate static func decode(
    _ reader: inout ByteReader, limit: UInt64
  ) throws(CodecError) -> StreamPlan.Span {
    let span: StreamPlan.Span
    switch try reader.byte() {
    case 0: span = .literal(try reader.string())
    case 1:
      let id = try reader.digest()
      span = .blob(id, sizeBytes: try reader.varint(limit: limit, "a span"))
    case 2: span = .encoded(try StreamPlan.Stream.decode(&reader))
    default: throw .corrupt("a span has an unknown kind")
    }
    guard span.sizeBytes > 0, span.sizeBytes <= limit else {
      throw .corrupt("the spans do not add up to the size of the blob")
    }
    return span
  }
}

extension StreamPlan.Stream {
  fileprivate func encode(to writer: inout ByteWriter) {
    writer.digest(inner)
    writer.varint(innerBytes)
    writer.varint(methods.count)
    for method in methods {
      writer.raw([
        method.encoder.rawValue, method.level, method.memoryLevel, method.strategy,
        method.joints.rawValue, method.history.rawValue,
      ])
      writer.varint(method.blockBytes)
    }
    writer.varint(runs.count)
    for run in runs {
      writer.varint(run.plainBytes)
      writer.varint(run.sizeBytes)
      writer.byte(UInt8(run.method) << 3 | run.carry.bits)
      if run.carry.bits > 0 { writer.byte(run.carry.value) }
      writer.word32(run.crc)
    }
  }

  fileprivate static func decode(
    _ reader: inout ByteReader
  ) throws(CodecError) -> StreamPlan.Stream {
    let inner = try reader.digest()
    let innerBytes = try reader.varint(limit: UInt64(Int64.max), "a size")
    let methods = try StreamPlan.decodeMethods(&reader)
    var runs: [StreamPlan.Run] = []
    let count = try reader.count(bytesEach: 7)
    runs.reserveCapacity(count)
    var plain: UInt64 = 0
    var offset: UInt64 = 0
    for _ in 0..<count {
      let plainBytes = try reader.varint(limit: UInt64(StreamPlan.maxRunBytes), "a run")
      let size = try reader.varint(limit: UInt64(2 * StreamPlan.maxRunBytes), "a run")
      let kind = try reader.byte()
      guard Int(kind >> 3) < methods.count else { throw .corrupt("a run has an unknown method") }
      let value = kind & 7 == 0 ? 0 : try reader.byte()
      let carry = RunEncoder.Carry(bits: kind & 7, value: value)
      guard carry.value == value else { throw .corrupt("a run has carried bits outside its mask") }
      runs.append(
        StreamPlan.Run(
          plain: plain..<plain + plainBytes, encoded: offset..<offset + size, carry: carry,
          crc: try reader.word32(), method: Int(kind >> 3)))
      plain += plainBytes
      offset += size
    }
    guard plain == innerBytes else {
      throw .corrupt("the runs do not add up to the size of the encoded blob")
    }
    return StreamPlan.Stream(
      inner: inner, innerBytes: innerBytes, methods: methods, runs: runs)
  }
}

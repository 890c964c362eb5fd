// xz streams (the .xz file format, version 1.2.1) by liblzma.

import CLzma

/// Decompresses xz streams, one after another as xz itself does: padding of zeros, four at a time,
/// may stand behind a stream; anything else is an error. liblzma checks each stream's own sum.
public final class XzDecoder: StreamDecoder {
  private let stream: UnsafeMutablePointer<lzma_stream>
  public private(set) var mayEnd = false

  private let memoryLimitBytes: Int

  public init(memoryLimitBytes: Int = decoderMemoryLimitBytes) {
    self.memoryLimitBytes = memoryLimitBytes
    stream = .allocate(capacity: 1)
    stream.initialize(to: lzma_stream())
    let r = lzma_stream_decoder(stream, UInt64(memoryLimitBytes), clzma_concatenated)
    precondition(r == LZMA_OK, "liblzma cannot start: \(r.rawValue)")
  }

  deinit {
    lzma_end(stream)
    stream.deallocate()
  }

  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (taken: Int, made: Int) {
    if mayEnd { return (0, 0) }
    stream.pointee.next_in = source.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_in = source.count
    stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = target.count
    switch lzma_code(stream, isLast ? LZMA_FINISH : LZMA_RUN) {
    case LZMA_OK: break
    // No progress: the input is used up, and the caller sees that the end has not come.
    case LZMA_BUF_ERROR: break
    case LZMA_STREAM_END: mayEnd = true
    case LZMA_MEM_ERROR: throw .overLimit("xz: out of memory")
    case LZMA_MEMLIMIT_ERROR:
      throw .overLimit("xz: it needs more than \(memoryLimitBytes >> 20) MiB of memory")
    case LZMA_FORMAT_ERROR: throw .corrupt("xz: no xz stream where one must begin")
    case LZMA_OPTIONS_ERROR: throw .corrupt("xz: it uses options that liblzma does not know")
    case LZMA_DATA_ERROR: throw .corrupt("xz: the data or its checksum is wrong")
    case let other: throw .corrupt("xz: error \(other.rawValue)")
    }
    return (source.count - stream.pointee.avail_in, target.count - stream.pointee.avail_out)
  }
}

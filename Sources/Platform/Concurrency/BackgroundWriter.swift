// Writes a stream to a file on a separate thread while the caller produces the next bytes.
// Memory: three buffers of 4 MiB.
//
// 1. The next `write`, or `finish`, throws the error of a write on the thread.
// 2. Data is certain to be in the file only after `finish` has returned.
// 3. A regular file bypasses the page cache where possible, except for its last block. Hundreds of
//    megabytes that nobody reads at once would evict useful pages, and allocating fresh pages is slow
//    in virtual machines. The final sync also has little left to do.

/// Writes a file sequentially. Belongs to one thread at a time.
public final class BackgroundWriter {
  /// A file to write.
  public enum Target: Sendable {
    /// A new, empty file; it stays open as long as the writer may write.
    case newFile(Descriptor)
    /// Standard output, or another descriptor that nobody closes: a pipe, a terminal, a file.
    case open(Int32)

    fileprivate var raw: Int32 {
      switch self {
      case .newFile(let file): file.raw
      case .open(let raw): raw
      }
    }

    fileprivate var isNew: Bool { if case .newFile = self { true } else { false } }
  }

  private static let bufferBytes = 4 << 20

  private let fileSystem: any FileSystem
  private let target: Target
  private let buffers: [UnsafeMutableRawBufferPointer]
  /// The buffer that is being filled, and the number of bytes in it.
  private var current = 0
  private var filled = 0
  private let thread: BufferPipeline
  private let failure = Monitor<SystemError?>(nil)
  /// The number of bytes passed to `write`.
  public private(set) var countBytes: UInt64 = 0

  /// Creates a writer and starts its thread.
  public init(_ fileSystem: any FileSystem, _ target: Target) {
    self.fileSystem = fileSystem
    self.target = target
    buffers = (0..<BufferPipeline.rangeCount).map { _ in
      .allocate(byteCount: BackgroundWriter.bufferBytes, alignment: 4096)
    }
    let isDirect = Monitor(target.isNew && fileSystem.setDirect(target.raw, true))
    let written = Monitor<UInt64>(0)
    // Write a file by offset, so that a retry begins where the failed write began.
    let put = { @Sendable (bytes: UnsafeRawBufferPointer) throws(SystemError) in
      if target.isNew {
        try fileSystem.write(target.raw, at: written.withLock { $0 }, bytes)
      } else {
        try fileSystem.write(target.raw, bytes)
      }
    }
    thread = BufferPipeline { [failure] bytes in
      if failure.withLock({ $0 != nil }) { return }
      do throws(SystemError) {
        do throws(SystemError) {
          try put(bytes)
        } catch {
          // Some file systems report only at the first write that they do not support O_DIRECT.
          guard error.code == .invalid, isDirect.withLock({ $0 }),
            fileSystem.setDirect(target.raw, false)
          else { throw error }
          isDirect.withLock { $0 = false }
          try put(bytes)
        }
        written.withLock { $0 += UInt64(bytes.count) }
      } catch {
        failure.withLock { $0 = error }
      }
    }
  }

  deinit {
    thread.wait()
    for buffer in buffers { buffer.deallocate() }
  }

  /// Appends bytes. The caller may reuse the buffer after the call.
  /// - Throws: `SystemError`: an earlier write failed.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var rest = bytes
    while !rest.isEmpty {
      let remaining = UnsafeMutableRawBufferPointer(rebasing: buffers[current][filled...])
      let n = min(remaining.count, rest.count)
      remaining.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<n]))
      filled += n
      rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      if filled == BackgroundWriter.bufferBytes { try submit() }
    }
    countBytes += UInt64(bytes.count)
  }

  /// Writes the remaining bytes and waits for the thread.
  /// - Throws: `SystemError`: a write failed.
  public func finish() throws(SystemError) {
    thread.wait()
    // The last bytes are not a whole block.
    if target.isNew { _ = fileSystem.setDirect(target.raw, false) }
    try submit()
    thread.wait()
    try check()
  }

  private func submit() throws(SystemError) {
    try check()
    thread.begin(UnsafeRawBufferPointer(rebasing: buffers[current][..<filled]))
    current = (current + 1) % buffers.count
    filled = 0
  }

  private func check() throws(SystemError) {
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}

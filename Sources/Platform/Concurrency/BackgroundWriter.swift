// A stream is written to a file by a thread of its own, while what comes next is being made.
// Memory: three buffers of 4 MiB.
//
// 1. What a write of the thread meets is thrown by the next `write`, or by `finish`.
// 2. Nothing is certain to be in the file before `finish` has returned.
// 3. A regular file is written past the page cache where that is possible, but for its end: hundreds of
//    megabytes that nobody reads at once would push out what the machine needs, and fresh pages are
//    what a virtual machine is slowest at. The sync at the end finds little to do, too.

/// Writes a file from where it stands. Belongs to one thread at a time.
public final class BackgroundWriter {
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
  /// The buffer that is being filled, and how far.
  private var current = 0
  private var filled = 0
  private let thread: BufferPipeline
  private let failure = Monitor<SystemError?>(nil)
  /// Bytes that were given.
  public private(set) var countBytes: UInt64 = 0

  public init(_ fileSystem: any FileSystem, _ target: Target) {
    self.fileSystem = fileSystem
    self.target = target
    buffers = (0..<BufferPipeline.rangeCount).map { _ in
      .allocate(byteCount: BackgroundWriter.bufferBytes, alignment: 4096)
    }
    let isDirect = Monitor(target.isNew && fileSystem.setDirect(target.raw, true))
    let written = Monitor<UInt64>(0)
    // A file is written by offsets: what is tried again then begins where it began before.
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
          // Some file systems find out at the first write that they cannot.
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

  /// Adds bytes. They may be used again when this returns.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var rest = bytes
    while !rest.isEmpty {
      let room = UnsafeMutableRawBufferPointer(rebasing: buffers[current][filled...])
      let n = min(room.count, rest.count)
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<n]))
      filled += n
      rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      if filled == BackgroundWriter.bufferBytes { try hand() }
    }
    countBytes += UInt64(bytes.count)
  }

  /// Waits until all is written.
  public func finish() throws(SystemError) {
    thread.wait()
    // The end is no whole block.
    if target.isNew { _ = fileSystem.setDirect(target.raw, false) }
    try hand()
    thread.wait()
    try check()
  }

  private func hand() throws(SystemError) {
    try check()
    thread.begin(UnsafeRawBufferPointer(rebasing: buffers[current][..<filled]))
    current = (current + 1) % buffers.count
    filled = 0
  }

  private func check() throws(SystemError) {
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}

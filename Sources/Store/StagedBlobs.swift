// Blobs that lie ready: while a bundle is read into the store, its large files are also written once
// where they will be needed, so that placing one is giving it a name.
//
// 1. A staged file has no name (O_TMPFILE): nobody can see it, and it is gone with the process.
// 2. Staging is a matter of speed alone. Whatever fails, or would take more than half of the free
//    space, is forgotten, and the blob is written from the store as any other.
// 3. A file is kept under a blob's id only by whoever has hashed all that was written to it.

import Codec
import Platform

/// Files without a name on one file system, by the blob that they hold. Any thread may call it.
public final class StagedBlobs: Sendable {
  public static let leastBytes: UInt64 = 4 << 20
  private static let maxFiles = 64

  private struct State {
    var files: [Digest: (file: StagedFile, sizeBytes: UInt64)] = [:]
    var leftBytes: UInt64
    var isPossible = true
  }

  private let fileSystem: any FileSystem
  private let directory: Descriptor
  private let state: Monitor<State>

  /// - Parameter directory: on the file system where the blobs will be needed.
  public init(_ fileSystem: any FileSystem, on directory: Descriptor) {
    self.fileSystem = fileSystem
    self.directory = directory
    let freeBytes = (try? fileSystem.freeBytes(directory.raw)) ?? 0
    state = Monitor(State(leftBytes: freeBytes / 2))
  }

  /// A file to write a blob of that size to; nil where it is not worth it, or not possible.
  public func begin(sizeBytes: UInt64) -> StagedFile? {
    let isWanted = state.withLock { state in
      guard state.isPossible, sizeBytes >= StagedBlobs.leastBytes, sizeBytes <= state.leftBytes,
        state.files.count < StagedBlobs.maxFiles
      else { return false }
      state.leftBytes -= sizeBytes
      return true
    }
    guard isWanted else { return nil }
    if let file = StagedFile(fileSystem, in: directory) { return file }
    state.withLock { $0.isPossible = false }
    return nil
  }

  /// Keeps a file that holds the whole blob.
  public func keep(_ file: StagedFile, as blob: Digest, sizeBytes: UInt64) {
    guard file.finish(sizeBytes: sizeBytes) else { return }
    state.withLock { $0.files[blob] = (file, sizeBytes) }
  }

  /// The file that holds the blob, for one taker.
  public func take(_ blob: Digest, sizeBytes: UInt64) -> Descriptor? {
    state.withLock { state in
      guard let staged = state.files[blob], staged.sizeBytes == sizeBytes else { return nil }
      state.files[blob] = nil
      return staged.file.descriptor
    }
  }
}

/// One file that is being written, by a thread of its own, past the page cache where that is possible:
/// the bytes are read again by nobody soon.
///
/// Memory: three buffers of 4 MiB while it is written.
public final class StagedFile: Sendable {
  private static let bufferBytes = 4 << 20
  private static let alignment = 4096

  private final class Buffer: @unchecked Sendable {  // handed over under the monitor's lock
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: StagedFile.bufferBytes, alignment: StagedFile.alignment)
    var count = 0
    deinit { bytes.deallocate() }
  }

  private struct State {
    var filling: Buffer?
    var free = [Buffer(), Buffer(), Buffer()]
    var full: [Buffer] = []
    var isWriting = false
    var hasFailed = false
    var isOver = false
  }

  let descriptor: Descriptor
  private let fileSystem: any FileSystem
  private let state = Monitor(State())

  fileprivate init?(_ fileSystem: any FileSystem, in directory: Descriptor) {
    self.fileSystem = fileSystem
    let here = Array(".".utf8)
    // tmpfs and others know no way past the page cache.
    guard
      let file = (try? fileSystem.openFile(at: directory.raw, here, [.write, .nameless, .direct]))
        ?? (try? fileSystem.openFile(at: directory.raw, here, [.write, .nameless]))
    else { return nil }
    descriptor = file
    startDetachedThread { [fileSystem, state] in
      StagedFile.work(state) { offset, bytes throws(SystemError) in
        try fileSystem.write(file.raw, at: offset, bytes)
      }
    }
  }

  deinit { state.update { $0.isOver = true } }

  /// Adds bytes. They may be used again when this returns.
  public func write(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      let buffer = state.wait { state -> Buffer?? in
        if state.hasFailed { return .some(nil) }
        if let filling = state.filling { return filling }
        guard let free = state.free.popLast() else { return nil }
        state.filling = free
        return free
      }
      guard let buffer else { return }
      let n = min(rest.count, buffer.bytes.count - buffer.count)
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[buffer.count...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<n]))
      buffer.count += n
      rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      if buffer.count == buffer.bytes.count { hand(buffer) }
    }
  }

  private func hand(_ buffer: Buffer) {
    state.update { state in
      state.full.append(buffer)
      state.filling = nil
    }
  }

  /// Writes what is left.
  /// - Returns: whether the file holds all that was given, `sizeBytes` bytes.
  fileprivate func finish(sizeBytes: UInt64) -> Bool {
    if let last = state.withLock({ $0.filling }), last.count > 0 {
      // A write past the page cache has whole blocks; what is too much is cut off again.
      let padded = (last.count + StagedFile.alignment - 1) & ~(StagedFile.alignment - 1)
      UnsafeMutableRawBufferPointer(rebasing: last.bytes[last.count..<padded])
        .initializeMemory(as: UInt8.self, repeating: 0)
      last.count = padded
      hand(last)
    }
    let isWritten = state.wait { state -> Bool? in
      if state.hasFailed { return false }
      return state.full.isEmpty && !state.isWriting ? true : nil
    }
    state.update { state in
      state.isOver = true
      state.free = []
    }
    guard isWritten else { return false }
    return (try? fileSystem.truncate(descriptor.raw, to: sizeBytes)) != nil
  }

  private static func work(
    _ state: Monitor<State>,
    _ write: (_ offset: UInt64, UnsafeRawBufferPointer) throws(SystemError) -> Void
  ) {
    var offset: UInt64 = 0
    while true {
      let next = state.wait { state -> Buffer?? in
        if !state.full.isEmpty {
          state.isWriting = true
          return state.full.removeFirst()
        }
        return state.isOver ? .some(nil) : nil
      }
      guard let buffer = next else { return }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<buffer.count])
      let hasFailed = (try? write(offset, bytes)) == nil
      offset += UInt64(buffer.count)
      buffer.count = 0
      state.update { state in
        state.isWriting = false
        if hasFailed { state.hasFailed = true }
        if !state.isOver { state.free.append(buffer) }
      }
      if hasFailed { return }
    }
  }
}

// Packs being written: frames appended in any order, the file named by its SHA-256 when it is full.
//
// 1. A pack becomes visible (renamed into packs/) only complete and synced.
// 2. One frame at a time is appended, under the lock; compression happens outside it.
// 3. The rows for the index are collected here and inserted once, after the packs are durable.

import Codec
import Platform

/// A frame's place in its pack.
struct PackedFrame: Sendable {
  let offset: UInt64
  let frameBytes: Int
  let rawBytes: Int
  let objects: [(kind: ObjectKind, id: Digest, length: Int)]
}

/// A finished pack: its name and its frames.
struct FinishedPack: Sendable {
  let name: Digest
  let sizeBytes: UInt64
  let frames: [PackedFrame]
}

enum PackFormat {
  static let headerBytes = 16
  static let headerFront: [UInt8] = Array("IMGPACK".utf8) + [0, 1, 0, 0, 0]

  /// "IMGPACK" and a byte, the version, and the zstd level that all frames have at least (0: not
  /// said), so that `optimize` need not do its work twice.
  static func header(level: UInt32) -> [UInt8] {
    headerFront + (0..<4).map { UInt8(truncatingIfNeeded: level >> ($0 * 8)) }
  }

  static func level(of header: [UInt8]) -> UInt32? {
    guard header.count >= headerBytes, header.starts(with: headerFront) else { return nil }
    return (0..<4).reduce(0) { $0 | UInt32(header[12 + $1]) << UInt32($1 * 8) }
  }
  static let targetBytes: UInt64 = 128 << 20
}

/// Appends frames to packs. Any thread may call it.
final class PackWriter: Sendable {
  private struct Open: ~Copyable {
    let temporary: TemporaryFile
    var hash = SHA256()
    var offset: UInt64 = 0
    var syncedTo: UInt64 = 0
    var frames: [PackedFrame] = []
    init(_ temporary: TemporaryFile) { self.temporary = temporary }
  }

  private struct State: ~Copyable {
    var open: Open?
    var writtenBytes: UInt64 = 0
    /// A write failed: frames are lost, so nothing that relies on them may be committed.
    var broken: SystemError?
  }

  private final class Box: @unchecked Sendable {  // touched with the monitor's lock held
    var state = State()
  }

  private let layout: Layout
  private let behind: WriteBehind
  private let box: Monitor<Box>
  private let finished = Monitor<[FinishedPack]>([])

  private let level: UInt32
  private let index: Index

  /// - Parameter level: what the packs say of the level of their frames.
  init(_ layout: Layout, _ index: Index, level: UInt32 = 0) {
    self.layout = layout
    self.index = index
    self.level = level
    behind = WriteBehind(layout.fileSystem)
    box = Monitor(Box())
  }

  var packs: [FinishedPack] { finished.withLock { $0 } }
  var writtenBytes: UInt64 { box.withLock { $0.state.writtenBytes } }

  func append(
    _ header: [UInt8], _ payload: UnsafeRawBufferPointer, raw: Int,
    objects: [(kind: ObjectKind, id: Digest, length: Int)]
  ) throws(StoreError) {
    let full = try explaining(layout.name) { () throws(SystemError) in
      try box.withLock { box throws(SystemError) -> Detached? in
        if let broken = box.state.broken { throw broken }
        if box.state.open == nil { box.state.open = try start() }
        guard var open = box.state.open.take() else { return nil }
        let offset = open.offset
        do throws(SystemError) {
          try write(&open, header)
          try write(&open, payload)
        } catch {
          open.temporary.discard()
          box.state.broken = error
          throw error
        }
        open.frames.append(
          PackedFrame(
            offset: offset, frameBytes: header.count + payload.count, rawBytes: raw,
            objects: objects))
        box.state.writtenBytes += UInt64(header.count + payload.count)
        if open.offset - open.syncedTo >= WriteBehind.rangeBytes {
          behind.enqueue(
            open.temporary.file, offset: open.syncedTo, count: open.offset - open.syncedTo)
          open.syncedTo = open.offset
        }
        if open.offset >= PackFormat.targetBytes { return Detached(open) }
        box.state.open = consume open
        return nil
      }
    }
    if let full { try finish(full) }
  }

  /// Ends the pack under way, if any.
  func finishLast() throws(StoreError) {
    let last = box.withLock { box -> Detached? in
      guard let open = box.state.open.take() else { return nil }
      return Detached(open)
    }
    if let last { try finish(last) }
  }

  /// Removes the pack under way, if any.
  func abandon() {
    box.withLock { box in
      if let open = box.state.open.take() { open.temporary.discard() }
    }
  }

  // MARK: One pack

  /// What is left of an open pack when no more is appended.
  private struct Detached: Sendable {
    let temporary: TemporaryFile
    let name: Digest
    let sizeBytes: UInt64
    let frames: [PackedFrame]
    init(_ open: consuming Open) {
      temporary = open.temporary
      sizeBytes = open.offset
      frames = open.frames
      name = open.hash.finish()
    }
  }

  private func start() throws(SystemError) -> Open {
    var open = Open(try TemporaryFile(layout))
    try write(&open, PackFormat.header(level: level))
    return open
  }

  private func write(_ open: inout Open, _ bytes: [UInt8]) throws(SystemError) {
    try layout.fileSystem.write(open.temporary.file.raw, bytes)
    open.hash.update(bytes)
    open.offset += UInt64(bytes.count)
  }

  private func write(_ open: inout Open, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    try layout.fileSystem.write(open.temporary.file.raw, bytes)
    open.hash.update(bytes)
    open.offset += UInt64(bytes.count)
  }

  private func finish(_ pack: Detached) throws(StoreError) {
    do throws(StoreError) {
      try explaining("pack \(pack.name.shortHex)") { () throws(SystemError) in
        try layout.fileSystem.sync(pack.temporary.file.raw)
      }
      try index.publish(pack.temporary, as: pack.name, sizeBytes: pack.sizeBytes)
    } catch {
      pack.temporary.discard()
      if case .system(let cause) = error.kind {
        box.withLock { $0.state.broken = cause }
      } else {
        box.withLock { $0.state.broken = SystemError(code: .inputOutput, "publish a pack", []) }
      }
      throw error
    }
    finished.update {
      $0.append(FinishedPack(name: pack.name, sizeBytes: pack.sizeBytes, frames: pack.frames))
    }
  }
}

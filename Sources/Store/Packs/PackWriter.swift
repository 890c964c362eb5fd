// Writes packs: frames are appended in any order, and the file is named by its SHA-256 when it is full.
//
// 1. A pack becomes visible (renamed into packs/) only when it is complete and synced.
// 2. Frames are appended one at a time under the lock. Compression happens outside the lock.
// 3. The rows for the index are collected and inserted once, after the packs are durable.

import Codec
import Platform

/// Describes a frame: its location in the pack, its sizes and its objects.
struct PackedFrame: Sendable {
  let offset: UInt64
  let frameBytes: Int
  let rawBytes: Int
  /// 0 for a frame without a base (`FrameBase`).
  let depth: UInt8
  let objects: [(kind: ObjectKind, id: Digest, length: Int)]
}

/// Describes a finished pack: its name and its frames.
struct FinishedPack: Sendable {
  let name: Digest
  let sizeBytes: UInt64
  let frames: [PackedFrame]
}

/// Constants and header of a pack file (docs/format.md, "Packs").
public enum PackFormat {
  static let headerBytes = 16
  /// The bytes of a pack's header before its level.
  public static let headerFront: [UInt8] = Array("IMGPACK".utf8) + [0, 1, 0, 0, 0]

  /// Returns a pack header: "IMGPACK", a zero byte, the version, and the zstd level.
  ///
  /// The level is the minimum of all frames, or 0 if unknown. It saves `optimize` from compressing a pack
  /// twice.
  public static func header(level: UInt32) -> [UInt8] {
    headerFront + (0..<4).map { UInt8(truncatingIfNeeded: level >> ($0 * 8)) }
  }

  /// Returns the level that a pack header records; nil if the bytes are not a pack header.
  static func level(of header: [UInt8]) -> UInt32? {
    guard header.count >= headerBytes, header.starts(with: headerFront) else { return nil }
    return (0..<4).reduce(0) { $0 | UInt32(header[12 + $1]) << UInt32($1 * 8) }
  }
  /// A pack is finished when it has this many bytes.
  static let targetBytes: UInt64 = 128 << 20
}

/// Appends frames to packs. All methods may be called from any thread.
final class PackWriter: Sendable {
  fileprivate struct OpenPack: ~Copyable {
    let temporary: TemporaryFile
    var hash = SHA256()
    var offset: UInt64 = 0
    var syncedTo: UInt64 = 0
    var frames: [PackedFrame] = []
    init(_ temporary: TemporaryFile) { self.temporary = temporary }
  }

  private struct State: ~Copyable {
    var open: OpenPack?
    var writtenBytes: UInt64 = 0
    /// The error of a failed write. Frames are lost then, so nothing that depends on them may be committed.
    var writeError: SystemError?
  }

  private final class Box: @unchecked Sendable {  // touched with the monitor's lock held
    var state = State()
  }

  private let layout: Layout
  private let writeBehind: WriteBehind
  private let box: Monitor<Box>
  private let finished = Monitor<[FinishedPack]>([])
  private let isFormatRaised = Monitor(false)

  private let level: UInt32
  private let targetBytes: UInt64
  private let index: Index

  /// Creates a writer.
  /// - Parameters:
  ///   - level: the minimum zstd level of the frames, recorded in the packs; 0 if unknown.
  ///   - targetBytes: a pack of this size is finished.
  init(
    _ layout: Layout, _ index: Index, level: UInt32 = 0,
    targetBytes: UInt64 = PackFormat.targetBytes
  ) {
    self.targetBytes = targetBytes
    self.layout = layout
    self.index = index
    self.level = level
    writeBehind = WriteBehind(layout.fileSystem)
    box = Monitor(Box())
  }

  /// Returns the packs finished so far.
  var packs: [FinishedPack] { finished.withLock { $0 } }
  /// Returns the number of frame bytes appended so far.
  var writtenBytes: UInt64 { box.withLock { $0.state.writtenBytes } }

  /// Appends a frame to the current pack, and finishes the pack if it is full.
  /// - Throws: `StoreError` if this write or an earlier one failed.
  func append(
    _ header: [UInt8], _ payload: UnsafeRawBufferPointer, raw: Int, depth: UInt8,
    objects: [(kind: ObjectKind, id: Digest, length: Int)]
  ) throws(StoreError) {
    let full = try appendOnly(header, payload, raw: raw, depth: depth, objects: objects)
    if let full { try finish(full) }
  }

  /// Appends a frame to the current pack, and returns the pack if it is full. The caller must pass it to `finish`,
  /// on any thread: the next frame goes into a new pack at once.
  /// - Throws: as `append`.
  func appendOnly(
    _ header: [UInt8], _ payload: UnsafeRawBufferPointer, raw: Int, depth: UInt8,
    objects: [(kind: ObjectKind, id: Digest, length: Int)]
  ) throws(StoreError) -> CompletePack? {
    if depth > 0 { try recordBasesInFormat() }
    return try mapSystemErrors(layout.name) { () throws(SystemError) in
      try box.withLock { box throws(SystemError) -> CompletePack? in
        if let writeError = box.state.writeError { throw writeError }
        if box.state.open == nil { box.state.open = try start() }
        guard var open = box.state.open.take() else { return nil }
        let offset = open.offset
        do throws(SystemError) {
          try write(&open, header)
          try write(&open, payload)
        } catch {
          open.temporary.discard()
          box.state.writeError = error
          throw error
        }
        open.frames.append(
          PackedFrame(
            offset: offset, frameBytes: header.count + payload.count, rawBytes: raw,
            depth: depth, objects: objects))
        box.state.writtenBytes += UInt64(header.count + payload.count)
        if open.offset - open.syncedTo >= WriteBehind.rangeBytes {
          writeBehind.enqueue(
            open.temporary.file, offset: open.syncedTo, count: open.offset - open.syncedTo)
          open.syncedTo = open.offset
        }
        if open.offset >= targetBytes { return CompletePack(open) }
        box.state.open = consume open
        return nil
      }
    }
  }

  /// Records in the store's format that it has frames with bases, which older programs cannot read.
  private func recordBasesInFormat() throws(StoreError) {
    try isFormatRaised.withLock { isRaised throws(StoreError) in
      if isRaised { return }
      try StoreFormat.upgrade(layout, to: StoreFormat.versionWithBases)
      isRaised = true
    }
  }

  /// Finishes the current pack, if there is one.
  func finishLast() throws(StoreError) {
    let last = box.withLock { box -> CompletePack? in
      guard let open = box.state.open.take() else { return nil }
      return CompletePack(open)
    }
    if let last { try finish(last) }
  }

  /// Deletes the current pack, if there is one.
  func abandon() {
    box.withLock { box in
      if let open = box.state.open.take() { open.temporary.discard() }
    }
  }

  // MARK: One pack

  /// The parts of an open pack that remain when no more frames are appended.
  struct CompletePack: Sendable {
    fileprivate let temporary: TemporaryFile
    fileprivate let name: Digest
    fileprivate let sizeBytes: UInt64
    fileprivate let frames: [PackedFrame]
    fileprivate init(_ open: consuming OpenPack) {
      temporary = open.temporary
      sizeBytes = open.offset
      frames = open.frames
      name = open.hash.finish()
    }
  }

  private func start() throws(SystemError) -> OpenPack {
    var open = OpenPack(try TemporaryFile(layout))
    try write(&open, PackFormat.header(level: level))
    return open
  }

  private func write(_ open: inout OpenPack, _ bytes: [UInt8]) throws(SystemError) {
    try layout.fileSystem.write(open.temporary.file.raw, bytes)
    open.hash.update(bytes)
    open.offset += UInt64(bytes.count)
  }

  private func write(_ open: inout OpenPack, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    try layout.fileSystem.write(open.temporary.file.raw, bytes)
    open.hash.update(bytes)
    open.offset += UInt64(bytes.count)
  }

  /// Syncs and publishes a pack.
  /// - Throws: `StoreError`; the writer accepts no more frames then.
  func finish(_ pack: CompletePack) throws(StoreError) {
    do throws(StoreError) {
      try mapSystemError(
        "pack \(pack.name.shortHex)", try layout.fileSystem.sync(pack.temporary.file.raw))
      // An older program may have written its own version since the first frame with a base.
      if pack.frames.contains(where: { $0.depth > 0 }) {
        try StoreFormat.upgrade(layout, to: StoreFormat.versionWithBases)
      }
      try index.publish(pack.temporary, as: pack.name, sizeBytes: pack.sizeBytes)
    } catch {
      pack.temporary.discard()
      if case .system(let cause) = error.kind {
        box.withLock { $0.state.writeError = cause }
      } else {
        box.withLock { $0.state.writeError = SystemError(code: .inputOutput, "publish a pack", []) }
      }
      throw error
    }
    finished.update {
      $0.append(FinishedPack(name: pack.name, sizeBytes: pack.sizeBytes, frames: pack.frames))
    }
  }
}

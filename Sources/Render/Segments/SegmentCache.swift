// The segment cache: encoded stretches of renderings, by key (docs/format.md, "The segment cache").
//
// 1. It may be deleted or scribbled over at any moment: what its checksum does not vouch for is a
//    miss, and a miss costs time only. No call of it ever fails.
// 2. Its files are appended to by one process at a time and read by any number; a torn tail, the
//    end of a killed process, is cut off by the next one that appends.
// 3. It stays below its limit, and never takes more than half of what is free on the disk.
// 4. What is asked for stays: a hit in a file that is next to be evicted is written again.

import Codec
import Platform
import Store

/// Encoded bytes under keys. Any thread may call it.
public final class SegmentCache: Sendable {
  /// The limit where nobody sets one.
  public static let defaultLimitBytes: UInt64 = 8 << 30
  /// Files are appended to until they are this long.
  private static let fileBytes: UInt64 = 256 << 20

  private let fileSystem: any FileSystem
  private let folder: Descriptor?
  private let limitBytes: UInt64
  private let state: Monitor<State>

  private struct Place {
    let file: UInt64
    let offset: UInt64
    let lengthBytes: Int
  }

  private struct State {
    var files: [UInt64: SegmentFile] = [:]
    var places: [Digest: Place] = [:]
    var current: UInt64?
    /// Files up to this number are the next to go: hits in them are written again.
    var evictionBoundary: UInt64 = 0
    var isReadOnly = false
  }

  /// Opens the cache in the store's folder `cache`; an unusable one is an empty one.
  /// - Parameter limitBytes: 0 keeps nothing.
  public init(_ layout: Layout, limitBytes: UInt64 = SegmentCache.defaultLimitBytes) {
    fileSystem = layout.fileSystem
    folder = SegmentCache.openFolder(layout)
    var state = State()
    if let folder {
      for number in SegmentCache.numbers(fileSystem, folder) {
        guard let file = SegmentFile(reading: number, fileSystem, folder) else { continue }
        state.files[number] = file
        for record in file.scan() {
          state.places[record.key] = Place(
            file: number, offset: record.offset, lengthBytes: record.lengthBytes)
        }
      }
    }
    let usedBytes = state.files.values.reduce(0) { $0 + $1.endBytes }
    let freeBytes = folder.flatMap { try? layout.fileSystem.freeBytes($0.raw) } ?? 0
    self.limitBytes = min(limitBytes, usedBytes + freeBytes / 2)
    state.isReadOnly = folder == nil || limitBytes == 0
    self.state = Monitor(state)
    self.state.withLock { markEndangered(&$0) }
  }

  /// Removes the cache, as anybody may at any moment.
  public static func remove(_ layout: Layout) {
    removeFolder(layout.fileSystem, layout.cache, folderName)
  }

  /// Bytes on disk.
  public var sizeBytes: UInt64 {
    state.withLock { $0.files.values.reduce(0) { $0 + $1.endBytes } }
  }

  /// The bytes that were put under `key`, or nil.
  public func find(_ key: Digest) -> [UInt8]? {
    let found = state.withLock { state -> (Place, SegmentFile, Bool)? in
      guard let place = state.places[key], let file = state.files[place.file] else { return nil }
      return (place, file, place.file <= state.evictionBoundary)
    }
    guard let (place, file, isEndangered) = found else { return nil }
    guard let bytes = file.read(key, at: place.offset, lengthBytes: place.lengthBytes) else {
      state.withLock { state in
        if state.places[key]?.file == place.file { state.places[key] = nil }
      }
      return nil
    }
    if isEndangered { append(key, bytes, isAgain: true) }
    return bytes
  }

  /// Keeps bytes under `key`, unless something is kept there already, or there is no room.
  public func put(_ key: Digest, _ bytes: [UInt8]) { append(key, bytes, isAgain: false) }

  private func append(_ key: Digest, _ bytes: [UInt8], isAgain: Bool) {
    state.withLock { state in
      if state.isReadOnly || bytes.count > SegmentFile.maxBytes { return }
      if let place = state.places[key], !isAgain || place.file > state.evictionBoundary { return }
      guard let number = fileToAppend(&state), let file = state.files[number] else {
        state.isReadOnly = true
        return
      }
      guard let offset = file.append(key, bytes) else {
        // The disk is full or fails: whoever renders goes on without the cache.
        state.isReadOnly = true
        return
      }
      state.places[key] = Place(file: number, offset: offset, lengthBytes: bytes.count)
    }
  }

  // MARK: Files

  /// The file to append to: the newest while there is room in it and nobody else's, else a new one.
  private func fileToAppend(_ state: inout State) -> UInt64? {
    if let current = state.current, let file = state.files[current],
      file.endBytes < SegmentCache.fileBytes
    {
      return current
    }
    guard let folder else { return nil }
    evict(&state)
    let newest = state.files.keys.max() ?? 0
    if state.current == nil, let file = state.files[newest],
      file.endBytes < SegmentCache.fileBytes, newest > state.evictionBoundary,
      let own = SegmentFile(appendingTo: newest, fileSystem, folder)
    {
      // Another process may have appended since it was scanned.
      for record in own.scan() {
        state.places[record.key] = Place(
          file: newest, offset: record.offset, lengthBytes: record.lengthBytes)
      }
      guard own.cutTail() else { return nil }
      state.files[newest] = own
      state.current = newest
      return newest
    }
    for number in newest + 1...newest + 100 {
      if let file = SegmentFile(creating: number, fileSystem, folder) {
        state.files[number] = file
        state.current = number
        return number
      }
    }
    return nil
  }

  /// Removes the oldest files while the cache, with one more file, would be over its limit.
  private func evict(_ state: inout State) {
    guard let folder else { return }
    var total = state.files.values.reduce(0) { $0 + $1.endBytes }
    let room = min(SegmentCache.fileBytes, limitBytes / 4)
    for number in state.files.keys.sorted() {
      guard total + room > limitBytes, let file = state.files[number] else { break }
      total -= file.endBytes
      state.files[number] = nil
      if state.current == number { state.current = nil }
      try? fileSystem.remove(at: folder.raw, SegmentFile.name(number), isDirectory: false)
    }
    let left = Set(state.files.keys)
    state.places = state.places.filter { left.contains($0.value.file) }
    markEndangered(&state)
  }

  /// The oldest files that the next `evict` calls would take, when the cache grows by a quarter.
  private func markEndangered(_ state: inout State) {
    var total = state.files.values.reduce(0) { $0 + $1.endBytes }
    state.evictionBoundary = 0
    for number in state.files.keys.sorted() where number != state.current {
      guard total > limitBytes / 4 * 3, let file = state.files[number] else { break }
      total -= file.endBytes
      state.evictionBoundary = number
    }
  }

  private static let folderName = Array("segments".utf8)

  private static func openFolder(_ layout: Layout) -> Descriptor? {
    try? layout.fileSystem.makeDirectory(at: layout.cache.raw, folderName, mode: 0o700)
    return try? layout.fileSystem.openDirectory(at: layout.cache.raw, folderName)
  }

  /// The numbers of the files that are there, in order.
  private static func numbers(_ fileSystem: any FileSystem, _ folder: Descriptor) -> [UInt64] {
    ((try? fileSystem.names(of: folder.raw)) ?? []).compactMap { name in
      guard let number = UInt64(String(decoding: name, as: UTF8.self), radix: 16), number > 0,
        SegmentFile.name(number) == name
      else { return nil }
      return number
    }.sorted()
  }
}

/// Blocks of squashfs images stand among the segments.
extension SegmentCache: BlockCache {}

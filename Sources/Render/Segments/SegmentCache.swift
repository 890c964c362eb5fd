// The segment cache: encoded segments of renderings, by key (docs/format.md, "The segment cache").
//
// 1. It may be deleted or overwritten at any moment. A segment whose checksum does not match is a
//    miss, and a miss only costs time. No call ever fails.
// 2. One process at a time appends to its files, and any number read them. The next process that
//    appends truncates the torn tail of a killed one.
// 3. It stays below its limit, and never uses more than half of the free space on the disk.
// 4. Frequently used segments stay: a hit in a file that will soon be evicted is written again.

import Codec
import Platform
import Store

/// A cache of encoded segments. Any thread may call it.
public final class SegmentCache: Sendable {
  /// The default limit in bytes.
  public static let defaultLimitBytes: UInt64 = 8 << 30
  /// The size at which a file is complete.
  private static let fileBytes: UInt64 = 256 << 20

  private let fileSystem: any FileSystem
  private let directory: Descriptor?
  private let limitBytes: UInt64
  private let state: Monitor<State>

  private struct Location {
    let file: UInt64
    let offset: UInt64
    let lengthBytes: Int
  }

  private struct State {
    var files: [UInt64: SegmentFile] = [:]
    var locations: [Digest: Location] = [:]
    var current: UInt64?
    /// The highest number of the files that are evicted next. Hits in them are written again.
    var evictionBoundary: UInt64 = 0
    var isReadOnly = false
  }

  /// Opens the cache in the store's directory `cache`. An unusable cache behaves like an empty one.
  /// - Parameters:
  ///   - layout: the store's directories.
  ///   - limitBytes: the maximum size; 0 stores nothing.
  ///   - name: the directory in `cache`.
  ///   - caches: the directory in place of `cache`; nil for that of the store.
  public init(
    _ layout: Layout, limitBytes: UInt64 = SegmentCache.defaultLimitBytes,
    named name: String = SegmentCache.segmentsName, in caches: Descriptor? = nil
  ) {
    fileSystem = layout.fileSystem
    directory = SegmentCache.openCacheDirectory(
      layout.fileSystem, caches ?? layout.cache, Array(name.utf8))
    var state = State()
    if let directory {
      for number in SegmentCache.numbers(fileSystem, directory) {
        guard let file = SegmentFile(reading: number, fileSystem, directory) else { continue }
        state.files[number] = file
        for record in file.scan() {
          state.locations[record.key] = Location(
            file: number, offset: record.offset, lengthBytes: record.lengthBytes)
        }
      }
    }
    let usedBytes = state.files.values.reduce(0) { $0 + $1.endBytes }
    let freeBytes = directory.flatMap { try? layout.fileSystem.freeBytes($0.raw) } ?? 0
    self.limitBytes = min(limitBytes, usedBytes + freeBytes / 2)
    state.isReadOnly = directory == nil || limitBytes == 0
    self.state = Monitor(state)
    self.state.withLock { updateEvictionBoundary(&$0) }
  }

  /// Removes the cache. This is allowed at any moment.
  public static func remove(_ layout: Layout) {
    removeDirectory(layout.fileSystem, layout.cache, Array(segmentsName.utf8))
  }

  /// The size of the cache on disk in bytes.
  public var sizeBytes: UInt64 {
    state.withLock { $0.files.values.reduce(0) { $0 + $1.endBytes } }
  }

  /// Returns the bytes under `key`, or nil.
  public func find(_ key: Digest) -> [UInt8]? {
    let hit = state.withLock { state -> (Location, SegmentFile, Bool)? in
      guard let location = state.locations[key], let file = state.files[location.file] else {
        return nil
      }
      return (location, file, location.file <= state.evictionBoundary)
    }
    guard let (location, file, isEvictedSoon) = hit else { return nil }
    guard let bytes = file.read(key, at: location.offset, lengthBytes: location.lengthBytes) else {
      state.withLock { state in
        if state.locations[key]?.file == location.file { state.locations[key] = nil }
      }
      return nil
    }
    if isEvictedSoon { append(key, bytes, isRefresh: true) }
    return bytes
  }

  /// Stores bytes under `key`, unless the key exists or no space is left.
  public func put(_ key: Digest, _ bytes: [UInt8]) { append(key, bytes, isRefresh: false) }

  private func append(_ key: Digest, _ bytes: [UInt8], isRefresh: Bool) {
    state.withLock { state in
      if state.isReadOnly || bytes.count > SegmentFile.maxBytes { return }
      if let location = state.locations[key], !isRefresh || location.file > state.evictionBoundary {
        return
      }
      guard let number = fileToAppend(&state), let file = state.files[number] else {
        state.isReadOnly = true
        return
      }
      guard let offset = file.append(key, bytes) else {
        // The disk is full or fails: rendering continues without the cache.
        state.isReadOnly = true
        return
      }
      state.locations[key] = Location(file: number, offset: offset, lengthBytes: bytes.count)
    }
  }

  // MARK: Files

  /// Returns the file to append to: the newest if it has space and no other process uses it,
  /// otherwise a new one.
  private func fileToAppend(_ state: inout State) -> UInt64? {
    if let current = state.current, let file = state.files[current],
      file.endBytes < SegmentCache.fileBytes
    {
      return current
    }
    guard let directory else { return nil }
    evict(&state)
    let newest = state.files.keys.max() ?? 0
    if state.current == nil, let file = state.files[newest],
      file.endBytes < SegmentCache.fileBytes, newest > state.evictionBoundary,
      let own = SegmentFile(appendingTo: newest, fileSystem, directory)
    {
      // Another process may have appended since the scan.
      for record in own.scan() {
        state.locations[record.key] = Location(
          file: newest, offset: record.offset, lengthBytes: record.lengthBytes)
      }
      guard own.truncateTail() else { return nil }
      state.files[newest] = own
      state.current = newest
      return newest
    }
    for number in newest + 1...newest + 100 {
      if let file = SegmentFile(creating: number, fileSystem, directory) {
        state.files[number] = file
        state.current = number
        return number
      }
    }
    return nil
  }

  /// Removes the oldest files while the cache with one more file would exceed its limit.
  private func evict(_ state: inout State) {
    guard let directory else { return }
    var total = state.files.values.reduce(0) { $0 + $1.endBytes }
    let reserve = min(SegmentCache.fileBytes, limitBytes / 4)
    for number in state.files.keys.sorted() {
      guard total + reserve > limitBytes, let file = state.files[number] else { break }
      total -= file.endBytes
      state.files[number] = nil
      if state.current == number { state.current = nil }
      try? fileSystem.remove(at: directory.raw, SegmentFile.name(number), isDirectory: false)
    }
    let left = Set(state.files.keys)
    state.locations = state.locations.filter { left.contains($0.value.file) }
    updateEvictionBoundary(&state)
  }

  /// Marks the oldest files that `evict` would remove if the cache grew by a quarter.
  private func updateEvictionBoundary(_ state: inout State) {
    var total = state.files.values.reduce(0) { $0 + $1.endBytes }
    state.evictionBoundary = 0
    for number in state.files.keys.sorted() where number != state.current {
      guard total > limitBytes / 4 * 3, let file = state.files[number] else { break }
      total -= file.endBytes
      state.evictionBoundary = number
    }
  }

  /// The directory of encoded segments.
  public static let segmentsName = "segments"

  private static func openCacheDirectory(
    _ fileSystem: any FileSystem, _ caches: Descriptor, _ name: [UInt8]
  ) -> Descriptor? {
    try? fileSystem.makeDirectory(at: caches.raw, name, mode: 0o700)
    return try? fileSystem.openDirectory(at: caches.raw, name)
  }

  /// Returns the numbers of the existing files, in order.
  private static func numbers(_ fileSystem: any FileSystem, _ directory: Descriptor) -> [UInt64] {
    ((try? fileSystem.names(of: directory.raw)) ?? []).compactMap { name in
      guard let number = UInt64(String(decoding: name, as: UTF8.self), radix: 16), number > 0,
        SegmentFile.name(number) == name
      else { return nil }
      return number
    }.sorted()
  }
}

/// The cache also stores blocks of squashfs images.
extension SegmentCache: BlockCache {}

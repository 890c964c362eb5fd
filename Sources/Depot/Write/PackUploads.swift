// Uploads packs while others are built, and then their directories.
//
// 1. At most `threads` packs are under way and as many wait, so disk and memory are bounded.
// 2. A directory is uploaded after its pack. The version of the depot is raised before the first pack that
//    has a frame with a base.
// 3. After the first error nothing more is uploaded, and every later call throws it.
// 4. With one request at a time, everything happens on the caller's thread.

import Codec
import ObjectStorage
import Platform

/// Uploads packs of one writer.
final class PackUploads: Sendable {
  private struct State {
    var waiting: [BuiltPack] = []
    var runningCount = 0
    var finished: [PackDirectory] = []
    var failure: (any Error)?
    var isClosed = false
    var uploadedBytes: UInt64 = 0
  }

  private let depot: Depot
  private var storage: any ObjectStorage { depot.storage }
  private let threadCount: Int
  private let state = Monitor(State())
  /// Directories are uploaded when so many packs have no object in `dirs/` yet.
  private static let packsPerDirectory = 8

  init(_ depot: Depot) throws {
    self.depot = depot
    let requestCount = depot.options.requestCount
    threadCount = max(1, min(requestCount / 2, 8))
    guard requestCount > 1 else { return }
    for _ in 0..<threadCount { try startDetachedThread { [self] in work() } }
    isThreaded.withLock { $0 = true }
  }

  private let isThreaded = Monitor(false)

  /// The bytes of the packs that were uploaded.
  var uploadedBytes: UInt64 { state.withLock { $0.uploadedBytes } }

  /// Uploads a pack, now or soon.
  /// - Throws: the first error of an upload.
  func add(_ pack: BuiltPack) throws {
    guard isThreaded.withLock({ $0 }) else {
      try upload(pack)
      return try uploadDirectories(atLeast: PackUploads.packsPerDirectory)
    }
    let failure = state.wait { state -> (any Error)?? in
      if let failure = state.failure { return .some(failure) }
      return state.waiting.count < self.threadCount ? .some(nil) : nil
    }
    if let failure { throw failure }
    state.update { $0.waiting.append(pack) }
    try uploadDirectories(atLeast: PackUploads.packsPerDirectory)
  }

  /// Waits until all packs and directories are uploaded.
  /// - Throws: the first error of an upload.
  func finish() throws {
    let failure = state.wait { state -> (any Error)?? in
      if let failure = state.failure { return .some(failure) }
      return state.waiting.isEmpty && state.runningCount == 0 ? .some(nil) : nil
    }
    if let failure { throw failure }
    try uploadDirectories(atLeast: 1)
  }

  /// Ends the threads. Packs that wait are dropped.
  func close() {
    state.update { state in
      state.isClosed = true
      state.waiting = []
    }
  }

  private func work() {
    while true {
      let next = state.wait { state -> BuiltPack?? in
        if state.isClosed || state.failure != nil { return .some(nil) }
        guard !state.waiting.isEmpty else { return nil }
        state.runningCount += 1
        return state.waiting.removeFirst()
      }
      guard let next else { return }
      state.update { _ in }
      let result = Result { try upload(next) }
      state.update { state in
        state.runningCount -= 1
        if case .failure(let error) = result, state.failure == nil { state.failure = error }
      }
    }
  }

  private func upload(_ pack: BuiltPack) throws {
    if pack.hasBases { try depot.requireVersionWithBases() }
    try storage.write(DepotKeys.pack(pack.directory.pack), pack.body)
    withExtendedLifetime(pack.file) {}
    state.withLock { state in
      state.finished.append(pack.directory)
      state.uploadedBytes += pack.directory.sizeBytes
    }
  }

  private func uploadDirectories(atLeast count: Int) throws {
    let directories = state.withLock { state -> [PackDirectory] in
      guard state.finished.count >= count else { return [] }
      defer { state.finished = [] }
      return state.finished
    }
    try DirectoryUpload(storage: storage).write(directories)
  }
}

/// Writes objects in `dirs/`.
struct DirectoryUpload: Sendable {
  let storage: any ObjectStorage

  /// Writes the directories in objects of a bounded size.
  /// - Returns: the names of the objects.
  @discardableResult
  func write(_ directories: [PackDirectory]) throws -> Set<Digest> {
    var names: Set<Digest> = []
    var group: [PackDirectory] = []
    var groupBytes = 0
    func flush() throws {
      guard !group.isEmpty else { return }
      let bytes = DirectoryObject.encode(group)
      let name = SHA256.digest(of: bytes)
      try storage.write(DepotKeys.directory(name), .bytes(bytes))
      names.insert(name)
      (group, groupBytes) = ([], 0)
    }
    for directory in directories.sorted(by: { $0.pack < $1.pack }) {
      // A pack whose directory alone exceeds the limit is read from the pack.
      guard directory.headers.count < DirectoryObject.maxBytes / 2 else { continue }
      if groupBytes + directory.headers.count > DirectoryObject.targetBytes { try flush() }
      group.append(directory)
      groupBytes += directory.headers.count
    }
    try flush()
    return names
  }
}

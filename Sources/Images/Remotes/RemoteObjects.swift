// The objects of a remote, for a store that reads its snapshots in place (ObjectPromisor.swift).
//
// 1. Every object but recipes is compared with its id before anybody sees it; the store compares blobs with theirs.
// 2. Memory: the objects of the last frames, up to a limit. The disk cache is bounded, too, and can be deleted.
// 3. A walk of directories fetches those below in the same request, so that it needs about one request for a
//    directory with others in it.

import Codec
import Platform
import Render
import Store
import Transfer

/// The objects of one remote. Any thread may call its methods.
final class RemoteObjects: Sendable {
  /// The limit of the cache on disk.
  static let cacheBytes: UInt64 = 1 << 30
  static let cacheName = "remotes"
  private static let maxHeldBytes = 64 << 20
  private static let maxPrefetched = 512

  private struct State {
    var held: [ObjectName: [UInt8]] = [:]
    var order: [ObjectName] = []
    var heldBytes = 0
    var absent: Set<ObjectName> = []
    /// The last tree, whose times are usually read next.
    var lastTree: [UInt8] = []
  }

  let source: any TransferSource
  private let connection: RemoteConnection
  private let store: ObjectStore
  private let cache: SegmentCache
  private let decoder = FrameDecoder()
  private let progress: Progress
  private let state = Monitor(State())

  init(_ connection: RemoteConnection, _ store: ObjectStore, _ context: Context) {
    self.connection = connection
    self.store = store
    progress = context.progress
    source = connection.source
    cache = context.segmentCache(
      store, limitBytes: RemoteObjects.cacheBytes, named: RemoteObjects.cacheName)
  }

  deinit { connection.close() }

  func object(_ name: ObjectName) throws -> [UInt8]? {
    if let bytes = state.withLock({ $0.held[name] }) { return note(name, bytes) }
    if state.withLock({ $0.absent.contains(name) }) { return nil }
    if let bytes = cached(name) { return note(name, bytes) }
    try fetch([name])
    guard let bytes = state.withLock({ $0.held[name] }) else {
      state.withLock { _ = $0.absent.insert(name) }
      return nil
    }
    return note(name, bytes)
  }

  func holds(_ name: ObjectName) throws -> Bool {
    if state.withLock({ $0.held[name] != nil }) { return true }
    if state.withLock({ $0.absent.contains(name) }) { return false }
    if cached(name) != nil { return true }
    guard name.kind == .chunk || name.kind == .recipe else { return try object(name) != nil }
    let content = try source.contents(of: [name.id]).first ?? nil
    let isThere: Bool
    switch content {
    case nil: isThere = false
    case .chunk: isThere = name.kind == .chunk
    case .recipe: isThere = name.kind == .recipe
    }
    if !isThere { state.withLock { _ = $0.absent.insert(name) } }
    return isThere
  }

  private func cached(_ name: ObjectName) -> [UInt8]? {
    guard let bytes = cache.find(RemoteObjects.key(name)),
      name.kind == .recipe || SHA256.digest(of: bytes) == name.id
    else { return nil }
    hold(name, bytes)
    return bytes
  }

  private static func key(_ name: ObjectName) -> Digest {
    SHA256.digest(
      of: Array("imgstore remote object 1\n".utf8) + [name.kind.rawValue] + name.id.bytes)
  }

  /// Fetches frames with these objects, and keeps everything in them.
  private func fetch(_ names: [ObjectName]) throws {
    try source.frames(names) { frame in
      let decoded: DecodedFrame
      do throws(CodecError) { decoded = try decoder.verify(frame) } catch {
        throw TransferError.damaged(source.name, "sent a damaged frame: \(error)")
      }
      progress.add(bytes: UInt64(frame.bytes.count))
      for object in frame.header.objects {
        let name = ObjectName(kind: object.kind, id: object.id)
        let bytes = decoded.withBytes(start: object.start, length: object.length) { [UInt8]($0) }
        hold(name, bytes)
        cache.put(RemoteObjects.key(name), bytes)
      }
    }
  }

  private func hold(_ name: ObjectName, _ bytes: [UInt8]) {
    state.withLock { state in
      guard state.held.updateValue(bytes, forKey: name) == nil else { return }
      state.order.append(name)
      state.heldBytes += bytes.count
      guard state.heldBytes > RemoteObjects.maxHeldBytes else { return }
      // Drops the older half at once, so that the list is not moved for each object.
      let dropped = state.order.prefix(state.order.count / 2)
      for name in dropped { state.heldBytes -= state.held.removeValue(forKey: name)?.count ?? 0 }
      state.order.removeFirst(dropped.count)
    }
  }

  /// Returns the bytes; after the times of a directory, fetches the directories below it.
  private func note(_ name: ObjectName, _ bytes: [UInt8]) -> [UInt8] {
    switch name.kind {
    case .tree: state.withLock { $0.lastTree = bytes }
    case .times:
      let tree = state.withLock { $0.lastTree }
      // Prefetching only saves time: its errors appear where the objects are read.
      if let below = Tree.directories(tree: tree, times: bytes) { try? prefetch(below) }
    default: break
    }
    return bytes
  }

  private func prefetch(_ directories: [Tree.IDs]) throws {
    var missing: [ObjectName] = []
    for ids in directories {
      for name in [
        ObjectName(kind: .tree, id: ids.tree), ObjectName(kind: .times, id: ids.times),
      ] where try missing.count < RemoteObjects.maxPrefetched && !isPresent(name) {
        missing.append(name)
      }
    }
    if missing.count > 1 { try fetch(missing) }
  }

  private func isPresent(_ name: ObjectName) throws -> Bool {
    if state.withLock({ $0.held[name] != nil }) || cached(name) != nil { return true }
    return try store.keeps(name)
  }
}

/// The objects of all remotes that a command reads.
final class RemoteObjectSet: ObjectPromisor {
  private let remotes: [RemoteObjects]

  init(_ remotes: [RemoteObjects]) { self.remotes = remotes }

  func holds(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    for remote in remotes {
      let found = try RemoteObjectSet.mapErrors(remote) {
        try remote.holds(ObjectName(kind: kind, id: id))
      }
      if found { return true }
    }
    return false
  }

  func object(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> [UInt8]? {
    for remote in remotes {
      let found = try RemoteObjectSet.mapErrors(remote) {
        try remote.object(ObjectName(kind: kind, id: id))
      }
      if let found { return found }
    }
    return nil
  }

  /// Passes errors of a remote on as those of the store that reads from it.
  private static func mapErrors<R>(
    _ remote: RemoteObjects, _ body: () throws -> R
  ) throws(StoreError) -> R {
    do { return try body() } catch let error as StoreError { throw error } catch {
      let cause = error as? any ExplainedError
      throw StoreError(
        .refused, remote.source.name, cause?.reason ?? "\(error)", hint: cause?.hint ?? "",
        code: cause?.errorCode ?? .remoteUnavailable)
    }
  }
}

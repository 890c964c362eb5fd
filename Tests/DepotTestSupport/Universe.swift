// A few small snapshots that share objects, and frames of their objects, for tests of depots.

import Codec
import Foundation
import Platform
import Store

/// A generator of reproducible numbers (SplitMix64, Steele et al., 2014).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64
  package init(_ seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// A snapshot with everything that it needs.
package struct UniverseSnapshot: Sendable {
  package let image: ImageName
  package let snapshot: Snapshot
  package let bytes: [UInt8]
  package let id: Digest
  /// Trees, times and the like.
  package let objects: [ObjectName]
  package let blobs: [Digest]
  /// All objects, with chunks and recipes.
  package let all: Set<ObjectName>
}

/// The snapshots, their objects, and a store that has them.
package final class Universe: Sendable {
  package let snapshots: [UniverseSnapshot]
  package let objects: [ObjectName: [UInt8]]
  /// A second recipe for blobs: the same bytes cut elsewhere.
  package let otherRecipes: [Digest: (recipe: [UInt8], chunks: [ObjectName])]
  private let frames: [ObjectName: RawFrame]
  /// Frames of two objects.
  private let pairs: [Set<ObjectName>: RawFrame]
  /// Frames of one or two chunks with a base of one or two others.
  private let deltas: [Delta: RawFrame]
  private let otherFrames: [Digest: [RawFrame]]
  package let store: ObjectStore

  private struct Delta: Hashable {
    let chunks: Set<ObjectName>
    let base: Set<ObjectName>
  }

  /// All chunks, in order.
  package var chunks: [ObjectName] {
    objects.keys.filter { $0.kind == .chunk }.sorted { $0.id < $1.id }
  }

  /// Creates snapshots of two images.
  package init() throws {
    var generator = SeededGenerator(1)
    var objects: [ObjectName: [UInt8]] = [:]
    var others: [Digest: (recipe: [UInt8], chunks: [ObjectName])] = [:]
    func chunk(_ bytes: [UInt8]) -> ObjectName {
      let name = ObjectName(kind: .chunk, id: SHA256.digest(of: bytes))
      objects[name] = bytes
      return name
    }
    let small = (0..<6).map { index in
      chunk((0..<40).map { _ in UInt8.random(in: 0...255, using: &generator) } + [UInt8(index)])
    }
    // Blobs with a recipe of two chunks, and another recipe of the same bytes.
    let large = (0..<2).map { _ -> (blob: Digest, parts: [ObjectName]) in
      let bytes = (0..<60).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let blob = SHA256.digest(of: bytes)
      func cut(_ at: Int) -> (recipe: [UInt8], chunks: [ObjectName]) {
        let parts = [chunk(Array(bytes[..<at])), chunk(Array(bytes[at...]))]
        var list = ChunkList()
        list.append(parts[0].id, lengthBytes: at)
        list.append(parts[1].id, lengthBytes: bytes.count - at)
        return (list.encode(), parts)
      }
      let first = cut(20)
      objects[ObjectName(kind: .recipe, id: blob)] = first.recipe
      others[blob] = cut(45)
      return (blob, first.chunks)
    }
    let images = [try ImageName("a"), try ImageName("b é")]
    var snapshots: [UniverseSnapshot] = []
    for number in 0..<6 {
      let files = (0..<6).filter { $0 == number || $0 % 3 == number % 3 }.map { small[$0].id }
      snapshots.append(
        try Universe.snapshot(
          images[number % 2], number, files: files,
          blob: number % 3 == 2 ? nil : large[number % 2], &objects))
    }
    self.snapshots = snapshots
    self.objects = objects
    otherRecipes = others
    (frames, pairs) = try Universe.frames(objects)
    deltas = try Universe.deltas(objects)
    otherFrames = try others.mapValues { other in
      try other.chunks.map { try Universe.plain([($0, objects[$0] ?? [])]) }
    }.merging(
      others.map { blob, other in
        (blob, [try Universe.plain([(ObjectName(kind: .recipe, id: blob), other.recipe)])])
      }, uniquingKeysWith: +)
    store = try Universe.store(objects)
  }

  private static func snapshot(
    _ image: ImageName, _ number: Int, files: [Digest],
    blob: (blob: Digest, parts: [ObjectName])?, _ objects: inout [ObjectName: [UInt8]]
  ) throws -> UniverseSnapshot {
    var own: [ObjectName] = []
    let time = Timestamp(seconds: 1_000_000, nanoseconds: 0)
    func directory(_ entries: [Entry]) -> Tree.IDs {
      Tree.encode(entries) { object in
        let name = ObjectName(kind: object.kind, id: object.id)
        objects[name] = object.bytes
        own.append(name)
      }
    }
    func file(_ name: String, _ blob: Digest, _ size: UInt64) -> Entry {
      Entry(
        name: Array(name.utf8), content: .file(blob: blob, sizeBytes: size), mode: 0o644, uid: 0,
        gid: 0, modified: time)
    }
    func directory(_ name: String, _ ids: Tree.IDs) -> Entry {
      Entry(
        name: Array(name.utf8), content: .directory(tree: ids.tree), mode: 0o755, uid: 0, gid: 0,
        modified: time, times: ids.times)
    }
    // The lower directory is common to all snapshots with the same files.
    let lower = directory(files.enumerated().map { file("f\($0)", $1, 41) })
    var entries = [directory("d", lower)]
    if let blob { entries.append(file("large", blob.blob, 60)) }
    entries.append(file("n\(number)", files[0], 41))
    let root = directory(entries)
    let snapshot = Snapshot(
      image: image.text, created: time, parent: nil, message: "\(number)", provenance: [],
      tables: [],
      components: [.init(role: .rootTree, path: Array("/x".utf8), entry: directory("", root))],
      notes: [], facts: [], entryCount: 3, contentBytes: 100)
    let bytes = snapshot.encode()
    var all = Set(own)
    for file in files { all.insert(ObjectName(kind: .chunk, id: file)) }
    if let blob {
      all.insert(ObjectName(kind: .recipe, id: blob.blob))
      all.formUnion(blob.parts)
    }
    return UniverseSnapshot(
      image: image, snapshot: snapshot, bytes: bytes, id: SHA256.digest(of: bytes), objects: own,
      blobs: Array(Set(files)) + (blob.map { [$0.blob] } ?? []), all: all)
  }

  // MARK: Frames

  /// Returns a frame without a base. The bytes need not have the ids.
  package static func plain(_ objects: [(ObjectName, [UInt8])]) throws -> RawFrame {
    let repacker = FrameRepacker()
    var result: [RawFrame] = []
    for (name, bytes) in objects {
      try bytes.withUnsafeBytes {
        try repacker.add(name.kind, name.id, $0) { result.append($0) }
      }
    }
    try repacker.finish { result.append($0) }
    guard result.count == 1, let frame = result.first else { throw CocoaError(.featureUnsupported) }
    return frame
  }

  private static func frames(
    _ objects: [ObjectName: [UInt8]]
  ) throws -> ([ObjectName: RawFrame], [Set<ObjectName>: RawFrame]) {
    var frames: [ObjectName: RawFrame] = [:]
    var pairs: [Set<ObjectName>: RawFrame] = [:]
    let names = objects.keys.sorted { ($0.kind.rawValue, $0.id) < ($1.kind.rawValue, $1.id) }
    for (index, name) in names.enumerated() {
      frames[name] = try plain([(name, objects[name] ?? [])])
      for other in names[(index + 1)...] {
        pairs[[name, other]] = try plain([
          (name, objects[name] ?? []), (other, objects[other] ?? []),
        ])
      }
    }
    return (frames, pairs)
  }

  private static func deltas(_ objects: [ObjectName: [UInt8]]) throws -> [Delta: RawFrame] {
    let names = objects.keys.filter { $0.kind == .chunk }.sorted { $0.id < $1.id }
    var sets = names.map { [$0] }
    for (index, name) in names.enumerated() {
      sets += names[(index + 1)...].map { [name, $0] }
    }
    var deltas: [Delta: RawFrame] = [:]
    for chunks in sets {
      for base in sets where chunks.count + base.count < 4 && !base.contains(where: chunks.contains)
      {
        deltas[Delta(chunks: Set(chunks), base: Set(base))] = try delta(chunks, base, 1, objects)
      }
    }
    return deltas
  }

  /// Returns a frame of chunks that is based on others.
  package static func delta(
    _ chunks: [ObjectName], _ base: [ObjectName], _ depth: UInt8, _ objects: [ObjectName: [UInt8]]
  ) throws -> RawFrame {
    let prefix = base.flatMap { objects[$0] ?? [] }
    let base = FrameBase(
      depth: depth,
      chunks: base.map { FrameBase.Chunk(id: $0.id, length: objects[$0]?.count ?? 0) })
    return try prefix.withUnsafeBytes {
      try FrameRepacker.frame(
        of: chunks.map { ($0.id, objects[$0] ?? []) }, base: base, prefix: $0)
    }
  }

  /// Returns frames with these objects, one or two in each.
  /// - Parameter bases: the chunks that some of the frames are based on.
  package func frames(
    _ names: [ObjectName], inPairs: Bool, bases: [ObjectName] = [],
    using generator: inout SeededGenerator
  ) -> [RawFrame] {
    var rest = names.shuffled(using: &generator)
    var result: [RawFrame] = []
    while let name = rest.popLast() {
      if name.kind == .chunk, !bases.isEmpty, Int.random(in: 0..<4, using: &generator) > 0 {
        var chunks: Set = [name]
        if inPairs, let other = rest.last, other.kind == .chunk { chunks.insert(other) }
        let count = Int.random(in: 1...2, using: &generator)
        let base = Set(bases.shuffled(using: &generator).prefix(count)).subtracting(chunks)
        if let frame = deltas[Delta(chunks: chunks, base: base)] {
          if chunks.count == 2 { rest.removeLast() }
          result.append(frame)
          continue
        }
      }
      if inPairs, let other = rest.last, let frame = pairs[[name, other]] {
        rest.removeLast()
        result.append(frame)
      } else if let frame = frames[name] {
        result.append(frame)
      }
    }
    return result
  }

  /// Returns frames with the other recipe of a blob and its chunks.
  package func otherFrames(of blob: Digest) -> [RawFrame] { otherFrames[blob] ?? [] }

  private static func store(_ objects: [ObjectName: [UInt8]]) throws -> ObjectStore {
    let path = FileManager.default.temporaryDirectory.path + "/depot-universe-\(randomName())"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let store = try ObjectStore(
      KernelFileSystem.shared, path: Array(path.utf8), create: true, report: { _ in })
    let session = try store.beginSession()
    try session.withWorker { worker in
      for (name, bytes) in objects { try worker.add(name.kind, name.id, bytes) }
    }
    try session.finish()
    // The open descriptors are enough.
    return store
  }
}

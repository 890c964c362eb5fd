// The files of snapshots that cannot be read, after a check of a depot has found damage: those with content
// in frames that are damaged or lost, or that are based on such frames.
//
// 1. A file is named only if no copy of its content can be read, by any of its recipes.
// 2. A directory that cannot be read is named itself. Nothing below it is.
// 3. Each directory is read once, whatever the number of snapshots that have it. At most `maxFiles` are
//    named.
// 4. Memory: the names and ids of all directories of the snapshots.

import Codec
import ObjectStorage
import Platform
import Store

/// Names the files that damage affects.
struct AffectedFiles {
  /// A snapshot: its name, and its components.
  struct Root {
    let snapshot: String
    let component: Snapshot.Component
  }

  /// An affected file.
  struct File {
    let snapshot: String
    let path: [UInt8]
  }

  static let maxFiles = 1000
  private static let batch = 1024

  private let depot: Depot
  private let present: PresentCopies
  private let resolver: BlobResolver

  /// - Parameter present: the copies that can be read.
  init(_ depot: Depot, _ present: PresentCopies) {
    self.depot = depot
    self.present = present
    resolver = BlobResolver(DepotReader(depot), holds: present.contains)
  }

  /// Returns the affected files of some snapshots.
  /// - Throws: `StorageError` if the depot cannot be reached.
  func find(_ roots: [Root]) throws -> [File] {
    var files: [File] = []
    var level: [Tree.IDs: [(snapshot: String, path: [UInt8])]] = [:]
    for root in roots {
      let location = (snapshot: root.snapshot, path: root.component.path)
      if let ids = root.component.entry.ids { level[ids, default: []].append(location) }
      if let blob = root.component.entry.blob, blob != emptyBlob, try !isReadable([blob]) {
        files.append(File(snapshot: location.snapshot, path: location.path))
      }
    }
    while !level.isEmpty, files.count < AffectedFiles.maxFiles {
      var below: [Tree.IDs: [(snapshot: String, path: [UInt8])]] = [:]
      let all = Array(level)
      for start in stride(from: 0, to: all.count, by: AffectedFiles.batch) {
        let batch = all[start..<min(all.count, start + AffectedFiles.batch)]
        for ((_, locations), content) in zip(batch, try contents(of: batch.map(\.key))) {
          guard let content else {
            files += locations.map { File(snapshot: $0.snapshot, path: $0.path) }
            continue
          }
          for entry in content.entries {
            let named = locations.map {
              (snapshot: $0.snapshot, path: $0.path + [UInt8(ascii: "/")] + entry.name)
            }
            if let ids = entry.ids { below[ids, default: []] += named }
            if let blob = entry.blob, blob != emptyBlob, try !isReadable([blob]) {
              files += named.map { File(snapshot: $0.snapshot, path: $0.path) }
            }
          }
        }
      }
      level = below
    }
    return Array(files.prefix(AffectedFiles.maxFiles))
  }

  private func isReadable(_ blobs: [Digest]) throws -> Bool {
    try resolver.resolve(blobs).allSatisfy { $0 != nil }
  }

  /// Reads directories, together if all of them can be read; nil for those that cannot.
  private func contents(of ids: [Tree.IDs]) throws -> [DirectoryContent?] {
    let local = depot.options.localStore.map { VerifiedStore(store: $0) }
    let source = DepotSource(depot)
    if local == nil, let contents = try? source.directories(ids) { return contents }
    return try ids.map { ids in
      if let local, let content = try? DirectoryContent(ids, from: local) { return content }
      do { return try source.directories([ids])[0] } catch let error as StorageError
        where ![.notFound, .damaged, .tooLarge].contains(error.kind)
      {
        throw error
      } catch { return nil }
    }
  }
}

/// Finds the damaged frames of packs.
struct DamagedFrames {
  let depot: Depot
  let present: PresentCopies

  /// Reads each frame of the packs.
  /// - Returns: the frames that cannot be read.
  /// - Throws: `StorageError` if the depot cannot be reached.
  func find(in packs: Set<DepotPack>) throws -> Set<FrameLocation> {
    var frames: Set<FrameLocation> = []
    try depot.withCache {
      frames = []
      try depot.index.forEachObject(in: packs) { _, position in frames.insert(position.frame) }
    }
    var damaged: Set<FrameLocation> = []
    let reader = FrameReader(depot, present)
    for frame in frames.sorted() {
      do {
        try reader.read([frame]) { location, _, decoded in
          do throws(CodecError) { try FrameDecoder.verify(decoded) } catch {
            throw DamagedFrameError(frame: location, reason: "\(error)")
          }
        }
      } catch is DamagedFrameError {
        damaged.insert(frame)
      } catch is VanishedPackError {
        damaged.insert(frame)
      } catch let error as StorageError
        where [.notFound, .damaged, .tooLarge].contains(error.kind)
      {
        damaged.insert(frame)
      }
    }
    return damaged
  }
}

// Reading what the stat cache does not vouch for: hash, chunk and store, by several threads.
//
// 1. Files are read in walk order, small ones in batches, so that neighbours share frames.
// 2. A file counts as read when its attributes after reading are those before; else it is read
//    again, three times at most, then taken as it came and noted.
// 3. Each thread holds one window of 4 MiB (`BlobIngester`).
// 4. Holes are believed as far as `HoleReader` says. More than `SparseHash.minHoleBytes` of them are
//    not read.

import Codec
import Platform
import Store

/// What reading a file gave.
struct ReadResult {
  var stat: FileStat
  var content: ScannedContent
  var xattrs: Digest?
  var holes: Digest?
  var flags: InodeFlags = []
  /// What was read of the file: all but huge holes.
  var readBytes: UInt64 = 0
  var note: Snapshot.Note?
  /// It disappeared before it could be read.
  var isGone = false
}

/// A run of files for one thread.
final class ReadJob: @unchecked Sendable {  // one thread works on it; results are read after join
  let items: [(directory: ScannedDirectory, index: Int)]
  var results: [ReadResult?]
  init(_ items: [(directory: ScannedDirectory, index: Int)]) {
    self.items = items
    results = Array(repeating: nil, count: items.count)
  }
}

/// Objects made while reading that are stored beside the chunks: hole maps.
struct AuxiliaryObject: Sendable {
  let kind: ObjectKind
  let id: Digest
  let bytes: [UInt8]
}

/// One thread's reader.
struct ContentReader: ~Copyable {
  private let fileSystem: any FileSystem
  private let walker: Walker
  private let opener: DirectoryDescriptorCache
  private let worker: SessionWorker?
  private var blobs = BlobIngester()
  private var hash = SHA256()
  private let holes: HoleReader
  private var sparse: SparseIngester
  private let progress: Progress
  private(set) var sideObjects: [AuxiliaryObject] = []

  /// - Parameter worker: stores what is read; nil to hash only.
  init(
    _ fileSystem: any FileSystem, _ walker: Walker, places: RootDescriptors,
    worker: SessionWorker?, progress: Progress
  ) {
    self.fileSystem = fileSystem
    self.walker = walker
    self.worker = worker
    self.progress = progress
    holes = HoleReader(fileSystem: fileSystem)
    sparse = SparseIngester(fileSystem, worker: worker)
    opener = DirectoryDescriptorCache(fileSystem, places)
  }

  mutating func run(_ job: ReadJob) throws {
    for (i, item) in job.items.enumerated() {
      if worker?.shouldStop == true { return }
      let entry = item.directory.entries[item.index]
      job.results[i] = try read(item.directory, entry)
      progress.add(bytes: entry.stat.size, items: 1)
    }
  }

  // MARK: One file

  private mutating func read(
    _ directory: ScannedDirectory, _ entry: ScannedEntry
  ) throws -> ReadResult {
    var result = ReadResult(
      stat: entry.stat, content: .unreadable, xattrs: entry.xattrs, holes: nil)
    do {
      let place = try opener.locate(directory, entry)
      let file = try fileSystem.openFile(
        at: place.directory.raw, place.name, [.read, .noFollow, .nonBlocking])
      var before = entry.stat
      for attempt in 1...3 {
        let (blob, holes, readBytes) = try readOnce(file, sizeBytes: before.size)
        result.readBytes = readBytes
        let after = try fileSystem.stat(file.raw)
        guard after.kind == .file else { return vanished(directory, entry) }
        result.content = .file(blob: blob.id)
        result.holes = holes
        result.stat = after
        result.stat.size = blob.sizeBytes
        if after.hasSameContentStamp(as: before), after.size == blob.sizeBytes { break }
        before = after
        if attempt == 3 {
          result.note = Snapshot.Note(
            .changedWhileRead, path: directory.absolutePath(of: entry.name),
            detail: "read three times")
        }
      }
      result.flags = flags(of: file, result.stat, directory)
      if result.stat.changed != entry.stat.changed {
        result.xattrs = try walker.readXattrs(place.directory, place.name)
      }
    } catch let error as SystemError {
      if error.isExhaustion { throw error }
      if error.isAbsent || error.code == .loop || isOtherKind(directory, entry) {
        return vanished(directory, entry)
      } else {
        result.content = .unreadable
        result.note = Snapshot.Note(
          .unreadable, path: directory.absolutePath(of: entry.name), detail: "\(error.code)")
      }
    }
    return result
  }

  /// The name belongs to something that is no file.
  private func isOtherKind(_ directory: ScannedDirectory, _ entry: ScannedEntry) -> Bool {
    guard let place = try? opener.locate(directory, entry),
      let now = try? fileSystem.stat(at: place.directory.raw, place.name, followLink: false)
    else { return false }
    return now.kind != .file
  }

  /// The name belongs to no file any more, or to another kind of entry.
  private func vanished(_ directory: ScannedDirectory, _ entry: ScannedEntry) -> ReadResult {
    ReadResult(
      stat: entry.stat, content: .unreadable, xattrs: nil, holes: nil,
      note: Snapshot.Note(
        .vanished, path: directory.absolutePath(of: entry.name), detail: "gone before it was read"),
      isGone: true)
  }

  private func flags(
    of file: Descriptor, _ stat: FileStat, _ directory: ScannedDirectory
  ) -> InodeFlags {
    let needsRequest =
      directory.traits?.needsFlagRequest
      ?? (!stat.reportsFlags || TreeTraits.isBtrfs(file, fileSystem))
    return needsRequest ? walker.requestFlags(file, stat) : stat.flags
  }

  private mutating func readOnce(
    _ file: Descriptor, sizeBytes: UInt64
  ) throws -> (blob: (id: Digest, sizeBytes: UInt64), holes: Digest?, readBytes: UInt64) {
    let claimed = holes.claimedHoles(of: file, sizeBytes: sizeBytes)
    if let sparse = try readSparse(file, claimed, sizeBytes: sizeBytes) { return sparse }
    var check = HoleCheck(claimed)
    let blob = try readWhole(file, sizeBytes: sizeBytes, &check)
    return (blob, addHoles(check.confirmed), blob.sizeBytes)
  }

  private mutating func readWhole(
    _ file: Descriptor, sizeBytes: UInt64, _ check: inout HoleCheck
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    if sizeBytes <= UInt64(Chunker.wholeFileBytes) {
      let n = try fileSystem.readFully(
        file.raw, at: 0,
        into: UnsafeMutableRawBufferPointer(rebasing: blobs.window[...Chunker.wholeFileBytes]))
      if n <= Chunker.wholeFileBytes {
        let bytes = UnsafeRawBufferPointer(rebasing: blobs.window[..<n])
        check.add(bytes)
        let id = try worker?.addChunk(bytes) ?? hash.digest(of: bytes)
        return (id, UInt64(n))
      }
    }
    // To the end, whatever size was announced.
    var offset: UInt64 = 0
    let fileSystem = fileSystem
    func content(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
      let n = try fileSystem.read(file.raw, at: offset, into: target)
      check.add(UnsafeRawBufferPointer(rebasing: target[..<n]))
      offset += UInt64(n)
      return n
    }
    guard let worker else { return try blobs.identify(content) }
    return try blobs.ingest(worker, from: content)
  }

  /// Reads a file whose holes are too large to be read.
  /// - Returns: nil where they are not, or where they cannot be believed.
  private mutating func readSparse(
    _ file: Descriptor, _ claimed: [Range<UInt64>], sizeBytes: UInt64
  ) throws -> (blob: (id: Digest, sizeBytes: UInt64), holes: Digest?, readBytes: UInt64)? {
    let holeBytes = claimed.reduce(UInt64(0)) { $0 + UInt64($1.count) }
    guard holeBytes > SparseHash.minHoleBytes else { return nil }
    let ranges = HoleReader.ranges(between: claimed, sizeBytes: sizeBytes)
    guard try holes.areZeros(between: ranges, of: file, sizeBytes: sizeBytes),
      let id = try sparse.ingest(file, ranges, sizeBytes: sizeBytes, window: blobs.window)
    else { return nil }
    let readBytes = ranges.reduce(UInt64(0)) { $0 + UInt64($1.count) }
    return ((id, sizeBytes), addHoles(claimed), readBytes)
  }

  /// The hole map, made an object; nil where the file has no hole.
  private mutating func addHoles(_ holes: [Range<UInt64>]) -> Digest? {
    if holes.isEmpty { return nil }
    let bytes = HoleMap(holes).encode()
    let id = SHA256.digest(of: bytes)
    sideObjects.append(AuxiliaryObject(kind: .holes, id: id, bytes: bytes))
    return id
  }
}

extension FileStat {
  fileprivate func hasSameContentStamp(as other: FileStat) -> Bool {
    inode == other.inode && size == other.size && modified == other.modified
      && changed == other.changed
  }
}

/// Where the pieces of a capture are: resolved once, before the walk.
struct RootDescriptors: Sendable {
  /// The open directory of each tree piece.
  var trees: [ObjectIdentifier: Descriptor] = [:]
  /// Directory and name of each piece that is a single entry, by its path.
  var files: [[UInt8]: ResolvedPath] = [:]
}

/// Opens directories of a live tree again, keeping the last few: files are read in walk order.
final class DirectoryDescriptorCache {
  private let fileSystem: any FileSystem
  private let places: RootDescriptors
  private var recent: [(key: ObjectIdentifier, descriptor: Descriptor)] = []

  init(_ fileSystem: any FileSystem, _ places: RootDescriptors) {
    self.fileSystem = fileSystem
    self.places = places
  }

  func locate(
    _ directory: ScannedDirectory, _ entry: ScannedEntry
  ) throws(SystemError) -> ResolvedPath {
    if directory.parent == nil, let place = places.files[entry.name] { return place }
    let folder = try open(directory)
    guard entry.isCovered else { return ResolvedPath(directory: folder, name: entry.name) }
    guard let below = try fileSystem.openUncovered(folder) else {
      throw SystemError(code: .notPermitted, "open_tree", entry.name)
    }
    return ResolvedPath(directory: below, name: entry.name)
  }

  private func open(_ directory: ScannedDirectory) throws(SystemError) -> Descriptor {
    // Up to the nearest that is open, and down again: those passed need not stay open.
    var closed: [ScannedDirectory] = []
    var here = directory
    var nearest = known(here)
    while nearest == nil, let parent = here.parent {
      closed.append(here)
      here = parent
      nearest = known(here)
    }
    guard var descriptor = nearest else { throw SystemError(code: .notFound, "open", here.name) }
    for next in closed.reversed() {
      descriptor = try fileSystem.openDirectory(at: descriptor.raw, next.name)
      if recent.count >= 32 { recent.removeFirst(16) }
      recent.append((ObjectIdentifier(next), descriptor))
    }
    return descriptor
  }

  private func known(_ directory: ScannedDirectory) -> Descriptor? {
    let key = ObjectIdentifier(directory)
    return places.trees[key] ?? recent.last { $0.key == key }?.descriptor
  }
}

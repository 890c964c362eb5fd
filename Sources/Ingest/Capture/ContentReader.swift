// Reads the files that the stat cache does not list as unchanged: hashes, chunks and stores them on
// several threads.
//
// 1. Files are read in walk order, small ones in batches, so that neighbours share frames.
// 2. A read is valid if the file's attributes after it equal those before. Otherwise the file is
//    read again, up to three times. The last result is then kept, with a note.
// 3. Each thread uses one window of 4 MiB (`BlobIngester`).
// 4. `HoleReader` decides which claimed holes count. Holes of more than `SparseBlobHasher.minHoleBytes`
//    in total are not read.

import Codec
import Platform
import Store

/// The result of reading a file.
struct ReadResult {
  var stat: FileStat
  var content: ScannedContent
  var xattrs: Digest?
  var holes: Digest?
  var flags: InodeFlags = []
  /// The number of bytes read: the file without huge holes.
  var readBytes: UInt64 = 0
  var note: Snapshot.Note?
  /// Whether the file disappeared before it could be read.
  var isGone = false
}

/// An object that is created during reading and stored in addition to the chunks: a hole map.
struct AuxiliaryObject: Sendable {
  let kind: ObjectKind
  let id: Digest
  let bytes: [UInt8]
}

/// Reads files. Belongs to one thread.
struct ContentReader: ~Copyable {
  private let fileSystem: any FileSystem
  private let walker: Walker
  private let opener: DirectoryDescriptorCache
  private let worker: SessionWorker?
  private let predecessors: PredecessorFinder?
  private var blobs = BlobIngester()
  private var hash = SHA256()
  private let holes: HoleReader
  private var sparse: SparseIngester
  private let progress: Progress
  private(set) var auxiliaryObjects: [AuxiliaryObject] = []

  /// Creates a reader.
  /// - Parameters:
  ///   - worker: stores the content; nil to hash only.
  ///   - predecessors: the earlier versions of the files; nil if there are none.
  init(
    _ fileSystem: any FileSystem, _ walker: Walker, descriptors: RootDescriptors,
    worker: SessionWorker?, predecessors: Predecessors?, progress: Progress
  ) {
    self.predecessors = worker == nil ? nil : predecessors.map(PredecessorFinder.init)
    self.fileSystem = fileSystem
    self.walker = walker
    self.worker = worker
    self.progress = progress
    holes = HoleReader(fileSystem: fileSystem)
    sparse = SparseIngester(worker: worker)
    opener = DirectoryDescriptorCache(fileSystem, descriptors)
  }

  /// Reads the files of a batch.
  mutating func run(_ job: ReadJob, _ results: ReadResults) throws {
    let items = job.items
    let entries = results.entries(of: items)
    var batch = [ReadResult?](repeating: nil, count: items.count)
    for (i, item) in items.enumerated() {
      if worker?.shouldStop == true { break }
      guard let entry = entries[i] else { continue }
      batch[i] = try read(item.directory, entry)
      progress.add(bytes: entry.stat.size, items: 1)
    }
    try results.apply(batch, entries, of: items)
  }

  // MARK: One file

  private mutating func read(
    _ directory: ScannedDirectory, _ entry: ScannedEntry
  ) throws -> ReadResult {
    var result = ReadResult(
      stat: entry.stat, content: .unreadable, xattrs: entry.xattrs, holes: nil)
    do {
      let location = try opener.locate(directory, entry)
      let file = try fileSystem.openFile(
        at: location.directory.raw, location.name, [.read, .noFollow, .nonBlocking])
      let predecessor = predecessors?.predecessor(of: entry, in: directory)
      var before = entry.stat
      for attempt in 1...3 {
        let (blob, holes, readBytes) = try readOnce(
          file, sizeBytes: before.size, following: predecessor)
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
            .changedWhileRead, path: directory.address(of: entry.name).bytes,
            detail: "read three times")
        }
      }
      result.flags = flags(of: file, result.stat, directory)
      if result.stat.changed != entry.stat.changed {
        result.xattrs = try walker.readXattrs(location.directory, location.name)
      }
    } catch let error as SystemError {
      if error.isExhaustion { throw error }
      if error.isAbsent || error.code == .loop || isOtherKind(directory, entry) {
        return vanished(directory, entry)
      } else {
        result.content = .unreadable
        result.note = Snapshot.Note(
          .unreadable, path: directory.address(of: entry.name).bytes, detail: "\(error.code)")
      }
    }
    return result
  }

  /// Returns whether the name now belongs to an entry of another kind.
  private func isOtherKind(_ directory: ScannedDirectory, _ entry: ScannedEntry) -> Bool {
    guard let location = try? opener.locate(directory, entry),
      let now = try? fileSystem.stat(at: location.directory.raw, location.name, followLink: false)
    else { return false }
    return now.kind != .file
  }

  /// Returns the result for a name that no longer belongs to a file.
  private func vanished(_ directory: ScannedDirectory, _ entry: ScannedEntry) -> ReadResult {
    ReadResult(
      stat: entry.stat, content: .unreadable, xattrs: nil, holes: nil,
      note: Snapshot.Note(
        .vanished, path: directory.address(of: entry.name).bytes, detail: "gone before it was read"),
      isGone: true)
  }

  private func flags(
    of file: Descriptor, _ stat: FileStat, _ directory: ScannedDirectory
  ) -> InodeFlags {
    if directory.properties?.needsFlagRequest == false { return stat.flags }
    return fileSystem.inodeFlags(of: file.raw, stat)
  }

  private mutating func readOnce(
    _ file: Descriptor, sizeBytes: UInt64, following predecessor: BlobPredecessor?
  ) throws -> (blob: (id: Digest, sizeBytes: UInt64), holes: Digest?, readBytes: UInt64) {
    let claimed = holes.claimedHoles(of: file, sizeBytes: sizeBytes)
    if let sparse = try readSparse(file, claimed, sizeBytes: sizeBytes) { return sparse }
    var check = HoleCheck(claimed)
    let blob = try readWhole(file, sizeBytes: sizeBytes, following: predecessor, &check)
    return (blob, addHoles(check.confirmed), blob.sizeBytes)
  }

  private mutating func readWhole(
    _ file: Descriptor, sizeBytes: UInt64, following predecessor: BlobPredecessor?,
    _ check: inout HoleCheck
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    if sizeBytes <= UInt64(Chunker.wholeFileBytes) {
      let n = try fileSystem.readFully(
        file.raw, at: 0,
        into: UnsafeMutableRawBufferPointer(rebasing: blobs.window[...Chunker.wholeFileBytes]))
      if n <= Chunker.wholeFileBytes {
        let bytes = UnsafeRawBufferPointer(rebasing: blobs.window[..<n])
        check.add(bytes)
        predecessor?.rewind()
        let id = try worker?.addChunk(bytes, following: predecessor) ?? hash.digest(of: bytes)
        return (id, UInt64(n))
      }
    }
    // Read to the end, whatever size `stat` reported.
    var offset: UInt64 = 0
    let fileSystem = fileSystem
    func content(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
      let n = try fileSystem.read(file.raw, at: offset, into: target)
      check.add(UnsafeRawBufferPointer(rebasing: target[..<n]))
      offset += UInt64(n)
      return n
    }
    guard let worker else { return try blobs.identify(content) }
    return try blobs.ingest(worker, following: predecessor, from: content)
  }

  /// Reads a file whose holes are too large to be read.
  /// - Returns: nil if the holes are smaller, or not credible.
  private mutating func readSparse(
    _ file: Descriptor, _ claimed: [Range<UInt64>], sizeBytes: UInt64
  ) throws -> (blob: (id: Digest, sizeBytes: UInt64), holes: Digest?, readBytes: UInt64)? {
    let holeBytes = claimed.reduce(UInt64(0)) { $0 + UInt64($1.count) }
    guard holeBytes > SparseBlobHasher.minHoleBytes else { return nil }
    let ranges = HoleReader.ranges(between: claimed, sizeBytes: sizeBytes)
    guard try holes.areZeros(between: ranges, of: file, sizeBytes: sizeBytes) else { return nil }
    let fileSystem = fileSystem
    let id = try sparse.ingest(ranges, sizeBytes: sizeBytes, window: blobs.window) {
      try fileSystem.readFully(file.raw, at: $0, into: $1) == $1.count
    }
    guard let id else { return nil }
    let readBytes = ranges.reduce(UInt64(0)) { $0 + UInt64($1.count) }
    return ((id, sizeBytes), addHoles(claimed), readBytes)
  }

  /// Adds the hole map to `auxiliaryObjects`.
  /// - Returns: its id; nil if the file has no holes.
  private mutating func addHoles(_ holes: [Range<UInt64>]) -> Digest? {
    if holes.isEmpty { return nil }
    let bytes = HoleMap(holes).encode()
    let id = SHA256.digest(of: bytes)
    auxiliaryObjects.append(AuxiliaryObject(kind: .holes, id: id, bytes: bytes))
    return id
  }
}

extension FileStat {
  fileprivate func hasSameContentStamp(as other: FileStat) -> Bool {
    inode == other.inode && size == other.size && modified == other.modified
      && changed == other.changed
  }
}

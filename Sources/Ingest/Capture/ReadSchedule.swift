// The files that a capture reads, in batches for its threads, and what becomes of their results.
//
// 1. The files are in walk order, small ones in batches, large ones alone. Only the first name of an inode is
//    read.
// 2. A result goes into the tree as soon as its batch is complete, so that memory does not grow with the
//    number of files. Directories are read and changed under one lock while threads read files.
// 3. Entries that vanished are removed, and other names of an inode get its result, after all files are read.

import Codec
import Platform
import Store

/// A batch of files for one thread.
struct ReadJob: Sendable {
  /// Files of one directory that follow each other. A batch has few of them and many files.
  fileprivate var runs: [(directory: ScannedDirectory, indices: Range<Int>)] = []
  fileprivate private(set) var count = 0

  /// The files in walk order.
  var items: [(directory: ScannedDirectory, index: Int)] {
    runs.flatMap { directory, indices in indices.map { (directory, $0) } }
  }

  fileprivate mutating func append(_ directory: ScannedDirectory, _ index: Int) {
    count += 1
    if let last = runs.last, last.directory === directory, last.indices.upperBound == index {
      runs[runs.count - 1].indices = last.indices.lowerBound..<index + 1
    } else {
      runs.append((directory, index..<index + 1))
    }
  }
}

/// The batches of a capture.
struct ReadSchedule {
  private(set) var jobs: [ReadJob] = []
  private(set) var fileCount = 0
  private(set) var totalBytes: UInt64 = 0
  /// The number of files whose content was known from `VerifiedFiles`.
  private(set) var verifiedCount = 0
  private var batch = ReadJob()
  private var batchBytes: UInt64 = 0
  private var seen: Set<LinkedInode> = []

  /// Adds the files that must be read.
  /// - Parameter sharesInodes: whether only the first name of an inode is read.
  /// - Throws: `StoreError` if the stat cache cannot be read again.
  mutating func addFiles(
    of live: ScannedDirectory, _ verifiedFiles: VerifiedFiles, sharesInodes: Bool = true
  ) throws {
    for i in live.entries.indices {
      let entry = live.entries[i]
      let verified = verifiedFiles.files(of: entry.name)
      switch entry.content {
      case .directory(let tree): try add(tree, verified, sharesInodes)
      case .unread:
        if let file = verified[.top], file.stat == entry.stat {
          live.entries[i].take(file)
          verifiedCount += 1
        } else {
          add(entry.stat, live, i, sharesInodes)
        }
      default: break
      }
    }
    flush()
  }

  private mutating func add(
    _ directory: ScannedDirectory, _ verified: [RelativePath: VerifiedFile], _ sharesInodes: Bool
  ) throws {
    if !directory.matchesCache {
      var known: [(index: Int, file: VerifiedFile)] = []
      try directory.forEachUnread { i, stat in
        if !verified.isEmpty, let entry = directory.entry(at: i),
          let file = verified[directory.address(of: entry.name).path], file.stat == stat
        {
          known.append((i, file))
        } else {
          add(stat, directory, i, sharesInodes)
        }
      }
      verifiedCount += known.count
      try directory.replace(
        known.compactMap { i, file in
          guard var entry = directory.entry(at: i) else { return nil }
          entry.take(file)
          return (i, entry)
        })
    }
    for child in directory.summary.directories { try add(child, verified, sharesInodes) }
  }

  private mutating func add(
    _ stat: FileStat, _ directory: ScannedDirectory, _ index: Int, _ sharesInodes: Bool
  ) {
    if sharesInodes, stat.links > 1, !seen.insert(LinkedInode(stat)).inserted { return }
    fileCount += 1
    totalBytes &+= stat.size
    if stat.size >= UInt64(FrameBuilder.targetBytes) {
      var job = ReadJob()
      job.append(directory, index)
      jobs.append(job)
      return
    }
    batch.append(directory, index)
    batchBytes += stat.size
    if batchBytes >= UInt64(FrameBuilder.targetBytes) || batch.count >= 512 { flush() }
  }

  private mutating func flush() {
    if batch.count > 0 { jobs.append(batch) }
    batch = ReadJob()
    batchBytes = 0
  }
}

/// The results of a capture's reads.
final class ReadResults: Sendable {
  private struct State {
    var notes: [Snapshot.Note] = []
    var readBytes: UInt64 = 0
    var linked: [LinkedInode: ReadResult] = [:]
    var vanished: [ObjectIdentifier: (directory: ScannedDirectory, indices: Set<Int>)] = [:]
    var auxiliary: [AuxiliaryObject] = []

    /// Records a result.
    /// - Returns: the new entry; nil if the file vanished.
    mutating func change(
      of entry: ScannedEntry, _ result: ReadResult, _ directory: ScannedDirectory, _ index: Int
    ) -> ScannedEntry? {
      readBytes &+= result.readBytes
      if let note = result.note { notes.append(note) }
      // The result is valid for the inode's other names only if it is of the inode that the walk saw.
      if entry.stat.links > 1, result.isContent(of: entry.stat) {
        linked[LinkedInode(entry.stat)] = result
      }
      guard result.isGone else { return entry.taking(result) }
      if directory.parent == nil {
        var component = entry
        component.content = .vanished
        return component
      }
      vanished[ObjectIdentifier(directory), default: (directory, [])].indices.insert(index)
      return nil
    }
  }
  private let state = Monitor(State())

  var notes: [Snapshot.Note] { state.withLock { $0.notes } }
  var readBytes: UInt64 { state.withLock { $0.readBytes } }
  /// The objects that were created during reading.
  var auxiliary: [AuxiliaryObject] { state.withLock { $0.auxiliary } }

  func add(_ objects: [AuxiliaryObject]) { state.withLock { $0.auxiliary += objects } }

  /// Returns the entries of a batch as the walk saw them.
  func entries(
    of items: [(directory: ScannedDirectory, index: Int)]
  ) -> [ScannedEntry?] {
    state.withLock { _ in items.map { $0.directory.entry(at: $0.index) } }
  }

  /// Updates the tree with the results of a batch.
  /// - Parameters:
  ///   - seen: the entries as the walk saw them.
  ///   - results: nil for files that were not read, because the session stopped.
  func apply(
    _ results: [ReadResult?], _ seen: [ScannedEntry?],
    of items: [(directory: ScannedDirectory, index: Int)]
  ) throws {
    try state.withLock { state throws in
      var changes: [(index: Int, entry: ScannedEntry)] = []
      for i in items.indices {
        let (directory, index) = items[i]
        if let result = results[i], let entry = seen[i],
          let change = state.change(of: entry, result, directory, index)
        {
          changes.append((index, change))
        }
        // The files of a directory follow each other.
        if i + 1 == items.count || items[i + 1].directory !== directory, !changes.isEmpty {
          try directory.replace(changes)
          changes.removeAll(keepingCapacity: true)
        }
      }
    }
  }

  /// Removes the entries that vanished, and gives the results of inodes to their other names.
  func complete(_ live: ScannedDirectory) throws {
    try state.withLock { state throws in
      for (directory, indices) in state.vanished.values {
        try directory.update { entries in
          entries = entries.enumerated().filter { !indices.contains($0.offset) }.map(\.element)
        }
      }
      state.vanished = [:]
      if !state.linked.isEmpty { try share(state.linked, live) }
      state.linked = [:]
    }
  }

  /// Applies the results of inodes to their other names.
  private func share(
    _ linked: [LinkedInode: ReadResult], _ directory: ScannedDirectory
  ) throws {
    if directory.summary.hasLinks {
      var changes: [(index: Int, entry: ScannedEntry)] = []
      try directory.forEachUnread { i, stat in
        if let result = linked[LinkedInode(stat)], let entry = directory.entry(at: i) {
          changes.append((i, entry.taking(result)))
        }
      }
      try directory.replace(changes)
    }
    for child in directory.summary.directories { try share(linked, child) }
  }
}

struct LinkedInode: Hashable {
  let device: UInt64
  let inode: UInt64
  init(_ stat: FileStat) {
    device = stat.device
    inode = stat.inode
  }
}

extension ReadResult {
  /// Returns whether the result is the content of the inode that `seen` describes.
  fileprivate func isContent(of seen: FileStat) -> Bool {
    guard !isGone, case .file = content else { return false }
    return LinkedInode(stat) == LinkedInode(seen)
  }
}

extension ScannedEntry {
  /// Takes the content and the flags of a file that was not read.
  fileprivate mutating func take(_ file: VerifiedFile) {
    content = .file(blob: file.blob)
    flags = file.flags
  }

  fileprivate func taking(_ result: ReadResult) -> ScannedEntry {
    var entry = self
    entry.content = result.content
    entry.stat = result.stat
    entry.holes = result.holes
    entry.xattrs = result.xattrs
    entry.flags = result.flags
    return entry
  }
}

// Reads the root tree of a cpio or tar archive into the store, once, as a stream.
//
// 1. The archive is untrusted: `TreeAssembler` lists the reasons for its rejection. Nothing outside
//    the store is written.
// 2. Nothing is dropped silently. An archive that is truncated, even between two members, or that
//    has data after its end mark, is rejected. Each attribute in the archive that the tree cannot
//    store is reported as a loss, with its name and count.
// 3. The tree equals the one that a capture of the unpacked archive would give. Holes of sparse
//    members stay holes.

import Archive
import Platform
import Store

/// An attribute of entries in an archive that the tree does not store.
public struct ArchiveLoss: Sendable, Equatable {
  /// The name of the attribute, for messages.
  public let what: String
  /// The number of affected entries.
  public internal(set) var count: Int
  /// The path of the first affected entry, relative to the top.
  public let path: [UInt8]
}

/// A tree that was read from an archive into the store.
public struct ArchiveTree: Sendable {
  /// The top directory. Its name is empty.
  public let entry: Entry
  /// The number of entries, including the top.
  public let entryCount: UInt64
  /// The sum of all file sizes. Each name of a hard link counts.
  public let contentBytes: UInt64
  /// The attributes that the tree does not store; empty if it stores all.
  public let losses: [ArchiveLoss]
}

/// Reads archives of root trees into a session.
public struct ArchiveTreeReader {
  private let progress: Progress
  private let limits: ArchiveTreeLimits
  private let noteHoles: (UInt64) throws -> Void

  /// Creates a reader.
  /// - Parameters:
  ///   - limits: the maximum size of an archive.
  ///   - noteHoles: called with the number of bytes in holes before they are read; may throw to reject them.
  public init(
    progress: Progress, limits: ArchiveTreeLimits = ArchiveTreeLimits(),
    noteHoles: @escaping (UInt64) throws -> Void = { _ in }
  ) {
    self.progress = progress
    self.limits = limits
    self.noteHoles = noteHoles
  }

  /// Reads an archive to its end.
  /// - Parameters:
  ///   - source: the decompressed stream: cpio (newc, crc) or tar, recognized by its first bytes.
  ///   - worker: stores the objects.
  ///   - top: the directory that contains all members, such as "rootimg". Its own member sets the
  ///     attributes of the top.
  ///   - earlier: a tree with earlier versions of the files; nil if none is known.
  /// - Returns: the tree, with its losses.
  /// - Throws: `BundleError` if the archive is rejected; `StoreError`; the errors of `source`.
  public func read(
    _ source: @escaping ByteSource, worker: SessionWorker, top: [UInt8],
    following earlier: EarlierTree? = nil
  ) throws -> ArchiveTree {
    var reading = ArchiveReading(
      worker: worker, progress: progress, top: top,
      tree: TreeAssembler(top: top, limits: limits), following: earlier, noteHoles: noteHoles)
    defer { reading.tree.dismantle() }
    do {
      let (format, source) = try ArchiveFormat.recognise(source)
      switch format {
      case .cpio: try reading.read(CpioReader(source))
      case .tar: try reading.read(TarReader(source), source)
      }
    } catch let error as ArchiveError {
      throw BundleError(
        error.member.isEmpty ? "the archive" : "member \(printable(error.member.prefix(255)))",
        error.reason, hint: BundleError.damagedAdvice, form: .clause)
    }
    try reading.resolveLists()
    let topEntry = try reading.tree.finish()
    guard case .directory(let directory) = topEntry.content else {
      throw BundleError("the archive", "has no directory \(printable(top))/")
    }
    var builder = TreeBuilder { try worker.add($0.kind, $0.id, $0.bytes) }
    let ids = try builder.build(directory)
    return ArchiveTree(
      entry: builder.entry(topEntry, ids, name: []), entryCount: builder.entryCount + 1,
      contentBytes: builder.contentBytes, losses: reading.losses)
  }
}

// Renders an edited tree to a target: the archive forms in segments, squashfs in blocks. Data that an earlier
// run compressed comes from the cache.
//
// 1. A rendering reads the store only. It takes no lock, and needs no path.

import Platform
import Render
import Store
import XCAT

/// Where the bytes of a packed image go: the packed file, or a file that is served while it grows.
protocol RenderingTarget {
  /// Appends bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws
  /// Calls `body`, which may write the file at any offset.
  func fill<R>(_ body: (Descriptor, any FileSystem) throws -> R) throws -> R
  /// Completes the file.
  func publish() throws
}

/// One rendering of a packed image.
struct PackRendering {
  let context: Context
  let store: ObjectStore
  let tree: EditableTree
  /// The exlist.
  let list: ExcludeList
  /// The time of the snapshot.
  let created: Timestamp
  let request: PackRequest

  /// Renders the tree and completes the target.
  /// - Parameter file: creates the target; called when the rendering begins.
  func write(
    to file: @autoclosure () throws -> any RenderingTarget
  ) throws -> (report: RenderReport, counts: TreeArchiveCounts, remarks: [String]) {
    let cache = context.segmentCache(store, limitBytes: request.cacheLimitBytes)
    switch request.method {
    case .cpio: return try archive(.cpio, cache, file)
    case .tar: return try archive(.tar, cache, file)
    case .squashfs: return try squashfs(cache, file)
    }
  }

  private func publish(_ file: any RenderingTarget) throws {
    context.progress.begin("syncing")
    try file.publish()
  }

  private func archive(
    _ form: ArchiveEntryList.Form, _ cache: SegmentCache,
    _ makeFile: () throws -> any RenderingTarget
  ) throws -> (report: RenderReport, counts: TreeArchiveCounts, remarks: [String]) {
    let entries = try store.withReadTransaction {
      try ArchiveEntryList(tree.top, from: tree.view, as: form, keeping: list.keeps)
    }
    let file = try makeFile()
    context.progress.begin("packing", totalBytes: entries.contentBytes)
    let renderer = SegmentRenderer(
      store, view: tree.view, cache: cache, codec: request.streamCodec, threads: request.threads,
      progress: context.progress)
    var counts = TreeArchiveCounts()
    let report = try renderer.render(
      { body in
        let (trailer, written) = try entries.forEach(body)
        counts = written
        return trailer
      }, to: { try file.write($0) })
    try publish(file)
    return (report, counts, remarks(counts) + doubts)
  }

  private func squashfs(
    _ cache: SegmentCache, _ makeFile: () throws -> any RenderingTarget
  ) throws -> (report: RenderReport, counts: TreeArchiveCounts, remarks: [String]) {
    let options = SquashfsOptions(
      compression: request.codec.squashfs, workers: request.threads,
      madeSeconds: UInt32(clamping: created.seconds))
    let writer = SquashfsWriter(
      view: tree.view, options: options, cache: cache, progress: context.progress)
    let list = list
    let file = try makeFile()
    var missing: [[UInt8]] = []
    let result = try file.fill { raw, fileSystem in
      try writer.write(tree: tree.top, to: raw, on: fileSystem) { path, entry in
        let isKept = list.keeps([0x2e, 0x2f] + path)
        if entry.content.isMissing {
          if isKept { missing.append(path) }
          return .drop
        }
        if isKept { return .keep }
        // Unlike an archive, a squashfs image cannot contain a file without its directories. xCAT keeps them,
        // too.
        return entry.kind == .directory ? .keepIfNeeded : .drop
      }
    }
    try publish(file)
    var report = RenderReport()
    report.segments = result.cachedBlocks + result.compressedBlocks
    report.cachedSegments = result.cachedBlocks
    (report.plainBytes, report.cachedPlainBytes) = (result.contentBytes, result.cachedBytes)
    report.writtenBytes = result.fileBytes
    var counts = TreeArchiveCounts()
    (counts.members, counts.contentBytes) = (UInt64(result.inodes), result.contentBytes)
    counts.missing = missing
    var remarks = result.problems.prefix(10).map { "\(printable($0.path)): \($0.what)" }
    if result.problems.count > 10 {
      remarks.append("and \(result.problems.count - 10) more that squashfs cannot hold as they are")
    }
    return (report, counts, remarks + doubts)
  }

  // MARK: Remarks

  private func remarks(_ counts: TreeArchiveCounts) -> [String] {
    var lines: [String] = []
    if counts.droppedXattrs > 0 {
      let capable =
        counts.droppedCapabilities > 0
        ? ", \(counts.droppedCapabilities) of them capabilities of programs" : ""
      lines.append(
        "cpio keeps no extended attributes: those of \(counts.droppedXattrs) entries\(capable) are "
          + "not in the packed image; --method tar keeps them")
    }
    if counts.clampedTimes > 0 {
      lines.append("\(counts.clampedTimes) entries have times that cpio cannot represent")
    }
    if counts.skippedSockets > 0 {
      lines.append("\(counts.skippedSockets) sockets are left out")
    }
    return lines
  }

  private var doubts: [String] {
    list.doubtful.prefix(10).map {
      "the exlist's pattern '\(printable($0))' matches nothing as it is written"
    }
  }
}

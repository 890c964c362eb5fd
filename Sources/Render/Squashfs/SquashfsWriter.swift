// A stored tree as a squashfs image.
//
//     plan (trees only) ──▶ data (contents, all cores) ──▶ inodes, listings, tables ──▶ superblock
//
// 1. Equal trees and options give equal bytes: with any number of workers, with a cold cache, a
//    warm one, or none.
// 2. The superblock is written last: what was broken off is no squashfs image.
// 3. What the format cannot hold is refused or reported, never left out in silence.

import Codec
import Platform
import Store

/// Writes squashfs images.
public struct SquashfsWriter {
  private let source: OverlayTree
  private let options: SquashfsOptions
  private let cache: (any BlockCache)?
  private let progress: Progress

  /// - Parameter cache: where compressed blocks are kept for the next image; nil for nowhere.
  public init(
    store: ObjectStore, options: SquashfsOptions, cache: (any BlockCache)?, progress: Progress
  ) {
    self.init(
      view: OverlayTree(store, modified: Timestamp(seconds: 0, nanoseconds: 0)), options: options,
      cache: cache, progress: progress)
  }

  /// - Parameters:
  ///   - view: where the tree is, edited or not.
  ///   - cache: where compressed blocks are kept for the next image; nil for nowhere.
  public init(
    view: OverlayTree, options: SquashfsOptions, cache: (any BlockCache)?, progress: Progress
  ) {
    source = view
    self.options = options
    self.cache = cache
    self.progress = progress
  }

  /// Writes the tree of a directory as an image.
  /// - Parameters:
  ///   - tree: the directory that becomes the image's root.
  ///   - file: open for writing, and empty.
  ///   - filter: asked about every entry but the root, directories before what is in them; nil
  ///     keeps all. It is called on this thread.
  /// - Throws: `RenderError` for what squashfs cannot hold; `StoreError`, `SystemError`.
  public func write(
    tree: Entry, to file: Descriptor, on fileSystem: any FileSystem,
    filter: ((_ path: [UInt8], _ entry: Entry) throws -> SquashfsSelection)? = nil
  ) throws -> SquashfsReport {
    try options.check()
    progress.begin("scanning")
    let plan = try SquashfsPlanner(source, blockBytes: options.blockBytes, filter: filter).plan(
      tree)
    var contents = plan.contents
    let fragments = SquashfsFragments(&contents, options)
    progress.begin("packing", totalBytes: contents.reduce(0) { $0 &+ $1.sizeBytes })

    let output = SquashfsOutput(fileSystem, file.raw)
    if let record = options.compressorRecord {
      var block: [UInt8] = []
      block.append16(UInt16(record.count) | Squashfs.metadataUncompressed)
      try output.append(block + record)
    }
    let data = SquashfsData(source: source, options: options, cache: cache, progress: progress)
    let laidOut = try data.write(contents, fragments, to: output)
    var report = try writeTables(plan, contents, laidOut, output)
    report.contentBytes = contents.reduce(0) { $0 &+ $1.sizeBytes }
    report.cachedBlocks = laidOut.cached
    report.compressedBlocks = laidOut.compressed
    report.cachedBytes = report.contentBytes &- min(laidOut.compressedBytes, report.contentBytes)
    return report
  }

  private func writeTables(
    _ plan: SquashfsPlan, _ contents: [SquashfsContent], _ laidOut: SquashfsLayout,
    _ output: SquashfsOutput
  ) throws -> SquashfsReport {
    let press = SquashfsMetadataCompressor(options.codec)
    var inodes = SquashfsInodes(plan, contents, laidOut, source, press)
    let root = try inodes.write()
    let inodeTable = output.offset
    try output.append(inodes.inodes.bytes)
    let directoryTable = output.offset
    try output.append(inodes.directories.bytes)

    var records: [UInt8] = []
    for fragment in laidOut.fragments {
      records.append64(fragment.start)
      records.append32(fragment.word)
      records.append32(0)
    }
    let fragmentTable = try output.appendTable(records, press)
    records = []
    for place in inodes.places { records.append64(place?.packed ?? 0) }
    let exportTable = try output.appendTable(records, press)
    records = []
    for number in inodes.owners.numbers { records.append32(number) }
    let ownerTable = try output.appendTable(records, press)
    var xattrs = inodes.xattrs
    let xattrTable = try xattrs.write(to: output)

    let usedBytes = output.offset
    let padding = Squashfs.paddedTo - Int(usedBytes % UInt64(Squashfs.paddedTo))
    try output.append([UInt8](repeating: 0, count: padding % Squashfs.paddedTo))
    let superblock = SquashfsSuperblock(
      inodes: plan.inodes, madeSeconds: options.madeSeconds, blockBytes: options.blockBytes,
      fragments: UInt32(laidOut.fragments.count), compressor: options.compressorNumber,
      flags: flags(hasXattrs: !xattrs.isEmpty), owners: UInt16(inodes.owners.numbers.count),
      root: root, usedBytes: usedBytes, ownerTable: ownerTable, xattrTable: xattrTable,
      inodeTable: inodeTable, directoryTable: directoryTable, fragmentTable: fragmentTable,
      exportTable: exportTable)
    try output.write(superblock.bytes, at: 0)

    var report = SquashfsReport()
    report.usedBytes = usedBytes
    report.fileBytes = output.offset
    report.inodes = Int(plan.inodes)
    report.fragments = laidOut.fragments.count
    report.problems = inodes.problems
    return report
  }

  private func flags(hasXattrs: Bool) -> UInt16 {
    var flags = Squashfs.Flag.duplicates | Squashfs.Flag.exportable
    switch options.tails {
    case .ownBlocks: flags |= Squashfs.Flag.noFragments
    case .shareSmallFiles: break
    case .shareAll: flags |= Squashfs.Flag.alwaysFragments
    }
    if !hasXattrs { flags |= Squashfs.Flag.noXattrs }
    if options.compressorRecord != nil { flags |= Squashfs.Flag.compressorOptions }
    return flags
  }
}

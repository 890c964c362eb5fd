// Writes a stored tree as a squashfs image.
//
//     plan (trees only) ──▶ data (contents) ──▶ inodes, listings, tables ──▶ superblock
//
// 1. Equal trees and options give equal bytes, with any number of workers, and with a cold cache, a
//    warm one, or none.
// 2. The superblock is written last, so a partial file is not a squashfs image.
// 3. Properties that the format cannot represent are refused or reported, never dropped silently.

import Platform
import Store

/// Writes squashfs images.
public struct SquashfsWriter {
  private let source: OverlayTree
  private let options: SquashfsOptions
  private let cache: (any BlockCache)?
  private let progress: Progress

  /// Creates a writer for trees of a store.
  /// - Parameter cache: keeps compressed blocks for later images; nil for none.
  public init(
    store: ObjectStore, options: SquashfsOptions, cache: (any BlockCache)?, progress: Progress
  ) {
    self.init(
      view: OverlayTree(store, modified: Timestamp(seconds: 0, nanoseconds: 0)), options: options,
      cache: cache, progress: progress)
  }

  /// Creates a writer for trees of an overlay.
  /// - Parameters:
  ///   - view: contains the tree, edited or not.
  ///   - cache: keeps compressed blocks for later images; nil for none.
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
  ///   - file: an empty file, open for writing.
  ///   - filter: called for every entry but the root, directories before their entries, on this
  ///     thread; nil includes all.
  /// - Returns: the report.
  /// - Throws: `RenderError` for trees that squashfs cannot represent; `StoreError`, `SystemError`.
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
    let layout = try data.write(contents, fragments, to: output)
    var report = try writeTables(plan, contents, layout, output)
    report.contentBytes = contents.reduce(0) { $0 &+ $1.sizeBytes }
    report.cachedBlocks = layout.cached
    report.compressedBlocks = layout.compressed
    report.cachedBytes = report.contentBytes &- min(layout.compressedBytes, report.contentBytes)
    return report
  }

  private func writeTables(
    _ plan: SquashfsPlan, _ contents: [SquashfsContent], _ layout: SquashfsLayout,
    _ output: SquashfsOutput
  ) throws -> SquashfsReport {
    let compressor = SquashfsMetadataCompressor(options.codec)
    var inodes = SquashfsInodes(plan, contents, layout, source, compressor)
    let root = try inodes.write()
    let inodeTable = output.offset
    try output.append(inodes.inodes.bytes)
    let directoryTable = output.offset
    try output.append(inodes.directories.bytes)

    var records: [UInt8] = []
    for fragment in layout.fragments {
      records.append64(fragment.start)
      records.append32(fragment.word)
      records.append32(0)
    }
    let fragmentTable = try output.appendTable(records, compressor)
    records = []
    for position in inodes.positions { records.append64(position?.packed ?? 0) }
    let exportTable = try output.appendTable(records, compressor)
    records = []
    for number in inodes.owners.numbers { records.append32(number) }
    let ownerTable = try output.appendTable(records, compressor)
    var xattrs = inodes.xattrs
    let xattrTable = try xattrs.write(to: output)

    let usedBytes = output.offset
    let padding = Squashfs.paddedTo - Int(usedBytes % UInt64(Squashfs.paddedTo))
    try output.append([UInt8](repeating: 0, count: padding % Squashfs.paddedTo))
    let superblock = SquashfsSuperblock(
      inodes: plan.inodes, madeSeconds: options.madeSeconds, blockBytes: options.blockBytes,
      fragments: UInt32(layout.fragments.count), compressor: options.compressorNumber,
      flags: flags(hasXattrs: !xattrs.isEmpty), owners: UInt16(inodes.owners.numbers.count),
      root: root, usedBytes: usedBytes, ownerTable: ownerTable, xattrTable: xattrTable,
      inodeTable: inodeTable, directoryTable: directoryTable, fragmentTable: fragmentTable,
      exportTable: exportTable)
    try output.write(superblock.bytes, at: 0)

    var report = SquashfsReport()
    report.usedBytes = usedBytes
    report.fileBytes = output.offset
    report.inodes = Int(plan.inodes)
    report.fragments = layout.fragments.count
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

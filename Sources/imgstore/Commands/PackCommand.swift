// imgstore pack.

import ArgumentParser
import Images
import Platform
import Render

extension PackMethod: ExpressibleByArgument {}
extension SegmentCodec: ExpressibleByArgument {
  /// Of these there is a choice; what else a form needs follows from it.
  static let choices = [SegmentCodec.gzip, .zstd, .xz]
  public static var allValueStrings: [String] { choices.map(\.rawValue) }

  public init?(argument: String) {
    guard let codec = SegmentCodec.choices.first(where: { $0.rawValue == argument }) else {
      return nil
    }
    self = codec
  }
}

/// How large the cache of compressed segments may become.
struct CacheLimit: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Keep at most this much of compressed segments in the store's cache (default 8192); 0: nothing.",
      valueName: "MiB"))
  var cacheLimit: UInt64?

  var bytes: UInt64 {
    cacheLimit.map { min($0, 1 << 40) << 20 } ?? SegmentCache.defaultLimitBytes
  }
}

struct Pack: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Pack the root tree into the one file that nodes download.",
    discussion: """
      Writes rootimg.cpio.gz, or what --method and --compress say, into the image's folder, as xCAT's \
      packimage does, through the image's exlist. The old file stays until the new one is complete. \
      The live tree is not changed; what changed in it since the latest snapshot is snapshotted \
      first. What was compressed before is copied: the second time costs little more than copying.

      cpio keeps no capabilities and no file of 4 GiB; tar and squashfs do.

      Compressed segments are kept in the folder cache/ of the store, the latest used ones up to \
      --cache-limit. It may be removed at any time; the next pack compresses everything again.

      Examples:
        imgstore pack compute
        imgstore pack compute -m tar -c xz
        imgstore pack compute -m squashfs -c zstd
        imgstore pack compute@golden --output /tmp/golden.cpio.gz
      """)

  @Argument(help: "The image; or a snapshot of it, with --output.") var ref: String
  @Option(
    name: .shortAndLong, help: "cpio, tar or squashfs; else as the name of --output ends, or cpio.")
  var method: PackMethod?
  @Option(
    name: .shortAndLong, help: "gzip, zstd or xz; else as the name of --output ends, or gzip.")
  var compress: SegmentCodec?
  @Flag(help: "Leave the files of synclists out.") var nosyncfiles = false
  @Flag(help: "Pack the tree as it is: add nothing of the management node's, leave nothing out.")
  var plain = false
  @Flag(help: "Change the live tree as xCAT's packimage does, after a snapshot of it.")
  var inTree = false
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Write this file instead, or one in this directory. Only a regular file is replaced.",
      valueName: "file"))
  var output: String?
  @OptionGroup var cache: CacheLimit
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = try PackRequest(ref, output: output, method: method, codec: compress)
    request.skipsSyncfiles = nosyncfiles
    request.isPlain = plain
    request.changesLiveTree = inTree
    request.cacheLimitBytes = cache.bytes
    let outcome = try common.open().pack(request)
    Terminal.finish()
    if json.json {
      try printJSON(PackJSON(outcome))
    } else {
      describe(outcome)
    }
    let gaps = gapLines(outcome.gaps, of: outcome.snapshot)
    if !gaps.isEmpty { throw CompletedWithWarnings(lines: gaps) }
  }

  private func describe(_ outcome: PackOutcome) {
    if outcome.isNewSnapshot { print("the image had changed: kept as \(outcome.snapshot.name)") }
    for line in outcome.remarks { Terminal.warning(line) }
    print("packed \(outcome.snapshot.name) to \(outcome.destination)")
    print(
      "  \(count(outcome.counts.members, "entry")), "
        + "\(sizeText(outcome.report.writtenBytes)) of \(sizeText(outcome.report.plainBytes)), "
        + "\(sizeText(outcome.report.cachedPlainBytes)) from the cache; "
        + secondsText(outcome.seconds))
  }
}

struct PackJSON: JSONDocument {
  static let kind = "pack"
  let snapshot: String
  let newSnapshot: Bool
  let destination: String
  let entries: UInt64
  let sizeBytes: UInt64
  let plainBytes: UInt64
  let cachedBytes: UInt64
  let segments: Int
  let cachedSegments: Int
  let droppedXattrs: Int
  let droppedCapabilities: Int
  let gaps: [NoteJSON]
  let remarks: [String]
  let seconds: Double

  init(_ outcome: PackOutcome) {
    snapshot = outcome.snapshot.name
    newSnapshot = outcome.isNewSnapshot
    destination = outcome.destination
    entries = outcome.counts.members
    sizeBytes = outcome.report.writtenBytes
    plainBytes = outcome.report.plainBytes
    cachedBytes = outcome.report.cachedPlainBytes
    segments = outcome.report.segments
    cachedSegments = outcome.report.cachedSegments
    droppedXattrs = outcome.counts.droppedXattrs
    droppedCapabilities = outcome.counts.droppedCapabilities
    gaps = outcome.gaps.map(NoteJSON.init)
    remarks = outcome.remarks
    seconds = outcome.seconds
  }
}

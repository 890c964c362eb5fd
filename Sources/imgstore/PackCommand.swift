// imgstore pack.

import ArgumentParser
import Images
import Platform
import Render

extension PackMethod: ExpressibleByArgument {}
extension SegmentCodec: ExpressibleByArgument {}

struct Pack: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Pack the root tree into the one file that nodes download.",
    discussion: """
      Writes rootimg.METHOD.SUFFIX into the image's folder, as xCAT's packimage does, through the \
      image's exlist. The old file stays until the new one is complete. The live tree is not \
      changed; what changed in it since the latest snapshot is snapshotted first.
      """)

  @Argument(help: "The image; or a snapshot of it, with --output.") var ref: String
  @Option(name: .shortAndLong, help: "cpio or tar.") var method = PackMethod.cpio
  @Option(name: .shortAndLong, help: "gzip or zstd.") var compress = SegmentCodec.gzip
  @Flag(help: "Do not mind synclists.") var nosyncfiles = false
  @Option(name: .shortAndLong, help: ArgumentHelp("Write this file instead.", valueName: "file"))
  var output: String?
  @Option(
    help: ArgumentHelp(
      "Keep at most this much of compressed segments for the next time; 0 for nothing.",
      valueName: "MiB"))
  var cacheLimit: UInt64?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = PackRequest(ref)
    request.method = method
    request.codec = compress
    request.skipsSyncfiles = nosyncfiles
    request.output = output
    if let cacheLimit { request.cacheLimitBytes = min(cacheLimit, 1 << 40) << 20 }
    let outcome = try common.open().pack(request)
    Terminal.finish()
    if json.json { return try printJSON(PackJSON(outcome)) }
    if outcome.isNewSnapshot { print("the tree had changed: kept as \(outcome.snapshot.name)") }
    for line in outcome.remarks { Terminal.remark(line) }
    print("packed \(outcome.snapshot.name) to \(outcome.destination)")
    print(
      "  \(count(outcome.counts.members, "entry")), "
        + "\(sizeText(outcome.report.writtenBytes)) of \(sizeText(outcome.report.plainBytes)), "
        + "\(sizeText(outcome.report.cachedPlainBytes)) from the cache; "
        + secondsText(outcome.seconds))
  }
}

struct PackJSON: Encodable {
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
    remarks = outcome.remarks
    seconds = outcome.seconds
  }
}

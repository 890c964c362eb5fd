// imgstore pack.

import ArgumentParser
import Images

extension PackMethod: ExpressibleByArgument {}
extension SegmentCodec: ExpressibleByArgument {
  /// The codecs that a user can choose. The form of the archive determines all other settings.
  static let choices = [SegmentCodec.gzip, .zstd, .xz]
  public static var allValueStrings: [String] { choices.map(\.rawValue) }

  public init?(argument: String) {
    guard let codec = SegmentCodec.choices.first(where: { $0.rawValue == argument }) else {
      return nil
    }
    self = codec
  }
}

/// The option that limits the cache of compressed segments.
struct CacheLimit: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Largest size in MiB of the store's segment cache (default: 'cache.segments' of the configuration, else 8192; 0 keeps none)",
      valueName: "MiB"))
  var cacheLimit: UInt64?

  /// Returns the limit in bytes.
  func bytes(_ configuration: Configuration) -> UInt64 {
    cacheLimit.map { min($0, 1 << 40) << 20 } ?? configuration.segmentCacheBytes?.value
      ?? PackRequest.defaultCacheLimitBytes
  }
}

struct PackCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Pack the root tree into the file that nodes download",
    discussion: """
      The command writes rootimg.cpio.gz into the image's directory, as xCAT's packimage does, and \
      applies the image's exlist. The file of a directory image, such as /srv/images/compute, lies next \
      to it: /srv/images/compute.cpio.gz. --method and --compress choose another form. The old file stays \
      until the new one is complete. The command does not change the live tree, and snapshots \
      unsaved changes first.

      --output chooses the format by the name of the file, and refuses names of formats that it \
      cannot write; names such as initrd.img need --method. Only you can read a new file there, and \
      next to a directory image (mode 0600, with any umask), because the tree holds secrets such as password hashes and host keys; 'chmod 644 FILE' lets a web server \
      read it. A file of yours that is replaced keeps its mode.

      cpio cannot store capabilities or a file of 4 GiB or more; tar and squashfs can.

      The directory cache/ of the store keeps the compressed segments used last, up to \
      --cache-limit. The command copies these segments, so packing again costs little more than \
      copying. You can delete the cache at any time; the next pack then compresses everything again.

      Examples:
        imgstore pack compute
        imgstore pack compute -m tar -c xz
        imgstore pack compute -m squashfs -c zstd
        imgstore pack compute@golden --output /tmp/golden.cpio.gz
      """)

  @Argument(
    help: "Image; with --output, also a snapshot (default: the only image)") var ref: String?
  @Option(
    name: .shortAndLong,
    help: "cpio, tar or squashfs (default: by the name of --output, else as configured, else cpio)"
  )
  var method: PackMethod?
  @Option(
    name: .shortAndLong,
    help: "gzip, zstd or xz (default: by the name of --output, else as configured, else gzip)")
  var compress: SegmentCodec?
  @Flag(help: "Leave out the files of synclists") var nosyncfiles = false
  @Flag(help: "Pack the tree unchanged: add no files of the management node, and apply no exlist")
  var plain = false
  @Flag(help: "Snapshot the live tree, then change it as xCAT's packimage does")
  var inTree = false
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Write to this file, or to a file in this directory; only regular files are replaced",
      valueName: "file"))
  var output: String?
  @Flag(
    name: [.customShort("n"), .long], help: "Print what would be written, and where; write nothing")
  var dryRun = false
  @OptionGroup var cache: CacheLimit
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    var request = try PackRequest(
      ref ?? workspace.onlyImage(), output: output, method: method, codec: compress)
    if output == nil {
      request.use(
        try workspace.packSettings(request.reference), keepsMethod: method != nil,
        keepsCodec: compress != nil)
    }
    request.skipsSyncfiles = nosyncfiles
    request.isPlain = plain
    request.changesLiveTree = inTree
    request.cacheLimitBytes = cache.bytes(workspace.options.configuration)
    if dryRun { return try plan(request, workspace) }
    let outcome = try workspace.pack(request)
    if try !json.prints(outcome) { describe(outcome) }
    let gaps = gapLines(outcome.gaps, of: outcome.snapshot)
    if !gaps.isEmpty { throw CompletedWithWarnings(lines: gaps) }
  }

  private func plan(_ request: PackRequest, _ workspace: Workspace) throws {
    let plan = try workspace.planPack(request)
    if try !json.prints(plan) {
      for line in plan.remarks { Terminal.warning(line) }
      if plan.needsSnapshot { print("would save the unsaved changes as \(plan.snapshot)") }
      if plan.changesLiveTree { print("would change the live tree as xCAT's packimage does") }
      print(
        "would pack \(plan.snapshot) as \(plan.method.rawValue), \(plan.codec.rawValue), to "
          + plan.destination)
      if let bytes = plan.replacedBytes { print("  replacing a file of \(sizeText(bytes))") }
    }
    try expectNotRefused(plan.refusal)
  }

  private func describe(_ outcome: PackOutcome) {
    if outcome.isNewSnapshot {
      print("the image had unsaved changes: saved as \(outcome.snapshot.name)")
    }
    for line in outcome.remarks { Terminal.warning(line) }
    print(
      "packed \(outcome.snapshot.name) as \(outcome.method.rawValue), \(outcome.codec.rawValue), to "
        + outcome.destination)
    print(
      "  \(count(outcome.counts.members, "entry")), "
        + "\(sizeText(outcome.report.writtenBytes)) of \(sizeText(outcome.report.plainBytes)), "
        + "\(sizeText(outcome.report.cachedPlainBytes)) from the cache; "
        + secondsText(outcome.seconds))
    if outcome.isPrivate {
      print("  readable only by you (mode 0600); chmod 644 it for a web server")
    }
  }
}

// The options of imgstore export that write an OCI image, and its output.

import ArgumentParser
import Images

extension OCILayers: ExpressibleByArgument {
  public init?(argument: String) {
    switch argument {
    case "single": self = .single
    case "history": self = .history
    default:
      let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard parts.allSatisfy({ !$0.isEmpty }) else { return nil }
      self = .snapshots(parts)
    }
  }
}

/// The options of an export as an OCI image.
struct OCIExportOptions: ParsableArguments {
  @Flag(help: "Write an OCI archive instead of a bundle") var oci = false
  @Flag(help: "Write an OCI layout directory, DEST, instead of a bundle") var ociDir = false
  @Option(
    help: ArgumentHelp(
      "With --oci: single, history, or snapshots to make layers of (3,7,golden)",
      valueName: "layers"))
  var layers: OCILayers?
  @Option(
    name: .shortAndLong,
    help: "With --oci: gzip or zstd for the layers (default: gzip)")
  var compress: SegmentCodec?
  @Option(
    help: ArgumentHelp(
      "With --oci: name in the index (default: IMAGE:N)", valueName: "name"))
  var ref: String?
  @Option(
    help: ArgumentHelp(
      "With --oci: OS/ARCH (default: that of the image)", valueName: "platform"))
  var platform: String?

  /// Whether the command writes an OCI image.
  var isWanted: Bool { oci || ociDir }

  func validate(_ command: ExportCommand) throws {
    guard isWanted else {
      let given = [
        ("--layers", layers != nil), ("--compress", compress != nil), ("--ref", ref != nil),
        ("--platform", platform != nil),
      ]
      if let option = given.first(where: \.1)?.0 {
        throw ValidationError("\(option) is for OCI images: add --oci or --oci-dir.")
      }
      return
    }
    if oci, ociDir { throw ValidationError("Give --oci or --oci-dir, not both.") }
    if ociDir, command.target == nil || command.target == "-" {
      throw ValidationError("--oci-dir needs DEST, the directory to write.")
    }
    if let compress, compress == .xz {
      throw ValidationError("The layers of OCI images have no xz: use gzip or zstd.")
    }
    let refused = [
      ("--extra", !command.extra.isEmpty), ("--postscripts", command.postscripts != nil),
      ("--complete", command.complete), ("--sign", command.sign), ("--key", command.key.key != nil),
      ("--allow", !command.allow.isEmpty), ("-R", command.remote.remoteHost != nil),
    ]
    if let option = refused.first(where: \.1)?.0 {
      throw ValidationError("\(option) is for bundles, not for OCI images.")
    }
  }

  func run(_ command: ExportCommand, _ workspace: Workspace) throws {
    var request = OCIExportRequest(command.ref)
    request.destination =
      ociDir
      ? .directory(command.target ?? "")
      : command.target == "-" ? .standardOutput : .archive(command.target)
    request.layers = layers ?? .single
    request.codec = compress ?? .gzip
    request.name = ref
    request.platform = platform
    request.scrubs = command.scrub
    request.isDryRun = command.dryRun
    let isStream = command.target == "-" && !command.dryRun
    // The image has standard output for itself.
    if isStream { JSONOutput.begin() }
    let outcome = try workspace.exportOCI(request)
    Terminal.finish()
    if !isStream, command.json.json {
      try printJSON(outcome)
    } else {
      for line in describe(outcome, command) {
        if !isStream { print(line) } else if !command.common.quiet { Terminal.remark(line) }
      }
    }
    if !command.listSecrets, !command.scrub {
      for line in SecretsText.carried(outcome.secrets, by: "the image", in: outcome.snapshot.name) {
        Terminal.warning(line)
      }
    }
    for line in outcome.remarks { Terminal.warning(line) }
    if !outcome.gaps.isEmpty {
      throw CompletedWithWarnings(
        lines: outcome.gaps.map { "the image is incomplete: \(noteText($0))" })
    }
  }

  private func describe(_ outcome: OCIExportOutcome, _ command: ExportCommand) -> [String] {
    let secrets =
      command.scrub
      ? SecretsText.scrubbed(outcome.secrets)
      : command.listSecrets ? SecretsText.all(outcome.secrets) : []
    let destination = outcome.destination ?? "standard output"
    let layers = outcome.layers.map { layer in
      let digest = layer.digest.map { "  \($0.shortHex)  \(sizeText(layer.sizeBytes))" } ?? ""
      return "  layer \(layer.snapshot)\(digest)  \(sizeText(layer.contentBytes)) of files"
    }
    guard let digest = outcome.digest else {
      return secrets + layers + [
        "an export of \(outcome.snapshot.name) to \(destination) would have "
          + "\(count(outcome.layers.count, "layer"))"
      ]
    }
    return secrets + layers + [
      "exported \(outcome.snapshot.name) to \(destination) as \(outcome.name) "
        + "(\(outcome.platform)), sha256:\(digest.hex)",
      "  \(count(outcome.layers.count, "layer")), \(sizeText(outcome.sizeBytes)); "
        + secondsText(outcome.seconds),
    ]
  }
}

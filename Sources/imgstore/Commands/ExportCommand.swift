// imgstore export. The name imgexport is in XCATExport.swift.

import ArgumentParser
import Images

struct ExportCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an image to one file, for another management node",
    discussion: """
      With the name of an image, the command exports the live image, and snapshots unsaved changes \
      first. IMAGE@N, IMAGE@TAG and other references export an older state. The bundle is \
      IMAGE@N.tgz in the working directory, or DEST; an interrupted export leaves no partial bundle. \
      xCAT's own imgimport can read the bundle of an xCAT image, too.

      With --oci or --oci-dir, the command writes the root tree as an OCI image instead, for skopeo, \
      podman, Warewulf and OpenCHAMI. By default it has one layer; --layers history gives each \
      snapshot a layer, so that a registry keeps the layers of earlier exports.

      With --complete, the bundle also contains the root tree and the files that lists include or \
      name, so that another site can generate and pack the image again.

      With --since or --have, the command writes a thin bundle: one snapshot without the data that the \
      receiver has. Only imgstore reads it; 'imgstore import' says which snapshot is missing, if one is.

      The command lists the secrets in the bundle. With --scrub it leaves them out of all layers of \
      the bundle, so that nodes still boot, and lists them, too.

      Examples:
        imgstore export compute
        imgstore export compute@golden /backup/ -e /root/notes.txt
        imgstore export compute --scrub
        imgstore export compute --to - | ssh mn2 imgstore import -
        imgstore export compute compute.oci.tar --oci
        imgstore export compute --since compute@11
      """)

  @Argument(help: "Image, or a snapshot of it") var ref: String
  @Argument(help: "File or directory to write to; with -R, a path on that host") var dest: String?
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Include a file or directory; import writes it to DIR (default: its path here); repeatable",
      valueName: "file[:dir]"))
  var extra: [String] = []
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Include the names of this node's postscripts and postbootscripts", valueName: "node"))
  var postscripts: String?
  @Flag(help: "Include all files that are needed to generate the image again") var complete = false
  @Flag(help: "Sign the whole bundle ('imgstore help sign')") var sign = false
  @OptionGroup var key: KeyOption
  @Option(
    help: ArgumentHelp(
      "Follow links of the image into this directory, too; repeatable", valueName: "dir"))
  var allow: [String] = []
  @Flag(help: "Leave secrets out of the bundle") var scrub = false
  @Flag(help: "List all secrets in the bundle") var listSecrets = false
  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp(
      "Same as DEST; '-' is standard output, and messages then go to standard error",
      valueName: "file"))
  var to: String?
  @OptionGroup var image: OCIExportOptions
  @OptionGroup var thin: ThinExportOptions
  @OptionGroup var remote: RemoteOption
  @Flag(
    name: [.customShort("n"), .long], help: "List the content of the bundle without writing it")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if key.key != nil, !sign {
      throw ValidationError("--key names the key for --sign: give both.")
    }
    if dest != nil, to != nil { throw ValidationError("DEST and --to are the same: give one.") }
    try image.validate(self)
    try thin.validate(self)
    if let target, target.isEmpty { throw ValidationError("The destination is empty.") }
    if target == "-", remote.remoteHost != nil {
      throw ValidationError("Standard output is not on another host: give '-' or -R, not both.")
    }
  }

  /// The destination, from DEST or --to.
  var target: String? { to ?? dest }

  func run() throws {
    let workspace = try common.open()
    if image.isWanted { return try image.run(self, workspace) }
    if thin.isWanted { return try thin.run(self, workspace) }
    var request = ExportRequest(ref)
    request.destination = target == "-" ? .standardOutput : .file(target)
    request.extras = try extra.map { try workspace.extra($0) }
    request.postscriptsOf = postscripts
    request.isComplete = complete
    request.allowed = allow
    request.signingKey = sign ? try workspace.signingKey(key.key) : nil
    request.scrubs = scrub
    request.isDryRun = dryRun

    // The bundle has standard output for itself.
    if target == "-", !dryRun { JSONOutput.begin() }

    let outcome: ExportOutcome
    let destination: String
    if let host = remote.remoteHost {
      let (directory, name) = ImgexportCommandLine.destination(
        of: target, image: ref.split(separator: "@").first.map(String.init) ?? ref)
      let file = try RemoteFile(host: host, path: directory + name)
      destination = file.text
      outcome = try send(workspace, request, to: file)
    } else {
      outcome = try workspace.export(request) { _ in }
      destination = outcome.destination ?? "-"
    }
    Terminal.finish()
    try report(outcome, destination)
  }

  private func send(
    _ workspace: Workspace, _ request: ExportRequest, to file: RemoteFile
  ) throws -> ExportOutcome {
    if dryRun { return try workspace.export(request) { _ in } }
    return try RemoteBundle(workspace, say: Terminal.say).send(to: file) { path in
      var request = request
      request.destination = .file(path)
      return try workspace.export(request) { _ in }
    } beforeCopy: { _ in
      workspace.progress.begin("copying to \(file.host)")
    }
  }

  private func report(_ outcome: ExportOutcome, _ destination: String) throws {
    // The bundle has standard output for itself.
    let isStream = destination == "-" && !dryRun
    if !isStream, json.json {
      try printJSON(ExportJSON(outcome: outcome, destination: destination))
    } else {
      for line in describe(outcome, destination) {
        if !isStream { print(line) } else if !common.quiet { Terminal.remark(line) }
      }
    }
    if !listSecrets, !scrub {
      for line in SecretsText.carried(
        outcome.secrets, by: "the bundle", in: outcome.snapshot.name)
      { Terminal.warning(line) }
    }
    let missing = outcome.missing.map { "\($0.path) is not in the bundle: \($0.reason)" }
    if !outcome.gaps.isEmpty || complete && !missing.isEmpty {
      for line in outcome.remarks { Terminal.warning(line) }
      throw CompletedWithWarnings(
        lines: missing + outcome.gaps.map { "the bundle is incomplete: \(noteText($0))" })
    }
    for line in outcome.remarks + missing { Terminal.warning(line) }
  }

  private func describe(_ outcome: ExportOutcome, _ destination: String) -> [String] {
    let name = outcome.snapshot.name
    let secrets =
      scrub
      ? SecretsText.scrubbed(outcome.secrets)
      : listSecrets ? SecretsText.all(outcome.secrets) : []
    guard outcome.isDryRun else {
      return secrets + [
        "exported \(name) to \(destination)",
        "  \(count(outcome.members.count, "file")), \(sizeText(outcome.sizeBytes)); "
          + secondsText(outcome.seconds),
      ]
    }
    return outcome.members.map { "\($0.name)  \($0.path)" } + secrets + [
      "",
      "an export of \(name) to \(destination) would hold "
        + "\(count(outcome.members.count, "file")), \(sizeText(outcome.contentBytes))",
    ]
  }
}

// imgstore export. The name imgexport is in XCATExport.swift.

import ArgumentParser
import Images
import XCAT

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an image as one file, for another management node.",
    discussion: """
      An image's name stands for the image as it is now: it is snapshotted first where it changed. \
      IMAGE@N, IMAGE@TAG and the like export an older state. The bundle is IMAGE@N.tgz in the \
      working folder unless DEST says otherwise; it is there whole, or not at all. Where the image is \
      one of xCAT's, the bundle is what xCAT's own imgimport reads, too.

      With --complete the bundle also holds what is needed to generate and pack the image again \
      elsewhere: files that lists include or name, and the root tree.

      Secrets that the bundle carries are listed. With --scrub they are left out of all its layers, \
      in a way that nodes still boot, and listed as well.

      Examples:
        imgstore export compute
        imgstore export compute@golden /backup/ -e /root/notes.txt
        imgstore export compute --scrub
        imgstore export compute --to - | ssh mn2 imgstore import -
      """)

  @Argument(help: "The image, or a snapshot of it.") var ref: String
  @Argument(help: "A file or a folder; with -R, a path on that host.") var dest: String?
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Take a file or folder along, to be placed in DIR, or where it is here. Repeatable.",
      valueName: "file[:dir]"))
  var extra: [String] = []
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Take the names of this node's postscripts and postbootscripts along.", valueName: "node"))
  var postscripts: String?
  @Flag(help: "Take along what generating the image again needs.") var complete = false
  @Flag(help: "Sign the whole bundle ('imgstore help sign').") var sign = false
  @OptionGroup var key: KeyOption
  @Option(
    help: ArgumentHelp(
      "Follow links of the image into this folder too. Repeatable.", valueName: "dir"))
  var allow: [String] = []
  @Flag(help: "Leave secrets out of the bundle.") var scrub = false
  @Flag(help: "List all secrets that the bundle carries.") var listSecrets = false
  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp(
      "The same as DEST; '-' is standard output, and all else goes to standard error.",
      valueName: "file"))
  var to: String?
  @OptionGroup var remote: RemoteOption
  @Flag(name: [.customShort("n"), .long], help: "Say what the bundle would hold; write no bundle.")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if key.key != nil, !sign {
      throw ValidationError("--key says what --sign signs with: give both.")
    }
    if dest != nil, to != nil { throw ValidationError("DEST and --to say the same: give one.") }
    if let place, place.isEmpty { throw ValidationError("The destination is empty.") }
    if place == "-", remote.remoteHost != nil {
      throw ValidationError("Standard output is not on another host: give '-', or -R.")
    }
  }

  private var place: String? { to ?? dest }

  func run() throws {
    let workspace = try common.open()
    var request = ExportRequest(ref)
    request.destination = place == "-" ? .standardOutput : .file(place)
    request.extras = try extra.map { try workspace.extra($0) }
    request.postscriptsOf = postscripts
    request.isComplete = complete
    request.allowed = allow
    request.signingKey = sign ? try workspace.signingKey(key.key) : nil
    request.scrubs = scrub
    request.isDryRun = dryRun

    // The bundle has standard output for itself.
    if place == "-", !dryRun { JSONOutput.begin() }

    let outcome: ExportOutcome
    let destination: String
    if let host = remote.remoteHost {
      let (folder, name) = Imgexport.place(
        of: place, image: ref.split(separator: "@").first.map(String.init) ?? ref)
      let file = try RemoteFile(host: host, path: folder + name)
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
    return try RemoteBundle.send(workspace, to: file) { path in
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
      try printJSON(ExportJSON(outcome, destination: destination))
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
    let missing = outcome.missing.map { "\($0.path) is not in the bundle: \($0.why)" }
    if !dryRun, !outcome.gaps.isEmpty || complete && !missing.isEmpty {
      throw CompletedWithWarnings(
        lines: missing + outcome.gaps.map { "the bundle is incomplete: \(noteText($0))" })
    }
    for line in outcome.remarks + missing { Terminal.warning(line) }
  }

  private func describe(_ outcome: ExportOutcome, _ destination: String) -> [String] {
    let what = outcome.snapshot.name
    let secrets =
      scrub
      ? SecretsText.scrubbed(outcome.secrets)
      : listSecrets ? SecretsText.all(outcome.secrets) : []
    guard outcome.isDryRun else {
      return secrets + [
        "exported \(what) to \(destination)",
        "  \(count(outcome.members.count, "file")), \(sizeText(outcome.sizeBytes)); "
          + secondsText(outcome.seconds),
      ]
    }
    return outcome.members.map { "\($0.name)  \($0.path)" } + secrets + [
      "",
      "an export of \(what) to \(destination) would hold "
        + "\(count(outcome.members.count, "file")), \(sizeText(outcome.contentBytes))",
    ]
  }
}

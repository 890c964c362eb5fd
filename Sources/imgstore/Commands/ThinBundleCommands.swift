// imgstore have, and the thin forms of export and import.

import ArgumentParser
import Glibc
import Images

struct HaveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "have",
    abstract: "List what this store has of an image, for 'export --have' elsewhere",
    discussion: """
      The list names snapshots and objects by their ids, and contains no data. It goes to standard output.

      Examples:
        imgstore have compute > compute.have
      """)

  @Argument(help: "Name of the image") var name: String
  @OptionGroup var common: CommonOptions

  func run() throws {
    let list = try common.open().have(name)
    Terminal.finish()
    guard isatty(1) == 0 else {
      throw ValidationError(
        "The list is not text: send it to a file, 'imgstore have \(name) > FILE'.")
    }
    try StandardOutput.write(list.encode())
  }
}

/// The options of `export` for a thin bundle.
struct ThinExportOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Write a thin bundle without the data of this snapshot, which the receiver has; repeatable",
      valueName: "ref"))
  var since: [String] = []
  @Option(
    help: ArgumentHelp(
      "Write a thin bundle without the data that 'imgstore have' listed there", valueName: "file"))
  var have: String?

  /// Whether a thin bundle is wanted.
  var isWanted: Bool { !since.isEmpty || have != nil }

  func validate(_ command: ExportCommand) throws {
    guard isWanted else { return }
    let others: [(String, Bool)] = [
      ("--extra", !command.extra.isEmpty), ("--postscripts", command.postscripts != nil),
      ("--complete", command.complete), ("--sign", command.sign), ("--scrub", command.scrub),
      ("-R", command.remote.remoteHost != nil), ("--oci", command.image.isWanted),
    ]
    if let option = others.first(where: { $0.1 }) {
      throw ValidationError(
        "\(option.0) does not go with --since and --have: a thin bundle carries a snapshot as it is."
      )
    }
  }

  func run(_ command: ExportCommand, _ workspace: Workspace) throws {
    var request = ThinExportRequest(command.ref)
    request.since = since
    request.have = have
    request.destination = command.target == "-" ? .standardOutput : .file(command.target)
    request.isDryRun = command.dryRun
    let isStream = command.target == "-" && !command.dryRun
    if isStream { JSONOutput.begin() }
    let outcome = try workspace.exportThin(request)
    Terminal.finish()
    if command.json.json, !isStream {
      try printJSON(outcome)
    } else {
      let bases = outcome.bases.map { "\(outcome.snapshot.snapshot.image)@\($0.number)" }
      let text =
        (outcome.isDryRun
          ? "a thin bundle of \(outcome.snapshot.name) would hold \(exactSize(outcome.sizeBytes))"
          : "exported \(outcome.snapshot.name) to \(outcome.destination ?? "-"): "
            + "\(exactSize(outcome.sizeBytes)); \(secondsText(outcome.seconds))")
        + (bases.isEmpty ? "" : "\nthe receiver needs \(bases.joined(separator: " and "))")
      if !isStream { print(text) } else if !command.common.quiet { Terminal.remark(text) }
    }
    for line in SecretsText.carried(
      outcome.secrets, by: "the bundle", in: outcome.snapshot.name)
    { Terminal.warning(line) }
  }
}

extension ThinImportOutcome {
  /// Prints the report of the import of a thin bundle.
  /// - Throws: `CompletedWithWarnings` if a revert left problems.
  func report(_ json: JSONFlag) throws {
    if try !json.prints(self) {
      let name = "\(manifest.image)@\(manifest.snapshot.number) of \(printable(manifest.host.utf8))"
      switch (isDryRun, isNew, snapshot) {
      case (_, false, let snapshot?): print("\(name) is \(snapshot) here already")
      case (true, _, _): print("the bundle would add \(name): \(exactSize(bytes))")
      case (_, _, let snapshot):
        print(
          "added \(name) as \(snapshot.map { "\($0)" } ?? ""): \(exactSize(bytes)); "
            + secondsText(seconds))
      }
      if let applied {
        print("reverted the live image to \(applied.target.name)")
      } else if let snapshot {
        print("the live image is unchanged: 'imgstore revert \(snapshot)' changes it")
      }
    }
    try applied?.expectNoProblems()
  }
}

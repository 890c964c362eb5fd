// imgstore export, import.

import ArgumentParser
import Images
import Platform
import Store

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a snapshot as the portable bundle that xCAT's imgimport reads.",
    discussion: "The bundle goes to NAME.tgz in the working folder unless DEST says otherwise.")

  @Argument(help: "The snapshot.") var ref: String
  @Argument(help: "A file or a folder, or '-' for standard output.") var dest: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().export(ref, to: dest)
    Terminal.finish()
    guard let destination = outcome.destination else { return }
    if json.json { return try printJSON(ExportJSON(outcome)) }
    print("exported \(outcome.snapshot.name) to \(destination)")
    print(
      "  \(count(outcome.members, "file")), \(sizeText(outcome.sizeBytes)); "
        + secondsText(outcome.seconds))
  }
}

struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Take a bundle in as a new image, or under a new profile.",
    discussion: """
      The whole bundle is read into the store and checked before anything on the machine is \
      changed. What it replaces is kept as a snapshot.
      """)

  @Argument(help: "The bundle, or '-' for standard input.") var bundle: String
  @Option(name: [.customShort("f"), .long], help: "Import under this profile.") var profile: String?
  @Option(help: "The name of the new image.") var name: String?
  @Flag(help: "Replace an image of that name.") var force = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open()
      .importBundle(bundle, profile: profile, name: name, force: force)
    Terminal.finish()
    if json.json {
      try printJSON(ImportJSON(outcome))
    } else {
      if let safety = outcome.safety { print("what was there before is kept as \(safety.name)") }
      for piece in outcome.imported.snapshot.pieces { print("  \(printable(piece.path))") }
      print(
        "imported \(outcome.imported.snapshot.image) as \(outcome.imported.name); "
          + secondsText(outcome.seconds))
    }
    var problems = problemLines(outcome.apply.report.problems)
    if !outcome.remaining.isEmpty {
      problems.append("the live image differs from the bundle: \(summary(outcome.remaining))")
    }
    if !problems.isEmpty { throw DoneWithProblems(lines: problems) }
  }
}

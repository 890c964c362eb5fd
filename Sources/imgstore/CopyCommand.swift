// imgstore copy; and what import and copy say of what they did.

import ArgumentParser
import Images
import Platform

struct Copy: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a new image of a snapshot, under another profile.",
    discussion: """
      What an export and an import with -f do, in one step and without a bundle: the new image has a \
      folder of its own, lists of its own where they are named after the profile, and the root tree; \
      in the store it shares all content with the old one. A revert to what was there before takes \
      the copy away again.

      Examples:
        imgstore copy compute rocky9-x86_64-netboot-test --profile test
        imgstore copy compute@golden rocky9-x86_64-netboot-old --profile old --dry-run
      """)

  @Argument(help: "The snapshot, or an image as it is now.") var ref: String
  @Argument(help: "The name of the new image.") var name: String
  @Option(name: [.customShort("f"), .long], help: "The profile of the new image.") var profile:
    String
  @Flag(help: "Replace an image of that name; what it was is kept as a snapshot.")
  var force = false
  @Flag(name: [.customShort("n"), .long], help: "Check everything and say what would change.")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    for (what, value) in [("--profile", profile), ("The new name", name)] where value.isEmpty {
      throw ValidationError("\(what) is empty.")
    }
  }

  func run() throws {
    let workspace = try common.open()
    var request = CopyRequest(ref, name: name, profile: profile)
    request.replaces = force
    request.isDryRun = dryRun
    let outcome = try workspace.copy(request)
    Terminal.finish()
    try tell(outcome, workspace, "copy", json, common)
  }
}

/// Says what an import or a copy did.
/// - Throws: `DoneWithProblems` where not all is as it should be.
func tell(
  _ outcome: ImportOutcome, _ workspace: Workspace, _ verb: String, _ json: JSONFlag,
  _ common: CommonOptions
) throws {
  if json.json {
    try printJSON(ImportJSON(outcome) { workspace.undo($0) })
  } else {
    for image in outcome.images { describe(image, workspace, outcome, verb) }
  }
  if !common.quiet {
    for remark in outcome.images.flatMap(\.remarks) { Terminal.remark(remark) }
  }
  let problems = outcome.isDryRun ? [] : outcome.images.flatMap(\.problemLines)
  if !problems.isEmpty { throw DoneWithProblems(lines: problems) }
}

private func describe(
  _ image: ImportedImage, _ workspace: Workspace, _ outcome: ImportOutcome, _ verb: String
) {
  let apply = image.apply
  if outcome.isDryRun {
    for path in apply.removals { print("remove  \(printable(path))") }
    for path in apply.writes { print("write   \(printable(path))") }
    for path in apply.attributePaths { print("attrs   \(printable(path))") }
    for change in apply.attributes {
      print("set     \(change.table).\(change.column)=\(change.new ?? "")")
    }
    for skip in apply.skipped { print("leave   \(printable(skip.path)) (\(skip.why))") }
    print(
      "\nthe \(verb) would \(image.replaced ? "replace" : "define") \(image.name), take "
        + "\(count(apply.plannedSteps, "step")), write \(sizeText(apply.plannedBytes)) and "
        + "remove \(count(apply.removals.count, "entry"))")
    return
  }
  for piece in image.imported?.snapshot.pieces ?? [] { print("  \(printable(piece.path))") }
  print(
    "\(verb == "copy" ? "made" : "imported") \(image.name)\(image.imported.map { " as \($0.name)" } ?? ""); "
      + secondsText(outcome.seconds))
  if let undo = workspace.undo(image) {
    print("what was there before is kept as \(undo): 'imgstore revert \(undo)' undoes the \(verb)")
  }
}

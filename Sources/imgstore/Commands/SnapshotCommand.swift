// imgstore snapshot.

import ArgumentParser
import Images

struct SnapshotCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot", abstract: "Take a snapshot of an image: definition, tree and files",
    discussion: """
      The command reads and stores only changes since the last snapshot. With several images, it \
      continues after an image that fails.

      Examples:
        imgstore snapshot compute -m "before the kernel update" --tag golden
        imgstore snapshot /srv/images/compute     a directory becomes an image
        imgstore snapshot --all --if-changed      every night

      --all needs a store that exists: 'imgstore init' creates one.
      """)

  @Argument(help: "Images or directories; optional if there is only one image") var names:
    [String] = []
  @Flag(help: "Snapshot all defined images") var all = false
  @Flag(help: "Skip images that match their latest snapshot") var ifChanged = false
  @Option(name: .shortAndLong, help: "Reason for this snapshot") var message = ""
  @Option(help: "Tag for this snapshot, as in IMAGE@TAG; repeatable") var tag: [String] = []
  @Option(help: .hidden) var exclude: [String] = []
  @Flag(help: "Move the tag if another snapshot has it") var moveTag = false
  @Flag(
    help: """
      Store a new packed image as a recipe over the tree if it can be rebuilt bit for bit; takes \
      about as long as packing it ('imgstore help recipes')
      """) var recipes = false
  @Flag(
    help: """
      Snapshot the image even if a tree of the latest snapshot is missing, empty or mostly \
      unreadable (default: fail)
      """) var allowEmpty = false
  @Flag(
    name: [.customShort("n"), .long],
    help: "Print what the snapshot would record, without recording it; the store must exist")
  var dryRun = false
  @Flag(help: "Sign the snapshot ('imgstore help sign')") var sign = false
  @OptionGroup var key: KeyOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if key.key != nil, !sign {
      throw ValidationError("--key names the key for --sign: give both.")
    }
    if !exclude.isEmpty {
      throw ValidationError(
        "Exclude patterns belong to the image: set them with 'imgstore add NAME --exclude PATTERN'."
      )
    }
    if moveTag, tag.isEmpty { throw ValidationError("--move-tag moves the --tag: give both.") }
    if all, !names.isEmpty { throw ValidationError("Name images, or give --all.") }
  }

  func run() throws {
    let workspace = try common.open()
    // Check the key before any snapshot is taken.
    let signingKey = sign ? try workspace.signingKey(key.key) : nil
    let images =
      all ? try workspace.definedImages() : names.isEmpty ? [""] : names
    if images.count > 1, !all { try workspace.requireImages(images) }
    if dryRun { return try plan(images, workspace) }
    var (documents, problems): ([SnapshotOutcomeJSON], [String]) = ([], [])
    var failures: [(image: String, error: any ExplainedError)] = []
    for name in images {
      let messages = InterruptedSnapshots(done: documents.count, all: images.count)
      Interruption.announce(messages.during(name), then: messages.after)
      do {
        let outcome = try take(name, workspace, signingKey)
        documents.append(
          SnapshotOutcomeJSON(
            outcome: outcome, tags: tag, signedBy: signingKey?.publicKey.id.hex))
        if !json.json { describe(outcome, signingKey) }
        problems += remarks(outcome.committed)
      } catch let error as any ExplainedError where images.count > 1 {
        failures.append((name, error))
      }
    }
    if images.count > 1 {
      Interruption.announce(
        InterruptedSnapshots(done: documents.count, all: images.count).state(documents.count))
    }
    Terminal.finish()
    if json.json {
      if images.count == 1, let only = documents.first { try printJSON(only) }
      if images.count != 1 {
        try printJSON(
          NewSnapshotsJSON(
            snapshots: documents, failures: failures.map { SnapshotFailure($0.image, $0.error) }
          ))
      }
    }
    problems += failures.map { image, error in
      error.subject.contains(image)
        ? error.messageWithHint : "image \(image): \(error.messageWithHint)"
    }
    if !problems.isEmpty {
      throw CompletedWithWarnings(
        lines: problems, failure: documents.isEmpty ? failures.first?.error.errorCode : nil)
    }
  }

  /// Prints the plans of the snapshots.
  private func plan(_ images: [String], _ workspace: Workspace) throws {
    var plans: [SnapshotPlan] = []
    var failures: [(image: String, error: any ExplainedError)] = []
    for name in images {
      do {
        let plan = try workspace.planSnapshot(
          name, tags: tag, options)
        plans.append(plan)
        Terminal.clear()
        if !json.json { SnapshotPlanText(plan).printAll() }
        if let refusal = plan.refusal { failures.append((plan.image, refusal)) }
      } catch let error as any ExplainedError where images.count > 1 {
        failures.append((name, error))
      }
    }
    Terminal.finish()
    if json.json {
      if images.count == 1, let only = plans.first {
        try printJSON(only)
      } else {
        try printJSON(
          SnapshotPlansJSON(
            snapshots: plans,
            failures: failures.map { SnapshotFailure($0.image, $0.error) }))
      }
    }
    if images.count == 1, let refusal = failures.first?.error {
      return try expectNotRefused(refusal)
    }
    let gaps = plans.flatMap { plan in
      let problems = plan.notes.filter(\.isProblem)
      return problems.isEmpty
        ? []
        : ["the snapshot of \(plan.image) would be incomplete: \(count(problems.count, "problem"))"]
          + problems.map(noteText)
    }
    let refused = failures.map {
      "image \($0.image) would be refused: \($0.error.messageWithHint)"
    }
    if gaps.isEmpty, refused.isEmpty { return }
    throw CompletedWithWarnings(
      lines: gaps + refused,
      failure: failures.count == images.count ? failures.first?.error.errorCode : nil)
  }

  private var options: SnapshotOptions {
    var options: SnapshotOptions = []
    if moveTag { options.insert(.movesTags) }
    if recipes { options.insert(.recipes) }
    if allowEmpty { options.insert(.allowsEmpty) }
    if ifChanged { options.insert(.skipIfUnchanged) }
    return options
  }

  private func take(
    _ name: String, _ workspace: Workspace, _ signingKey: SigningKey?
  ) throws -> SnapshotOutcome {
    let outcome = try workspace.snapshot(
      name, message: message, tags: tag, options)
    if let signingKey { _ = try workspace.sign([outcome.committed.name], with: signingKey) }
    return outcome
  }

  private func describe(_ outcome: SnapshotOutcome, _ signingKey: SigningKey?) {
    Terminal.clear()
    let snapshot = outcome.committed.snapshot
    let holds = "\(count(snapshot.entryCount, "entry")), \(sizeText(snapshot.contentBytes))"
    let did =
      outcome.sameAs.map { outcome.isNew ? "same as @\($0)" : "unchanged, not recorded again" }
      ?? "read \(sizeText(outcome.readBytes)), stored \(sizeText(outcome.storedBytes))"
    print("\(outcome.committed.name)  \(outcome.committed.id.shortHex)")
    print("  \(holds); \(did); \(secondsText(outcome.seconds))")
    for result in outcome.recipes { print("  " + recipeText(result)) }
    if let signingKey { print("  signed with \(signingKey.publicKey.id.shortHex)") }
  }

  /// Prints the remarks about a snapshot, and returns its problems.
  private func remarks(_ committed: CommittedSnapshot) -> [String] {
    let notes = committed.snapshot.notes
    for note in notes where note.isRemark { Terminal.warning(noteText(note)) }
    let problems = notes.filter(\.isProblem)
    if problems.isEmpty { return [] }
    return ["\(committed.name) is incomplete: \(count(problems.count, "problem"))"]
      + problems.map(noteText)
  }
}

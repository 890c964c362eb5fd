// imgstore forget.

import ArgumentParser
import Images

struct ForgetCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget",
    abstract: "Remove old snapshots that no rule keeps",
    discussion: """
      The command keeps a snapshot if at least one rule matches, and removes the others. \
      '--keep-daily 7' keeps the latest snapshot of each of the last 7 days that have one (local \
      time). Hours, weeks (from Monday), months and years work the same way.

      Rules do not count automatic snapshots, which commands take before a change and to record one. \
      These stay for 30 days; --keep-auto N keeps the last N instead.

      The command never removes the latest snapshot of an image, or one that an unfinished revert or \
      import needs. It removes pinned and tagged snapshots only with --force, and only if no rule \
      keeps them.

      'imgstore gc' frees the space. imgstore never uses a number again: IMAGE@12 is the same \
      snapshot, or none.

      With --all, the command skips busy images (--wait, --no-wait) and exits with code 3, or 4 if \
      all images are busy.

      Examples:
        imgstore forget --all --keep-last 3 --keep-daily 7 --dry-run
      """)

  @Argument(help: "Images, unless you add --all") var names: [String] = []
  @Flag(help: "Apply the rules to every image in the store") var all = false
  @Option(help: ArgumentHelp("Keep the last N snapshots", valueName: "n")) var keepLast: Int?
  @Option(help: ArgumentHelp("Keep one snapshot in each of the last N hours", valueName: "n"))
  var keepHourly: Int?
  @Option(help: ArgumentHelp("Keep one snapshot in each of the last N days", valueName: "n"))
  var keepDaily: Int?
  @Option(help: ArgumentHelp("Keep one snapshot in each of the last N weeks", valueName: "n"))
  var keepWeekly: Int?
  @Option(help: ArgumentHelp("Keep one snapshot in each of the last N months", valueName: "n"))
  var keepMonthly: Int?
  @Option(help: ArgumentHelp("Keep one snapshot in each of the last N years", valueName: "n"))
  var keepYearly: Int?
  @Option(
    help: ArgumentHelp(
      "Keep all snapshots within this time before the latest: 24h, 30d, 8w, 6m, 2y",
      valueName: "time"))
  var keepWithin: String?
  @Option(
    help: ArgumentHelp(
      "Keep the last N automatic snapshots (default: those of 30 days)", valueName: "n"))
  var keepAuto: Int?
  @Flag(
    help: "Remove all snapshots of the images, even tagged ones, but not the directories themselves"
  )
  var entirely = false
  @Flag(help: "Run 'imgstore gc' afterwards to free the space") var prune = false
  @Flag(help: "Keep tagged snapshots, even with --force") var keepTagged = false
  @Flag(help: "Allow removing pinned and tagged snapshots") var force = false
  @Flag(
    name: [.customShort("n"), .long],
    help: "List snapshots to remove and bytes to free without changing anything")
  var dryRun = false
  @OptionGroup var depot: DepotOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  private var policy: RetentionPolicy {
    var policy = RetentionPolicy()
    policy.last = keepLast
    policy.hourly = keepHourly
    policy.daily = keepDaily
    policy.weekly = keepWeekly
    policy.monthly = keepMonthly
    policy.yearly = keepYearly
    policy.withinSeconds = keepWithin.flatMap(Quantity.historySeconds)
    policy.automatic = keepAuto
    policy.tagged = keepTagged
    return policy
  }

  func validate() throws {
    guard all != !names.isEmpty else {
      throw ValidationError("Name images, or give --all, but not both.")
    }
    if let one = names.first(where: { $0.contains("@") }) {
      throw ValidationError("forget works by rules: 'imgstore remove \(one)' removes one snapshot.")
    }
    if let keepWithin, Quantity.historySeconds(keepWithin) == nil {
      throw ValidationError("invalid time '\(keepWithin)'; use 24h, 30d, 8w, 6m or 2y.")
    }
    if depot.remote != nil, entirely || prune || force {
      throw ValidationError("With --remote, only the rules and --dry-run apply.")
    }
    if entirely, policy.hasRule || all {
      throw ValidationError("--entirely keeps no snapshots: name the images, and give no rule.")
    }
    for (name, value) in [
      ("last", keepLast), ("hourly", keepHourly), ("daily", keepDaily), ("weekly", keepWeekly),
      ("monthly", keepMonthly), ("yearly", keepYearly), ("auto", keepAuto),
    ] {
      if let value, value < 0 { throw ValidationError("--keep-\(name) cannot be negative.") }
    }
  }

  /// Runs after the parser has refused unknown options.
  /// - Throws: `ValidationError` if no rule keeps a snapshot.
  private func requireRule() throws {
    guard entirely || policy.hasRule else {
      throw ValidationError("Add a rule: --keep-last 10, --keep-daily 7 …")
    }
    let counts = [keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly]
    guard
      entirely || keepTagged || keepWithin != nil || keepAuto != nil
        || counts.contains(where: { ($0 ?? 0) > 0 })
    else {
      throw ValidationError(
        "Every rule keeps 0 snapshots. 'forget IMAGE --entirely' removes a whole history.")
    }
  }

  func run() throws {
    try requireRule()
    let workspace = try common.open()
    if let remote = depot.remote {
      return try workspace.forgetAtDepot(remote, names, policy, dryRun: dryRun).report(json)
    }
    let outcome =
      entirely
      ? try workspace.forgetEntirely(names, force: force, dryRun: dryRun)
      : try workspace.forget(names, policy, force: force, dryRun: dryRun)
    let pruned = prune && !dryRun ? try workspace.prune() : nil
    if try !json.prints(ForgetJSON(outcome: outcome, pruned: pruned)) {
      show(outcome, isPruned: pruned?.collection != nil)
      if let collection = pruned?.collection { printReport(collection) }
    }
    let unreadable = outcome.unreadable.map {
      "cannot read \($0), so it stays; 'imgstore remove \($0) --force' removes it"
    }
    var problems = unreadable + outcome.busy.map { $0.error.messageWithHint }
    var isDamage = !unreadable.isEmpty
    if let failure = pruned?.failure {
      let forgot = "forgot \(count(outcome.forgotten.count, "snapshot"))"
      problems.append(
        failure.errorCode.category == .busy
          ? "\(forgot); gc is busy: \(failure.messageWithHint)"
          : "\(forgot); gc failed: \(failure.messageWithHint)")
      isDamage = isDamage || failure.errorCode.category == .damaged
    }
    if let collection = pruned?.collection {
      let (lines, isDamaged) = collectionProblems(collection)
      problems += lines
      isDamage = isDamage || isDamaged
    }
    try expectNotRefused(outcome.refusal, problems)
    if !problems.isEmpty {
      throw CompletedWithWarnings(lines: problems, isDamage: isDamage)
    }
  }

  private func show(_ outcome: ForgetOutcome, isPruned: Bool) {
    print(
      table(
        outcome.kept.map { kept in
          [
            "keep", kept.snapshot.name, timeText(kept.snapshot.snapshot.created),
            kept.reasons.map(\.description).joined(separator: ", "),
          ]
        } + outcome.forgotten.map(forgottenRow)))
    if keepAuto == nil, outcome.kept.contains(where: { $0.reasons == [.rule("automatic")] }) {
      printMessage(
        "automatic snapshots stay for 30 days; --keep-auto N keeps the last N instead")
    }
    printReport(outcome, isPruned: isPruned)
    for image in outcome.undefined {
      print(
        "\(image.image) \(outcome.isDryRun ? "would no longer be" : "is no longer") an image; the directory "
          + "\(image.path) stays"
          + (image.excludes.isEmpty
            ? "" : ". Its exclude patterns: " + image.excludes.joined(separator: " ")))
    }
  }
}

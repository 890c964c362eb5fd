// imgstore forget.

import ArgumentParser
import Images
import Store

struct Forget: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget",
    abstract: "Remove old snapshots, by what is to be kept.",
    discussion: """
      A snapshot stays if one of the rules keeps it; the others go. '--keep-daily 7' keeps the \
      latest snapshot of each of the last 7 days that have one (local time); hours, weeks (from \
      Monday), months and years likewise. Automatic snapshots, which commands take before a change and to \
      record one, do not count: they stay for 30 days, or --keep-auto of them. The latest snapshot of an image always stays, and so do pinned \
      ones, tagged ones, and those that an unfinished revert or import needs; with --force, \
      pinned and tagged ones that no rule keeps go, too.

      Space is free after 'imgstore gc'. A number is never used again: IMAGE@12 is what it was, \
      or nothing.

      With --all, an image that is busy (--wait, --no-wait) is left alone, and the others are done: exit \
      code 3; 4 where all are busy.

      Examples:
        imgstore forget --all --keep-last 3 --keep-daily 7 --dry-run
      """)

  @Argument(help: "Images; without any, give --all.") var names: [String] = []
  @Flag(help: "Every image in the store.") var all = false
  @Option(help: ArgumentHelp("Keep the last N.", valueName: "n")) var keepLast: Int?
  @Option(help: ArgumentHelp("Keep one in each of the last N hours.", valueName: "n"))
  var keepHourly: Int?
  @Option(help: ArgumentHelp("Keep one in each of the last N days.", valueName: "n"))
  var keepDaily: Int?
  @Option(help: ArgumentHelp("Keep one in each of the last N weeks.", valueName: "n"))
  var keepWeekly: Int?
  @Option(help: ArgumentHelp("Keep one in each of the last N months.", valueName: "n"))
  var keepMonthly: Int?
  @Option(help: ArgumentHelp("Keep one in each of the last N years.", valueName: "n"))
  var keepYearly: Int?
  @Option(
    help: ArgumentHelp(
      "Keep all of this time before the latest: 24h, 30d, 8w, 6m, 2y.", valueName: "time"))
  var keepWithin: String?
  @Option(help: ArgumentHelp("Of automatic ones, keep the last N.", valueName: "n"))
  var keepAuto: Int?
  @Flag(help: "Remove all snapshots of the images, tagged ones too; a directory itself stays.")
  var entirely = false
  @Flag(help: "Free the space at once: 'imgstore gc'.") var prune = false
  @Flag(help: "Keep those that have a tag, also with --force.") var keepTagged = false
  @Flag(help: "Pinned and tagged ones may go.") var force = false
  @Flag(
    name: [.customShort("n"), .long],
    help: "Say what would go and how many bytes it frees; change nothing.")
  var dryRun = false
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
    policy.withinSeconds = keepWithin.flatMap(Forget.seconds)
    policy.automatic = keepAuto
    policy.tagged = keepTagged
    return policy
  }

  func validate() throws {
    guard all != !names.isEmpty else {
      throw ValidationError("Name images, or give --all: one of the two.")
    }
    if let one = names.first(where: { $0.contains("@") }) {
      throw ValidationError("forget works by rules: 'imgstore remove \(one)' removes one snapshot.")
    }
    if let keepWithin, Forget.seconds(keepWithin) == nil {
      throw ValidationError("'\(keepWithin)' is no time; write 24h, 30d, 8w, 6m or 2y.")
    }
    if entirely, policy.hasRule || all {
      throw ValidationError("--entirely keeps nothing: name the images, and give no rule.")
    }
    if prune, dryRun {
      throw ValidationError("--prune frees space, and --dry-run changes nothing.")
    }
    for (name, value) in [
      ("last", keepLast), ("hourly", keepHourly), ("daily", keepDaily), ("weekly", keepWeekly),
      ("monthly", keepMonthly), ("yearly", keepYearly), ("auto", keepAuto),
    ] {
      if let value, value < 0 { throw ValidationError("--keep-\(name) cannot be negative.") }
    }
  }

  /// Checked after the parser has refused options that there are not.
  private func requireRule() throws {
    guard entirely || policy.hasRule else {
      throw ValidationError("Say what to keep: --keep-last 10, --keep-daily 7 …")
    }
    let counts = [keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly]
    guard
      entirely || keepWithin != nil || keepAuto != nil || counts.contains(where: { ($0 ?? 0) > 0 })
    else {
      throw ValidationError(
        "Every rule keeps 0 snapshots. 'forget IMAGE --entirely' removes a whole history.")
    }
  }

  func run() throws {
    try requireRule()
    let workspace = try common.open()
    let outcome =
      entirely
      ? try workspace.forgetEntirely(names, force: force, dryRun: dryRun)
      : try workspace.forget(names, policy, force: force, dryRun: dryRun)
    if prune { _ = try workspace.collect(CollectionRequest()) }
    Terminal.finish()
    if json.json { try printJSON(ForgetJSON(outcome)) } else { show(outcome) }
    let unreadable = outcome.unreadable.map {
      "\($0) cannot be read, and stays; 'imgstore remove \($0) --force' gives it up"
    }
    let problems = unreadable + outcome.busy.map { $0.error.explanation }
    if !problems.isEmpty {
      throw CompletedWithWarnings(lines: problems, isDamage: !unreadable.isEmpty)
    }
  }

  /// "30d" in seconds; months have 31 days and years 366.
  static func seconds(_ text: String) -> Int64? {
    let units: [Character: Int64] = [
      "h": 3600, "d": 86_400, "w": 7 * 86_400, "m": 31 * 86_400, "y": 366 * 86_400,
    ]
    guard let unit = text.last.flatMap({ units[$0] }), let number = Int32(text.dropLast()),
      number > 0
    else { return nil }
    return Int64(number) * unit
  }

  private func show(_ outcome: ForgetOutcome) {
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
        "automatic snapshots stay for 30 days; --keep-auto N keeps the last N of them instead")
    }
    describe(outcome)
  }
}

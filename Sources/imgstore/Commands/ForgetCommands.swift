// imgstore forget, remove, tag, untag, pin, unpin.

import ArgumentParser
import Images
import Platform
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

private func forgottenRow(_ gone: ForgottenSnapshot) -> [String] {
  [
    "forget", "\(gone.name)", gone.snapshot.map { timeText($0.snapshot.created) } ?? "unreadable",
    (gone.tags.map { "[\($0)]" } + [printable((gone.snapshot?.snapshot.message ?? "").utf8)])
      .filter { !$0.isEmpty }.joined(separator: " "),
  ]
}

private func describe(_ outcome: ForgetOutcome) {
  let what = count(outcome.forgotten.count, "snapshot")
  guard outcome.isDryRun else {
    print(
      outcome.forgotten.isEmpty
        ? "nothing to forget" : "forgot \(what); 'imgstore gc' frees the space")
    return
  }
  var line = "would forget \(what)"
  if let freed = outcome.freedBytes { line += "; that and 'imgstore gc' free \(exactSize(freed))" }
  if let other = outcome.collectableBytes, other > 0 {
    line += ", besides \(exactSize(other)) that it frees anyway"
  }
  print(line)
}

/// "1.2 MB (1234567 bytes)".
func exactSize(_ bytes: UInt64) -> String {
  bytes < 1000 ? count(bytes, "byte") : "\(sizeText(bytes)) (\(bytes) bytes)"
}

struct Remove: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove snapshots, or a directory from the images.",
    discussion: """
      IMAGE@3..7 is every snapshot from number 3 to number 7. Either all that are named go, or none does.

      The latest snapshot of an image, and one that is tagged or pinned, needs --force. With \
      --force also one that cannot be read is removed, named as IMAGE@NUMBER. Space is free after \
      'imgstore gc'.

      With --definition a directory is no image any more; its snapshots and the directory itself stay. \
      'imgstore add' or a revert to a snapshot makes it one again. 'imgstore forget IMAGE --entirely' \
      removes the snapshots, too.
      """,
    aliases: ["rm", "delete"])

  @Argument(help: "The snapshots; with --definition, images.") var refs: [String]
  @Flag(help: "Take directories off the list of images; their snapshots stay.")
  var definition = false
  @Flag(help: "Also the latest, a tagged or a pinned one.") var force = false
  @Flag(
    name: [.customShort("n"), .long],
    help: "Say what would go and how many bytes it frees; change nothing.")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if definition, force {
      throw ValidationError("--force is for snapshots, and --definition removes none.")
    }
  }

  func run() throws {
    if definition { return try removeDefinitions() }
    let outcome = try common.open().remove(refs, force: force, dryRun: dryRun)
    Terminal.finish()
    if json.json { return try printJSON(ForgetJSON(outcome)) }
    print(table(outcome.forgotten.map(forgottenRow)))
    describe(outcome)
  }
}

extension Remove {
  private func removeDefinitions() throws {
    let removed = try common.open().removeDefinitions(refs, dryRun: dryRun)
    Terminal.finish()
    if json.json { return try printJSON(RemovedDefinitionsJSON(removed, dryRun: dryRun)) }
    for one in removed {
      let change = dryRun ? "would be no image" : "is no image any more"
      let rest = one.snapshots == 1 ? "stays" : "stay"
      print(
        "\(one.image): \(one.path) \(change); \(count(one.snapshots, "snapshot")) \(rest)")
    }
  }
}

/// What `remove --definition` prints.
struct RemovedDefinitionsJSON: JSONDocument {
  static let kind = "removed-definitions"
  struct Removed: Codable {
    let image: String
    let path: String
    let snapshots: Int
  }
  let dryRun: Bool
  let removed: [Removed]

  init(_ removed: [RemovedDefinition], dryRun: Bool) {
    self.dryRun = dryRun
    self.removed = removed.map {
      Removed(image: $0.image, path: $0.path, snapshots: $0.snapshots)
    }
  }
}

struct TagCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tag", abstract: "Give a snapshot a name: IMAGE@TAG.")

  @Argument(help: "The snapshot.") var ref: String
  @Argument(help: "Its name: begins with a letter.") var tag: String
  @Flag(
    name: .shortAndLong,
    help: "Move the name from the snapshot that has it, in one step.")
  var force = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let (found, old) = try common.open().tag(ref, as: tag, moving: force)
    Terminal.finish()
    let image = found.snapshot.image
    let movedFrom = old == found.number ? nil : old.map { "\(image)@\($0)" }
    if json.json {
      return try printJSON(TagJSON(tag: tag, snapshot: found.name, movedFrom: movedFrom))
    }
    print(
      "\(found.name) is \(image)@\(tag)" + (movedFrom.map { "; until now that was \($0)" } ?? ""))
  }
}

struct TagJSON: JSONDocument {
  static let kind = "tag"
  let tag: String
  let snapshot: String
  let movedFrom: String?
}

struct Tags: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tags", abstract: "List tags, and the snapshots that they stand for.")

  @Argument(help: "The image; all of them if it is left out.") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let tags = try common.open().tags(of: name)
    Terminal.finish()
    if json.json {
      return try printJSON(
        TagsJSON(
          tags: tags.map { TagJSON(tag: $0.tag, snapshot: "\($0.snapshot)", movedFrom: nil) }))
    }
    print(table(tags.map { ["\($0.snapshot.image)@\($0.tag)", "@\($0.snapshot.number)"] }))
  }
}

struct Pins: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pins", abstract: "List pinned snapshots, and why each is pinned.",
    discussion: """
      Examples:
        imgstore pins compute
      """)

  @Argument(help: "The image; all of them if it is left out.") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let pins = try common.open().pins(of: name)
    Terminal.finish()
    if json.json {
      return try printJSON(
        PinsJSON(pins: pins.map { PinJSON(snapshot: "\($0.snapshot)", reason: $0.reason) }))
    }
    print(table(pins.map { ["\($0.snapshot)", printable($0.reason.utf8)] }))
  }
}

struct Untag: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "untag",
    abstract: "Take a tag away; the snapshot stays.")

  @Argument(help: ArgumentHelp("IMAGE@TAG.", valueName: "image@tag")) var ref: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let name = try common.open().untag(ref)
    Terminal.finish()
    if json.json { return try printJSON(UntagJSON(snapshot: "\(name)")) }
    print("the tag is gone; \(name) stays")
  }
}

struct Pin: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin",
    abstract: "Make a snapshot stay, whatever 'forget' is told to keep.")

  @Argument(help: "The snapshots; IMAGE@3..7 is a range.") var refs: [String]
  @Option(name: .shortAndLong, help: "Why, in one line.") var message = ""
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let found = try workspace.references(refs).map { try workspace.pin($0, why: message) }
    Terminal.finish()
    if json.json {
      return try printJSON(
        PinsJSON(pins: found.map { PinJSON(snapshot: $0.name, reason: message) }))
    }
    for snapshot in found { print("\(snapshot.name) is pinned") }
  }
}

struct Unpin: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpin",
    abstract: "Take a pin away: policies decide about the snapshot again.")

  @Argument(help: "The snapshots; IMAGE@3..7 is a range.") var refs: [String]
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let found = try workspace.references(refs).map { try workspace.unpin($0) }
    Terminal.finish()
    if json.json { return try printJSON(UnpinJSON(snapshots: found.map(\.name))) }
    for snapshot in found { print("\(snapshot.name) is not pinned any more") }
  }
}

// imgstore snapshot, log, status.

import ArgumentParser
import Images
import Platform
import Store

struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot", abstract: "Take a snapshot of an image: definition, tree and files.",
    discussion: "Only what changed since the last snapshot is read and stored.")

  @Argument(help: "The image's name.") var name: String
  @Option(name: .shortAndLong, help: "Why this snapshot is taken.") var message = ""
  @Option(help: "A name for this snapshot: IMAGE@TAG.") var tag: String?
  @Flag(help: "The name may be another snapshot's, and becomes this one's.") var moveTag = false
  @Flag(
    help: """
      Keep new packed images as recipes over the tree, where they can be made again bit for bit: \
      about as slow as packing them ('imgstore help recipes').
      """) var recipes = false
  @Flag(
    help: """
      Record the image also where a tree that the latest snapshot has is gone, empty or mostly \
      unreadable: by default that is an error.
      """) var allowEmpty = false
  @Flag(help: "Sign the snapshot ('imgstore help sign').") var sign = false
  @OptionGroup var key: KeyOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if key.key != nil, !sign {
      throw ValidationError("--key says what --sign signs with: give both.")
    }
    if moveTag, tag == nil { throw ValidationError("--move-tag moves the --tag: give both.") }
  }

  func run() throws {
    let workspace = try common.open()
    // Whether it can be used is asked before the snapshot is taken.
    let signingKey = sign ? try workspace.signingKey(key.key) : nil
    let outcome = try workspace.snapshot(
      name, message: message, tag: tag, movesTag: moveTag, recipes: recipes, allowsEmpty: allowEmpty
    )
    if let signingKey { _ = try workspace.sign([outcome.committed.name], with: signingKey) }
    Terminal.finish()
    let snapshot = outcome.committed.snapshot
    if json.json {
      try printJSON(
        SnapshotOutcomeJSON(
          outcome, tags: tag.map { [$0] } ?? [], signedBy: signingKey?.publicKey.id.hex))
    } else {
      let holds = "\(count(snapshot.entryCount, "entry")), \(sizeText(snapshot.contentBytes))"
      let did =
        outcome.sameAs.map { outcome.isNew ? "same as @\($0)" : "unchanged, not recorded again" }
        ?? "read \(sizeText(outcome.readBytes)), stored \(sizeText(outcome.storedBytes))"
      print("\(outcome.committed.name)  \(outcome.committed.id.shortHex)")
      print("  \(holds); \(did); \(secondsText(outcome.seconds))")
      for result in outcome.recipes { print("  " + recipeText(result)) }
      if let signingKey { print("  signed with \(signingKey.publicKey.id.shortHex)") }
    }
    try finish(outcome.committed)
  }

  private func finish(_ committed: CommittedSnapshot) throws {
    let notes = committed.snapshot.notes
    if !common.quiet {
      for note in notes where note.isRemark { Terminal.remark(noteText(note)) }
    }
    let problems = notes.filter(\.isProblem)
    if problems.isEmpty { return }
    throw DoneWithProblems(
      lines: ["\(committed.name) is incomplete: \(count(problems.count, "problem"))"]
        + problems.map(noteText))
  }
}

struct Log: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "List the snapshots of an image, latest first.",
    discussion: """
      With a PATH, only those in which it changed: A added, D removed, M content changed, m \
      attributes changed, t only the time. PATH is inside the root tree, or absolute on the \
      management node; 'log NAME -- PATH' takes also one that begins with '-'.
      """)

  @Argument(help: "The image's name; not needed where there is only one.") var name: String?
  @Argument(help: "A path inside the image.") var path: String?
  @Option(
    name: [.customShort("n"), .long],
    help: ArgumentHelp("List at most so many, the latest.", valueName: "count"))
  var limit: Int?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let limit, limit < 1 {
      throw ValidationError("--limit takes a number from 1 on, not \(limit).")
    }
  }

  func run() throws {
    let workspace = try common.open()
    if let path {
      let changes = try workspace.log(name ?? "", path: path, limit: limit ?? .max)
      Terminal.finish()
      if json.json { return try printJSON(changes.map(PathChangeJSON.init)) }
      return try printHistory(changes, workspace.tags(of:))
    }
    let entries = try workspace.log(name ?? "", limit: limit ?? .max)
    Terminal.finish()
    if json.json {
      try printJSON(
        entries.map {
          SnapshotJSON($0.committed, tags: $0.tags, full: false, isSigned: $0.isSigned)
        })
      return
    }
    Output.begin()
    defer { Output.end() }
    print(
      table(
        entries.map { entry in
          let snapshot = entry.committed.snapshot
          var words = entry.tags.map { "[\($0)]" }
          if entry.pin != nil { words.append("(pinned)") }
          if entry.isSigned { words.append("(signed)") }
          if !snapshot.isComplete { words.append("(incomplete)") }
          if !snapshot.message.isEmpty { words.append(printable(snapshot.message.utf8)) }
          return [
            "@\(entry.committed.number)", entry.committed.id.shortHex,
            timeText(snapshot.created), sizeText(snapshot.contentBytes),
            words.joined(separator: " "),
          ]
        }))
  }
}

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Say whether the live image is what its latest snapshot says.")

  @Argument(help: "The image's name; not needed where there is only one.") var name: String?
  @OptionGroup var exit: ExitCodeFlag
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let status = try common.open().status(name ?? "")
    Terminal.finish()
    if json.json {
      try printJSON(StatusJSON(status))
    } else {
      describe(status)
    }
    if !common.quiet {
      for note in status.notes where note.isRemark { Terminal.remark(noteText(note)) }
    }
    if let change = status.unfinished, !change.isRunning {
      throw DoneWithProblems(
        lines: ["image \(change.image) is half changed: \(unfinishedText(change))"])
    }
    try expectComparable(status.uncompared)
    try exit.expectEqual(status.diff)
  }

  private func describe(_ status: StatusOutcome) {
    if status.isClean, !status.uncompared.isEmpty {
      print("no difference found from \(status.snapshot.name), but not everything was compared")
    } else if status.isClean {
      print("live image is identical to \(status.snapshot.name) (\(status.snapshot.id.shortHex))")
      print(
        "  \(count(status.entryCount, "entry")) compared, \(sizeText(status.readBytes)) read; "
          + secondsText(status.seconds))
    } else {
      Output.begin(pages: false)
      DiffText(status.diff).printAll(limit: 40)
      print("\nlive image differs from \(status.snapshot.name): \(summary(status.diff))")
    }
  }
}

/// "a revert to compute@3 was begun 2026-11-28 12:30 and has not ended: 'imgstore resume compute' …"
func unfinishedText(_ change: UnfinishedChange) -> String {
  "\(change.words) was begun \(timeText(change.started)) and has not ended: \(change.advice)"
}

/// What could not be compared is a problem, however equal the rest is.
func expectComparable(_ notes: [Snapshot.Note]) throws {
  if notes.isEmpty { return }
  throw DoneWithProblems(
    lines: ["\(count(notes.count, "entry")) could not be compared"] + notes.map(noteText))
}

/// "12 added, 3 removed, 40 changed, 2 attributes of the definition".
func summary(_ diff: ImageDiff) -> String {
  var added = 0
  var removed = 0
  var changed = 0
  var attributes = 0
  var times = 0
  for change in diff.entries {
    switch change.kind {
    case .added: added += 1
    case .removed: removed += 1
    case .changed(_, _, let fields):
      if fields == .modified {
        times += 1
      } else if fields.contains(.content) {
        changed += 1
      } else {
        attributes += 1
      }
    }
  }
  var parts: [String] = []
  if added > 0 { parts.append("\(added) added") }
  if removed > 0 { parts.append("\(removed) removed") }
  if changed > 0 { parts.append("\(changed) changed") }
  if attributes > 0 { parts.append("\(attributes) with changed attributes") }
  if times > 0 { parts.append("\(times) with changed times only") }
  if !diff.attributes.isEmpty {
    parts.append("\(count(diff.attributes.count, "attribute")) of the definition")
  }
  return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
}

// imgstore snapshot, log, status.

import ArgumentParser
import Images
import Platform
import Signatures
import Store

struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot", abstract: "Take a snapshot of an image: definition, tree and files.",
    discussion: """
      Only what changed since the last snapshot is read and stored. Of several images each is tried, whatever \
      becomes of the others.

      Examples:
        imgstore snapshot compute -m "before the kernel update" --tag golden
        imgstore snapshot /srv/images/compute     a directory becomes an image
        imgstore snapshot --all --if-changed      every night

      With --all there must be a store: 'imgstore init' makes one.
      """)

  @Argument(help: "The images, or directories; not needed where there is only one.") var names:
    [String] = []
  @Flag(help: "All images that are defined.") var all = false
  @Flag(help: "Record nothing where an image is as its latest snapshot says.") var ifChanged = false
  @Option(name: .shortAndLong, help: "Why this snapshot is taken.") var message = ""
  @Option(help: "A name for this snapshot: IMAGE@TAG. Repeatable.") var tag: [String] = []
  @Option(help: .hidden) var exclude: [String] = []
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
    if !exclude.isEmpty {
      throw ValidationError(
        "What is left out belongs to the image: 'imgstore add NAME --exclude PATTERN' says it.")
    }
    if moveTag, tag.isEmpty { throw ValidationError("--move-tag moves the --tag: give both.") }
    if all, !names.isEmpty { throw ValidationError("Name images, or give --all.") }
  }

  func run() throws {
    let workspace = try common.open()
    // Whether it can be used is asked before any snapshot is taken.
    let signingKey = sign ? try workspace.signingKey(key.key) : nil
    let images =
      all ? try workspace.definedImages() : names.isEmpty ? [""] : names
    var (documents, problems): ([SnapshotOutcomeJSON], [String]) = ([], [])
    var failures: [(image: String, error: any ExplainedError)] = []
    for name in images {
      let object = name.isEmpty ? "" : " of \(name)"
      Interruption.announce("interrupted: no snapshot\(object) was taken")
      do {
        let outcome = try take(name, workspace, signingKey)
        documents.append(
          SnapshotOutcomeJSON(
            outcome, tags: tag, signedBy: signingKey?.publicKey.id.hex))
        if !json.json { describe(outcome, signingKey) }
        problems += remarks(outcome.committed)
      } catch let error as any ExplainedError where images.count > 1 {
        failures.append((name, error))
      }
    }
    Terminal.finish()
    if json.json {
      if images.count == 1, let only = documents.first { try printJSON(only) }
      if images.count != 1 {
        try printJSON(
          NewSnapshotsJSON(
            snapshots: documents, failures: failures.map { SnapshotFailureJSON($0.image, $0.error) }
          ))
      }
    }
    problems += failures.map { image, error in
      error.object.contains(image) ? error.explanation : "image \(image): \(error.explanation)"
    }
    if !problems.isEmpty {
      throw CompletedWithWarnings(
        lines: problems, failure: documents.isEmpty ? failures.first?.error.errorCode : nil)
    }
  }

  private func take(
    _ name: String, _ workspace: Workspace, _ signingKey: SigningKey?
  ) throws -> SnapshotOutcome {
    let outcome = try workspace.snapshot(
      name, message: message, tags: tag, movesTag: moveTag, recipes: recipes,
      allowsEmpty: allowEmpty, skipIfUnchanged: ifChanged)
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

  /// Says what is worth knowing of a snapshot, and returns what it lacks.
  private func remarks(_ committed: CommittedSnapshot) -> [String] {
    let notes = committed.snapshot.notes
    for note in notes where note.isRemark { Terminal.warning(noteText(note)) }
    let problems = notes.filter(\.isProblem)
    if problems.isEmpty { return [] }
    return ["\(committed.name) is incomplete: \(count(problems.count, "problem"))"]
      + problems.map(noteText)
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
  @Flag(help: "The snapshots of all images, image by image.") var all = false
  @Option(
    name: [.customShort("n"), .long],
    help: ArgumentHelp("List at most so many, the latest.", valueName: "count"))
  var limit: Int?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  /// The image and the path, of "NAME PATH" and of "NAME:PATH".
  private var operands: (name: String?, path: String?) {
    get throws {
      guard let name, path == nil, name.contains(":") else { return (name, path) }
      let reference = try PathReference(name)
      guard reference.snapshot.selector == .latest else { return (name, nil) }
      return (reference.snapshot.image, reference.path)
    }
  }

  func validate() throws {
    if let limit, limit < 1 {
      throw ValidationError("--limit takes a number from 1 on, not \(limit).")
    }
    if all, name != nil { throw ValidationError("Name an image, or give --all.") }
  }

  func run() throws {
    let workspace = try common.open()
    let (name, path) = try operands
    if let path {
      let changes = try workspace.log(name ?? "", path: path, limit: limit ?? .max)
      Terminal.finish()
      if json.json {
        return try printJSON(PathHistoryJSON(changes: changes.map(PathChangeJSON.init)))
      }
      return try printHistory(changes, workspace.tags(of:))
    }
    let images = all ? try workspace.images().filter { $0.snapshots > 0 }.map(\.name) : [name ?? ""]
    let histories = try images.map { try workspace.history(of: $0, limit: limit ?? .max) }
    let entries = histories.flatMap(\.entries)
    let unreadable = histories.flatMap(\.unreadable)
    let changed = entries.map(\.committed.snapshot.image).reduce(into: [String]()) {
      if $0.last != $1 { $0.append($1) }
    }
    let unfinished = try changed.flatMap { try workspace.unfinished(of: $0).prefix(1) }
    Terminal.finish()
    if json.json {
      for change in unfinished { Terminal.warning(unfinishedText(change)) }
      try printJSON(
        SnapshotsJSON(
          snapshots: entries.map {
            SnapshotJSON(
              $0.committed, tags: $0.tags, pin: $0.pin, full: false, isSigned: $0.isSigned)
          }, unreadable: UnreadableJSON.list(unreadable)))
    } else {
      show(entries, unfinished)
    }
    try expectReadable(unreadable)
  }

  private func show(_ entries: [LogEntry], _ unfinished: [UnfinishedChange]) {
    Output.begin()
    defer { Output.end() }
    for change in unfinished { print("(half changed) \(unfinishedText(change))") }
    print(
      table(
        entries.map { entry in
          let snapshot = entry.committed.snapshot
          var words = entry.tags.map { "[\($0)]" }
          if let pin = entry.pin {
            words.append(pin.isEmpty ? "(pinned)" : "(pinned: \(printable(pin.utf8)))")
          }
          if snapshot.origin.isAutomatic { words.append("(automatic)") }
          if entry.isSigned { words.append("(signed)") }
          if !snapshot.isComplete { words.append("(incomplete)") }
          if !snapshot.message.isEmpty { words.append(printable(snapshot.message.utf8)) }
          return [
            all ? entry.committed.name : "@\(entry.committed.number)", entry.committed.id.shortHex,
            timeText(snapshot.created), sizeText(snapshot.contentBytes),
            words.joined(separator: " "),
          ]
        }))
  }
}

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Say whether the live image is what its latest snapshot says.",
    discussion: """
      Copies of kernel and ramdisk that nodes boot (xCAT's nodeset makes them in the TFTP folder) are \
      compared with the image's, too. Old ones are a warning, no difference: the exit code stays.
      """)

  @Argument(help: "The image's name; not needed where there is only one.") var name: String?
  @Flag(help: "All images that have snapshots.") var all = false
  @OptionGroup var exit: ExitCodeFlag
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if all, name != nil { throw ValidationError("Name an image, or give --all.") }
  }

  func run() throws {
    let workspace = try common.open()
    guard all else { return try compare(name ?? "", workspace) }
    var documents: [StatusJSON] = []
    var failures: [any Error] = []
    var problems: [String] = []
    for image in try workspace.images() where image.snapshots > 0 {
      do { try compare(image.name, workspace) { documents.append($0) } } catch {
        failures.append(error)
        switch error {
        case let error as CompletedWithWarnings: problems += error.lines
        case let error as any ExplainedError: problems.append(error.explanation)
        default: break
        }
      }
    }
    Terminal.finish()
    if json.json { try printJSON(StatusesJSON(images: documents)) }
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems) }
    if let first = failures.first { throw first }
  }

  /// Compares one image.
  /// - Parameter collect: takes the document of --all, which is printed with those of the other images.
  private func compare(
    _ name: String, _ workspace: Workspace, _ collect: ((StatusJSON) -> Void)? = nil
  ) throws {
    let status = try workspace.status(name)
    let boot = BootCheck(workspace, status.snapshot.snapshot.image)
    if collect == nil { Terminal.finish() } else { Terminal.clear() }
    if json.json {
      let document = StatusJSON(status, boot)
      if let collect { collect(document) } else { try printJSON(document) }
    } else if !(common.quiet && status.isClean && status.uncompared.isEmpty) {
      describe(status)
      for (pattern, entries) in status.excluded {
        print("  left out: \(count(entries, "entry")) by '\(printable(pattern.utf8))'")
      }
      for (pattern, entries) in status.excludedBefore {
        print(
          "  not left out any more: \(count(entries, "entry")) by '\(printable(pattern.utf8))'; "
            + "the next snapshot adds \(entries == 1 ? "it" : "them")")
      }
    }
    _ = boot.tell(json)
    for note in status.notes where note.isRemark { Terminal.warning(noteText(note)) }
    if let change = status.unfinished, !change.isRunning {
      throw CompletedWithWarnings(
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

/// "a revert to compute@3 was begun 2026-11-28 12:30:00 by root and has not ended: 'imgstore resume compute' …"
func unfinishedText(_ change: UnfinishedChange) -> String {
  change.isRunning
    ? "\(change.words) is being made right now"
    : "\(change.account) and has not ended: \(change.advice)"
}

/// Ends a command that has listed what can be read: a snapshot that cannot be is damage.
func expectReadable(_ snapshots: [UnreadableSnapshot]) throws {
  if snapshots.isEmpty { return }
  throw CompletedWithWarnings(
    lines: snapshots.prefix(40).map { "\($0.name) cannot be read: \($0.finding)" }
      + (snapshots.count > 40 ? ["… and \(snapshots.count - 40) more"] : [])
      + ["'imgstore repair' may help"], isDamage: true)
}

/// What could not be compared is a problem, however equal the rest is.
func expectComparable(_ notes: [Snapshot.Note]) throws {
  if notes.isEmpty { return }
  throw CompletedWithWarnings(
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

// imgstore snapshot.

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

// imgstore blame, and the history of one path for imgstore log.

import ArgumentParser
import Images
import Platform
import Store

struct Blame: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "blame",
    abstract: "Tell in which snapshot a path got its present content.",
    discussion: """
      The content of a file, where a link leads, or all that is in a folder; attributes and times \
      do not count. 'imgstore log NAME -- PATH' shows every change.
      """)

  @Argument(help: "The image, or a snapshot of it to look back from: REF or REF:PATH.")
  var ref: String
  @Argument(help: "Inside the root tree, or absolute on the management node.") var path: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let reference = try PathReference(ref, path: path)
    guard let path = reference.path else {
      throw ImageError(
        .usage, "reference '\(ref)'", "names no path", advice: "Write 'imgstore blame \(ref) PATH'")
    }
    let outcome = try workspace.blame(reference.snapshot, path: path)
    let tags = try workspace.tags(of: outcome.origin)
    let pin = try workspace.pin(of: outcome.origin)
    Terminal.finish()
    if json.json {
      return try printJSON(
        BlameJSON(
          snapshot: SnapshotJSON(outcome.origin, tags: tags, pin: pin, full: false),
          entry: EntryJSON(outcome.found.path, outcome.found.entry)))
    }
    print(
      table([snapshotCells(outcome.origin, tags) + [printable(outcome.found.path)]]))
  }
}

struct BlameJSON: JSONDocument {
  static let kind = "blame"
  let snapshot: SnapshotJSON
  let entry: EntryJSON
}

struct PathChangeJSON: Codable {
  let snapshot: String
  let number: Int
  let id: String
  let created: String
  let message: String
  let path: String
  let change: String
  let fields: [String]
  let old: EntryJSON?
  let new: EntryJSON?

  init(_ change: PathChange) {
    snapshot = change.committed.name
    number = change.committed.number
    id = change.committed.id.hex
    created = isoText(change.committed.snapshot.created)
    message = change.committed.snapshot.message
    path = printable(change.path)
    self.change = change.old == nil ? "added" : change.new == nil ? "removed" : "changed"
    fields = change.fields.names
    old = change.old.map { EntryJSON(change.path, $0) }
    new = change.new.map { EntryJSON(change.path, $0) }
  }
}

/// The history of a path, a line each.
func printHistory(_ changes: [PathChange], _ tags: (CommittedSnapshot) throws -> [String]) rethrows
{
  print(
    table(
      try changes.map { change in
        let what: String
        if change.old == nil {
          what = "A"
        } else if change.new == nil {
          what = "D"
        } else if change.fields == .modified {
          what = "t"
        } else {
          let rest = change.fields.subtracting([.content, .modified]).names
          what =
            (change.fields.contains(.content) ? "M" : "m")
            + (rest.isEmpty ? "" : " (\(rest.joined(separator: ", ")))")
        }
        return [what] + snapshotCells(change.committed, try tags(change.committed))
      }))
}

/// "@3", its id, when, and its tags and message.
func snapshotCells(_ committed: CommittedSnapshot, _ tags: [String]) -> [String] {
  let message = committed.snapshot.message
  let words = tags.map { "[\($0)]" } + (message.isEmpty ? [] : [printable(message.utf8)])
  return [
    "@\(committed.number)", committed.id.shortHex, timeText(committed.snapshot.created),
    words.joined(separator: " "),
  ]
}

// imgstore log.

import ArgumentParser
import Images

struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "List the snapshots of an image, newest first",
    discussion: """
      With a PATH, the command lists only the snapshots in which the path changed: A added, D \
      removed, M content changed, m attributes changed, t only the time changed. PATH is inside the \
      root tree, or an absolute path of the management node. Write 'log NAME -- PATH' if PATH begins \
      with '-'.
      """)

  @Argument(help: "Name of the image; optional if there is only one") var name: String?
  @Argument(help: "Path inside the image") var path: String?
  @Flag(help: "List the snapshots of all images") var all = false
  @Option(
    name: [.customShort("n"), .long],
    help: ArgumentHelp("Show at most COUNT snapshots, newest first", valueName: "count"))
  var limit: Int?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  /// The image and the path, from "NAME PATH" or "NAME:PATH".
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
      throw ValidationError("invalid limit \(limit); use 1 or more.")
    }
    if all, name != nil { throw ValidationError("Name an image, or give --all.") }
  }

  func run() throws {
    let workspace = try common.open()
    let (name, path) = try operands
    if let path {
      let changes = try workspace.log(name ?? "", path: path, limit: limit ?? .max)
      if try json.prints(PathHistoryJSON(changes: changes)) { return }
      return try printHistory(changes, workspace.tags(of:))
    }
    let images = all ? try workspace.images().filter { $0.snapshots > 0 }.map(\.name) : [name ?? ""]
    let histories = try images.map { try workspace.history(of: $0, limit: limit ?? .max) }
    let entries = histories.flatMap(\.entries)
    let unreadable = histories.flatMap(\.unreadable)
    let damaged = histories.flatMap(\.damagedMarks)
    let changed = entries.map(\.committed.snapshot.image).reduce(into: [String]()) {
      if $0.last != $1 { $0.append($1) }
    }
    let running = try changed.reduce(into: [String: RunningNodes]()) {
      $0[$1] = try workspace.lastRunningNodes(of: $1)
    }
    let unfinished = try changed.flatMap { try workspace.unfinished(of: $0).prefix(1) }
    Terminal.finish()
    if json.json {
      for change in unfinished { Terminal.warning(unfinishedText(change)) }
      try printJSON(
        SnapshotsJSON(
          snapshots: entries.map {
            SnapshotJSON(
              committed: $0.committed, tags: $0.tags, pin: $0.pin, full: false,
              isSigned: $0.isSigned, pulledFrom: $0.pulledFrom)
          }, unreadable: unreadable,
          damagedMarks: damaged))
    } else {
      show(entries, unfinished, running)
    }
    try expectReadable(unreadable, damaged: damaged)
  }

  private func show(
    _ entries: [LogEntry], _ unfinished: [UnfinishedChange], _ running: [String: RunningNodes]
  ) {
    StandardOutput.begin()
    defer { StandardOutput.end() }
    for change in unfinished { print("(unfinished) \(unfinishedText(change))") }
    print(
      table(
        entries.map { entry in
          let snapshot = entry.committed.snapshot
          var words = entry.tags.map { "[\($0)]" }
          if let pin = entry.pin {
            words.append(pin.isEmpty ? "(pinned)" : "(pinned: \(printable(pin.utf8)))")
          }
          if let nodes = running[snapshot.image],
            let number = nodes.counts[entry.committed.number]
          {
            words.append("(\(count(number, "node")) at \(timeText(nodes.asked)))")
          }
          if snapshot.origin.isAutomatic { words.append("(automatic)") }
          if let origin = entry.pulledFrom { words.append("(from \(origin.remote))") }
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

/// Prints the history of a path, one line for each change.
func printHistory(_ changes: [PathChange], _ tags: (CommittedSnapshot) throws -> [String]) rethrows
{
  print(
    table(
      try changes.map { change in
        let letter: String
        if change.old == nil {
          letter = "A"
        } else if change.new == nil {
          letter = "D"
        } else if change.fields == .modified {
          letter = "t"
        } else {
          let rest = change.fields.subtracting([.content, .modified]).names
          letter =
            (change.fields.contains(.content) ? "M" : "m")
            + (rest.isEmpty ? "" : " (\(rest.joined(separator: ", ")))")
        }
        return [letter] + snapshotCells(change.committed, try tags(change.committed))
      }))
}

// imgstore blame.

import ArgumentParser
import Images

struct BlameCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "blame",
    abstract: "Show which snapshot last changed a path",
    discussion: """
      The command compares the content of a file, the target of a link, or everything in a \
      directory. It ignores attributes and times. 'imgstore log NAME -- PATH' shows every change.
      """)

  @Argument(help: "Image, or the newest snapshot to search: REF or REF:PATH")
  var ref: String
  @Argument(help: "Path inside the root tree, or absolute path of the management node") var path:
    String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let reference = try PathReference(ref, path: path)
    guard let path = reference.path else {
      throw ImageError(
        .invalidReference, "reference '\(ref)'", "names no path",
        hint: ref.contains("/") && !ref.contains("@")
          ? "Write 'imgstore blame IMAGE:\(ref)'" : "Write 'imgstore blame \(ref) PATH'")
    }
    let outcome = try workspace.blame(reference.snapshot, path: path)
    let tags = try workspace.tags(of: outcome.origin)
    let pin = try workspace.pin(of: outcome.origin)
    if try json.prints(
      BlameJSON(
        snapshot: SnapshotJSON(committed: outcome.origin, tags: tags, pin: pin, full: false),
        entry: outcome.found))
    {
      return
    }
    print(
      table([snapshotCells(outcome.origin, tags) + [printable(outcome.found.path)]]))
  }
}

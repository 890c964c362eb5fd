// imgstore tag.

import ArgumentParser
import Images

struct TagCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "tag", abstract: "Give a snapshot a name: IMAGE@TAG")

  @Argument(help: "Snapshot to tag") var ref: String
  @Argument(help: "Name of the tag; begins with a letter") var tag: String
  @Flag(
    name: [.customShort("f"), .long, .customLong("force")],
    help: "Move the tag in one step if another snapshot has it")
  var move = false
  @OptionGroup var depot: DepotOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    if let remote = depot.remote {
      guard !move else { throw ValidationError("A depot's tag is not moved: untag it first.") }
      let name = try common.open().tagAtDepot(remote, ref, as: tag)
      Terminal.finish()
      if json.json {
        return try printJSON(TagJSON(tag: tag, snapshot: "\(remote)/\(name)", movedFrom: nil))
      }
      return print("\(remote)/\(name) is \(remote)/\(name.image)@\(tag)")
    }
    let (snapshot, previous) = try common.open().tag(ref, as: tag, moving: move)
    Terminal.finish()
    let image = snapshot.snapshot.image
    let movedFrom = previous == snapshot.number ? nil : previous.map { "\(image)@\($0)" }
    if json.json {
      return try printJSON(TagJSON(tag: tag, snapshot: snapshot.name, movedFrom: movedFrom))
    }
    print(
      "\(snapshot.name) is \(image)@\(tag)" + (movedFrom.map { "; moved from \($0)" } ?? ""))
  }
}

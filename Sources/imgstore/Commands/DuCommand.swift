// imgstore du.

import ArgumentParser
import Images

struct DuCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "du", abstract: "Show disk usage per image or snapshot",
    discussion: """
      The columns are sizes on disk. 'reached' is all data that the images or snapshots need, \
      'unique' the part that only they need, and 'shared' the rest. 'freed' is the space that \
      'forget' and 'gc' would free. It can be less than 'unique', because gc rewrites a pack only if \
      a tenth of it is no longer needed.
      """)

  @Argument(help: "Images or snapshots (default: all images)") var refs: [String] = []
  @Flag(name: .shortAndLong, help: "Print a line for each snapshot") var snapshots = false
  @Flag(name: .shortAndLong, help: "Print sizes in bytes") var bytes = false
  @OptionGroup var depot: DepotOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if depot.remote != nil, snapshots || !refs.isEmpty {
      throw ValidationError("--remote shows all images of the depot.")
    }
  }

  func run() throws {
    if let remote = depot.remote {
      return try common.open().depotUsage(remote).report(json, inBytes: bytes)
    }
    let outcome = try common.open().diskUse(refs, bySnapshot: snapshots)
    if try json.prints(outcome) { return try expectReadable(outcome.unreadable) }
    func size(_ n: UInt64) -> String { bytes ? String(n) : sizeText(n) }
    func row(_ line: DiskUseRow) -> [String] {
      [
        size(line.use.reachedBytes), size(line.use.uniqueBytes), size(line.use.sharedBytes),
        size(line.use.freedBytes), line.name,
      ]
    }
    var rows = [["reached", "unique", "shared", "freed", ""]] + outcome.lines.map(row)
    if outcome.lines.count > 1 { rows.append(row(outcome.total)) }
    print(table(rows))
    print(
      "\(count(outcome.packs, "pack")), \(size(outcome.packBytes))"
        + (outcome.collectableBytes > 0
          ? "; 'imgstore gc' frees \(size(outcome.collectableBytes))" : ""))
    if outcome.cacheBytes > 0 || outcome.indexBytes > 0 {
      print(
        "on disk \(size(outcome.storeBytes)), with the index (\(size(outcome.indexBytes))) and the cache "
          + "(\(size(outcome.cacheBytes)))")
    }
    if outcome.unfinishedBytes > 0 {
      print(
        "\(size(outcome.unfinishedBytes)) of unfinished files that no process writes; 'imgstore gc' frees them"
      )
    }
    for tree in outcome.standby {
      print("standby tree of \(tree.snapshot.name): \(tree.space.text(size)), \(tree.path)")
    }
    try expectReadable(outcome.unreadable)
  }
}

extension StandbySpace {
  /// The size for people: what a removal frees, or the apparent size if that is unknown.
  func text(_ size: (UInt64) -> String) -> String {
    exclusiveBytes.map { "\(size($0)) of its own" } ?? "\(size(contentBytes)) apparent"
  }
}

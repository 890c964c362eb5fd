// imgstore du.

import ArgumentParser
import Images

struct Du: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "du", abstract: "Say who uses how much of the store.",
    discussion: """
      For images or snapshots: the bytes on disk of all that they reach, of what nobody else \
      reaches, of what is shared, and what 'forget' and 'gc' would free if they were removed. \
      That can be less than what is unique: a pack is rewritten only if a tenth of it is dead.
      """)

  @Argument(help: "Images or references; without any, all images.") var refs: [String] = []
  @Flag(name: .shortAndLong, help: "A line for each snapshot.") var snapshots = false
  @Flag(name: .shortAndLong, help: "Sizes in bytes.") var bytes = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().diskUse(refs, bySnapshot: snapshots)
    Terminal.finish()
    if json.json { return try printJSON(DiskUseJSON(outcome)) }
    func size(_ n: UInt64) -> String { bytes ? String(n) : sizeText(n) }
    func row(_ line: UseLine) -> [String] {
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
  }
}

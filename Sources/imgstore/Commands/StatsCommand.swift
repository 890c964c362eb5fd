// imgstore stats.

import ArgumentParser
import Images

struct StatsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats",
    abstract: "Count snapshots, objects and packs, and show compression")

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let stats = try common.open().statistics()
    if try json.prints(stats) { return try expectReadable(stats.unreadable) }
    let contents = stats.contents
    func times(_ a: UInt64, _ b: UInt64) -> String {
      b == 0 || a < b ? "" : " (\((Double(a) / Double(b) * 10).rounded() / 10) times)"
    }
    var rows = [
      ["images", "\(stats.images)", ""],
      [
        "snapshots", "\(stats.snapshots)",
        "\(count(stats.entries, "entry")), "
          + "\(sizeText(stats.contentBytes)) without deduplication",
      ],
      [
        "packs", "\(contents.packs)",
        sizeText(contents.packBytes)
          + times(stats.contentBytes, contents.packBytes),
      ],
      [
        "frames", "\(contents.frames)",
        "\(sizeText(contents.rawBytes)) before compression"
          + times(contents.rawBytes, contents.packBytes + contents.doomedBytes),
      ],
    ]
    for kind in contents.kinds {
      rows.append([plural(kind.kind), "\(kind.count)", sizeText(kind.rawBytes)])
    }
    if contents.doomedPacks > 0 {
      rows.append([
        "doomed packs", "\(contents.doomedPacks)",
        "\(sizeText(contents.doomedBytes)), to be removed by 'imgstore gc'",
      ])
    }
    rows.append(["index", "", sizeText(stats.indexBytes)])
    rows.append(["caches", "", sizeText(stats.cacheBytes)])
    if stats.unfinishedBytes > 0 {
      rows.append([
        "unfinished files", "",
        "\(sizeText(stats.unfinishedBytes)), to be removed by 'imgstore gc'",
      ])
    }
    let total =
      contents.packBytes + contents.doomedBytes + stats.indexBytes + stats.cacheBytes
      + stats.unfinishedBytes
    rows.append(["total", "", sizeText(total)])
    print(table(rows))
    try expectReadable(stats.unreadable)
  }

  private func plural(_ kind: ObjectKind) -> String {
    switch kind {
    case .recipe: "recipes"
    case .times: "times"
    default: kind.noun + "s"
    }
  }
}

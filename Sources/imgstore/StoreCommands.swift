// imgstore verify, reindex.

import ArgumentParser
import Images
import Platform
import Store

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that every snapshot can be had whole.",
    discussion: """
      Without --deep: every ref, every tree, and that every chunk is in a pack. With --deep, every \
      byte of every pack is read and compared with its SHA-256.
      """)

  @Flag(help: "Read and compare every byte.") var deep = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let start = monotonicSeconds()
    let report = try common.open().verify(deep: deep)
    Terminal.finish()
    let seconds = monotonicSeconds() - start
    if json.json {
      try printJSON(VerifyJSON(report, deep: deep))
    } else {
      var line = count(report.snapshots, "snapshot")
      if deep {
        line +=
          ", \(count(report.packs, "pack")), \(count(report.objects, "object")), "
          + sizeText(report.checkedBytes)
      }
      print("checked \(line); \(secondsText(seconds))")
      for name in report.incomplete { print("  \(name) was incomplete when it was taken") }
      if report.snapshots == 0 {
        print("the store has no snapshots")
      } else if report.isClean {
        print(
          deep
            ? "everything is there and as it was"
            : "everything is there; contents were not read ('verify --deep' reads them)")
      }
    }
    if report.isClean { return }
    throw DoneWithProblems(lines: lines(report))
  }

  /// What is wrong, then which snapshots it reaches, each once; --json has all of it.
  private func lines(_ report: VerifyReport) -> [String] {
    let shown = 12
    var lines = report.problems.prefix(shown).map { "\($0.object): \($0.finding)" }
    if report.problems.count > shown {
      lines.append("… and \(report.problems.count - shown) more findings ('--json' lists all)")
    }
    var first: [String: [UInt8]] = [:]
    var hits: [String: Int] = [:]
    for (snapshot, path) in report.problems.flatMap(\.affected) {
      if first[snapshot] == nil { first[snapshot] = path }
      hits[snapshot, default: 0] += 1
    }
    for snapshot in first.keys.sorted() {
      let path = first[snapshot] ?? []
      lines.append(
        "\(snapshot) is affected, in \(count(hits[snapshot] ?? 0, "object"))"
          + (path.isEmpty ? "" : ", first at \(printable(path))"))
    }
    lines.append(
      "What can be done: a snapshot of the live image stores again what is still live, once the "
        + "damaged pack is out of packs/; 'restore' gives the undamaged rest of the others.")
    return lines
  }
}

struct Reindex: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reindex",
    abstract: "Make the index anew from the packs.",
    discussion: """
      Never needed for correctness: every command brings the index up to date by itself.
      """)

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let totals = try common.open().reindex()
    Terminal.finish()
    if json.json {
      return try printJSON(
        ReindexJSON(packs: totals.packs, objects: totals.objects, storedBytes: totals.storedBytes))
    }
    print(
      "index made anew: \(count(totals.packs, "pack")), \(count(totals.objects, "object")), "
        + sizeText(totals.storedBytes))
  }
}

// imgstore verify, reindex.

import ArgumentParser
import Images
import Platform
import Store

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
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
      if report.isClean { print("everything is there and as it was") }
    }
    if report.isClean { return }
    throw DoneWithProblems(
      lines: report.problems.flatMap { problem in
        ["\(problem.object): \(problem.finding)"]
          + problem.affected.map {
            "  affects \($0.snapshot)" + ($0.path.isEmpty ? "" : ", first at \(printable($0.path))")
          }
      })
  }
}

struct Reindex: ParsableCommand {
  static let configuration = CommandConfiguration(
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

// The maintenance of depots: what `gc`, `verify`, `du`, `forget`, `tag` and `untag` do with --remote.

import ArgumentParser
import Images

/// The option --remote of commands that can work on a depot instead of the store.
struct DepotOption: ParsableArguments {
  @Option(
    help: ArgumentHelp("Work on the depot of this remote instead of the store", valueName: "name"))
  var remote: String?
}

extension DepotCollectionOutcome {
  /// Prints the report of `gc --remote`.
  /// - Throws: `CompletedWithWarnings` if writers are running, or something is damaged.
  func report(_ json: JSONFlag) throws {
    if try !json.prints(self) {
      for writer in report.removedWriters {
        print("removed the registration of \(printable(writer.description.utf8)), which has ended")
      }
      print(
        isDryRun
          ? "would delete or rewrite \(count(report.waitingPacks, "pack"))"
          : "deleted \(count(report.deletedPacks, "pack")), \(sizeText(report.deletedBytes))"
            + (report.copiedBytes > 0 ? "; rewrote \(sizeText(report.copiedBytes))" : ""))
    }
    var problems = report.damaged
    if !isDryRun, !report.waitingFor.isEmpty {
      problems.append(
        "\(count(report.waitingPacks, "pack")) will be deleted when these writers have ended:")
      problems += report.waitingFor.map {
        "  \($0.id)  \(printable($0.description.utf8))"
      }
      problems.append(
        "hint: If one died on a machine that will not come back, 'imgstore gc --remote \(remote) --evict ID' "
          + "removes it. A push of a writer that still runs fails then and can be repeated")
    }
    if !problems.isEmpty {
      throw CompletedWithWarnings(lines: problems, isDamage: !report.damaged.isEmpty)
    }
  }
}

extension DepotVerifyOutcome {
  /// Prints the report of `verify --remote`.
  /// - Throws: `CompletedWithWarnings` if something is damaged.
  func report(_ json: JSONFlag) throws {
    if try !json.prints(self) {
      print(
        "checked \(count(report.snapshots, "snapshot")), \(count(report.packs, "pack"))"
          + (isDeep ? ", \(count(report.verifiedObjects, "object"))" : "")
          + ", \(sizeText(report.packBytes)); \(secondsText(seconds))")
      if report.problems.isEmpty {
        print(isDeep ? "all data is present and undamaged" : "all data is present")
      }
    }
    let problems = report.problems.map { "\($0.subject) \($0.reason)" }
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems, isDamage: true) }
  }
}

extension DepotUsageOutcome {
  /// Prints the report of `du --remote`.
  func report(_ json: JSONFlag, inBytes: Bool) throws {
    if try json.prints(self) { return }
    func size(_ n: UInt64) -> String { inBytes ? String(n) : sizeText(n) }
    print(
      table(
        [["needed", "own", "snapshots", ""]]
          + usage.images.map {
            [size($0.neededBytes), size($0.ownBytes), "\($0.snapshots)", $0.image.text]
          }))
    print(
      "\(count(usage.packs, "pack")), \(size(usage.packBytes))"
        + (usage.unneededBytes > 0
          ? "; \(size(usage.unneededBytes)) are not needed" : ""))
  }
}

extension DepotForgetOutcome {
  /// Prints the report of `forget --remote`.
  func report(_ json: JSONFlag) throws {
    if try json.prints(self) { return }
    for name in removed { print("\(isDryRun ? "would remove" : "removed") \(remote)/\(name)") }
    print(
      "\(isDryRun ? "would remove" : "removed") \(count(removed.count, "snapshot")), "
        + "kept \(keptCount)"
        + (removed.isEmpty || isDryRun
          ? "" : "; 'imgstore gc --remote \(remote)' frees the space"))
  }
}

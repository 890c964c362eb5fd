// imgstore verify.

import ArgumentParser
import Images
import Platform
import Store

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that every snapshot can be restored.",
    discussion: """
      Without --deep: every ref, tag, pin and tree, and that every chunk is in a pack. With --deep, \
      every byte of every pack is read and compared with its SHA-256. With --max-time or --max-bytes, \
      the packs are read that were not read for the longest time: run it every night, and a large \
      store is read in turns. 'imgstore repair' repairs what can be repaired.

      With --signatures, each signature is checked: its key is trusted, it is the signature of its \
      statement, and the snapshot holds what the statement says. Exit code 1 when one is bad, 3 \
      when the key of one is not trusted; unsigned snapshots are listed. Exit code 5 when the store \
      is damaged, whatever else was found.
      """,
    aliases: ["check", "fsck"])

  @Flag(help: "Read and compare every byte.") var deep = false
  @Flag(help: "Check all signatures, too.") var signatures = false
  @OptionGroup var trusted: TrustedKeysOption
  @Option(
    help: ArgumentHelp(
      "Read packs, the oldest-checked first, and begin none after this time (90s, 5m, 2h).",
      valueName: "time"))
  var maxTime: String?
  @Option(
    help: ArgumentHelp(
      "Read packs, the oldest-checked first, up to this size (500M, 20G); the pack under way is finished",
      valueName: "size"))
  var maxBytes: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  private func request() throws -> VerifyRequest {
    var request = VerifyRequest(deep: deep)
    request.maxSeconds = try maxTime.map(BudgetOptions.seconds)
    request.maxBytes = try maxBytes.map(BudgetOptions.bytes)
    return request
  }

  func validate() throws {
    if deep, maxTime != nil || maxBytes != nil {
      throw ValidationError("--deep reads everything: give it, or a limit.")
    }
    _ = try request()
  }

  func run() throws {
    let start = monotonicSeconds()
    let request = try request()
    let workspace = try common.open()
    let report = try workspace.verify(request)
    let signed =
      signatures
      ? try workspace.verifySignatures(workspace.trustedKeys(trusted.trustedKeys)) : nil
    Terminal.finish()
    let seconds = monotonicSeconds() - start
    if json.json {
      try printJSON(VerifyJSON(report, deep: deep, signatures: signed))
    } else {
      var line = count(report.snapshots, "snapshot")
      if report.coverage != nil {
        line +=
          ", \(count(report.packs, "pack")), \(count(report.objects, "object")), "
          + sizeText(report.checkedBytes)
      }
      print("checked \(line); \(secondsText(seconds))")
      if let coverage = report.coverage, !deep { print(text(of: coverage)) }
      if let line = incompleteText(report) { print(line) }
      if report.snapshots == 0 {
        print("the store has no snapshots")
      } else if report.isClean {
        print(
          deep
            ? "everything is there and as it was"
            : report.coverage != nil
              ? "everything is there; what was read is as it was"
              : "everything is there; contents were not read ('verify --deep' reads them)")
      }
      if let signed { describe(signed) }
    }
    let problems = report.isClean ? [] : lines(report)
    if let first = signed?.bad.first, let signed {
      for line in problems { Terminal.error(line) }
      throw ImageError(
        problems.isEmpty ? .failed : .damaged, first.snapshot,
        "has a bad signature by \(first.key.shortHex): \(first.finding)"
          + (signed.bad.count > 1 ? "; \(signed.bad.count - 1) more are bad" : ""),
        advice: "The snapshot, the statement or the signature was changed: look who could")
    }
    let untrusted = (signed?.untrusted ?? []).map {
      "\($0.snapshot) is signed by \($0.key.shortHex), which is not trusted: not checked"
    }
    if !problems.isEmpty || !untrusted.isEmpty {
      throw CompletedWithWarnings(lines: problems + untrusted, isDamage: !problems.isEmpty)
    }
  }

  private func describe(_ report: SignatureReport) {
    let all = report.checked.flatMap(\.signatures)
    let valid = all.count { $0.verdict == .valid }
    print("\(count(all.count, "signature")): \(valid) valid")
    for name in report.unsigned { print("  \(name) is not signed") }
    for item in report.bad {
      print("  \(item.snapshot): BAD, by \(item.key.shortHex): \(item.finding)")
    }
  }

  /// Says how many snapshots are incomplete, with the first of them; --json has all.
  private func incompleteText(_ report: VerifyReport) -> String? {
    let names = report.incomplete
    guard let first = names.first else { return nil }
    return names.count == 1
      ? "\(first) was incomplete when it was taken"
      : "\(names.count) snapshots were incomplete when they were taken: \(first) … ('imgstore log' marks them)"
  }

  /// How much of the store has been read since when.
  private func text(of coverage: VerifyCoverage) -> String {
    let known = coverage.packs - coverage.uncheckedPacks
    var text =
      "of \(count(coverage.packs, "pack")), \(sizeText(coverage.bytes)): \(known) were found sound"
    if let oldest = coverage.oldestCheck {
      text += " since \(timeText(Timestamp(seconds: oldest, nanoseconds: 0)))"
    }
    if coverage.uncheckedPacks > 0 {
      text += ", \(coverage.uncheckedPacks) (\(sizeText(coverage.uncheckedBytes))) never"
    }
    return text
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
      "'imgstore repair' repairs what the live images have, or another store, a bundle or a folder "
        + "(--from); 'restore' gives the undamaged rest.")
    return lines
  }
}

// imgstore verify.

import ArgumentParser
import Images

struct VerifyCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that every snapshot can be restored",
    discussion: """
      Without --deep, the command checks every ref, tag, pin and tree, and that every chunk is in a \
      pack. With --deep, it also reads every byte of every pack and compares it with its SHA-256. \
      With --max-time or --max-bytes, it reads the packs that were checked the longest time ago, so \
      that nightly runs cover a large store. 'imgstore repair' repairs damage.

      With --signatures, the command checks each signature: whether its key is trusted, whether it \
      matches its statement, and whether the snapshot matches the statement. It lists unsigned \
      snapshots. The exit code is 1 if a signature is bad, and 3 if a key is not trusted. A damaged \
      store always means exit code 5.
      """,
    aliases: ["check", "fsck"])

  @Flag(help: "Read and compare every byte") var deep = false
  @Flag(help: "Check all signatures, too") var signatures = false
  @OptionGroup var trusted: TrustedKeysOption
  @Option(
    help: ArgumentHelp(
      "Read packs, those checked longest ago first, and start none after this time (90s, 5m, 2h)",
      valueName: "time"))
  var maxTime: String?
  @Option(
    help: ArgumentHelp(
      "Read packs, those checked longest ago first, up to this size (500M, 20G); the current pack is completed",
      valueName: "size"))
  var maxBytes: String?
  @OptionGroup var depot: DepotOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  private func request() throws -> VerifyRequest {
    var request = VerifyRequest(deep: deep)
    request.maxSeconds = try maxTime.map(BudgetOptions.seconds)
    request.maxBytes = try maxBytes.map(BudgetOptions.bytes)
    return request
  }

  func validate() throws {
    if depot.remote != nil, signatures || maxTime != nil || maxBytes != nil {
      throw ValidationError("With --remote, only --deep applies.")
    }
    if deep, maxTime != nil || maxBytes != nil {
      throw ValidationError("--deep reads all packs: give --deep or a limit, not both.")
    }
    _ = try request()
  }

  func run() throws {
    if let remote = depot.remote {
      return try common.open().verifyDepot(remote, deep: deep).report(json)
    }
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
      try printJSON(VerifyJSON(report: report, deep: deep, signatures: signed))
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
            ? "all data is present and undamaged"
            : report.coverage != nil
              ? "all data is present; the packs read are undamaged"
              : "all data is present; contents were not read ('verify --deep' reads them)")
      }
      if let signed { describe(signed) }
    }
    let problems = report.isClean ? [] : lines(report)
    if let first = signed?.bad.first, let signed {
      for line in problems { Terminal.error(line) }
      throw ImageError(
        problems.isEmpty ? .failed : .damaged, first.snapshot,
        "has a bad signature by \(first.key.shortHex): \(first.reason)"
          + (signed.bad.count > 1 ? "; \(signed.bad.count - 1) more are bad" : ""),
        hint: "The snapshot, the statement or the signature was changed: find out who had access")
    }
    let untrusted = (signed?.untrusted ?? []).map {
      "\($0.snapshot) is signed by \($0.key.shortHex), an untrusted key: not checked"
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
      print("  \(item.snapshot): BAD, by \(item.key.shortHex): \(item.reason)")
    }
  }

  /// Returns the number of incomplete snapshots, with the name of the first; nil if there are none. --json
  /// lists all.
  private func incompleteText(_ report: VerifyReport) -> String? {
    let names = report.incomplete
    guard let first = names.first else { return nil }
    return names.count == 1
      ? "\(first) was incomplete when it was taken"
      : "\(names.count) snapshots were incomplete when they were taken: \(first) … ('imgstore log' marks them)"
  }

  /// Returns how much of the store has been read, and since when.
  private func text(of coverage: VerifyCoverage) -> String {
    let known = coverage.packs - coverage.uncheckedPacks
    var text =
      "of \(count(coverage.packs, "pack")), \(sizeText(coverage.bytes)): \(known) were undamaged"
    if let oldest = coverage.oldestCheck {
      text += " since \(timeText(Timestamp(seconds: oldest, nanoseconds: 0)))"
    }
    if coverage.uncheckedPacks > 0 {
      text += ", \(coverage.uncheckedPacks) (\(sizeText(coverage.uncheckedBytes))) never"
    }
    return text
  }

  /// Returns the first findings, then a line for each affected snapshot. --json lists all findings.
  private func lines(_ report: VerifyReport) -> [String] {
    let shown = 12
    var lines = report.problems.prefix(shown).map { "\($0.object): \($0.reason)" }
    if report.problems.count > shown {
      lines.append("… and \(report.problems.count - shown) more findings ('--json' lists all)")
    }
    var first: [String: [UInt8]] = [:]
    var hits: [String: Int] = [:]
    for (snapshot, path) in report.problems.flatMap(\.affected) {
      if first[snapshot] == nil { first[snapshot] = path }
      hits[snapshot, default: 0] += 1
    }
    let lost = Set(report.lost.map { "\($0)" })
    for snapshot in first.keys.sorted() where !lost.contains(snapshot) {
      let path = first[snapshot] ?? []
      lines.append(
        path.isEmpty
          ? "\(snapshot) is affected"
          : "\(snapshot) is affected, in \(count(hits[snapshot] ?? 0, "object")), first at "
            + printable(path))
    }
    lines += lostLines(report.lost)
    lines.append(
      "'imgstore repair' restores data from the live images, or from another store, a bundle or a directory "
        + "(--from); 'imgstore restore' writes the undamaged rest.")
    return lines
  }
}

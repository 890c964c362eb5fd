// imgstore bench.

import ArgumentParser
import Glibc
import Images

extension BenchForm {
  static let names = [
    "cpio.gz", "cpio.zst", "cpio.xz", "tar.gz", "tar.zst", "tar.xz", "sfs.gz", "sfs.zst", "sfs.xz",
  ]
}

extension BenchForm: ExpressibleByArgument {
  public init?(argument: String) {
    let parts = argument.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    let methods: [String: PackMethod] = ["cpio": .cpio, "tar": .tar, "sfs": .squashfs]
    guard parts.count == 2, let method = methods[parts[0]],
      let codec = SegmentCodec.allCases.first(where: { $0.suffix == parts[1] })
    else { return nil }
    self.init(method, codec)
  }

  public static var allValueStrings: [String] { names }
  public var defaultValueDescription: String { name }
}

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure packing, and compare it with other programs",
    discussion: """
      The command packs the root tree of an image, or a directory, in each form and in three states: \
      with an empty cache (cold), after a part of the content has changed, and without changes \
      (warm). It then does the same with those of find, cpio, tar, gzip, pigz, xz, zstd and \
      mksquashfs that are installed. All write the whole tree to the same disk and sync it.

      The command changes neither the image nor the store. The work directory needs space for about \
      three compressed copies of the tree, and is empty again at the end.

      Examples:
        imgstore bench compute
        imgstore bench compute --form cpio.gz --form sfs.zst --plot packing.svg
        imgstore bench /srv/images/compute --change 5 --no-peers --json
      """)

  @Argument(help: "Image, or a directory written as a path") var subject: String
  @Option(
    help: ArgumentHelp(
      "Form to measure: cpio, tar or sfs with gz, zst or xz, as in cpio.gz; repeatable",
      valueName: "form"))
  var form: [BenchForm] = [
    BenchForm(.cpio, .gzip), BenchForm(.tar, .gzip), BenchForm(.squashfs, .gzip),
  ]
  @Option(
    help: ArgumentHelp(
      "Part of the content to change, in percent of the bytes", valueName: "percent"))
  var change = 1.0
  @Option(help: ArgumentHelp("Report the median of N runs", valueName: "n")) var rounds = 1
  @Flag(inversion: .prefixedNo, help: "Measure other programs, too") var peers = true
  @Option(
    help: ArgumentHelp(
      "Directory for the scratch store and the packed files (TMPDIR; default: /var/tmp)",
      valueName: "dir"))
  var work: String?
  @Option(help: ArgumentHelp("Write a bar chart in SVG to FILE", valueName: "file")) var plot:
    String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard change > 0, change <= 100 else {
      throw ValidationError("invalid percentage \(change); use more than 0 and at most 100.")
    }
    guard rounds >= 1, rounds <= 1000 else {
      throw ValidationError("invalid number of rounds \(rounds); use 1 to 1000.")
    }
  }

  func run() throws {
    let directory = work ?? getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
    var request = BenchRequest(subject, forms: form, workDirectory: directory)
    request.changePercent = change
    request.rounds = rounds
    request.measuresPeers = peers
    // Check the output file now: the measurement takes minutes.
    let workspace = try common.open()
    let chart = try plot.map { try workspace.outputFile($0, "chart \($0)") }
    let outcome = try workspace.bench(request)
    Terminal.finish()
    if let chart { try chart.publish(Array(BenchChart(outcome).svg.utf8)) }
    if json.json { return try printJSON(outcome) }
    if !common.quiet { for line in outcome.remarks { Terminal.remark(line) } }
    print(
      "\(outcome.subject): \(count(outcome.entries, "entry")), \(sizeText(outcome.contentBytes)), "
        + "of which \(sizeText(outcome.changedBytes)) change; \(count(outcome.threads, "processor"))"
    )
    print("read into a scratch store in \(secondsText(outcome.snapshotSeconds))\n")
    print(rows(outcome))
    if let plot { print("\nwrote the chart to \(plot)") }
  }

  private func rows(_ outcome: BenchOutcome) -> String {
    var rows = [["FORM", "HOW", "TIME", "SIZE", "AS FAST AS THE BEST PEER"]]
    var last = ""
    for run in outcome.runs {
      let name = run.form.name
      var speed = ""
      if case .peer = run.variant {
      } else if let times = outcome.speedUp(run) {
        speed = "\(timesText(times)) times"
      }
      rows.append([
        name == last ? "" : name, run.variant.text(outcome.changePercent), secondsText(run.seconds),
        sizeText(run.sizeBytes), speed,
      ])
      last = name
    }
    return table(rows)
  }
}

extension BenchRun.Variant {
  /// Returns the name of a run, for the table and the chart.
  func text(_ changePercent: Double) -> String {
    switch self {
    case .peer(let text):
      // Leave out the arguments: they are the same for all programs of a kind.
      text.split(separator: "|").map { stage in
        stage.split(separator: " ").first.map(String.init) ?? ""
      }.joined(separator: " | ")
    case .cold: "imgstore, cold"
    case .changed: "imgstore, \(percentText(changePercent)) changed"
    case .warm: "imgstore, warm"
    }
  }
}

/// Returns a factor with two digits: "2.4", "31".
func timesText(_ value: Double) -> String {
  if value >= 9.95 { return "\(Int(value.rounded()))" }
  let tenths = Int((value * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

private func percentText(_ value: Double) -> String {
  value == value.rounded() ? "\(Int(value)) %" : "\(value) %"
}

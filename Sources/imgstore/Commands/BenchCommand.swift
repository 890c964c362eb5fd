// imgstore bench.

import ArgumentParser
import Glibc
import Images
import Platform
import Render

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

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure packing on this machine, beside the programs that it replaces.",
    discussion: """
      Packs the root tree of an image, or a folder, in each form: with nothing compressed before \
      (cold), after a part of the content has changed, and with nothing new (warm); and runs find, \
      cpio, tar, gzip, pigz, xz, zstd and mksquashfs for the same, where they are installed. \
      All write the whole tree to the same disk and sync it.

      Nothing of the image or the store is changed. The work folder needs room for the tree, \
      compressed, some three times; it is empty again at the end.

      Examples:
        imgstore bench compute
        imgstore bench compute --form cpio.gz --form sfs.zst --plot packing.svg
        imgstore bench /srv/images/compute --change 5 --no-peers --json
      """)

  @Argument(help: "An image, or a folder, written as a path.") var subject: String
  @Option(
    help: ArgumentHelp(
      "cpio, tar or sfs, and gz, zst or xz, as in cpio.gz; may be repeated.", valueName: "form"))
  var form: [BenchForm] = [
    BenchForm(.cpio, .gzip), BenchForm(.tar, .gzip), BenchForm(.squashfs, .gzip),
  ]
  @Option(
    help: ArgumentHelp(
      "How much of the content changes, in percent of the bytes.", valueName: "percent"))
  var change = 1.0
  @Option(help: ArgumentHelp("Take the median of as many runs.", valueName: "n")) var rounds = 1
  @Flag(inversion: .prefixedNo, help: "Run the other programs, too.") var peers = true
  @Option(
    help: ArgumentHelp(
      "Where the scratch store and the packed files lie meanwhile (TMPDIR; default /var/tmp).",
      valueName: "dir"))
  var work: String?
  @Option(help: ArgumentHelp("Write a bar chart, as SVG.", valueName: "file")) var plot: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard change > 0, change <= 100 else {
      throw ValidationError("--change is \(change); it is a percentage, from above 0 to 100.")
    }
    guard rounds >= 1, rounds <= 1000 else {
      throw ValidationError("--rounds is \(rounds); at least one run is needed.")
    }
  }

  func run() throws {
    let folder = work ?? getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
    var request = BenchRequest(subject, forms: form, workFolder: folder)
    request.changePercent = change
    request.rounds = rounds
    request.measuresPeers = peers
    // Before the minutes that it takes, not after.
    let workspace = try common.open()
    let chart = try plot.map { try workspace.outputFile($0, "chart \($0)") }
    let outcome = try workspace.bench(request)
    Terminal.finish()
    if let chart { try chart.publish(Array(BenchChart(outcome).svg.utf8)) }
    if json.json { return try printJSON(BenchJSON(outcome)) }
    if !common.quiet { for line in outcome.remarks { Terminal.remark(line) } }
    print(
      "\(outcome.subject): \(count(outcome.entries, "entry")), \(sizeText(outcome.contentBytes)), "
        + "of which \(sizeText(outcome.changedBytes)) change; \(count(outcome.threads, "processor"))"
    )
    print("read into a scratch store in \(secondsText(outcome.snapshotSeconds))\n")
    print(rows(outcome))
    if let plot { print("\nthe chart is \(plot)") }
  }

  private func rows(_ outcome: BenchOutcome) -> String {
    var rows = [["FORM", "HOW", "TIME", "SIZE", "AS FAST AS THE BEST PEER"]]
    var last = ""
    for run in outcome.runs {
      let name = run.form.name
      var speed = ""
      if case .peer = run.way {
      } else if let times = outcome.speedUp(run) {
        speed = "\(timesText(times)) times"
      }
      rows.append([
        name == last ? "" : name, run.way.text(outcome.changePercent), secondsText(run.seconds),
        sizeText(run.sizeBytes), speed,
      ])
      last = name
    }
    return table(rows)
  }
}

extension BenchRun.Way {
  /// What was run, in the table and in the chart.
  func text(_ changePercent: Double) -> String {
    switch self {
    case .peer(let text):
      // The arguments that all of a kind have are not worth their place.
      text.split(separator: "|").map { stage in
        stage.split(separator: " ").first.map(String.init) ?? ""
      }.joined(separator: " | ")
    case .cold: "imgstore, cold"
    case .changed: "imgstore, \(percentText(changePercent)) changed"
    case .warm: "imgstore, warm"
    }
  }

  var key: String {
    switch self {
    case .peer: "peer"
    case .cold: "cold"
    case .changed: "changed"
    case .warm: "warm"
    }
  }
}

/// "2.4", "31".
func timesText(_ value: Double) -> String {
  if value >= 9.95 { return "\(Int(value.rounded()))" }
  let tenths = Int((value * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

private func percentText(_ value: Double) -> String {
  value == value.rounded() ? "\(Int(value)) %" : "\(value) %"
}

struct BenchJSON: JSONDocument {
  static let kind = "bench"
  struct Run: Codable {
    let form: String
    let way: String
    let command: String?
    let seconds: Double
    let sizeBytes: UInt64
    let timesAsFastAsBestPeer: Double?
  }
  let subject: String
  let entries: UInt64
  let contentBytes: UInt64
  let changedBytes: UInt64
  let changePercent: Double
  let processors: Int
  let rounds: Int
  let snapshotSeconds: Double
  let runs: [Run]
  let remarks: [String]

  init(_ outcome: BenchOutcome) {
    subject = outcome.subject
    entries = outcome.entries
    contentBytes = outcome.contentBytes
    changedBytes = outcome.changedBytes
    changePercent = outcome.changePercent
    processors = outcome.threads
    rounds = outcome.rounds
    snapshotSeconds = outcome.snapshotSeconds
    remarks = outcome.remarks
    runs = outcome.runs.map { run in
      var command: String?
      if case .peer(let text) = run.way { command = text }
      return Run(
        form: run.form.name, way: run.way.key, command: command, seconds: run.seconds,
        sizeBytes: run.sizeBytes, timesAsFastAsBestPeer: outcome.speedUp(run))
    }
  }
}

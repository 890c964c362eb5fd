// imgstore gc, optimize, du, stats.

import ArgumentParser
import Images
import Platform
import Store

/// How much one run may do.
struct BudgetOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Rewrite at most so many bytes of packs (500M, 2G). A pack, up to 128M, is done whole or not.",
      valueName: "size"))
  var maxBytes: String?
  @Option(
    help: ArgumentHelp(
      "Begin nothing, and wait for nobody, after this time (90s, 5m, 2h); a pack that was begun is finished.",
      valueName: "time"))
  var maxTime: String?

  func request(_ rewriting: CollectionRequest.Rewriting) throws -> CollectionRequest {
    var request = CollectionRequest()
    request.rewriting = rewriting
    request.maxBytes = try maxBytes.map(BudgetOptions.bytes)
    request.maxSeconds = try maxTime.map(BudgetOptions.seconds)
    return request
  }

  func validate() throws { _ = try request(.none) }

  /// "500M" and "500MB" are powers of 1000, "500Mi" and "500MiB" of 1024.
  static func bytes(_ text: String) throws -> UInt64 {
    var (number, unit) = split(text)
    if unit.hasSuffix("b") { unit.removeLast() }
    let isBinary = unit.hasSuffix("i")
    if isBinary { unit.removeLast() }
    let powers = ["": 0, "k": 1, "m": 2, "g": 3, "t": 4]
    guard let number = UInt64(number), let power = powers[unit], !isBinary || power > 0 else {
      throw ValidationError("invalid size '\(text)'; use 800k, 500M, 2G or 2Gi.")
    }
    let factor = (0..<power).reduce(UInt64(1)) { product, _ in product * (isBinary ? 1024 : 1000) }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? .max : bytes
  }

  /// "90s", "5m", "1h30m", "1d"; a number alone is seconds.
  static func seconds(_ text: String) throws -> Double {
    let factors: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    var rest = text.lowercased()[...]
    if !rest.isEmpty, rest.allSatisfy({ $0.isASCII && $0.isNumber }) { rest += "s" }
    var total = 0.0
    repeat {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      rest = rest.dropFirst(digits.count)
      guard let number = UInt32(digits), let factor = rest.popFirst().flatMap({ factors[$0] })
      else {
        throw ValidationError("invalid time '\(text)'; use 90s, 5m, 1h30m or 1d.")
      }
      total += Double(number) * factor
    } while !rest.isEmpty
    return total
  }

  private static func split(_ text: String) -> (number: String, unit: String) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    return (String(digits), text.dropFirst(digits.count).lowercased())
  }
}

struct GC: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc", abstract: "Free the space of what no snapshot needs.",
    discussion: """
      Snapshots may be taken, exported and restored meanwhile. Packs of which nothing is needed \
      are removed, which takes no room on a full disk; packs that are dead in a good part are \
      rewritten without it. Commands that began before must end before anything is removed: they \
      are waited for, a minute, --max-time or --wait; what is left then, the next gc removes. \
      Another gc, optimize or repair is waited for first. Interrupted \
      or killed, it costs space only.
      """,
    aliases: ["prune"])

  @Flag(name: [.customShort("n"), .long], help: "Say how much there is to free; change nothing.")
  var dryRun = false
  @Flag(help: "Rewrite nothing: only remove packs that are wholly dead.") var removeOnly = false
  @OptionGroup var budget: BudgetOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let request = try budget.request(removeOnly ? .none : .sparing)
    if dryRun { return try estimate() }
    let outcome = try common.open().collect(request)
    Terminal.finish()
    if json.json {
      try printJSON(CollectionJSON(outcome))
    } else {
      print(
        outcome.removedPacks == 0
          ? "nothing to free; \(secondsText(outcome.seconds))"
          : "freed \(sizeText(UInt64(max(0, outcome.freedBytes)))): removed "
            + "\(count(outcome.removedPacks, "pack")), \(outcome.rewrittenPacks) of them rewritten "
            + "(\(sizeText(outcome.writtenBytes))); \(secondsText(outcome.seconds))")
      describe(outcome)
    }
    try finish(outcome)
  }

  private func estimate() throws {
    let use = try common.open().diskUse([])
    Terminal.finish()
    if json.json {
      return try printJSON(CollectionEstimateJSON(collectableBytes: use.collectableBytes))
    }
    print("would free \(exactSize(use.collectableBytes))")
  }
}

/// What `gc --dry-run` foretells.
struct CollectionEstimateJSON: JSONDocument {
  static let kind = "collection-estimate"
  let collectableBytes: UInt64
}

struct Optimize: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "optimize",
    abstract: "Compress the store better, and put what belongs together side by side.",
    discussion: """
      Snapshots are stored fast; this makes them small. Packs are compressed anew, in the order in \
      which a restore of the latest snapshots reads them; many small packs become few. No id \
      changes, and nothing is replaced before it has been read back. What is done is not done \
      again: with a budget, run it every night until it finds nothing to do. It also does what \
      'gc' does.
      """)

  @Option(help: "zstd level, 3 to 22: higher is smaller and slower.")
  var level: Int32 = 12
  @OptionGroup var budget: BudgetOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (3...22).contains(level) else { throw ValidationError("--level is from 3 to 22.") }
  }

  func run() throws {
    let outcome = try common.open().collect(try budget.request(.all(level: level)))
    Terminal.finish()
    if json.json {
      try printJSON(CollectionJSON(outcome))
    } else {
      let (verb, bytes) =
        outcome.freedBytes < 0 ? ("took", -outcome.freedBytes) : ("freed", outcome.freedBytes)
      print(
        outcome.rewrittenPacks == 0 && outcome.removedPacks == 0
          ? "nothing to do"
          : "\(verb) \(sizeText(UInt64(bytes))): rewrote \(count(outcome.rewrittenPacks, "pack")) "
            + "as \(sizeText(outcome.writtenBytes)); \(secondsText(outcome.seconds))")
      describe(outcome)
    }
    try finish(outcome)
  }
}

private func describe(_ outcome: CollectionOutcome) {
  if outcome.temporaryBytes > 0 {
    print("removed \(sizeText(outcome.temporaryBytes)) of unfinished files that nobody works on")
  }
  if outcome.leftBytes > 0, !outcome.lackedSpace {
    print("left \(sizeText(outcome.leftBytes)) of dead bytes for another run")
  }
  if outcome.waitingBytes > 0 {
    let who =
      outcome.waitsFor.isEmpty ? "earlier commands" : outcome.waitsFor.joined(separator: ", ")
    print(
      "\(sizeText(outcome.waitingBytes)) can go when these have ended: \(who); the next gc does it")
  }
}

private func finish(_ outcome: CollectionOutcome) throws {
  var problems = outcome.damaged.map { "pack \($0.pack.prefix(12)): \($0.finding)" }
  if !problems.isEmpty {
    problems.append(
      "Damaged packs stay as they are; 'imgstore verify --deep' says what is affected, and "
        + "'imgstore repair' moves what is left of them to new packs.")
  }
  if outcome.lackedSpace {
    problems.append(
      "The disk is too full to rewrite packs: \(sizeText(outcome.leftBytes)) of dead bytes stay. "
        + "Make room and run it again.")
  }
  if !problems.isEmpty {
    throw CompletedWithWarnings(lines: problems, isDamage: !outcome.damaged.isEmpty)
  }
}

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

struct Stats: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats",
    abstract: "Count the store: snapshots, objects, packs, and what compression saves.")

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let stats = try common.open().statistics()
    Terminal.finish()
    if json.json { return try printJSON(StatisticsJSON(stats)) }
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
    let total = contents.packBytes + contents.doomedBytes + stats.indexBytes + stats.cacheBytes
    rows.append(["total", "", sizeText(total)])
    print(table(rows))
  }

  private func plural(_ kind: ObjectKind) -> String {
    switch kind {
    case .recipe: "recipes"
    case .times: "times"
    default: kind.noun + "s"
    }
  }
}

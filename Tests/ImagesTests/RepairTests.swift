// `repair` after random damage: it never makes the store worse, and recovers everything that a source still
// has.

import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct RepairTests {
  /// A store with three snapshots, a copy of it, and pristine copies of the captured trees.
  private struct Base {
    let directory: TemporaryDirectory
    let numbers = [1, 2, 3]

    init() throws {
      directory = try TemporaryDirectory()
      let workspace = try Workspace.test(directory)
      let tree = directory.path("root/img/rootimg")
      try shell(
        """
        cd "$1"; mkdir -p etc usr/lib deep/a/b
        for i in $(seq 30); do echo "file $i" >etc/$i; done
        head -c 900000 /dev/urandom >usr/lib/large; head -c 70000 /dev/urandom >usr/lib/middle
        truncate -s 200000 deep/a/hole; echo x >>deep/a/hole; ln etc/1 etc/link; ln -s 1 etc/soft
        setfattr -n user.colour -v blue etc/2; echo end >deep/a/b/c
        """, tree)
      for number in numbers {
        try shell(
          "cd \"$1\"; echo $2 >etc/changed; rm -f etc/1$2; head -c 200000 /dev/urandom >usr/lib/new$2",
          tree, "\(number)")
        _ = try workspace.snapshot("img", tags: ["t\(number)"])
        try shell("cp -a \"$1\" \"$2\"", tree, directory.path("pristine\(number)"))
      }
      try workspace.store().refs.pin(ImageName("img"), 1, reason: "kept")
      try shell("cp -a \"$1/store\" \"$1/other\"; mv \"$1/store\" \"$1/base\"", directory.path)
    }

    func reset() throws {
      try shell("rm -rf \"$1/store\"; cp -a \"$1/base\" \"$1/store\"", directory.path)
    }

    func open() throws -> Workspace {
      try Workspace(
        WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      ) { _ in }
    }

    /// Returns the snapshots that can be restored exactly.
    func intact() throws -> Set<Int> {
      var intact: Set<Int> = []
      for number in numbers {
        let out = directory.path("out")
        try shell("rm -rf \"$1\"", out)
        guard let outcome = try? open().restore("img@\(number)", to: out),
          outcome.report.problems.isEmpty
        else { continue }
        if try differences(directory.path("pristine\(number)"), out) == "" { intact.insert(number) }
      }
      return intact
    }
  }

  private enum Damage: CaseIterable {
    case flip, truncate, zero, swap, delete, foreign, duplicate, fifo
  }

  /// Damages one or two files of the store.
  /// - Returns: a description of the damage, for messages.
  private func damage(_ base: Base, _ random: inout SplitMix64) throws -> String {
    let store = base.directory.path("store")
    let files = try shell(
      "cd \"$1\"; find packs refs tags pins index.sqlite -type f ! -name removed | sort", store
    ).output.split(separator: "\n").map(String.init)
    guard let file = files.randomElement(using: &random) else { return "nothing" }
    let url = URL(fileURLWithPath: "\(store)/\(file)")
    let kind = Damage.allCases.randomElement(using: &random) ?? .flip
    let bytes = [UInt8](try Data(contentsOf: url))
    switch kind {
    case .flip:
      guard !bytes.isEmpty else { break }
      var bad = bytes
      bad[Int.random(in: 0..<bad.count, using: &random)] ^=
        1 << UInt8.random(in: 0..<8, using: &random)
      try Data(bad).write(to: url)
    case .truncate:
      try Data(bytes[..<Int.random(in: 0...bytes.count, using: &random)]).write(to: url)
    case .zero:
      var bad = bytes
      let start = Int.random(in: 0...bad.count, using: &random)
      for i in start..<min(bad.count, start + 5000) { bad[i] = 0 }
      try Data(bad).write(to: url)
    case .swap:
      let directory = (file as NSString).deletingLastPathComponent
      let others = files.filter { ($0 as NSString).deletingLastPathComponent == directory }
      guard let other = others.randomElement(using: &random), other != file else { break }
      try shell("cd \"$1\"; mv \"$2\" x; mv \"$3\" \"$2\"; mv x \"$3\"", store, file, other)
      return "swap \(file) \(other)"
    case .delete: try FileManager.default.removeItem(at: url)
    case .foreign: try Data(random.bytes(3000)).write(to: url)
    case .duplicate:
      let name = SHA256.digest(of: random.bytes(8)).hex
      try Data(bytes).write(to: URL(fileURLWithPath: "\(store)/packs/\(name)"))
    case .fifo:
      try FileManager.default.removeItem(at: url)
      try shell("mkfifo \"$1\"", url.path)
    }
    return "\(kind) \(file)"
  }

  private func repair(_ base: Base, live: Bool, from sources: [String] = []) throws -> RepairOutcome
  {
    var options = RepairOptions()
    options.readsLive = live
    options.sources = sources
    return try base.open().repair(options)
  }

  @Test(arguments: seeds)
  func `repair never makes the store worse and restores what a source has`(_ seed: UInt64) throws {
    let base = try Base()
    var random = SplitMix64(seed)
    for round in 0..<Sweep.rounds(12) {
      try base.reset()
      var done: [String] = []
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        done.append(try damage(base, &random))
      }
      let when = "seed \(seed), round \(round): \(done)"
      let before = try base.intact()

      // Without any source, nothing gets worse.
      let estimate = try dryRun(base, live: false)
      let alone = try repair(base, live: false)
      compare(estimate, alone, "alone, \(when)")
      #expect(try base.intact().isSuperset(of: before), "alone, \(when)")
      try agree(base, alone, "alone, \(when)")
      #expect(try repair(base, live: false).actions.isEmpty, "alone again, \(when)")

      // The live tree equals the latest snapshot.
      let estimateLive = try dryRun(base, live: true)
      let live = try repair(base, live: true)
      compare(estimateLive, live, "live, \(when)")
      let refs = try base.open().store().refs
      if (try? refs.read(ImageName("img"), 3)) != nil {
        #expect(try base.intact().contains(3), "live, \(when)")
      }
      try agree(base, live, "live, \(when)")
      #expect(try repair(base, live: true).actions.isEmpty, "live again, \(when)")

      // The copy of the store has everything.
      let estimateOther = try dryRun(base, live: false, from: [base.directory.path("other")])
      let other = try repair(base, live: false, from: [base.directory.path("other")])
      compare(estimateOther, other, "other, \(when)")
      #expect(other.losses.isEmpty && other.sourceProblems.isEmpty, "other, \(when)")
      #expect(try base.intact() == Set(base.numbers), "other, \(when)")
      try agree(base, other, "other, \(when)")
      let again = try repair(base, live: true, from: [base.directory.path("other")])
      #expect(again.actions.isEmpty, "other again, \(when): \(again.actions)")
    }
  }

  private func dryRun(_ base: Base, live: Bool, from sources: [String] = []) throws
    -> RepairOutcome
  {
    var options = RepairOptions()
    options.readsLive = live
    options.sources = sources
    options.isDryRun = true
    return try base.open().repair(options)
  }

  /// Checks that a dry run foretells the remaining losses.
  private func compare(_ estimate: RepairOutcome, _ outcome: RepairOutcome, _ when: String) {
    func lines(_ outcome: RepairOutcome) -> Set<String> {
      Set(outcome.losses.paths.map { "\($0.snapshot) \(printable($0.path))" })
    }
    #expect(lines(estimate) == lines(outcome), "\(when)")
    #expect(estimate.damagedPathCount >= estimate.losses.pathCount, "\(when)")
  }

  /// Checks that the losses that a repair reports are those that `verify --deep` finds.
  private func agree(_ base: Base, _ outcome: RepairOutcome, _ when: String) throws {
    let report = try base.open().verify(deep: true)
    let lost = Set(outcome.losses.paths.map(\.snapshot))
    let affected = Set(report.problems.flatMap { $0.affected.map(\.snapshot) })
    #expect(affected.isSuperset(of: lost), "\(when): \(lost) \(report.problems)")
    let unexplained = report.problems.filter { problem in
      !problem.affected.contains { lost.contains($0.snapshot) }
    }
    #expect(
      Set(unexplained.map(\.object)) == Set(outcome.problems.map(\.object)),
      "\(when): \(unexplained) \(outcome.problems)")
  }

  @Test(arguments: [
    "truncate -s 1G packs/P", "truncate -s +1 packs/P", "truncate -s +100 packs/P",
    "head -c 5000 /dev/urandom >>packs/P",
    "mv packs/P doomed/P; head -c 100 /dev/urandom >>doomed/P",
    "cp packs/P doomed/P; head -c 100 /dev/urandom >>doomed/P",
  ])
  func `trailing bytes of a pack are removed once`(_ damage: String) throws {
    let base = try Base()
    try base.reset()
    try shell(
      "cd \"$1/store\"; p=$(ls -S packs | head -1); \(damage.replacingOccurrences(of: "/P", with: "/$p"))",
      base.directory.path)
    let list = "cd \"$1/store\"; find packs doomed quarantine -type f | xargs sha256sum | sort"
    let outcome = try repair(base, live: false)
    #expect(outcome.isClean && outcome.quarantined.count == 1)
    #expect(try base.intact() == [1, 2, 3])
    let files = try shell(list, base.directory.path).output
    #expect(try repair(base, live: false).actions.isEmpty)
    #expect(try shell(list, base.directory.path).output == files)
    #expect(
      try shell("cd \"$1/store/packs\"; sha256sum * | awk '$1 != $2'", base.directory.path).output
        == "")
  }

  @Test(arguments: [
    "pins", "tags", "signatures", "refs", "packs", "doomed", "tmp", "journal", "cache", "locks",
  ])
  func `a file in the place of a store directory is moved away`(_ name: String) throws {
    let base = try Base()
    for odd in ["mkfifo", "touch", "ln -s /etc"] {
      try base.reset()
      try shell("cd \"$1/store\"; rm -r $2; \(odd) $2", base.directory.path, name)
      let outcome = try repair(base, live: true, from: [base.directory.path("other")])
      #expect(outcome.isClean, "\(odd) \(name): \(outcome.losses.paths) \(outcome.problems)")
      #expect(try base.intact() == [1, 2, 3], "\(odd) \(name)")
      #expect(
        try shell("ls \"$1/store/quarantine\" | grep -c \"^$2-\"", base.directory.path, name).output
          == "1\n")
      #expect(try repair(base, live: false).actions.isEmpty)
    }
  }

  @Test(arguments: [
    "rm format", "rm format; mkdir builds origins; touch config.toml", "rm format; mkfifo format",
    "truncate -s 0 format", "truncate -s 1G format",
    "head -c 1000 /dev/urandom >format", "printf 'imgstore st0re\\nversion 2\\n' >format",
  ])
  func `a damaged format file is rewritten`(_ damage: String) throws {
    let base = try Base()
    try base.reset()
    try shell("cd \"$1/store\"; \(damage)", base.directory.path)
    #expect(try repair(base, live: false).isClean)
    #expect(try base.intact() == [1, 2, 3])
    #expect(
      try shell("head -n 2 \"$1/store/format\"", base.directory.path).output
        == "imgstore store\nversion 2\n")
    #expect(try repair(base, live: false).actions.isEmpty)
  }

  @Test(arguments: [(false, false, 2), (true, false, 4), (false, true, 4)])
  func `a rewritten format file has the version that the packs show`(
    _ hasDelta: Bool, _ isDamaged: Bool, _ version: Int
  ) throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let script = "seq 1 20000 >\"$1/f\"; seq 1 20 >\"$1/g\""
    try shell(script, directory.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
    if hasDelta {
      try shell("echo more >>\"$1/f\"", directory.path("root/img/rootimg"))
      _ = try workspace.snapshot("img")
      #expect(try workspace.store().depthsOfFrames() == [1])
    }
    let damage = "printf x | dd of=packs/$(ls packs) bs=1 seek=17 conv=notrunc status=none"
    try shell("cd \"$1/store\"; rm format; \(isDamaged ? damage : ":")", directory.path)
    let again = try Workspace(workspace.options) { _ in }
    _ = try again.repair(RepairOptions())
    #expect(
      try String(contentsOfFile: directory.path("store/format"), encoding: .utf8)
        == "imgstore store\nversion \(version)\n")
  }

  @Test func `a format file of an unknown version is not changed`() throws {
    let base = try Base()
    try base.reset()
    try shell(
      "cd \"$1/store\"; printf 'imgstore store\\nversion 9\\n' >format", base.directory.path)
    let error = #expect(throws: StoreError.self) { try repair(base, live: false) }
    #expect(error?.kind == .incompatible)
    // A directory that is not a store is not made one.
    try shell("cd \"$1/store\"; rm format; touch other", base.directory.path)
    #expect(throws: StoreError.self) { try repair(base, live: false) }
  }

  @Test func `a dry run of repair changes nothing`() throws {
    let base = try Base()
    try base.reset()
    try shell(
      "cd \"$1/store/packs\"; truncate -s 50000 \"$(ls -S | head -1)\"", base.directory.path)
    let list = "cd \"$1/store\"; find packs refs tags pins -printf '%p %i %s %T@ %C@\\n' | sort"
    let before = try shell(list, base.directory.path).output
    var options = RepairOptions()
    options.isDryRun = true
    let outcome = try base.open().repair(options)
    #expect(!outcome.actions.isEmpty && !outcome.losses.isEmpty && outcome.quarantined.isEmpty)
    #expect(try shell(list, base.directory.path).output == before)
  }

  @Test func `content is recovered from archives, including nested ones`() throws {
    let base = try Base()
    try shell(
      """
      cd "$1/pristine3"; find . | cpio -o -H newc --quiet | gzip >"$1/root.cpio.gz"
      mkdir "$1/bundle"; mv "$1/root.cpio.gz" "$1/bundle/"; tar czf "$1/bundle.tgz" -C "$1" bundle
      tar cJf "$1/root.tar.xz" .
      """, base.directory.path)
    for source in ["bundle.tgz", "bundle/root.cpio.gz", "root.tar.xz", "pristine3"] {
      try base.reset()
      // Damages the largest frame of contents. The trees stay intact.
      try shell(
        """
        cd "$1/store/packs"; p=$(ls -S | head -1); s=$(stat -c %s $p)
        dd if=/dev/zero of=$p bs=1 seek=$((s - 300000)) count=100000 conv=notrunc status=none
        """, base.directory.path)
      #expect(try base.intact().isEmpty, "\(source)")
      let outcome = try repair(base, live: false, from: [base.directory.path(source)])
      // The frame may also have held content of older snapshots only.
      let lost = outcome.losses.paths.filter { $0.snapshot == "img@3" }
      #expect(lost.isEmpty, "\(source): \(lost.prefix(3))")
      #expect(try base.intact().contains(3), "\(source)")
    }
  }

  @Test func `an abandoned ref is not restored`() throws {
    let base = try Base()
    try base.reset()
    _ = try base.open().remove(["img@2"], force: true)
    let outcome = try repair(base, live: true, from: [base.directory.path("other")])
    #expect(outcome.actions.isEmpty && outcome.isClean)
    #expect(try base.open().log("img").map(\.committed.number) == [3, 1])
  }

  @Test func `gc refuses while a ref is lost, until it is given up`() throws {
    let base = try Base()
    try base.reset()
    try shell("rm \"$1/store/refs/img/0000000002\"", base.directory.path)
    let error = #expect(throws: StoreError.self) { try base.open().collect() }
    #expect(error?.kind == .damaged)
    _ = try base.open().remove(["img@2"], force: true)
    _ = try base.open().collect()
    #expect(try base.open().verify(deep: true).isClean)
    #expect(try base.intact() == [1, 3])
  }
}

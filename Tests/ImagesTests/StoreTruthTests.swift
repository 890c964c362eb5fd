// The store detects its own damage: bit rot in the index, misplaced refs, pack names that are taken, stores
// of the older format.

import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct StoreTruthTests {
  private func filled(_ directory: TemporaryDirectory, files: Int = 300) throws -> Workspace {
    let workspace = try Workspace.test(directory)
    try shell(
      """
      cd "$1"; mkdir -p d/{a,b}
      for i in $(seq $2); do echo "file $i" >d/$([ $((i%2)) = 0 ] && echo a || echo b)/$i; done
      head -c 600000 /dev/urandom >large
      """, directory.path("root/img/rootimg"), "\(files)")
    _ = try workspace.snapshot("img", tags: ["first"])
    try shell(
      "cd \"$1\"; rm d/a/2; echo new >d/new; sleep 0.02", directory.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
    try workspace.store().refs.pin(ImageName("img"), 1, reason: "audit")
    return workspace
  }

  private func open(
    _ directory: TemporaryDirectory, warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root")), warn: warn)
  }

  // MARK: The index

  private static let stamp = """
    printf '%-127s\\n' "$(stat -c '%i %s %.9Y %.9Z' index.sqlite | sed -E 's/\\.0+([0-9])/.\\1/g')" >index.stamp
    """

  @Test func `leftovers of an interrupted index rebuild are removed`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell(
      "cd \"$1/store\"; touch index.sqlite.new index.sqlite.new-journal", directory.path)
    try shell("echo more >\"$1/more\"", directory.path("root/img/rootimg"))
    _ = try open(directory).snapshot("img")
    #expect(
      try shell("cd \"$1/store\"; ls index.*", directory.path).output
        == "index.sqlite\nindex.stamp\n")
    try shell("cd \"$1/store\"; rm index.stamp; touch index.sqlite.new-journal", directory.path)
    #expect(try open(directory).verify(deep: true).isClean)
    #expect(
      try shell("cd \"$1/store\"; ls index.*", directory.path).output
        == "index.sqlite\nindex.stamp\n")
  }

  @Test(arguments: seeds)
  func `bit rot in the index is not reported as pack damage and stops no command`(_ seed: UInt64)
    throws
  {
    let directory = try TemporaryDirectory()
    _ = try filled(directory, files: 900)
    try shell("cp -a \"$1/store\" \"$1/base\"", directory.path)
    let good = [UInt8](
      try Data(contentsOf: URL(fileURLWithPath: directory.path("base/index.sqlite"))))
    var random = SplitMix64(seed)
    for round in 0..<Sweep.rounds(12) {
      try shell("rm -rf \"$1/store\" \"$1/out\"; cp -a \"$1/base\" \"$1/store\"", directory.path)
      var bad = good
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bad.count, using: &random)
        bad[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      }
      let file = try FileHandle(
        forWritingTo: URL(fileURLWithPath: directory.path("store/index.sqlite")))
      file.write(Data(bad))
      try file.close()
      // Bit rot does not change times, so the stamp stays valid.
      try shell("cd \"$1/store\"; \(StoreTruthTests.stamp)", directory.path)
      let when = "seed \(seed), round \(round)"
      switch round % 4 {
      case 0:
        let report = try open(directory).verify(deep: round % 8 == 0)
        #expect(report.isClean, "\(when): \(report.problems)")
      case 1: _ = try open(directory).collect()
      case 2: _ = try open(directory).diskUse([])
      default: _ = try open(directory).snapshot("img")
      }
      let restored = try open(directory).restore("img@2", to: directory.path("out")).report
      #expect(restored.problems.isEmpty, "\(when)")
      #expect(
        try differences(directory.path("root/img/rootimg"), directory.path("out")) == "", "\(when)")
      let report = try open(directory).verify(deep: true)
      #expect(report.isClean, "\(when): \(report.problems)")
    }
  }

  @Test(arguments: [
    "DELETE FROM object WHERE kind = 2", "DELETE FROM frame", "UPDATE object SET start = start + 1",
    "UPDATE object SET length = 9223372036854775807", "UPDATE frame SET stored = stored + 1",
    "UPDATE frame SET offset = offset - 1000000", "UPDATE object SET kind = 77",
    "UPDATE object SET id = x'00'",
    "UPDATE frame SET raw = -1; UPDATE frame SET stored = 1 << 40", "DROP TABLE frame",
    "UPDATE object SET frame = frame + 7", "UPDATE pack SET size = -1",
  ])
  func `impossible rows cause a rebuild of the index`(_ change: String) throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell(
      "cd \"$1/store\"; sqlite3 index.sqlite \"$2\"; \(StoreTruthTests.stamp)", directory.path,
      change)
    try shell("cp -a \"$1/store\" \"$1/base\"", directory.path)
    for command in Sweep.isWhole ? [0, 1, 2, 3, 4] : [0, 1 + change.utf8.count % 4] {
      try shell(
        "rm -rf \"$1/store\" \"$1/out\"; cp -a \"$1/base\" \"$1/store\"; cd \"$1/store\"; \(StoreTruthTests.stamp)",
        directory.path)
      switch command {
      case 0: #expect(try open(directory).verify(deep: true).isClean)
      case 1: _ = try open(directory).collect()
      case 2: _ = try open(directory).diskUse([])
      case 3: _ = try open(directory).snapshot("img")
      default: _ = try open(directory).statistics()
      }
      #expect(
        try open(directory).restore("img@1", to: directory.path("out")).report.problems.isEmpty)
      let report = try open(directory).verify(deep: true)
      #expect(report.isClean, "\(command): \(report.problems)")
    }
  }

  @Test func `with a lost index and a damaged pack all other data stay readable`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    // Damages the header of the pack's first frame, and removes the index that knows the other frames.
    try shell(
      """
      cd "$1/store"; rm index.sqlite
      printf x | dd of=packs/$(ls -S packs | head -1) bs=1 seek=40 conv=notrunc status=none
      """, directory.path)
    #expect(try open(directory).log("img").count == 2)
    #expect(try !open(directory).verify(deep: true).isClean)
    #expect(try open(directory).snapshot("img").committed.number == 3)
    let outcome = try open(directory).repair()
    #expect(!outcome.actions.isEmpty)
    #expect(try open(directory).restore("img@3", to: directory.path("out")).report.problems.isEmpty)
    #expect(try differences(directory.path("root/img/rootimg"), directory.path("out")) == "")
  }

  @Test(arguments: [16, 18, 22, 24, 60])
  func `the loss from a damaged frame header is reported at once`(_ offset: Int) throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell(
      """
      cd "$1/store"; p=packs/$(ls -t packs | head -1)
      printf "\\x$(printf %02x $((0x$(xxd -s $2 -l 1 -p $p) ^ 1)))" | dd of=$p bs=1 seek=$2 conv=notrunc status=none
      """, directory.path, "\(offset)")
    let report = try open(directory).verify(deep: true)
    #expect(report.problems.flatMap(\.affected).map(\.snapshot).contains("img@2"))
    #expect(try open(directory).log("img").count == 2)
    #expect(try open(directory).restore("img@1", to: directory.path("out")).report.problems.isEmpty)
    #expect(try open(directory).repair().isClean)
    #expect(
      try open(directory).restore("img@2", to: directory.path("out2")).report.problems.isEmpty)
  }

  // MARK: Names of packs

  @Test func `a pack whose name is taken is published, and the other file is kept`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    let pack = try shell("cd \"$1/store/packs\"; ls -S | head -1", directory.path).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    let path = directory.path("store/packs/\(pack)")
    let good = try Data(contentsOf: URL(fileURLWithPath: path))
    // A new store of the same tree writes the same first pack if it uses one thread.
    var tuning = StoreTuning()
    tuning.workers = 1
    let oneWorker = tuning
    try shell(
      """
      cd "$1"; mv store old; mkdir -p store
      """, directory.path)
    let workspace = try Workspace.test(directory)
    _ = try workspace.snapshot("img", tuning: oneWorker)
    let names = try shell("ls \"$1/store/packs\"", directory.path).output.split(separator: "\n")
    try #require(names.count == 1)
    let name = String(names[0])
    let whole = try Data(contentsOf: URL(fileURLWithPath: directory.path("store/packs/\(name)")))
    for foreign in [good, Data("not a pack".utf8), Data(), whole.prefix(whole.count / 2)] {
      try shell("rm -rf \"$1/store\"", directory.path)
      let again = try Workspace.test(directory)
      _ = try again.store(create: true)
      try foreign.write(to: URL(fileURLWithPath: directory.path("store/packs/\(name)")))
      _ = try again.snapshot("img", tuning: oneWorker)
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: directory.path("store/packs/\(name)"))) == whole)
      let digests = try shell(
        "cd \"$1/store\"; find packs quarantine -type f 2>/dev/null | xargs sha256sum; true",
        directory.path)
      #expect(digests.output.contains(SHA256.digest(of: [UInt8](foreign)).hex))
      #expect(try open(directory).verify(deep: true).isClean)
    }
  }

  @Test func `two packs with exchanged names lose nothing`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell(
      "cd \"$1/store/packs\"; set -- *; mv $1 x; mv $2 $1; mv x $2", directory.path)
    try shell("rm \"$1/d/new\"", directory.path("root/img/rootimg"))
    _ = try open(directory).snapshot("img")
    let outcome = try open(directory).repair()
    #expect(outcome.isClean, "\(outcome.losses.paths) \(outcome.problems)")
    #expect(try open(directory).verify(deep: true).isClean)
    #expect(
      try shell(
        "cd \"$1/store/packs\"; sha256sum * | awk '$1 != $2'", directory.path
      ).output.isEmpty)
  }

  /// A file in packs/ or doomed/ with a wrong name gets its own name, in packs/.
  @Test(arguments: [
    ("exchange", "mv packs/$1 x; mv doomed/$2 packs/$1; mv x doomed/$2"),
    ("hide", "mv packs/$1 x; cp doomed/$2 packs/$2; mv x doomed/$2"),
    ("odd name", "mv packs/$1 packs/saved~"),
    ("upper case", "mv packs/$1 packs/${1^^}"),
    ("moved", "mv packs/$1 doomed/$1"),
    ("turn", "mv packs/$1 x; mv doomed/$2 packs/$1; mv packs/$3 doomed/$2; mv x packs/$3"),
  ])
  func `repair finds packs by content in both directories`(
    _ name: String, _ damage: String
  ) throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell(
      "cp -a \"$1\" \"$2\"; echo more >\"$1/more\"", directory.path("root/img/rootimg"),
      directory.path("pristine"))
    let third = try open(directory).snapshot("img")
    _ = try open(directory).remove(["img@\(third.committed.number)"], force: true)
    // Dooms the pack that only the third snapshot needed.
    try shell(
      """
      cd "$1/store"; set -- $(ls -tr packs)
      [ $# -ge 3 ] || exit 9
      last=$(ls -t packs | head -1)
      set -- "$1" "$last" "$2"; mv "packs/$2" doomed/
      \(damage)
      """, directory.path)
    var options = RepairOptions()
    options.readsLive = false
    let outcome = try open(directory).repair(options)
    #expect(outcome.isClean, "\(name): \(outcome.losses.paths) \(outcome.problems)")
    #expect(try open(directory).restore("img@2", to: directory.path("out")).report.problems.isEmpty)
    #expect(try differences(directory.path("pristine"), directory.path("out")) == "")
    #expect(try open(directory).verify(deep: true).isClean)
    #expect(try open(directory).repair(options).actions.isEmpty)
    #expect(
      try shell(
        """
        cd "$1/store"
        find packs doomed -type f -exec sha256sum {} + | awk '{ n = $2; sub(".*/", "", n); if (n != $1) print }'
        """,
        directory.path
      ).output.isEmpty)
  }

  @Test func `a misnamed pack does not cause the loss of the pack in doomed`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell("cp -a \"$1\" \"$2\"", directory.path("root/img/rootimg"), directory.path("pristine"))
    // The largest pack has the name of another pack in doomed/, and that one is in packs/.
    try shell(
      """
      cd "$1/store"; set -- $(ls -S packs); mv packs/$1 doomed/$2
      """, directory.path)
    _ = try? open(directory).collect()
    _ = try open(directory).repair()
    #expect(try open(directory).restore("img@2", to: directory.path("out")).report.problems.isEmpty)
    #expect(try differences(directory.path("pristine"), directory.path("out")) == "")
  }

  // MARK: Refs, tags, pins

  @Test(arguments: [true, false])
  func `a record under the name of a removed ref is kept`(_ isHighest: Bool) throws {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory)
    _ = try workspace.store().refs.unpin(ImageName("img"), 1)
    for text in ["3", "4"] {
      try shell("echo $2 >\"$1/more\"", directory.path("root/img/rootimg"), text)
      _ = try open(directory).snapshot("img")
    }
    _ = try open(directory).remove(["img@2"], force: true)
    _ = try open(directory).remove(["img@4"], force: true)
    let mark = isHighest ? "0000000004.removed" : "0000000002.removed"
    let record = try shell("cat \"$1/store/refs/img/removed\"", directory.path).output
    try shell(
      "cd \"$1/store/refs/img\"; touch $2; mv $2 x; mv removed $2; mv x removed", directory.path,
      mark)
    _ = try open(directory).repair()
    #expect(
      try shell("cd \"$1/store\"; cat quarantine/refs-img-$2", directory.path, mark).output
        == record)
    #expect(try open(directory).verify(deep: true).isClean)
    #expect(try open(directory).log("img").map(\.committed.number) == [3, 1])
    #expect(try open(directory).repair().actions.isEmpty)
    #expect(try open(directory).snapshot("img").committed.number == 5)
  }

  @Test(arguments: [
    ("swap", "cd refs/img; mv 0000000001 x; mv 0000000002 0000000001; mv x 0000000002", true),
    ("copy", "cd refs/img; cp 0000000001 0000000003", false),
    ("copy over", "cd refs/img; cp 0000000001 0000000002", false),
    ("park", "cd refs/img; mv 0000000001 saved", true),
    ("image", "mkdir refs/other; mv refs/img/0000000001 refs/other/0000000001", true),
    ("delete", "rm refs/img/0000000001", false),
    ("tags", "mv tags/img/first tags/img/second", true),
    ("tag number", "sed -i '1s/1/2/' tags/img/first", true),
    ("tag image", "mkdir tags/other; mv tags/img/first tags/other/", true),
    ("pins", "mv pins/img/0000000001 pins/img/0000000002", true),
    ("pin of nothing", "mv pins/img/0000000001 pins/img/0000000009", true),
    ("file among images", "touch refs/stray", true),
    ("record", "printf 'IMGREMOVED 1\\nimg\\n1\\n' >refs/img/removed", true),
  ])
  func `refs, tags and pins are verified and repaired`(
    _ name: String, _ damage: String, _ canHeal: Bool
  ) throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    #expect(try open(directory).verify(deep: false).isClean)
    let before = try open(directory).log("img").map(\.committed.id)
    try shell("cd \"$1/store\"; \(damage)", directory.path)
    #expect(try !open(directory).verify(deep: false).isClean, "\(name)")
    #expect(try !open(directory).verify(deep: true).isClean, "\(name)")
    let outcome = try open(directory).repair()
    #expect(outcome.isClean == canHeal, "\(name): \(outcome.losses.paths) \(outcome.problems)")
    #expect(try open(directory).verify(deep: false).isClean == canHeal, "\(name)")
    if canHeal, name != "record" {
      #expect(try open(directory).log("img").map(\.committed.id) == before, "\(name)")
    }
    #expect(try open(directory).repair().actions.isEmpty, "\(name)")
  }

  @Test func `removed snapshots are not reported as missing`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    for i in 1...9 {
      try shell("echo $2 >\"$1/f\"", directory.path("root/img/rootimg"), "\(i)")
      _ = try workspace.snapshot("img")
    }
    for number in [4, 2, 3, 9, 7] { _ = try workspace.remove(["img@\(number)"], force: true) }
    #expect(try open(directory).verify(deep: true).isClean)
    let record = try String(
      contentsOfFile: directory.path("store/refs/img/removed"), encoding: .utf8)
    #expect(record.split(separator: "\n")[2] == "2-4,7,9")
    #expect(try workspace.snapshot("img").committed.number == 10)
    try shell("rm \"$1/store/refs/img/0000000005\"", directory.path)
    #expect(
      try open(directory).verify(deep: false).problems.flatMap { $0.affected.map(\.snapshot) }
        == ["img@5"])
  }

  @Test func `a store of format version 1 is read, and the next snapshot upgrades it to version 2`()
    throws
  {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    // The form of version 1: no numbers in refs, tags and pins of one line, gaps in place of removed numbers.
    let text = try String(contentsOfFile: packageRoot + "/docs/format.md", encoding: .utf8)
    #expect(text.contains("version 1"))
    for number in [2, 1] {
      let url = URL(fileURLWithPath: directory.path("store/refs/img/000000000\(number)"))
      let bytes = [UInt8](try Data(contentsOf: url))
      let count = (0..<4).reduce(0) { $0 | Int(bytes[8 + $1]) << ($1 * 8) }
      var old = Array(bytes[..<(12 + count + 32)])
      old[6] = 1
      try Data(old).write(
        to: URL(fileURLWithPath: directory.path("store/refs/img/000000000\(number * 2)")))
      if number == 1 { try FileManager.default.removeItem(at: url) }
    }
    try shell(
      """
      cd "$1/store"; printf 'imgstore store\\nversion 1\\n' >format
      echo 2 >tags/img/first; rm pins/img/*; echo audit >pins/img/0000000002
      ls refs/img
      """, directory.path)
    #expect(try open(directory).verify(deep: true).isClean)
    #expect(try open(directory).log("img").map(\.committed.number) == [4, 2])
    #expect(
      try String(contentsOfFile: directory.path("store/format"), encoding: .utf8).contains(" 1"))
    #expect(try open(directory).snapshot("img").committed.number == 5)
    #expect(
      try String(contentsOfFile: directory.path("store/format"), encoding: .utf8).contains(" 2"))
    #expect(try open(directory).verify(deep: true).isClean)
    try shell("rm \"$1/store/refs/img/0000000004\"", directory.path)
    #expect(
      try open(directory).verify(deep: false).problems.flatMap { $0.affected.map(\.snapshot) }
        == ["img@4"])
  }

  // MARK: Nightly checks

  @Test func `a verify with a budget reads the packs first that were verified longest ago`() throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory)
    for i in 0..<4 {
      try shell("echo \(i) >\"$1/n\"", directory.path("root/img/rootimg"))
      _ = try workspace.snapshot("img")
    }
    let count = try FileManager.default.contentsOfDirectory(atPath: directory.path("store/packs"))
      .count
    var request = VerifyRequest()
    request.maxBytes = 1
    var unchecked = count
    for _ in 0..<count {
      let report = try open(directory).verify(request)
      #expect(report.isClean && report.packs >= 1)
      let coverage = try #require(report.coverage)
      #expect(coverage.packs == count && coverage.uncheckedPacks < unchecked)
      unchecked = coverage.uncheckedPacks
      if unchecked == 0 { break }
    }
    #expect(unchecked == 0)
    // A damaged pack is found when its turn comes, and does not count as checked.
    try shell(
      "cd \"$1/store/packs\"; printf x | dd of=$(ls | head -1) bs=1 seek=30 conv=notrunc status=none",
      directory.path)
    var finds = 0
    for _ in 0..<count { finds += try open(directory).verify(request).isClean ? 0 : 1 }
    #expect(finds >= 1)
    try shell("echo garbage >\"$1/store/cache/verified\"", directory.path)
    #expect(try open(directory).verify(request).coverage?.packs == count)
  }
}

// The store's resistance to common damage: a lost or overwritten index, flipped bits, other versions, other
// processes.

import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct StoreSafetyTests {
  /// Creates a store with two snapshots of a tree of a few hundred files.
  private func filled(
    _ directory: TemporaryDirectory, warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    let workspace = try Workspace.test(directory, warn: warn)
    try shell(
      """
      cd "$1"; mkdir -p d/{a,b,c}
      for i in $(seq 300); do echo "file $i" >d/$([ $((i%2)) = 0 ] && echo a || echo b)/$i; done
      head -c 2000000 /dev/urandom >large
      """, directory.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
    try shell(
      "cd \"$1\"; rm d/a/2; echo new >d/c/new; head -c 700000 /dev/urandom >>large; sleep 0.1",
      directory.path("root/img/rootimg"))
    _ = try workspace.snapshot("img")
    return workspace
  }

  private func again(
    _ directory: TemporaryDirectory, warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root")), warn: warn)
  }

  private func dump(_ directory: TemporaryDirectory) throws -> String {
    try run("sqlite3", directory.path("store/index.sqlite"), ".dump").output
  }

  @Test func `pack names are their sha256sum`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    let result = try shell(
      "cd \"$1/store/packs\"; for p in *; do echo \"$p  $p\"; done | sha256sum -c --quiet && ls | wc -l",
      directory.path)
    #expect(Int(result.output.trimmingCharacters(in: .whitespacesAndNewlines)) == 2)
  }

  @Test(arguments: [
    "rm store/index.sqlite", "rm store/index.stamp", "echo garbage >store/index.sqlite",
    "head -c 50000 /dev/urandom >store/index.sqlite", "truncate -s 4096 store/index.sqlite",
    "printf x | dd of=store/index.sqlite bs=1 seek=9000 conv=notrunc status=none",
    "dd if=/dev/urandom of=store/index.sqlite bs=4096 seek=2 count=1 conv=notrunc status=none",
    "sqlite3 store/index.sqlite 'DELETE FROM object'", "truncate -s 0 store/index.sqlite",
    "rm store/index.sqlite; mkdir store/x; rmdir store/x; rm -rf store/cache/*",
  ])
  func `a lost or damaged index is rebuilt with the same rows`(_ damage: String) throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    let before = try dump(directory)
    try shell("cd \"$1\"; \(damage)", directory.path)
    let lines = Monitor<[String]>([])
    let workspace = try again(directory) { line in lines.withLock { $0.append(line) } }
    #expect(try workspace.status("img").isClean)
    #expect(try workspace.verify(deep: true).isClean)
    #expect(try dump(directory) == before)
    #expect(lines.withLock { $0.count } == 1, "one line says so: \(lines.withLock { $0 })")
    // From now on, the store behaves like any other.
    let quiet = Monitor<[String]>([])
    _ = try again(directory) { line in quiet.withLock { $0.append(line) } }.log("img")
    #expect(quiet.withLock { $0 }.isEmpty)
  }

  @Test(arguments: seeds)
  func `the index follows packs that are added, removed or marked for deletion`(_ seed: UInt64)
    throws
  {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory)
    for i in 0..<12 {
      try shell(
        "echo \(i) >\"$1/d/c/\(i)\"; mkdir -p \"$2\"", directory.path("root/img/rootimg"),
        directory.path("aside"))
      _ = try workspace.snapshot("img")
    }
    let store = directory.path("store")
    let packs = try FileManager.default.contentsOfDirectory(atPath: store + "/packs").sorted()
    try #require(packs.count == 14)
    let locations = [store + "/packs", store + "/doomed", directory.path("aside")]
    var random = SplitMix64(seed)
    for round in 0..<12 {
      for pack in packs where Int.random(in: 0..<3, using: &random) == 0 {
        // Sometimes the pack is in both packs/ and doomed/, as after a killed `gc`.
        let targets =
          Int.random(in: 0..<5, using: &random) == 0
          ? [0, 1] : [Int.random(in: 0..<3, using: &random)]
        let from = try #require(
          locations.first { FileManager.default.fileExists(atPath: "\($0)/\(pack)") })
        let held = directory.path("held")
        try FileManager.default.moveItem(atPath: "\(from)/\(pack)", toPath: held)
        for location in locations {
          try? FileManager.default.removeItem(atPath: "\(location)/\(pack)")
        }
        for target in targets {
          try FileManager.default.linkItem(atPath: held, toPath: "\(locations[target])/\(pack)")
        }
        try FileManager.default.removeItem(atPath: held)
      }
      _ = try again(directory).log("img")
      let followed = try dump(directory)
      try shell("rm \"$1/index.sqlite\" \"$1/index.stamp\"", store)
      _ = try again(directory).log("img")
      #expect(try dump(directory) == followed, "seed \(seed), round \(round)")
    }
  }

  @Test(arguments: [
    "UPDATE pack SET name = x'00' WHERE id = (SELECT min(id) FROM pack)",
    "UPDATE pack SET id = id + 1 WHERE id = (SELECT max(id) FROM pack)",
  ])
  func `an inconsistent index is rebuilt`(_ change: String) throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    let before = try dump(directory)
    // The stamp is valid, so only the content can show the damage.
    try shell(
      """
      cd "$1/store"; sqlite3 index.sqlite "$2"
      printf '%-127s\\n' "$(stat -c '%i %s %.9Y %.9Z' index.sqlite | sed -E 's/\\.0+([0-9])/.\\1/g')" >index.stamp
      """, directory.path, change)
    try #require(try dump(directory) != before)
    let lines = Monitor<[String]>([])
    _ = try again(directory) { line in lines.withLock { $0.append(line) } }.log("img")
    #expect(try dump(directory) == before)
    #expect(lines.withLock { $0.count } == 1, "\(lines.withLock { $0 })")
  }

  @Test func `reindex builds the same index`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory)
    let before = try dump(directory)
    _ = try workspace.reindex()
    #expect(try dump(directory) == before)
  }

  @Test(arguments: seeds) func `deep verify finds every flipped bit`(_ seed: UInt64) throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    var random = SplitMix64(seed)
    let files = try shell("cd \"$1/store\"; find packs refs -type f | sort", directory.path).output
      .split(separator: "\n").map { directory.path("store/\($0)") }
    for _ in 0..<30 {
      let path = try #require(files.randomElement(using: &random))
      let url = URL(fileURLWithPath: path)
      let good = try Data(contentsOf: url)
      var bad = good
      bad[Int.random(in: 0..<bad.count, using: &random)] ^=
        1 << UInt8.random(in: 0..<8, using: &random)
      try bad.write(to: url)
      let report = try again(directory).verify(deep: true)
      #expect(!report.isClean, "seed \(seed): a flipped bit in \(path) was not found")
      try good.write(to: url)
    }
    #expect(try again(directory).verify(deep: true).isClean)
  }

  @Test func `a lost pack is reported with its snapshots, and its files are read again`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    // Removes the largest pack, which both snapshots need.
    try shell("cd \"$1/store/packs\"; rm \"$(ls -S | head -1)\"", directory.path)
    let report = try again(directory).verify(deep: false)
    #expect(!report.isClean)
    #expect(Set(report.problems.flatMap { $0.affected.map(\.snapshot) }).contains("img@1"))
    // A new snapshot does not trust cached facts about the lost pack.
    let workspace = try again(directory)
    let third = try workspace.snapshot("img")
    #expect(third.readBytes > 2_000_000)
    try workspace.restore("img@3", to: directory.path("out")).report.problems.isEmpty.expectTrue()
    #expect(try differences(directory.path("root/img/rootimg"), directory.path("out")) == "")
  }

  @Test func `the stat cache is invalid after packs and index were lost together`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell(
      "cd \"$1\"; rm store/packs/* store/index.sqlite; touch root/img/rootimg/new", directory.path)
    let workspace = try again(directory)
    #expect(try workspace.snapshot("img").readBytes > 2_000_000)
    let report = try workspace.restore("img@3", to: directory.path("out")).report
    #expect(report.problems.isEmpty)
    #expect(try differences(directory.path("root/img/rootimg"), directory.path("out")) == "")
  }

  @Test func `a damaged latest ref does not hide the history`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell(
      "cd \"$1/store/refs/img\"; printf xxxx | dd of=0000000002 bs=1 seek=40 conv=notrunc status=none",
      directory.path)
    let workspace = try again(directory)
    #expect(try workspace.revert("img@1").isExact)
    #expect(try workspace.snapshot("img").committed.number == 5)
    #expect(try !workspace.verify(deep: false).isClean)
  }

  @Test func `a store of a newer version is refused and not changed`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    try shell("sed -i 's/version .*/version 5/' \"$1/store/format\"", directory.path)
    let before = try run("find", directory.path("store"), "-ls").output
    let error = #expect(throws: StoreError.self) { try again(directory).status("img") }
    #expect(error?.kind == .incompatible)
    #expect(try run("find", directory.path("store"), "-ls").output == before)
  }

  @Test func `a directory with other files does not become a store`() throws {
    let directory = try TemporaryDirectory()
    try shell(
      "mkdir -p \"$1/store\" \"$1/root\"; echo mine >\"$1/store/thesis.tex\"", directory.path)
    let error = #expect(throws: StoreError.self) { try again(directory).store(create: true) }
    #expect(error?.kind == .incompatible)
    #expect(try run("ls", directory.path("store")).output == "thesis.tex\n")
  }

  @Test func `a new store is accessible to its owner only`() throws {
    let directory = try TemporaryDirectory()
    _ = try Workspace.test(directory)
    #expect(try run("stat", "-c", "%a", directory.path("store")).output == "700\n")
  }

  @Test func `concurrent writers lose nothing`() throws {
    let directory = try TemporaryDirectory()
    _ = try filled(directory)
    // The handles act like separate processes: with the image's lock, each waits for the other.
    try runThreads(4) { i in
      let workspace = try Workspace(
        WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      ) { _ in }
      for _ in 0..<5 { _ = try workspace.snapshot("img", message: "writer \(i)") }
    }
    let workspace = try again(directory)
    #expect(try workspace.log("img").count == 22)
    #expect(try workspace.verify(deep: true).isClean)
  }

  @Test func `a snapshot without changes reads no file and writes one small ref`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try filled(directory)
    let before = try run(
      "find", directory.path("store"), "-type", "f", "-printf", "%p %s %i %T@\\n"
    )
    .output
    let outcome = try workspace.snapshot("img")
    #expect(outcome.readBytes == 0 && outcome.storedBytes == 0 && outcome.sameAs == 2)
    let after = try run("find", directory.path("store"), "-type", "f", "-printf", "%p %s %i %T@\\n")
      .output
    let new = Set(after.split(separator: "\n")).subtracting(before.split(separator: "\n"))
    #expect(new.count == 1, "\(new)")
    #expect(new.first?.contains("/refs/img/0000000003") == true)
  }

  @Test func `a change that keeps size and mtime is detected`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let file = directory.path("root/img/rootimg/f")
    try shell("echo one >\"$1\"; touch -d '2020-01-01' \"$1\"", file)
    _ = try workspace.snapshot("img")
    for i in 0..<20 {
      // Overwrites the file in place, with the same size and mtime, as fast as possible: git's "racy" case.
      try shell("printf '%03d\\n' $2 >\"$1\"; touch -d '2020-01-01' \"$1\"", file, "\(i)")
      let found = try workspace.findEntry("/f", in: workspace.snapshot("img").committed)
      let sum = try run("sha256sum", file).output.prefix(64)
      #expect(found.entry.blob?.hex == String(sum), "round \(i)")
    }
  }

  @Test func `a file that changes while it is read is reported`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let file = directory.path("root/img/rootimg/log")
    try shell("head -c 60000000 /dev/zero >\"$1\"", file)
    let stop = Monitor(false)
    let writer = try startThread {
      while !stop.withLock({ $0 }) {
        _ = try? run("bash", "-c", "for i in $(seq 200); do echo x >>\(file); done")
      }
    }
    defer {
      stop.withLock { $0 = true }
      writer.join()
    }
    let snapshot = try workspace.snapshot("img").committed.snapshot
    #expect(!snapshot.isComplete)
    #expect(snapshot.notes.map(\.kind) == [.changedWhileRead])
    #expect(snapshot.notes.first?.path == Array("/img/rootimg/log".utf8))
  }
}

extension Bool {
  fileprivate func expectTrue() { #expect(self) }
}

// `gc` runs next to every other command of a store. It loses nothing that a snapshot needs, and finally
// deletes everything else.

import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

/// A store, its live tree, and a copy of each state that was captured.
final class CollectedStore {
  let directory: TemporaryDirectory
  var pristine: [String: String] = [:]

  init() throws {
    directory = try TemporaryDirectory()
    _ = try Workspace.test(directory)
  }

  /// Opens a workspace that acts as a separate process with respect to leases.
  func open(
    wait: LockWait = .forever, _ warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    var options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    options.lockWait = wait
    return try Workspace(options, warn: warn)
  }

  func tree(_ image: String = "img") -> String { directory.path("root/\(image)/rootimg") }

  /// Takes a snapshot, and copies the tree next to the store.
  @discardableResult
  func snapshot(_ image: String = "img") throws -> CommittedSnapshot {
    let committed = try open().snapshot(image).committed
    let copy = directory.path("pristine-\(committed.name)")
    try shell("cp -a \"$1\" \"$2\"", tree(image), copy)
    pristine[committed.name] = copy
    return committed
  }

  func fill(_ count: Int = 60) throws {
    try shell(
      """
      cd "$1"; mkdir -p a b/c
      for i in $(seq $2); do head -c $((i * 97)) /dev/urandom >a/$i; seq $((i * 10)) >b/c/$i; done
      head -c 1500000 /dev/urandom >large; ln a/1 b/link; ln -s a/1 s
      """, tree(), "\(count)")
  }

  func change(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    for _ in 0..<4 {
      let name =
        ["a/\(random.next() % 70)", "b/c/\(random.next() % 70)", "large", "b/new"]
        .randomElement(using: &random) ?? "x"
      switch random.next() % 4 {
      case 0: try shell("rm -f \"$1\"", "\(tree())/\(name)")
      case 1: try shell("echo $2 >>\"$1\"", "\(tree())/\(name)", "\(random.next())")
      default:
        try shell(
          "head -c $2 /dev/urandom >\"$1\"", "\(tree())/\(name)", "\(random.next() % 90000)")
      }
    }
  }

  /// Checks that deep verification is clean, and that every remaining snapshot restores its state.
  func check(_ when: String, restoring: Bool = false) throws {
    let workspace = try open()
    let report = try workspace.verify(deep: true)
    #expect(report.isClean, "\(when): \(report.problems)")
    guard restoring else { return }
    for image in try workspace.images().map(\.name) {
      for entry in try workspace.log(image) {
        let out = directory.path("out")
        try shell("rm -rf \"$1\"", out)
        #expect(try workspace.restore(entry.committed.name, to: out).report.problems.isEmpty)
        let copy = try #require(pristine[entry.committed.name])
        #expect(try differences(copy, out) == "", "\(when): \(entry.committed.name)")
      }
    }
  }

  func packBytes() throws -> Int {
    let text = try shell(
      "cd \"$1/store\"; find packs doomed -type f -printf '%s\\n' | awk '{s+=$1} END {print s+0}'",
      directory.path
    ).output
    return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
  }

  var hasDoomed: Bool {
    (try? FileManager.default.contentsOfDirectory(atPath: directory.path("store/doomed")).isEmpty)
      == false
  }
}

func policy(last: Int) -> RetentionPolicy {
  var policy = RetentionPolicy()
  policy.last = last
  return policy
}

func request(
  _ rewriting: CollectionRequest.Rewriting = .sparing, seconds: Double? = nil
) -> CollectionRequest {
  var request = CollectionRequest()
  request.rewriting = rewriting
  request.maxSeconds = seconds
  return request
}

@Suite(.usesTools) struct CollectionTests {
  @Test func `the dry-run estimate of gc is exact to the byte`() throws {
    let site = try CollectedStore()
    try site.fill()
    try site.snapshot()
    for i in 0..<8 {
      try site.change(UInt64(i))
      try site.snapshot()
    }
    func bytes() throws -> Int {
      let text = try shell(
        // The estimate does not include the record of removed numbers.
        "du -sb --exclude=removed \"$1/packs\" \"$1/refs\" | awk '{s+=$1} END {print s}'",
        site.directory.path("store")
      ).output
      return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
    }
    let before = try bytes()
    let estimate = try site.open().forget(["img"], policy(last: 2), dryRun: true)
    #expect(estimate.forgotten.count == 7 && estimate.kept.count == 2)
    #expect(try site.open().log("img").count == 9)
    let diskUse = try site.open().diskUse(estimate.forgotten.map { "\($0.name)" })
    #expect(diskUse.total.use.freedBytes == estimate.freedBytes)
    #expect(diskUse.collectableBytes == 0)
    _ = try site.open().forget(["img"], policy(last: 2))
    let outcome = try site.open().collect()
    #expect(outcome.freedBytes > 0 && outcome.waitingBytes == 0 && !site.hasDoomed)
    #expect(try before - bytes() == Int(estimate.freedBytes ?? 0))
    try site.check("after gc", restoring: true)
    // Nothing is left to do, and the estimate is zero.
    let again = try site.open().collect()
    #expect(again.removedPacks == 0 && again.freedBytes == 0)
  }

  @Test func `the stat cache does not list deleted objects as stored`() throws {
    let site = try CollectedStore()
    try site.fill()
    try site.snapshot()
    try site.change(1)
    try site.snapshot()
    _ = try site.open().forget(["img"], policy(last: 1))
    _ = try site.open().collect()
    try site.snapshot()
    try site.check("the latest was kept", restoring: true)
    // Without any snapshot, every file is read again, although none has changed.
    for entry in try site.open().log("img") {
      _ = try site.open().remove([entry.committed.name], force: true)
    }
    _ = try site.open().collect()
    #expect(try site.packBytes() == 0)
    let outcome = try site.open().snapshot("img")
    #expect(outcome.readBytes * 10 > outcome.committed.snapshot.contentBytes * 9)
    #expect(outcome.committed.number == 4, "numbers are not used again")
    site.pristine[outcome.committed.name] = site.tree()
    try site.check("after all were gone", restoring: true)
    #expect(try site.open().status("img").isClean)
  }

  @Test func `a stat cache outlives its snapshot if another has the same content`() throws {
    let site = try CollectedStore()
    try site.fill(10)
    // Without the pause, the files' times would be too recent to be trusted.
    try shell("sleep 0.1")
    try site.snapshot()
    for _ in 0..<3 { #expect(try site.open().snapshot("img").sameAs != nil) }
    _ = try site.open().forget(["img"], policy(last: 1))
    _ = try site.open().collect()
    let next = try site.open().snapshot("img")
    #expect(next.readBytes == 0 && next.sameAs == 4, "the first snapshot made the cache")
    // A snapshot with other content does not serve as the cache's base.
    try shell("echo new >\"$1/a/1\"", site.tree())
    _ = try site.open().snapshot("img")
    try shell("rm \"$1\"/store/cache/stat-*", site.directory.path)
    try site.check("the end")
  }

  @Test func `gc keeps the objects that a running revert needs`() throws {
    let site = try CollectedStore()
    try site.fill()
    try site.snapshot()
    try site.change(1)
    try site.snapshot()
    #expect(try site.open().revert("img@1").isExact)
    // The record of the revert is the latest. It does not count among a person's snapshots.
    _ = try site.open().forget(["img"], policy(last: 0))
    _ = try site.open().collect()
    #expect(try site.open().log("img").map(\.committed.number) == [3])
    try site.check("only the revert's own record is left")
    #expect(try site.open().status("img").isClean)
  }

  /// Adds a chunk to a session.
  private func add(_ bytes: [UInt8], to session: WriteSession) throws -> Digest {
    try session.withWorker { worker in try bytes.withUnsafeBytes { try worker.addChunk($0) } }
  }

  /// Ends a session with a snapshot of a file that consists of that one chunk.
  private func commit(
    _ store: ObjectStore, _ session: WriteSession, image: String, _ id: Digest, sizeBytes: Int
  ) throws {
    try session.finish()
    let entry = Entry(
      name: [], content: .file(blob: id, sizeBytes: UInt64(sizeBytes)), mode: 0o644, uid: 0,
      gid: 0, modified: Timestamp(seconds: 1, nanoseconds: 0))
    _ = try store.refs.append(
      Snapshot(
        image: image, created: now(), parent: nil, message: "", provenance: [], tables: [],
        components: [.init(role: .kernel, path: Array("/k".utf8), entry: entry)], notes: [],
        facts: [], entryCount: 1, contentBytes: UInt64(sizeBytes)))
  }

  private func openStore(_ site: CollectedStore) throws -> ObjectStore {
    try ObjectStore(
      KernelFileSystem.shared, path: Array(site.directory.path("store").utf8), create: true
    ) { _ in }
  }

  /// Leaves a pack that nothing references, like a refused import or a killed writer.
  private func leaveOrphan(_ bytes: [UInt8], _ site: CollectedStore) throws {
    let session = try openStore(site).beginSession()
    _ = try add(bytes, to: session)
    try session.finish()
  }

  @Test func `an earlier session may use objects marked for deletion, a later one does not`() throws
  {
    let site = try CollectedStore()
    var random = SplitMix64(5)
    let bytes = random.bytes(50_000)
    try leaveOrphan(bytes, site)
    #expect(try site.packBytes() > 50_000)
    do {
      let old = try openStore(site)
      let session = try old.beginSession()
      let id = try add(bytes, to: session)
      let lines = Monitor<[String]>([])
      let waiting = try site.open { line in lines.withLock { $0.append(line) } }
        .collect(request(seconds: 0.5))
      #expect(waiting.removedPacks == 0 && waiting.waitingBytes > 50_000)
      #expect(waiting.waitsFor.first?.hasPrefix("process \(getpid())") == true)
      #expect(lines.withLock { $0.first?.hasPrefix("waiting for imgstore commands") } == true)
      #expect(site.hasDoomed)
      // A rebuilt index does not list it as present either.
      try FileManager.default.removeItem(atPath: site.directory.path("store/index.sqlite"))
      do {
        let new = try openStore(site)
        let session = try new.beginSession()
        let id = try add(bytes, to: session)
        try commit(new, session, image: "new", id, sizeBytes: bytes.count)
        #expect(session.writtenBytes > 50_000, "it stores what it finds doomed")
        // The same pack was written again, so it is in both directories now.
      }
      try commit(old, session, image: "old", id, sizeBytes: bytes.count)
      #expect(session.writtenBytes == 0, "it found it present when it asked")
    }
    try site.check("both committed")
    let final = try site.open().collect()
    #expect(final.waitingBytes == 0 && !site.hasDoomed)
    try site.check("final")
  }

  @Test func `a pack is kept after an earlier session has committed its objects`() throws {
    let site = try CollectedStore()
    var random = SplitMix64(6)
    let bytes = random.bytes(50_000)
    try leaveOrphan(bytes, site)
    // The old session finds the chunk before `gc` starts, commits after `gc` has doomed packs, and ends.
    let isReady = Monitor(false)
    let wrote = Monitor<UInt64?>(nil)
    let path = site.directory.path("store/doomed")
    let store = Array(site.directory.path("store").utf8)
    let thread = try startThread(stackBytes: 8 << 20) {
      do {
        let store = try ObjectStore(KernelFileSystem.shared, path: store, create: false) { _ in }
        let session = try store.beginSession()
        let id = try self.add(bytes, to: session)
        isReady.update { $0 = true }
        for _ in 0..<600 {
          if try !FileManager.default.contentsOfDirectory(atPath: path).isEmpty { break }
          usleep(10_000)
        }
        try self.commit(store, session, image: "old", id, sizeBytes: bytes.count)
        wrote.withLock { $0 = session.writtenBytes }
      } catch {
        isReady.update { $0 = true }
        Issue.record("\(error)")
      }
    }
    isReady.wait { $0 ? () : nil }
    let outcome = try site.open().collect(request(seconds: 30))
    thread.join()
    #expect(outcome.removedPacks == 0 && outcome.waitingBytes == 0)
    #expect(wrote.withLock { $0 } == 0)
    #expect(!site.hasDoomed)
    #expect(try site.packBytes() > 50_000)
    try site.check("it came back")
  }

  @Test func `a second gc reports that one is running`() throws {
    let site = try CollectedStore()
    try site.fill(5)
    try site.snapshot()
    let lock = try run(
      "bash", "-c", "exec 9>\"$1/locks/gc\"; flock 9; flock -n \"$1/locks/gc\" true; echo $?", "x",
      site.directory.path("store"))
    #expect(lock.output == "1\n")
    let directory = try KernelFileSystem.shared.openDirectory(
      at: KernelFileSystem.shared.workingDirectory, Array(site.directory.path("store/locks").utf8))
    let held = try FileLock.acquire(
      KernelFileSystem.shared, at: directory.raw, Array("gc".utf8), exclusive: true)
    do {
      _ = try site.open(wait: .atMost(seconds: 0)).collect()
      Issue.record("two collectors at once")
    } catch let error as StoreError {
      #expect(error.errorCode == .storeLocked)
    }
    withExtendedLifetime(held) {}
  }

  @Test func `a damaged ref stops gc until it is given up`() throws {
    let site = try CollectedStore()
    try site.fill(10)
    try site.snapshot()
    try site.change(1)
    try site.snapshot()
    try site.change(2)
    try site.snapshot()
    try shell(
      "printf xxxx | dd of=\"$1/refs/img/0000000002\" bs=1 seek=40 conv=notrunc status=none",
      site.directory.path("store"))
    do {
      _ = try site.open().collect()
      Issue.record("it collected without knowing what is needed")
    } catch let error as StoreError {
      #expect(error.hint.contains("imgstore remove img@2 --force"))
    }
    _ = try site.open().remove(["img@2"], force: true)
    _ = try site.open().collect()
    try site.check("given up", restoring: true)
  }

  @Test func `gc names a damaged pack and does not rewrite it`() throws {
    let site = try CollectedStore()
    try site.fill()
    try site.snapshot()
    try shell("rm \"$1\"/a/[1-3]* \"$1\"/large", site.tree())
    try site.snapshot()
    // Damages every ten thousandth byte of the largest pack. Its list at the end stays intact. The order of
    // the contents depends on the threads.
    let pack = try shell("ls -S \"$1/packs\" | head -1", site.directory.path("store")).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try shell(
      "f=\"$1\"; for i in $(seq 10000 10000 $(($(stat -c %s \"$f\") - 40000))); do printf xxxx | dd of=\"$f\" bs=1 seek=$i conv=notrunc status=none; done",
      site.directory.path("store/packs/\(pack)"))
    _ = try site.open().forget(["img"], policy(last: 1))
    let outcome = try site.open().collect()
    #expect(Set(outcome.damaged.map(\.pack)) == [pack], "\(outcome)")
    #expect(FileManager.default.fileExists(atPath: site.directory.path("store/packs/\(pack)")))
    #expect(!site.hasDoomed)
  }

  @Test func `optimize shrinks the store within its budget and changes no id`() throws {
    let site = try CollectedStore()
    try site.fill()
    try shell("seq 300000 >\"$1/text\"", site.tree())
    try site.snapshot()
    for i in 0..<6 {
      try site.change(UInt64(40 + i))
      try site.snapshot()
    }
    let ids = try site.open().log("img").map(\.committed.id)
    let before = try site.packBytes()
    var none = request(.all(level: 19))
    none.maxBytes = 0
    let idle = try site.open().collect(none)
    #expect(idle.rewrittenPacks == 0 && idle.removedPacks == 0)
    var small = none
    small.maxBytes = 200_000
    let some = try site.open().collect(small)
    #expect(some.rewrittenPacks > 0 && some.rewrittenPacks < 7)
    let rest = try site.open().collect(request(.all(level: 19)))
    #expect(rest.rewrittenPacks > 0)
    #expect(try site.packBytes() < before)
    #expect(try site.open().log("img").map(\.committed.id) == ids)
    try site.check("optimized", restoring: true)
    let again = try site.open().collect(request(.all(level: 19)))
    #expect(again.rewrittenPacks == 0, "what is done is not done again")
    // A later `gc` keeps optimized packs as they are.
    _ = try site.open().forget(["img"], policy(last: 2))
    _ = try site.open().collect()
    #expect(try site.open().collect(request(.all(level: 19))).rewrittenPacks == 0)
    try site.check("optimized and collected", restoring: true)
  }

  @Test func `a rebuilt index equals the one updated by collections`() throws {
    let site = try CollectedStore()
    try site.fill()
    for i in 0..<4 {
      try site.change(UInt64(i))
      try site.snapshot()
    }
    _ = try site.open().forget(["img"], policy(last: 2))
    _ = try site.open().collect()
    func dump() throws -> String {
      try run("sqlite3", site.directory.path("store/index.sqlite"), ".dump").output
    }
    let followed = try dump()
    try FileManager.default.removeItem(atPath: site.directory.path("store/index.sqlite"))
    _ = try site.open().log("img")
    #expect(try dump() == followed)
  }

  @Test(arguments: seeds)
  func `every kept snapshot restores after random sequences of commands`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let site = try CollectedStore()
    try site.fill(30)
    try site.snapshot()
    for step in 0..<20 {
      let when = "seed \(seed), step \(step)"
      switch random.next() % 10 {
      case 0, 1, 2:
        try site.change(random.next())
        try site.snapshot()
      case 3:
        _ = try site.open().forget(["img"], policy(last: Int(random.next() % 5) + 1))
      case 4:
        let log = try site.open().log("img")
        if log.count > 1, let one = log.dropFirst().randomElement(using: &random) {
          _ = try site.open().remove([one.committed.name], force: true)
        }
      case 5:
        try site.change(random.next())
        // A writer that fails at a random operation.
        let files = FaultyFileSystem(failing: Int(random.next() % 400), .forGood)
        let options = WorkspaceOptions(
          store: site.directory.path("store"), root: site.directory.path("root"))
        let number = try site.open().log("img").first?.committed.number ?? 0
        do { _ = try Workspace(options, fileSystem: files) { _ in }.snapshot("img") } catch {}
        // The writer may have written its ref before it failed.
        for entry in try site.open().log("img") where entry.committed.number > number {
          let copy = site.directory.path("pristine-\(entry.committed.name)")
          try shell("cp -a \"$1\" \"$2\"", site.tree(), copy)
          site.pristine[entry.committed.name] = copy
        }
      case 6:
        let name = ["index.sqlite", "index.stamp"].randomElement(using: &random) ?? ""
        try? FileManager.default.removeItem(atPath: site.directory.path("store/\(name)"))
      case 7:
        // A `gc` that fails at a random operation.
        let files = FaultyFileSystem(failing: Int(random.next() % 300), .forGood)
        let options = WorkspaceOptions(
          store: site.directory.path("store"), root: site.directory.path("root"))
        do { _ = try Workspace(options, fileSystem: files) { _ in }.collect() } catch {}
      case 8: _ = try site.open().collect(request(.all(level: 5), seconds: 30))
      default: _ = try site.open().collect()
      }
      try site.check(when)
    }
    _ = try site.open().collect()
    try site.check("seed \(seed), the end", restoring: true)
    #expect(!site.hasDoomed, "seed \(seed)")
  }

  @Test(arguments: [UInt64(11), 12])
  func `concurrent snapshots, forgets and collections lose nothing`(_ seed: UInt64) throws {
    let site = try CollectedStore()
    try site.fill(40)
    try site.snapshot()
    let directory = site.directory
    let isOver = Monitor(false)
    let options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    let committed = Monitor<[String: String]>([:])
    try runThreads(4) { who in
      var random = SplitMix64(seed &+ UInt64(who))
      switch who {
      case 0, 1:
        // The contents of the two images overlap, so that each deduplicates against data that the other
        // leaves.
        let image = who == 0 ? "img" : "two"
        if who == 1 {
          try shell(
            "mkdir -p \"$1/root/two\"; cp -a \"$1/root/img/rootimg\" \"$1/root/two/\"",
            directory.path)
          _ = try Workspace(options) { _ in }.define(
            "two", ["provmethod=netboot", "rootimgdir=/two"])
        }
        let tree = directory.path("root/\(image)/rootimg")
        for round in 0..<15 {
          // Contents are added, removed and added again.
          let pick = random.next() % 6
          try shell(
            "for i in 1 2 3; do seq $(($2 * 1000 + i)) 40000 >\"$1/w$i\"; done; echo $3 >\"$1/n\"",
            tree, "\(pick)", "\(round % 4)")
          let name = try Workspace(options) { _ in }.snapshot(image).committed.name
          let copy = directory.path("pristine-\(name)")
          try shell("cp -a \"$1\" \"$2\"", tree, copy)
          committed.withLock { $0[name] = copy }
        }
        isOver.update { $0 = true }
      case 2:
        while !isOver.withLock({ $0 }) {
          _ = try Workspace(options) { _ in }.collect(request(seconds: 5))
        }
      default:
        while !isOver.withLock({ $0 }) {
          _ = try Workspace(options) { _ in }.forget([], policy(last: 2))
          usleep(20_000)
        }
      }
    }
    site.pristine.merge(committed.withLock { $0 }) { $1 }
    try site.check("seed \(seed), all ended", restoring: true)
    _ = try site.open().collect()
    try site.check("seed \(seed), and collected", restoring: true)
    #expect(!site.hasDoomed)
  }
}

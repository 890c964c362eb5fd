// Pushes to depots, pulls from them, collections, checks and caches.

import Codec
import Depot
import DepotTestSupport
import Foundation
import ObjectStorage
import Platform
import Store
import Testing
import Transfer

@Suite struct DepotTests {
  @Test func `a pulled snapshot is the pushed one, through memory and through files`() throws {
    for memoryPackBytes in [0, 1 << 20] {
      var fixture = try DepotFixture()
      fixture.options.memoryPackBytes = memoryPackBytes
      let depot = try fixture.open()
      let scratch = try Scratch()
      let store = try scratch.store("target")
      for index in fixture.universe.snapshots.indices {
        let expected = fixture.universe.snapshots[index]
        let number = try fixture.push(index, to: depot).number
        #expect(number == index / 2 + 1)
        let id = try fixture.pull(expected.image, number, from: try fixture.open(), into: store)
        #expect(id == expected.id)
      }
      let images = try DepotSource(depot).images()
      #expect(images.map(\.text) == ["a", "b é"])
      let history = try DepotSource(depot).history(of: images[0])
      #expect(history.snapshots.map(\.number) == [1, 2, 3])
      #expect(try depot.verify(deep: true).problems == [])
      #expect(try depot.verify(deep: true).verifiedObjects > 20)
    }
  }

  @Test func `a repeated push sends nothing, and a second snapshot only what is new`() throws {
    let fixture = try DepotFixture()
    let first = try fixture.push(0)
    let again = try fixture.push(0)
    #expect(again.number == first.number)
    #expect(again.amount.objects == 0)
    let second = try fixture.push(2)
    let (a, b) = (fixture.universe.snapshots[0].all, fixture.universe.snapshots[2].all)
    #expect(second.amount.objects == b.subtracting(a).count)
  }

  @Test func `a push that is killed at any request leaves a whole depot and is completed`() throws {
    let dead = StorageError(.unavailable, "the program", "was killed")
    for kill in 1... {
      let fixture = try DepotFixture()
      try fixture.push(0)
      let memory = try #require(fixture.bucket as? MemoryObjectStorage)
      let count = Monitor(0)
      var hooks = MemoryObjectStorage.Hooks()
      hooks.before = { _ throws(StorageError) in
        let number = count.withLock { count in
          count += 1
          return count
        }
        if number >= kill { throw dead }
      }
      var killed = try DepotFixture(memory.with(hooks))
      killed.options.requestCount = 1
      let isComplete = (try? killed.push(3)) != nil
      let packs = Set(memory.content.keys.filter { $0.text.hasPrefix("packs/") })
      #expect(try fixture.open().verify(deep: true).problems == [])
      var repeated = fixture
      repeated.options.requestCount = 1
      let number = try repeated.push(3).number
      #expect(number == 1)
      // Uploads that were complete are not sent again.
      let all = memory.content.filter { $0.key.text.hasPrefix("packs/") }
      let objectsOfKilled = try fixture.open().verify(deep: true).verifiedObjects
      #expect(
        objectsOfKilled
          == fixture.universe.snapshots[0].all
          .union(fixture.universe.snapshots[3].all).count, "killed at \(kill)")
      #expect(packs.isSubset(of: Set(all.keys)))
      if isComplete { break }
    }
  }

  @Test func `packs without directories are read themselves`() throws {
    let fixture = try DepotFixture()
    let number = try fixture.push(1).number
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    for key in memory.content.keys where key.text.hasPrefix("dirs/") { try memory.delete(key) }
    let scratch = try Scratch()
    let id = try fixture.pull(
      fixture.universe.snapshots[1].image, number, from: try fixture.open(),
      into: try scratch.store("target"))
    #expect(id == fixture.universe.snapshots[1].id)
  }

  @Test func `a client that knows a depot reads only the directories of new packs`() throws {
    for isCacheOnDisk in [true, false] {
      var fixture = try DepotFixture()
      let reads = Monitor<[String]>([])
      var hooks = MemoryObjectStorage.Hooks()
      hooks.before = { request throws(StorageError) in
        if request.operation == .read { reads.update { $0.append(request.key) } }
      }
      let memory = try #require(fixture.bucket as? MemoryObjectStorage)
      let scratch = try Scratch()
      let writer = try fixture.open()
      for index in 0..<4 { try fixture.push(index, to: writer) }
      if isCacheOnDisk { fixture.options.cachePath = Array("\(scratch.path)/cache".utf8) }
      let first = try Depot(opening: memory.with(hooks), fixture.options)
      /// The client opens the depot again, where its cache is on disk.
      func client() throws -> Depot {
        try isCacheOnDisk ? Depot(opening: memory.with(hooks), fixture.options) : first
      }
      func readsOfListing() throws -> [String] {
        reads.update { $0 = [] }
        _ = try client().refreshListing()
        return reads.withLock { $0.filter { $0.hasPrefix("dirs/") || $0.hasPrefix("packs/") } }
      }
      let directoryCount = memory.content.keys.filter { $0.text.hasPrefix("dirs/") }.count
      #expect(directoryCount >= 4)
      #expect(try readsOfListing().count == directoryCount)
      #expect(try readsOfListing() == [])
      try fixture.push(4, to: writer)
      let new = memory.content.keys.filter { $0.text.hasPrefix("dirs/") }.count - directoryCount
      #expect(new >= 1)
      #expect(try readsOfListing().count == new)
      // A lost index is read again, although the record of known objects says otherwise.
      if isCacheOnDisk {
        let tables = "\(scratch.path)/cache/\(first.id)/tables"
        for name in try FileManager.default.contentsOfDirectory(atPath: tables)
        where name.hasSuffix(".table") {
          try FileManager.default.removeItem(atPath: "\(tables)/\(name)")
        }
        #expect(try readsOfListing().count == directoryCount + new)
      }
    }
  }

  @Test func `a damaged cache is rebuilt`() throws {
    var fixture = try DepotFixture()
    let scratch = try Scratch()
    fixture.options.cachePath = Array("\(scratch.path)/cache".utf8)
    try fixture.push(1)
    let depot = try fixture.open()
    _ = try depot.verify(deep: false)
    let directory = "\(scratch.path)/cache/\(depot.id)"
    var files: [String] = []
    for name in ["tables", "refs", "complete"] {
      for file in try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(name)") {
        files.append("\(directory)/\(name)/\(file)")
      }
    }
    #expect(files.count >= 3)
    for file in files {
      let good = try Data(contentsOf: URL(fileURLWithPath: file))
      for position in stride(from: 0, to: good.count, by: max(1, good.count / 40)) {
        var bad = good
        bad[position] ^= 0x10
        try bad.write(to: URL(fileURLWithPath: file))
        #expect(try fixture.open().verify(deep: false).problems == [], "\(file) \(position)")
        #expect(try fixture.push(1).number == 1)
      }
      try good.prefix(good.count / 2).write(to: URL(fileURLWithPath: file))
      #expect(try fixture.open().verify(deep: false).problems == [])
    }
  }

  @Test func `a collection deletes what removed snapshots needed, and nothing else`() throws {
    let fixture = try DepotFixture()
    let depot = try fixture.open()
    for index in [0, 1, 2, 3] { try fixture.push(index, to: depot) }
    let images = try DepotSource(depot).images()
    try depot.forget(images[0], 1)
    try depot.forget(images[1], 2)
    #expect(throws: DepotError.self) { try depot.forget(images[1], 2) }
    var options = CollectionOptions()
    options.minNeededShare = 1
    let before = try depot.usage()
    #expect(before.unneededBytes > 0)
    let report = try depot.collect(options)
    #expect(report.deletedPacks > 0 && report.waitingFor.isEmpty)
    #expect(try depot.usage().unneededBytes == 0)
    #expect(try depot.verify(deep: true).problems == [])
    #expect(try depot.collect(options).deletedPacks == 0)
    let scratch = try Scratch()
    #expect(
      try fixture.pull(images[0], 2, from: depot, into: try scratch.store("target"))
        == fixture.universe.snapshots[2].id)
    // Numbers are not used again.
    #expect(try fixture.push(0, to: depot).number == 3)
  }

  @Test func `a collection waits for writers, and an evicted writer fails without a ref`() throws {
    let fixture = try DepotFixture()
    let depot = try fixture.open()
    try fixture.push(0, to: depot)
    try depot.forget(fixture.universe.snapshots[0].image, 1)
    let session = try DepotSession(try fixture.open())
    var options = CollectionOptions()
    options.wait = { _ in false }
    let waiting = try depot.collect(options)
    #expect(waiting.deletedPacks == 0 && waiting.waitingFor.map(\.id) == [session.id])
    #expect(try depot.evict(session.id))
    #expect(try depot.collect(options).deletedPacks > 0)
    let snapshot = fixture.universe.snapshots[1]
    var generator = SeededGenerator(1)
    for frame in fixture.universe.frames(
      Array(snapshot.all), inPairs: false, using: &generator)
    { try session.append(frame) }
    let error = #expect(throws: DepotError.self) {
      try session.commit(try TransferredSnapshot(snapshot.bytes), bases: [])
    }
    #expect(error?.errorCode == .remoteUnavailable)
    session.end()
    #expect(try DepotSource(depot).images().isEmpty)
  }

  @Test func `the registration of a dead process of this host is removed`() throws {
    var fixture = try DepotFixture()
    fixture.options.process = {
      var process = ProcessIdentity.current()
      process.process = 4_190_000  // no process: above the limit of most hosts
      return process
    }
    let deadOptions = fixture.options
    fixture.options.process = { ProcessIdentity.current() }
    let living = try DepotSession(try fixture.open())
    let dead = try DepotSession(try Depot(opening: fixture.bucket, deadOptions))
    let depot = try fixture.open()
    var options = CollectionOptions()
    options.wait = { _ in false }
    #expect(try depot.collect(options).removedWriters.map(\.id) == [dead.id])
    #expect(try depot.registeredWriters().map(\.id) == [living.id])
    // A new session on the host removes it, too.
    _ = try DepotSession(try Depot(opening: fixture.bucket, deadOptions))
    let next = try DepotSession(depot)
    #expect(Set(try depot.registeredWriters().map(\.id)) == [living.id, next.id])
    living.end()
    next.end()
  }

  @Test func `tags and pins protect snapshots from removal`() throws {
    let fixture = try DepotFixture()
    let depot = try fixture.open()
    let number = try fixture.push(0, to: depot).number
    let image = fixture.universe.snapshots[0].image
    #expect(try depot.tag("golden", of: image, number) == number)
    try depot.pin(image, number, reason: "audit")
    let history = try DepotSource(depot).history(of: image)
    #expect(history.tags == ["golden": number] && history.pins == [number: "audit"])
    for release in [
      { _ = try depot.untag("golden", of: image) }, { _ = try depot.unpin(image, number) },
    ] {
      let error = #expect(throws: DepotError.self) { try depot.forget(image, number) }
      #expect(error?.errorCode == .snapshotProtected)
      try release()
    }
    try depot.forget(image, number)
    #expect(try DepotSource(depot).history(of: image).snapshots.isEmpty)
    #expect(throws: DepotError.self) { try depot.tag("late", of: image, number) }
  }

  @Test func `a number that is used and freed before the ref is created is not used again`() throws
  {
    let fixture = try DepotFixture()
    let image = fixture.universe.snapshots[0].image
    try fixture.push(0)
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    let isDone = Monitor(false)
    var hooks = MemoryObjectStorage.Hooks()
    hooks.before = { request throws(StorageError) in
      guard request.operation == .create, request.key.hasPrefix("refs/"),
        isDone.withLock({ isDone in
          defer { isDone = true }
          return !isDone
        })
      else { return }
      // Another writer takes the number, and somebody removes its snapshot.
      let depot = try? fixture.open()
      _ = try? fixture.push(2, to: depot)
      try? depot?.forget(image, 2)
    }
    let late = try DepotFixture(memory.with(hooks))
    #expect(try late.push(4).number == 3)
    let history = try DepotSource(try fixture.open()).history(of: image)
    #expect(history.snapshots.map(\.number) == [1, 3])
  }

  @Test func `a snapshot whose packs may be deleted is not a base`() throws {
    let fixture = try DepotFixture()
    let depot = try fixture.open()
    let (base, next) = (fixture.universe.snapshots[0], fixture.universe.snapshots[2])
    try fixture.push(0, to: depot)
    let usable = try DepotSession(depot)
    #expect(try usable.usableBases([base.id, next.id]) == [base.id])
    usable.end()
    try depot.forget(base.image, 1)
    #expect(try depot.collect().deletedPacks > 0)
    let session = try DepotSession(depot)
    #expect(try session.usableBases([base.id]) == [])
    // A caller that does not ask sends too little: there is no ref then.
    var generator = SeededGenerator(1)
    for frame in fixture.universe.frames(
      Array(next.all.subtracting(base.all)), inPairs: false, using: &generator)
    { try session.append(frame) }
    let error = #expect(throws: DepotError.self) {
      try session.commit(try TransferredSnapshot(next.bytes), bases: [base.id])
    }
    #expect(error?.errorCode == .objectMissing)
    session.end()
    #expect(try DepotSource(depot).history(of: next.image).snapshots.isEmpty)
  }

  @Test func `signatures travel with their snapshot`() throws {
    let fixture = try DepotFixture()
    let depot = try fixture.open()
    try fixture.push(0, to: depot)
    let snapshot = fixture.universe.snapshots[0]
    let signature = SnapshotSignature(
      kind: .origin, statement: Array("a statement".utf8), key: SHA256.digest(of: [1]),
      signature: Array(repeating: 7, count: 64))
    let session = try DepotSession(depot)
    let number = try session.commit(
      try TransferredSnapshot(snapshot.bytes, signatures: [signature]), bases: [])
    session.end()
    #expect(try DepotSource(depot).snapshot(snapshot.image, number).signatures == [signature])
  }

  @Test func `a depot of another version, and a bucket of others, are refused`() throws {
    let memory = MemoryObjectStorage()
    let format = try #require(ObjectKey("format"))
    _ = try memory.create(
      format, .bytes(Array("imgstore depot\nversion 9\nid 1\n".utf8)), isUnique: true)
    var error = #expect(throws: DepotError.self) { try Depot(opening: memory) }
    #expect(error?.errorCode == .remoteUnsuitable)
    memory.content = [try #require(ObjectKey("packs/x")): [1]]
    error = #expect(throws: DepotError.self) { try Depot(creatingIn: memory) }
    #expect(error?.errorCode == .remoteUnsuitable)
    memory.content = [:]
    error = #expect(throws: DepotError.self) { try Depot(opening: memory) }
    #expect(error?.errorCode == .notFound)
  }

  @Test func `a push from a damaged pack brings no wrong object`() throws {
    let shared = try Shared.universe.get()
    var generator = SeededGenerator(3)
    var refused = 0
    for _ in 0..<40 {
      let scratch = try Scratch()
      let path = "\(scratch.path)/store"
      try FileManager.default.copyItem(
        atPath: String(decoding: shared.store.layout.path, as: UTF8.self), toPath: path)
      let packs = try FileManager.default.contentsOfDirectory(atPath: "\(path)/packs")
      let pack = URL(fileURLWithPath: "\(path)/packs/\(try #require(packs.first))")
      var bytes = try Data(contentsOf: pack)
      let at = Int.random(in: 0..<bytes.count, using: &generator)
      bytes[at] ^= 1
      try bytes.write(to: pack)
      var fixture = try DepotFixture()
      let store = try ObjectStore(
        KernelFileSystem.shared, path: Array(path.utf8), create: false, report: { _ in })
      fixture.options.localStore = store
      let snapshot = shared.snapshots[0]
      let depot = try fixture.open()
      let session = try DepotSession(depot)
      do {
        let missing = try session.missing(Array(snapshot.all))
        try store.frames(holding: missing) { try session.append($0) }
        _ = try session.commit(try TransferredSnapshot(snapshot.bytes), bases: [])
      } catch { refused += 1 }
      session.end()
      #expect(try fixture.open().verify(deep: true).problems == [], "byte \(at)")
    }
    #expect(refused > 0)
  }
}

// Depots whose objects are damaged, swapped, cut, huge or invented. Nothing traps, every error names the depot, and no
// snapshot is wrong: a pull either fails or brings what the id names.

import Codec
import Depot
import Foundation
import ObjectStorage
import Platform
import Store
import Testing
import Transfer

@Suite struct HostileDepotTests {
  private struct Case {
    let name: String
    let content: [ObjectKey: [UInt8]]
  }

  @Test func `a hostile depot makes no wrong snapshot`() throws {
    let fixture = try DepotFixture()
    let depot = try fixture.open()
    for index in [0, 1, 2] { try fixture.push(index, to: depot) }
    _ = try depot.tag("golden", of: fixture.universe.snapshots[0].image, 1)
    try depot.pin(fixture.universe.snapshots[0].image, 2, reason: "x")
    try depot.forget(fixture.universe.snapshots[1].image, 1)
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    let cases = try damaged(memory.content) + invented(memory.content) + lying(memory.content)
    #expect(cases.count >= 150)
    for hostile in cases { try attack(hostile, fixture) }
  }

  private func attack(_ hostile: Case, _ original: DepotFixture) throws {
    let memory = MemoryObjectStorage(name: "s3://hostile/depot")
    memory.content = hostile.content
    let fixture = try DepotFixture(memory)
    let scratch = try Scratch()
    let store = try scratch.store("target")
    expectExplained(hostile, memory) {
      let depot = try Depot(opening: memory, fixture.options)
      for image in try DepotSource(depot).images() {
        for item in try DepotSource(depot).history(of: image).snapshots {
          expectExplained(hostile, memory) {
            _ = try fixture.pull(image, item.number, from: depot, into: store)
          }
        }
      }
    }
    // What arrived is what its id names, and complete.
    for image in try store.refs.images() {
      for ref in try store.refs.ids(of: image) {
        let known = fixture.universe.snapshots.first { $0.id == ref.id }
        #expect(known?.image == image, "\(hostile.name)")
        #expect(
          try store.missingObjects(of: try #require(known).snapshot, bases: []).isEmpty,
          "\(hostile.name)")
      }
    }
    expectExplained(hostile, memory) {
      _ = try Depot(opening: memory, fixture.options).verify(deep: true)
    }
    expectExplained(hostile, memory) {
      var options = CollectionOptions()
      options.wait = { _ in false }
      options.minNeededShare = 1.1
      _ = try Depot(opening: memory, fixture.options).collect(options)
    }
    expectExplained(hostile, memory) { _ = try fixture.push(4) }
  }

  private func expectExplained(
    _ hostile: Case, _ memory: MemoryObjectStorage, _ body: () throws -> Void
  ) {
    do { try body() } catch let error as any ExplainedError {
      let text = error.message
      #expect(
        text.contains(memory.name) || error.errorCode == .objectMissing
          || error.errorCode == .snapshotNotFound, "\(hostile.name): \(text)")
    } catch {
      Issue.record("\(hostile.name): \(error)")
    }
  }

  // MARK: Cases

  private func damaged(_ content: [ObjectKey: [UInt8]]) -> [Case] {
    var cases: [Case] = []
    let keys = content.keys.sorted()
    for (index, key) in keys.enumerated() {
      let bytes = content[key] ?? []
      var variants: [(String, [UInt8]?)] = [
        ("deleted", nil), ("empty", []), ("one byte longer", bytes + [0]),
        ("random", (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 37) }),
        ("a long one", Array(repeating: 0x41, count: 100_000)),
      ]
      if !bytes.isEmpty {
        variants.append(("cut", Array(bytes.dropLast())))
        variants.append(("halved", Array(bytes.prefix(bytes.count / 2))))
        for position in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 12)) {
          var changed = bytes
          changed[position] ^= 0xff
          variants.append(("byte \(position)", changed))
        }
      }
      let next = keys[(index + 1) % keys.count]
      variants.append(("swapped with \(next)", content[next]))
      for (name, bytes) in variants {
        var changed = content
        changed[key] = bytes
        cases.append(Case(name: "\(key): \(name)", content: changed))
      }
    }
    return cases
  }

  /// Keys that no depot has.
  private func invented(_ content: [ObjectKey: [UInt8]]) -> [Case] {
    let digest = SHA256.digest(of: [1]).hex
    let id = String(repeating: "a", count: 32)
    return [
      "refs/a/0000000000", "refs/a/9999999999", "refs/a/1", "refs/a/0000000005/x", "refs/a",
      "refs/%2E%2E/0000000001", "refs/%2Fetc/0000000001", "refs/%61/0000000001",
      "refs/%/0000000001", "refs/%00/0000000001", "refs/-a/0000000001", "removed/a/0000000001",
      "removed/a/9999999999", "packs/\(digest)", "packs/\(digest)-\(id)", "packs/x",
      "packs/\(digest.uppercased())-\(id)", "dirs/\(digest)", "dirs/x", "doomed/\(digest)-\(id)",
      "doomed/x", "writers/\(id)", "writers/x", "tags/a/0bad", "tags/a/good", "tags/zz/good",
      "pins/a/0000000007", "pins/a/x", "signatures/a/0000000001.signed.\(digest)",
      "signatures/a/0000000001.signed.\(digest).\(digest)", "forgetting/a/0000000001.\(id)",
      "adopted/a/0000000001", "foreign/key", "format2",
    ].compactMap { text in
      guard let key = ObjectKey(text) else { return nil }
      var changed = content
      changed[key] = Array("9".utf8)
      return Case(name: "invented \(text)", content: changed)
    }
  }

  /// Directories under their right names that do not tell the truth.
  private func lying(_ content: [ObjectKey: [UInt8]]) throws -> [Case] {
    var cases: [Case] = []
    for (key, bytes) in content where key.text.hasPrefix("dirs/") {
      let directories = try DirectoryObject.decode(bytes)
      func add(_ name: String, _ lies: [PackDirectory]) throws {
        let bytes = DirectoryObject.encode(lies)
        var changed = content
        changed[key] = nil
        let name = "a directory \(name)"
        let newKey = try #require(ObjectKey("dirs/\(SHA256.digest(of: bytes).hex)"))
        changed[newKey] = bytes
        cases.append(Case(name: name, content: changed))
      }
      try add("twice", directories + directories)
      try add("of nothing", [])
      if directories.count > 1 {
        // The directory of one pack under the name of another one of the same size.
        let swapped = zip(directories, directories.dropFirst() + directories.prefix(1)).map {
          PackDirectory(
            pack: $0.pack, sizeBytes: $1.sizeBytes, headers: $1.headers, frameCount: $1.frameCount)
        }
        try add("of other packs", swapped)
        var changed = content
        for (directory, lie) in zip(directories, swapped) {
          let pack = try #require(ObjectKey("packs/\(directory.pack)"))
          let size = Int(lie.sizeBytes)
          let bytes = content[pack] ?? []
          changed[pack] = Array((bytes + Array(repeating: 0, count: size)).prefix(size))
        }
        let bytes = DirectoryObject.encode(swapped)
        changed[key] = nil
        changed[try #require(ObjectKey("dirs/\(SHA256.digest(of: bytes).hex)"))] = bytes
        cases.append(Case(name: "directories and sizes of other packs", content: changed))
      }
      for directory in directories {
        try add(
          "with a count that is too large",
          [
            PackDirectory(
              pack: directory.pack, sizeBytes: directory.sizeBytes, headers: directory.headers,
              frameCount: directory.frameCount + 1)
          ])
        try add(
          "with another size",
          [
            PackDirectory(
              pack: directory.pack, sizeBytes: directory.sizeBytes + 1, headers: directory.headers,
              frameCount: directory.frameCount)
          ])
      }
    }
    return cases
  }
}

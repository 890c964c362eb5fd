// Frames that need no decoding, because the pack that they come from has not changed.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing
import Transfer

@Suite struct PackChecksumsTests {
  /// A store with 3 MB that do not compress, in one pack of several frames.
  private struct Source {
    let site: TransferSite
    let names: [ObjectName]
    let pack: String
    var random: SplitMix64

    init(_ seed: UInt64) throws {
      site = try TransferSite()
      random = SplitMix64(seed)
      var files: [String: [UInt8]] = [:]
      for i in 0..<30 { files["file\(i)"] = random.bytes(100_000) }
      let snapshot = try site.snapshot(try site.tree("tree", files))
      let session = try LocalSink(
        try site.open("other"), name: "other", origin: "here", lockWait: .forever
      ).begin()
      defer { session.end() }
      names = try SnapshotTransfer(
        from: LocalSource(site.store, name: "here"), to: session, baseStore: nil,
        progress: Progress()
      ).missing(snapshot.snapshot, bases: [])
      let packs = site.directory.path("store/packs")
      let file = try #require(try FileManager.default.contentsOfDirectory(atPath: packs).first)
      pack = "\(packs)/\(file)"
    }

    /// Returns which of the frames that leave whole need no decoding. Each read opens the store again.
    func sound(_ names: [ObjectName]) throws -> [Bool] {
      let store = try ObjectStore(
        KernelFileSystem.shared, path: Array(site.directory.path("store").utf8), create: false,
        report: { _ in })
      var sound: [Bool] = []
      try store.frames(holding: names) { sound.append($0.isFromSoundPack()) }
      return sound
    }
  }

  @Test(arguments: seeds) func `frames of a changed pack are not trusted`(_ seed: UInt64) throws {
    var source = try Source(seed)
    let intact = try source.sound(source.names)
    // Recipes leave in new frames.
    #expect(intact.count { $0 } > 3)
    let url = URL(fileURLWithPath: source.pack)
    let bytes = try Data(contentsOf: url)
    for _ in 0..<10 {
      // The beginning has headers and trees, which a walk reads.
      var damaged = bytes
      let at = Int.random(in: bytes.count / 2..<bytes.count, using: &source.random)
      damaged[at] ^= 1 << UInt8.random(in: 0..<8, using: &source.random)
      try damaged.write(to: url)
      let frames = (try? source.sound(source.names)) ?? []
      #expect(!frames.contains(true), "seed \(seed), byte \(at)")
    }
    try bytes.dropLast().write(to: url)
    #expect(!((try? source.sound(source.names)) ?? []).contains(true))
    try (bytes + [0]).write(to: url)
    #expect(try !source.sound(source.names).contains(true))
    try bytes.write(to: url)
    #expect(try source.sound(source.names) == intact)
  }

  @Test func `a pack is not read for one of its frames`() throws {
    let source = try Source(1)
    let chunks = source.names.filter { $0.kind == .chunk }
    #expect(try source.sound([try #require(chunks.first)]) == [false])
    #expect(try source.sound(chunks).contains(true))
  }

  @Test func `frames from elsewhere are not trusted`() throws {
    let source = try Source(2)
    var frames: [RawFrame] = []
    try source.site.store.frames(holding: source.names) { frames.append($0) }
    for frame in frames { #expect(try !RawFrame(frame.bytes).isFromSoundPack()) }
  }
}

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

    var chunks: [ObjectName] { names.filter { $0.kind == .chunk } }

    func opened() throws -> ObjectStore {
      try ObjectStore(
        KernelFileSystem.shared, path: Array(site.directory.path("store").utf8), create: false,
        report: { _ in })
    }

    /// Returns which of the frames that leave whole need no decoding. Each read opens the store again.
    func sound(_ names: [ObjectName]) throws -> [Bool] {
      let store = try opened()
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
    #expect(try source.sound([try #require(source.chunks.first)]) == [false])
    #expect(try source.sound(source.chunks).contains(true))
  }

  @Test(arguments: seeds) func `a change between the two reads is noticed`(_ seed: UInt64) throws {
    var source = try Source(seed)
    let url = URL(fileURLWithPath: source.pack)
    let bytes = try Data(contentsOf: url)
    var damaged = bytes
    damaged[Int.random(in: bytes.count / 2..<bytes.count, using: &source.random)] ^= 1
    // Read from a damaged file, and hashed after that was repaired.
    try damaged.write(to: url)
    var frames: [RawFrame] = []
    let store = try source.opened()
    try store.frames(holding: source.chunks) { frames.append($0) }
    try bytes.withUnsafeBytes { try overwrite(source.pack, $0) }
    #expect(frames.count { !$0.isFromSoundPack() } == 1, "seed \(seed)")
    // Hashed, and read after it was damaged.
    var sound: [Bool] = []
    try source.opened().frames(holding: source.chunks) { frame in
      sound.append(frame.isFromSoundPack())
      if sound.count == 1 { try damaged.withUnsafeBytes { try overwrite(source.pack, $0) } }
    }
    #expect(sound.first == true && sound.count { !$0 } == 1, "seed \(seed)")
  }

  /// Changes a file in place, as a disk does.
  private func overwrite(_ path: String, _ bytes: UnsafeRawBufferPointer) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    defer { try? file.close() }
    try file.write(contentsOf: Data(bytes))
  }

  @Test func `chunks and other objects are in separate frames`() throws {
    let source = try Source(3)
    #expect(source.names.contains { $0.kind == .recipe })
    try source.site.store.frames(holding: source.names) { frame in
      let chunkCount = frame.header.objects.count { $0.kind == .chunk }
      #expect(chunkCount == 0 || chunkCount == frame.header.objects.count)
    }
  }

  @Test func `frames from elsewhere are not trusted`() throws {
    let source = try Source(2)
    var frames: [RawFrame] = []
    try source.site.store.frames(holding: source.names) { frames.append($0) }
    for frame in frames { #expect(try !RawFrame(frame.bytes).isFromSoundPack()) }
  }
}

// How long a depot of many packs takes to open, and how much memory. The packs are holes: only their sizes and their
// directories count. IMGSTORE_DEPOT_PACKS=10000 is the size that docs/performance.md shows.

import Codec
import Depot
import Foundation
import ObjectStorage
import Platform
import Store
import Testing

@Suite struct LargeDepotTests {
  private static let packCount =
    ProcessInfo.processInfo.environment["IMGSTORE_DEPOT_PACKS"].flatMap { Int($0) } ?? 300
  private static let framesPerPack = 100
  private static let objectsPerFrame = 5
  private static let packBytes: UInt64 = 32 << 20

  /// Returns the highest memory use of this process so far, in MB.
  private func peakMegabytes() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(separator: " ").compactMap { Int($0) }.first ?? 0) / 1024
  }

  @Test func `a depot of many packs opens quickly, with and without its cache`() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/bucket"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let bucket = try DirectoryObjectStorage(path: Array(path.utf8))
    let sample = try generate(bucket, path)
    let before = peakMegabytes()
    var options = DepotOptions()
    options.cachePath = Array("\(scratch.path)/cache".utf8)
    options.fileSystem = KernelFileSystem.shared
    func open() throws -> Double {
      let start = monotonicSeconds()
      let depot = try Depot(opening: bucket, options)
      let session = try DepotSession(depot)
      let missing = try session.missing(sample + [ObjectName(kind: .chunk, id: .zero)])
      #expect(missing == [ObjectName(kind: .chunk, id: .zero)])
      session.end()
      return monotonicSeconds() - start
    }
    let cold = try open()
    let warm = try open()
    print(
      "depot of \(LargeDepotTests.packCount) packs and "
        + "\(LargeDepotTests.packCount * LargeDepotTests.framesPerPack * LargeDepotTests.objectsPerFrame) "
        + "objects: \(cold) s without a cache, \(warm) s with it, "
        + "\(peakMegabytes()) MB (before: \(before) MB), \(sample.count) lookups each")
    #expect(cold < 20 && warm < 2)
  }

  /// Writes packs that are holes, and their directories.
  /// - Returns: some of the objects.
  private func generate(_ bucket: DirectoryObjectStorage, _ path: String) throws -> [ObjectName] {
    let depot = try Depot(creatingIn: bucket)
    _ = depot
    try FileManager.default.createDirectory(
      atPath: "\(path)/packs", withIntermediateDirectories: true)
    let fileSystem = KernelFileSystem.shared
    let directory = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, Array("\(path)/packs".utf8))
    var sample: [ObjectName] = []
    var group: [PackDirectory] = []
    for number in 0..<LargeDepotTests.packCount {
      var generator = SplitMix(UInt64(number))
      var headers: [UInt8] = []
      var left = LargeDepotTests.packBytes - 16
      for index in 0..<LargeDepotTests.framesPerPack {
        let objects = (0..<LargeDepotTests.objectsPerFrame).map { _ in
          (kind: ObjectKind.chunk, id: generator.digest(), length: 100_000)
        }
        if number % 100 == 0, index == 0 {
          sample += objects.map { ObjectName(kind: .chunk, id: $0.id) }
        }
        let isLast = index == LargeDepotTests.framesPerPack - 1
        let empty = FrameHeader.encode(objects: objects, storedBytes: 0)
        let stored = isLast ? Int(left) - empty.count : 200_000
        headers += FrameHeader.encode(objects: objects, storedBytes: stored)
        left -= UInt64(empty.count + stored)
      }
      let name = try #require(
        WriterID(String(repeating: "0", count: 24) + String(format: "%08x", number)))
      let pack = DepotPack(digest: generator.digest(), writer: name)
      let file = try fileSystem.openFile(
        at: directory.raw, Array("\(pack)".utf8), [.write, .create, .exclusive])
      try fileSystem.truncate(file.raw, to: LargeDepotTests.packBytes)
      group.append(
        PackDirectory(
          pack: pack, sizeBytes: LargeDepotTests.packBytes, headers: headers,
          frameCount: LargeDepotTests.framesPerPack))
      if group.count == 400 || number == LargeDepotTests.packCount - 1 {
        let bytes = DirectoryObject.encode(group)
        try bucket.write(
          try #require(ObjectKey("dirs/\(SHA256.digest(of: bytes).hex)")), .bytes(bytes))
        group = []
      }
    }
    return sample
  }
}

/// Makes digests that look like SHA-256.
private struct SplitMix {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0xd134_2543_de82_ef95 &+ 1 }

  private mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func digest() -> Digest {
    let words = (0..<4).map { _ in next() }
    return words.withUnsafeBytes { Digest(reading: $0) ?? .zero }
  }
}

// Frames from a place that lies.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing
import Transfer

@Suite struct IncomingObjectsTests {
  /// Makes a frame with objects under any ids.
  private func frame(_ objects: [(ObjectKind, Digest, [UInt8])]) throws -> RawFrame {
    let repacker = FrameRepacker()
    var frames: [RawFrame] = []
    for (kind, id, bytes) in objects {
      try bytes.withUnsafeBytes { try repacker.add(kind, id, $0) { frames.append($0) } }
    }
    try repacker.finish { frames.append($0) }
    return try #require(frames.first)
  }

  private func receive(_ frames: [RawFrame], into store: ObjectStore) throws {
    let session = try IncomingObjects(store, from: "a liar")
    defer { session.end() }
    for frame in frames { try session.append(frame) }
    try session.publish()
  }

  @Test(arguments: [ObjectKind.chunk, .tree, .times, .xattrs, .holes])
  func anObjectWithAnotherIDIsRefused(_ kind: ObjectKind) throws {
    let site = try TransferSite()
    let other = try site.open("other")
    let wrong = try frame([(kind, SHA256.digest(of: [9]), [1, 2, 3])])
    #expect(errorCode { try receive([wrong], into: other) } == .damaged)
    #expect(try other.totals().objects == 0)
  }

  @Test func aRecipeForAnotherBlobIsRefused() throws {
    let site = try TransferSite()
    let other = try site.open("other")
    let chunk: [UInt8] = [1, 2, 3]
    let id = SHA256.digest(of: chunk)
    var list = ChunkList()
    list.append(id, lengthBytes: 3)
    list.append(id, lengthBytes: 3)
    let blob = SHA256.digest(of: chunk + chunk)
    let right = try frame([(.chunk, id, chunk), (.recipe, blob, list.encode())])
    try receive([right], into: other)
    #expect(try other.holds(blob: blob))
    let wrong = try frame([(.recipe, SHA256.digest(of: [5]), list.encode())])
    #expect(errorCode { try receive([wrong], into: other) } == .damaged)
    #expect(try !other.holds(blob: SHA256.digest(of: [5])))
    try expectWhole(other)
  }

  @Test(
    arguments: [
      [], [1], [2, 0], [9, 9, 9], [1, 3, 1, 0xff, 0xff, 0xff, 0x7f],
    ] as [[UInt8]])
  func bytesThatAreNoRecipeAreRefused(_ bytes: [UInt8]) throws {
    let site = try TransferSite()
    let other = try site.open("other")
    let wrong = try frame([
      (.recipe, SHA256.digest(of: [5]), bytes), (.chunk, SHA256.digest(of: [1]), [1]),
    ])
    #expect(errorCode { try receive([wrong], into: other) } == .damaged)
    #expect(try !other.holds(blob: SHA256.digest(of: [5])))
  }

  @Test func aRecipeWhoseChunksAreMissingIsRefused() throws {
    let site = try TransferSite()
    let other = try site.open("other")
    var list = ChunkList()
    list.append(SHA256.digest(of: [1]), lengthBytes: 1)
    list.append(SHA256.digest(of: [2]), lengthBytes: 1)
    let wrong = try frame([(.recipe, SHA256.digest(of: [1, 2]), list.encode())])
    #expect(errorCode { try receive([wrong], into: other) } == .objectMissing)
    #expect(try other.totals().objects == 0)
  }

  @Test func changedBytesOfAFrameAreRefused() throws {
    let site = try TransferSite()
    let right = try frame([(.chunk, SHA256.digest(of: [1, 2, 3]), [1, 2, 3])])
    for index in right.bytes.indices {
      var bytes = right.bytes
      bytes[index] ^= 0x10
      let other = try site.open("other\(index)")
      guard let changed = try? RawFrame(bytes) else { continue }
      let code = errorCode { try receive([changed], into: other) }
      // zstd ignores one bit of its header: then the object is what it says.
      #expect(
        code == .damaged || (code == nil && changed.header.objects.count == 1), "byte \(index)")
      if code != nil { #expect(try other.totals().objects == 0) }
      try expectWhole(other)
    }
  }

  @Test func whatArrivedBeforeAnErrorStays() throws {
    let site = try TransferSite()
    let other = try site.open("other")
    let right = try frame([(.chunk, SHA256.digest(of: [1, 2, 3]), [1, 2, 3])])
    let session = try IncomingObjects(other, from: "a connection that breaks")
    try session.append(right)
    session.end()
    #expect(try other.holds(blob: SHA256.digest(of: [1, 2, 3])))
  }
}

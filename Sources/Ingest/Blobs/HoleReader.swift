// Where a file has holes, as far as that can be believed.
//
// 1. A file system's answer (SEEK_HOLE, SEEK_DATA) is a claim. A hole that is read and is not all zeros
//    is no hole: `HoleCheck` keeps the ranges that are zeros.
// 2. Holes that are too large to be read are sampled, at both ends and in between. One byte that is not
//    zero, and the file is read from its beginning to its end.
// 3. A file system that cannot tell has no holes to keep.

import Codec
import Platform
import Store

/// Reads and samples the hole map of one open file.
struct HoleReader {
  /// More ranges of data than this are joined over the smaller holes.
  private static let maxRanges = 65_536
  private static let sampleBytes = 4096
  /// In each hole, beside those at its ends.
  private static let maxSamples: UInt64 = 64
  private static let sampleDistanceBytes: UInt64 = 16 << 20

  let fileSystem: any FileSystem

  /// The holes that the file system claims, ascending and apart.
  func claimedHoles(of file: Descriptor, sizeBytes: UInt64) -> [Range<UInt64>] {
    var holes: [Range<UInt64>] = []
    var at: UInt64 = 0
    while at < sizeBytes {
      // EINVAL: the file system cannot tell. ENXIO: the file shrank.
      guard let hole = try? fileSystem.nextHole(file.raw, from: at) else { return [] }
      if hole >= sizeBytes || hole < at { break }
      let data: UInt64?
      do throws(SystemError) { data = try fileSystem.nextData(file.raw, from: hole) } catch {
        return []
      }
      let end = min(data ?? sizeBytes, sizeBytes)
      if end > hole { holes.append(hole..<end) }
      at = max(end, hole + 1)
    }
    return holes
  }

  /// The ranges to read of a file whose holes are not: whole blocks, ascending and apart.
  static func ranges(
    between holes: [Range<UInt64>], sizeBytes: UInt64
  ) -> [Range<UInt64>] {
    let block = UInt64(SparseHash.blockBytes)
    var minBytes = block
    while true {
      var ranges: [Range<UInt64>] = []
      var at: UInt64 = 0
      for hole in holes {
        // What is not a whole block is read with the data.
        let start = (hole.lowerBound + block - 1) / block * block
        let end = hole.upperBound == sizeBytes ? sizeBytes : hole.upperBound / block * block
        guard start < end, end - start >= minBytes else { continue }
        if start > at { ranges.append(at..<start) }
        at = end
      }
      if at < sizeBytes { ranges.append(at..<sizeBytes) }
      if ranges.count <= HoleReader.maxRanges { return ranges }
      minBytes *= 16
    }
  }

  /// Whether samples of the holes between `ranges` are all zeros.
  func areZeros(
    between ranges: [Range<UInt64>], of file: Descriptor, sizeBytes: UInt64
  ) throws(SystemError) -> Bool {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: HoleReader.sampleBytes, alignment: 4096)
    defer { buffer.deallocate() }
    func isZero(at offset: UInt64) throws(SystemError) -> Bool {
      let n = try fileSystem.readFully(file.raw, at: offset, into: buffer)
      return isZeros(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
    }
    let sample = UInt64(HoleReader.sampleBytes)
    var at: UInt64 = 0
    for range in ranges + [sizeBytes..<sizeBytes] {
      defer { at = range.upperBound }
      guard range.lowerBound > at else { continue }
      let length = range.lowerBound - at
      guard try isZero(at: at), try isZero(at: at + (length > sample ? length - sample : 0)) else {
        return false
      }
      let count = min(length / HoleReader.sampleDistanceBytes, HoleReader.maxSamples)
      if count == 0 { continue }
      for i in 1...count {
        let offset = at + length / (count + 1) * i / sample * sample
        guard try isZero(at: offset) else { return false }
      }
    }
    return true
  }
}

/// Holds the holes that a file system claims against the content that is read.
struct HoleCheck {
  private let claimed: [Range<UInt64>]
  private var next = 0
  private var offset: UInt64 = 0
  private(set) var confirmed: [Range<UInt64>] = []

  init(_ claimed: [Range<UInt64>]) { self.claimed = claimed }

  /// Takes the next bytes of the content.
  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    let end = offset + UInt64(bytes.count)
    while next < claimed.count, claimed[next].upperBound <= offset { next += 1 }
    var i = next
    while i < claimed.count, claimed[i].lowerBound < end {
      let part = max(claimed[i].lowerBound, offset)..<min(claimed[i].upperBound, end)
      confirm(
        part,
        UnsafeRawBufferPointer(
          rebasing: bytes[Int(part.lowerBound - offset)..<Int(part.upperBound - offset)]))
      i += 1
    }
    offset = end
  }

  private mutating func confirm(_ range: Range<UInt64>, _ bytes: UnsafeRawBufferPointer) {
    if isZeros(bytes) { return confirm(range) }
    // Not all of it: block by block.
    let block = UInt64(SparseHash.blockBytes)
    var at = range.lowerBound
    while at < range.upperBound {
      let end = min((at / block + 1) * block, range.upperBound)
      let part = bytes[Int(at - range.lowerBound)..<Int(end - range.lowerBound)]
      if isZeros(UnsafeRawBufferPointer(rebasing: part)) { confirm(at..<end) }
      at = end
    }
  }

  private mutating func confirm(_ range: Range<UInt64>) {
    if let last = confirmed.last, last.upperBound == range.lowerBound {
      confirmed[confirmed.count - 1] = last.lowerBound..<range.upperBound
    } else {
      confirmed.append(range)
    }
  }
}

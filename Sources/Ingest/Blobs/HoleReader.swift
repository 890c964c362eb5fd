// Finds the holes of a file, and checks them as far as possible.
//
// 1. The file system's answer (SEEK_HOLE, SEEK_DATA) is only a claim. If the content of a claimed
//    hole is read and is not all zeros, `HoleCheck` keeps only the ranges of zeros.
// 2. Holes that are too large to be read are sampled at both ends and in between. If any sampled
//    byte is not zero, the whole file is read.
// 3. On a file system that does not report holes, files have none.

import Platform
import Store

/// Reads and samples the hole map of one open file.
struct HoleReader {
  /// The maximum number of data ranges; more are merged across the smaller holes.
  private static let maxRanges = 65_536
  private static let sampleBytes = 4096
  /// The maximum number of samples per hole, in addition to those at its ends.
  private static let maxSamples: UInt64 = 64
  private static let sampleDistanceBytes: UInt64 = 16 << 20

  let fileSystem: any FileSystem

  /// Returns the holes that the file system claims, ascending and disjoint.
  func claimedHoles(of file: Descriptor, sizeBytes: UInt64) -> [Range<UInt64>] {
    var holes: [Range<UInt64>] = []
    var at: UInt64 = 0
    while at < sizeBytes {
      // EINVAL: the file system does not report holes. ENXIO: the file shrank.
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

  /// Returns the ranges between holes that must be read: whole blocks, ascending and disjoint.
  static func ranges(
    between holes: [Range<UInt64>], sizeBytes: UInt64
  ) -> [Range<UInt64>] {
    let block = UInt64(SparseBlobHasher.blockBytes)
    var minBytes = block
    while true {
      var ranges: [Range<UInt64>] = []
      var at: UInt64 = 0
      for hole in holes {
        // A partial block is read with the data.
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

  /// Returns whether all samples of the holes between `ranges` are zeros.
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

/// Compares the holes that a file system claims with the content that is read.
struct HoleCheck {
  private let claimed: [Range<UInt64>]
  private var next = 0
  private var offset: UInt64 = 0
  private(set) var confirmed: [Range<UInt64>] = []

  init(_ claimed: [Range<UInt64>]) { self.claimed = claimed }

  /// Checks the next bytes of the content.
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
    // The hole is not all zeros: check block by block.
    let block = UInt64(SparseBlobHasher.blockBytes)
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

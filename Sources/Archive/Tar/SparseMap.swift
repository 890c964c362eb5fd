// The parts of a sparse member's content that are stored (GNU tar's manual, "Storing Sparse Files"). There
// are four forms: the old header type 'S', and pax 0.0, 0.1 and 1.0, which store the map in different places.
//
// 1. A map is checked before the content is read. Its parts ascend, do not overlap, end within the
//    file, and have the total length of the stored content.
// 2. Memory: 16 bytes per part, and no more parts than `maxParts`.

/// The map of one member.
public struct SparseMap: Sendable, Equatable {
  /// The stored parts, ascending, not empty.
  public let parts: [Range<UInt64>]
  /// The size of the file with its holes.
  public let sizeBytes: UInt64

  static let maxParts = 1 << 20

  /// Checks a map.
  /// - Parameters:
  ///   - numbers: alternating offsets and lengths.
  ///   - storedBytes: the number of content bytes in the archive.
  init(
    _ numbers: [UInt64], sizeBytes: UInt64, storedBytes: UInt64, member: [UInt8]
  ) throws(ArchiveError) {
    func refusal(_ reason: String) -> ArchiveError {
      ArchiveError(member: member, "its map of a sparse file \(reason)")
    }
    guard numbers.count % 2 == 0, numbers.count / 2 <= SparseMap.maxParts else {
      throw refusal("has an impossible number of parts")
    }
    guard sizeBytes <= UInt64(Int64.max) else { throw refusal("gives an impossible size") }
    var parts: [Range<UInt64>] = []
    var end: UInt64 = 0
    var total: UInt64 = 0
    for index in stride(from: 0, to: numbers.count, by: 2) {
      let (limit, overflow) = numbers[index].addingReportingOverflow(numbers[index + 1])
      guard !overflow, limit <= sizeBytes else { throw refusal("leads beyond the file's end") }
      guard numbers[index] >= end else { throw refusal("has parts that overlap") }
      end = limit
      // The parts do not overlap, so the sum cannot overflow.
      total += numbers[index + 1]
      if numbers[index + 1] > 0 { parts.append(numbers[index]..<limit) }
    }
    guard total == storedBytes else {
      throw refusal("has \(total) bytes, and the archive has \(storedBytes)")
    }
    self.parts = parts
    self.sizeBytes = sizeBytes
  }

  /// The ranges that are not stored, ascending, not empty.
  public var holes: [Range<UInt64>] {
    var holes: [Range<UInt64>] = []
    var offset: UInt64 = 0
    for part in parts {
      if part.lowerBound > offset { holes.append(offset..<part.lowerBound) }
      offset = part.upperBound
    }
    if offset < sizeBytes { holes.append(offset..<sizeBytes) }
    return holes
  }

  /// The total length of the holes.
  public var holeBytes: UInt64 { holes.reduce(0) { $0 + UInt64($1.count) } }
}

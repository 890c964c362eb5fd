// The Range field (RFC 9110 section 14).
//
// Many small or overlapping ranges make a server send more than the file, or open it very often (section 17.15).
// A request for more than `maxCount` ranges, or for more bytes than the file has, gets the whole file.

/// The ranges of a request.
package enum ByteRanges: Equatable {
  /// Send everything: the field is absent, invalid, of another unit, or excessive.
  case whole
  /// Send these, which are not empty and within the content.
  case ranges([Range<UInt64>])
  /// None of the ranges overlaps the content: 416.
  case unsatisfiable

  /// The most ranges of one answer.
  static let maxCount = 16

  /// Selects the ranges of a content.
  /// - Parameter values: the values of all fields named Range.
  package init(_ values: [String], sizeBytes: UInt64) {
    guard values.count == 1, let specs = ByteRanges.parse(values[0]) else {
      self = .whole
      return
    }
    let ranges = specs.compactMap { $0.range(in: sizeBytes) }
    guard !ranges.isEmpty else {
      self = .unsatisfiable
      return
    }
    guard ranges.count <= ByteRanges.maxCount else {
      self = .whole
      return
    }
    var total: UInt64 = 0
    for range in ranges {
      let (sum, isOverflow) = total.addingReportingOverflow(range.upperBound - range.lowerBound)
      guard !isOverflow, sum <= sizeBytes else {
        self = .whole
        return
      }
      total = sum
    }
    self = .ranges(ranges)
  }

  private enum Spec {
    /// The first position, and the last one.
    case from(UInt64, last: UInt64?)
    case suffix(UInt64)

    func range(in sizeBytes: UInt64) -> Range<UInt64>? {
      switch self {
      case .from(let first, let last):
        guard first < sizeBytes else { return nil }
        return first..<(min(last ?? .max, sizeBytes - 1) + 1)
      case .suffix(let count):
        return count == 0 || sizeBytes == 0 ? nil : (sizeBytes - min(count, sizeBytes))..<sizeBytes
      }
    }
  }

  /// Parses "bytes=0-499, -500"; nil if the field is invalid.
  private static func parse(_ text: String) -> [Spec]? {
    let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard sides.count == 2, asciiLowercased(sides[0].trimmingBlanks) == "bytes" else { return nil }
    var specs: [Spec] = []
    for element in sides[1].split(separator: ",", omittingEmptySubsequences: false) {
      let element = element.trimmingBlanks
      if element.isEmpty { continue }
      let ends = element.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      guard ends.count == 2, specs.count < 1024 else { return nil }
      if ends[0].isEmpty {
        guard let count = number(ends[1]) else { return nil }
        specs.append(.suffix(count))
      } else {
        guard let first = number(ends[0]) else { return nil }
        if ends[1].isEmpty {
          specs.append(.from(first, last: nil))
        } else {
          guard let last = number(ends[1]), first <= last else { return nil }
          specs.append(.from(first, last: last))
        }
      }
    }
    return specs.isEmpty ? nil : specs
  }

  /// Returns a number; the largest one for a number that does not fit.
  private static func number(_ text: Substring) -> UInt64? {
    guard !text.isEmpty, text.utf8.allSatisfy(isDigit) else { return nil }
    return UInt64(text) ?? .max
  }
}

// A set of numbers as ranges, such as "1-40,42". A history with few gaps takes few ranges.

/// Holds positive numbers as ascending ranges that neither overlap nor touch.
struct NumberRanges: Equatable {
  private(set) var ranges: [ClosedRange<Int>] = []

  /// An upper bound against overflow, higher than any real history reaches.
  private static let maxNumber = 1_000_000_000_000_000

  init() {}

  /// Creates the set of the positive numbers among `numbers`.
  init(_ numbers: some Sequence<Int>) {
    for number in Set(numbers).sorted() where number > 0 {
      if let last = ranges.last, last.upperBound + 1 == number {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else {
        ranges.append(number...number)
      }
    }
  }

  /// Parses text such as "1-40,42". Empty text is the empty set; other text returns nil.
  init?(_ text: Substring) {
    if text.isEmpty { return }
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let bounds = part.split(separator: "-", omittingEmptySubsequences: false)
      guard bounds.count <= 2, let first = bounds.first.flatMap({ Int($0) }),
        let last = bounds.last.flatMap({ Int($0) }), first > 0, first <= last,
        last <= NumberRanges.maxNumber, first > (ranges.last?.upperBound ?? 0)
      else { return nil }
      ranges.append(first...last)
    }
  }

  /// Returns the set as text that `init(_:)` parses.
  var text: String {
    ranges.map {
      $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
    }.joined(separator: ",")
  }

  /// Returns true if the set contains the number, by binary search over the ranges.
  func contains(_ number: Int) -> Bool {
    let index = ranges.partitioningIndex { $0.upperBound >= number }
    return index < ranges.count && ranges[index].contains(number)
  }

  /// Returns the numbers that are in this set or in `other`.
  func union(_ other: NumberRanges) -> NumberRanges {
    var result = NumberRanges()
    let all = (ranges + other.ranges).sorted { $0.lowerBound < $1.lowerBound }
    for range in all {
      if let last = result.ranges.last, range.lowerBound - 1 <= last.upperBound {
        result.ranges[result.ranges.count - 1] =
          last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        result.ranges.append(range)
      }
    }
    return result
  }

  /// Returns the numbers in 1...`highest` that are in neither set.
  static func gaps(upTo highest: Int, present: [Int], _ removed: NumberRanges) -> NumberRanges {
    var result = NumberRanges()
    var next = 1
    let known = NumberRanges(present).union(removed)
    for range in known.ranges where range.lowerBound <= highest {
      if next < range.lowerBound { result.ranges.append(next...range.lowerBound - 1) }
      next = max(next, range.upperBound == Int.max ? Int.max : range.upperBound + 1)
    }
    if next <= highest { result.ranges.append(next...highest) }
    return result
  }

  /// Returns the lowest numbers of the set, ascending, at most `limit`.
  func first(_ limit: Int) -> [Int] {
    var numbers: [Int] = []
    for range in ranges {
      for number in range {
        if numbers.count >= limit { return numbers }
        numbers.append(number)
      }
    }
    return numbers
  }
}

// Which chunk of a frame's base each chunk of the frame resembles. The format does not say it. But both are in
// the order in which the frame was built, and a new version has about the length of the earlier one.
//
// 1. An alignment is a hint: a wrong one costs bytes, and nothing else.
// 2. Time and memory are bounded: a frame with too many chunks has no alignment.

import Codec

/// Pairs of a chunk of a frame and a chunk of its base, in the order of both: those whose lengths differ least
/// (the sequence alignment of Needleman and Wunsch, 1970).
struct BaseAlignment: Sendable {
  /// The cost of two lengths is the difference in 1024ths of the longer one. That of a chunk without a partner
  /// makes a pair worse than two such chunks if it differs by more than a quarter.
  private static let skipCost = 128
  /// The most pairs that are compared: about 1 MiB and some milliseconds.
  private static let maxPairs = 1 << 20

  private enum Step: UInt8 {
    case pair, skipObject, skipBase
  }

  /// The base chunk for the object at each offset.
  private var partners: [Int: FrameBase.Chunk] = [:]

  /// Aligns the chunks of a frame with those of its base.
  /// - Parameter header: the frame; nil for none.
  init(_ header: FrameHeader?) {
    let objects = header?.objects ?? []
    let base = header?.base?.chunks ?? []
    guard !base.isEmpty, objects.count * base.count <= BaseAlignment.maxPairs else { return }
    let steps = BaseAlignment.steps(objects.map(\.length), base.map(\.length))
    var (i, j) = (objects.count, base.count)
    while i > 0, j > 0 {
      switch steps[i * (base.count + 1) + j] {
      case .pair:
        (i, j) = (i - 1, j - 1)
        // An empty object would have the offset of the next one.
        if objects[i].length > 0, base[j].length > 0 { partners[objects[i].start] = base[j] }
      case .skipObject: i -= 1
      case .skipBase: j -= 1
      }
    }
  }

  /// Returns the chunk of the base that the object at an offset resembles; nil if none does.
  func base(ofObjectAt start: Int) -> FrameBase.Chunk? { partners[start] }

  /// Returns the cheapest last step to each pair of prefixes, row by row.
  private static func steps(_ objects: [Int], _ base: [Int]) -> [Step] {
    let width = base.count + 1
    var steps = [Step](repeating: .skipBase, count: (objects.count + 1) * width)
    var costs = (0..<width).map { $0 * skipCost }
    for (i, length) in objects.enumerated() {
      var diagonal = costs[0]
      costs[0] += skipCost
      steps[(i + 1) * width] = .skipObject
      for (j, other) in base.enumerated() {
        let pair = diagonal + difference(length, other)
        let (above, left) = (costs[j + 1] + skipCost, costs[j] + skipCost)
        diagonal = costs[j + 1]
        costs[j + 1] = min(pair, above, left)
        steps[(i + 1) * width + j + 1] =
          costs[j + 1] == pair ? .pair : costs[j + 1] == above ? .skipObject : .skipBase
      }
    }
    return steps
  }

  private static func difference(_ a: Int, _ b: Int) -> Int {
    abs(a - b) * 1024 / max(a, b, 1)
  }
}

// Several snapshots at a time: "compute@3..7" is every snapshot of compute from number 3 to number 7 that there is.

import Platform
import Store

extension Workspace {
  /// The references that operands of a command stand for: ranges spread out, others as they are.
  /// - Throws: `ImageError` (`usage`) for a range that ends before it begins, and (`notFound`) for one without a
  ///   snapshot.
  public func references(_ texts: [String]) throws -> [String] {
    try texts.flatMap { text -> [String] in
      guard let range = try SnapshotRange(text) else { return [text] }
      let image =
        range.image.isEmpty ? try find(Reference("@~0")).snapshot.image : range.image
      let numbers = try store().refs.numbers(of: self.image(exactly: image))
        .filter(range.numbers.contains)
      guard !numbers.isEmpty else {
        throw ImageError(
          .notFound, "range '\(text)'", "has no snapshot",
          advice: "'imgstore log \(image)' lists what there is")
      }
      return numbers.map { "\(image)@\($0)" }
    }
  }
}

/// IMAGE@FROM..TO, parsed.
public struct SnapshotRange: Sendable, Equatable {
  /// Empty for the only image.
  public let image: String
  public let numbers: ClosedRange<Int>

  /// Parses a range, "compute@3..7" or "compute@3..@7"; nil for text that is none.
  /// - Throws: `ImageError` (`usage`) for one that ends before it begins.
  public init?(_ text: String) throws {
    guard let at = text.firstIndex(of: "@"), let dots = text.firstRange(of: ".."),
      at < dots.lowerBound
    else { return nil }
    let from = text[text.index(after: at)..<dots.lowerBound]
    let rest = text[dots.upperBound...]
    let to = rest.hasPrefix("@") ? rest.dropFirst() : rest
    guard let first = Int(from), let last = Int(to), first > 0, last > 0 else { return nil }
    guard first <= last else {
      throw ImageError(
        .usage, "range '\(text)'", "ends before it begins", advice: "Write the lower number first")
    }
    image = String(text[..<at])
    numbers = first...last
  }
}

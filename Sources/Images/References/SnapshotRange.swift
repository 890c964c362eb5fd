// Ranges of snapshots: "compute@3..7" means all existing snapshots of compute from number 3 to number 7.

extension Workspace {
  /// Expands the ranges among a command's operands to references. Other operands stay as they are.
  /// - Parameter includingLost: whether a range has the snapshots whose refs are lost, too.
  /// - Throws: `ImageError` (`usage`) if a range ends before it begins, and (`snapshotNotFound`) if it is
  ///   empty.
  public func references(_ texts: [String], includingLost: Bool = false) throws -> [String] {
    try RangeExpander(context).references(texts, includingLost: includingLost)
  }
}

/// Expands ranges of snapshots.
struct RangeExpander: Collaborator {
  let context: Context

  func references(_ texts: [String], includingLost: Bool = false) throws -> [String] {
    try texts.flatMap { text -> [String] in
      guard let range = try SnapshotRange(text) else { return [text] }
      let image =
        range.image.isEmpty
        ? try SnapshotResolver(context).find(Reference("@~0")).snapshot.image : range.image
      let refs = try context.store().refs
      let name = try ImageResolver(context).image(exactly: image)
      let lost = includingLost ? try refs.lostNumbers(of: name) : []
      let numbers = try Set(refs.numbers(of: name) + lost).sorted()
        .filter(range.numbers.contains)
      guard !numbers.isEmpty else {
        throw ImageError(
          .snapshotNotFound, "range '\(text)'", "has no snapshot",
          hint: "'imgstore log \(image)' lists the snapshots")
      }
      return numbers.map { "\(image)@\($0)" }
    }
  }
}

/// A parsed range, IMAGE@FROM..TO.
public struct SnapshotRange: Sendable, Equatable {
  /// The image's name. Empty for the only image.
  public let image: String
  public let numbers: ClosedRange<Int>

  /// Parses a range, "compute@3..7" or "compute@3..@7". Returns nil if the text is not a range.
  /// - Throws: `ImageError` (`usage`) if the range ends before it begins.
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
        .usage, "range '\(text)'", "ends before it begins", hint: "Write the lower number first")
    }
    image = String(text[..<at])
    numbers = first...last
  }
}

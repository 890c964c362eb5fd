// The result of a search for a recipe.

/// The result of a search.
public enum RecipeOutcome: Sendable {
  /// The recipe was stored.
  case stored(RecipeReport)
  /// The reason for storing no recipe, as a clause that follows "stored as it is: ".
  case none(String)
}

/// Statistics of a stored recipe.
public struct RecipeReport: Sendable {
  /// The encoders, such as "pigz -6"; empty for an archive that is not compressed.
  public var encoders: [String] = []
  /// The number of decompressed bytes.
  public var plainBytes: UInt64 = 0
  /// The number of contents that the plans refer to.
  public var contents = 0
  /// The number of contents that the store did not have before.
  public var newContents = 0
  /// The total size of the new contents.
  public var newContentBytes: UInt64 = 0
  /// The total size of all plans before compression.
  public var planBytes = 0
  /// The growth of the store in bytes.
  public var storedBytes: UInt64 = 0
}

extension RecipeReport {
  mutating func add(_ other: RecipeReport) {
    encoders += other.encoders
    plainBytes += other.plainBytes
    contents += other.contents
    newContents += other.newContents
    newContentBytes += other.newContentBytes
    planBytes += other.planBytes
    storedBytes += other.storedBytes
  }
}

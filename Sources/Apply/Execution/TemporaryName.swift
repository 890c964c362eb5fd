// Names of the temporary entries of a change. A command that resumes the change finds and removes them.

/// The names of temporary entries.
public enum TemporaryName {
  /// Returns what all temporary names of a change have in common.
  /// - Parameter token: the token of the change.
  public static func prefix(_ token: String) -> [UInt8] { Array(".imgstore-\(token)".utf8) }
}

// What can go wrong inside a codec. The caller knows which object it was and says so.

/// Compressed bytes that cannot be decoded, or a codec that gives up.
public enum CodecError: Error, Sendable, Equatable {
  /// The bytes are not what the format allows; the text says which rule they break.
  case corrupt(String)
  /// The bytes end before the format does.
  case truncated
  /// A number in the bytes is over the limit that the reader sets.
  case overLimit(String)
}

extension CodecError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .corrupt(let what): what
    case .truncated: "the data ends too early"
    case .overLimit(let what): what
    }
  }
}

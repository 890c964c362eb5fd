// The errors of codecs. They do not name the damaged object: the caller knows it and adds it.

/// An error in encoded bytes, or a failure of a codec.
public enum CodecError: Error, Sendable, Equatable {
  /// The bytes violate the format. The text names the violated rule.
  case corrupt(String)
  /// The bytes end before the encoded value does.
  case truncated
  /// A number in the bytes exceeds the reader's limit.
  case overLimit(String)
}

extension CodecError: CustomStringConvertible {
  /// The error's text for messages.
  public var description: String {
    switch self {
    case .corrupt(let what): what
    case .truncated: "the data ends too early"
    case .overLimit(let what): what
    }
  }
}

// Entity tags of conditions (RFC 9110 sections 8.8.3 and 13.1).

/// The value of If-Match or If-None-Match.
enum EntityTagList: Equatable {
  /// "*": any content.
  case any
  case tags([EntityTag])

  /// An entity tag, without its quotes.
  struct EntityTag: Equatable {
    let text: String
    let isWeak: Bool
  }

  /// Parses the values of all fields of the name; nil if there is none. Elements that are no entity tags match
  /// nothing.
  init?(_ values: [String]) {
    if values.isEmpty { return nil }
    if values.map(\.trimmingBlanks) == ["*"] {
      self = .any
      return
    }
    self = .tags(values.flatMap { EntityTagList.tags(in: $0) })
  }

  /// Parses one tag, as in If-Range; nil for other text.
  static func single(_ text: String) -> EntityTag? {
    let tags = tags(in: text)
    return tags.count == 1 && (text.hasPrefix("\"") || text.hasPrefix("W/\"")) ? tags[0] : nil
  }

  private static func tags(in text: String) -> [EntityTag] {
    var result: [EntityTag] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      while let byte = rest.first, byte == 0x20 || byte == 0x09 || byte == 0x2c {
        rest.removeFirst()
      }
      let isWeak = rest.starts(with: "W/".utf8)
      if isWeak { rest.removeFirst(2) }
      guard rest.first == 0x22, let end = rest.dropFirst().firstIndex(of: 0x22) else {
        return result
      }
      result.append(
        EntityTag(
          text: String(decoding: rest[(rest.startIndex + 1)..<end], as: UTF8.self), isWeak: isWeak))
      rest = rest[(end + 1)...]
    }
    return result
  }

  /// Returns whether the list has a tag of a content, by strong or weak comparison.
  func matches(_ tag: String?, isStrong: Bool) -> Bool {
    switch self {
    case .any: true
    case .tags(let tags): tags.contains { $0.text == tag && !(isStrong && $0.isWeak) }
    }
  }
}

// Conditional requests (RFC 9110 section 13), in the order of section 13.2.2.

/// The validators of a content.
package struct Validators {
  /// The strong entity tag, without quotes.
  let entityTag: String?
  /// The time of the last change, in whole seconds.
  let modified: Int64?

  package init(entityTag: String?, modified: Int64?) {
    self.entityTag = entityTag
    self.modified = modified
  }
}

/// The conditions of a request.
package struct Preconditions {
  private let headers: [(name: String, value: String)]
  private let now: Int64

  package init(_ headers: [(name: String, value: String)], now: Int64) {
    self.headers = headers
    self.now = now
  }

  /// Returns 412 or 304 in place of the content; nil if the conditions hold.
  package func refusal(_ content: Validators) -> HTTPStatus? {
    if let list = EntityTagList(values("if-match")) {
      if !list.matches(content.entityTag, isStrong: true) { return .preconditionFailed }
    } else if let date = date("if-unmodified-since"), let modified = content.modified,
      modified > date
    {
      return .preconditionFailed
    }
    if let list = EntityTagList(values("if-none-match")) {
      if list.matches(content.entityTag, isStrong: false) { return .notModified }
    } else if let date = date("if-modified-since"), let modified = content.modified,
      modified <= date
    {
      return .notModified
    }
    return nil
  }

  /// Returns whether Range applies (RFC 9110 section 13.1.5).
  package func allowsRange(_ content: Validators) -> Bool {
    let values = values("if-range")
    guard let value = values.first else { return true }
    guard values.count == 1 else { return false }
    if let tag = EntityTagList.single(value) {
      return !tag.isWeak && tag.text == content.entityTag
    }
    // A date is a strong validator only if it is older than this answer (section 8.8.2.2).
    guard let date = HTTPDate.parse(value, now: now), let modified = content.modified else {
      return false
    }
    return date == modified && modified < now
  }

  private func values(_ name: String) -> [String] {
    headers.filter { $0.name == name }.map(\.value)
  }

  /// Returns the date of a field; nil if it is absent, repeated or no date, so that it is ignored.
  private func date(_ name: String) -> Int64? {
    let values = values(name)
    return values.count == 1 ? HTTPDate.parse(values[0], now: now) : nil
  }
}

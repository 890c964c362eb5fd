// References as people write them:
//
//     compute            the latest snapshot          compute@12      number 12
//     compute@~1         one before the latest        compute@golden  a tag
//     compute@2026-11-08 as of the end of that day    3fa9c1d2        an id, or the start of one
//     compute@yesterday  as of the end of that day    compute@3fa9c1  the same, of that image
//     compute@live       the image as it is now
//
// A ":PATH" may follow where a command takes one (`PathReference`). If the store has only one image, "@12"
// alone is enough.
//
// 1. Each command's argument is one of the two types: a path that the command does not take is an error, and
//    never ignored.

import Glibc
import Platform

/// A parsed reference to a snapshot.
public struct Reference: Sendable, Equatable {
  public enum Selector: Sendable, Equatable {
    case latest
    case number(Int)
    /// Six or more decimal digits: a number, or the start of an id.
    case numberOrID(String)
    case back(Int)
    /// A tag, or the start of an id.
    case tag(String)
    case idPrefix(String)
    /// The latest snapshot at or before a time, in seconds since 1970.
    case asOf(Int64)
    /// The live image instead of a snapshot.
    case live
  }
  /// The image's name. Empty for the only image.
  public let image: String
  public let selector: Selector

  /// The number that the selector names, or may name; nil for the other selectors.
  var number: Int? {
    switch selector {
    case .number(let number): number
    case .numberOrID(let text): Int(text).flatMap { "\($0)" == text ? $0 : nil }
    case .latest, .back, .tag, .idPrefix, .asOf, .live: nil
    }
  }

  /// Parses IMAGE[@SELECTOR].
  /// - Throws: `ImageError` (`invalidReference`) if the text is not a valid reference, or if a path follows.
  public init(_ text: String) throws {
    let (reference, path) = try Reference.split(text)
    guard path == nil else {
      throw ImageError(
        .invalidReference, "reference '\(text)'",
        "names a path in a snapshot, but the command takes a snapshot",
        hint: "Omit ':\(path ?? "")', or see 'imgstore help' for a command that takes paths")
    }
    self = reference
  }

  /// Creates a reference from its parts.
  init(image: String, selector: Selector) { self.init(image: image, selector) }

  private init(image: String, _ selector: Selector) {
    self.image = image
    self.selector = selector
  }

  fileprivate static func split(_ text: String) throws -> (Reference, path: String?) {
    var rest = text[...]
    var path: String?
    if let colon = Reference.pathColon(rest) {
      path = String(rest[rest.index(after: colon)...])
      rest = rest[..<colon]
    }
    guard let at = rest.firstIndex(of: "@") else {
      if rest.isEmpty { throw Reference.malformed(text) }
      return (Reference(image: String(rest), .latest), path)
    }
    let selector = try Reference.parseSelector(String(rest[rest.index(after: at)...]), text)
    return (Reference(image: String(rest[..<at]), selector), path)
  }

  /// Returns the colon before the path: the first one that is not part of a time like "@2026-11-08T12:30".
  private static func pathColon(_ text: Substring) -> Substring.Index? {
    guard let first = text.firstIndex(of: ":") else { return nil }
    guard let at = text.firstIndex(of: "@"), at < first,
      parseTime(String(text[text.index(after: at)..<first]) + ":00") != nil
    else { return first }
    return text[text.index(after: first)...].firstIndex(of: ":")
  }

  private static func parseSelector(_ text: String, _ whole: String) throws -> Selector {
    if text.isEmpty { throw malformed(whole) }
    if text.hasPrefix("~") {
      guard let back = Int(text.dropFirst()), back >= 0 else { throw malformed(whole) }
      return .back(back)
    }
    switch text {
    case "live": return .live
    case "today": return .asOf(Int64(time(nil)))
    case "yesterday": return .asOf(endOfYesterday())
    default: break
    }
    if text.allSatisfy(\.isNumber), let number = Int(text) {
      return isIDPrefix(text) ? .numberOrID(text) : .number(number)
    }
    guard text.first?.isNumber == true else { return .tag(text) }
    if let time = parseTime(text) { return .asOf(time) }
    guard isIDPrefix(text) else { throw malformed(whole) }
    return .idPrefix(text)
  }

  /// Returns whether a text can be the start of a snapshot's id.
  static func isIDPrefix(_ text: String) -> Bool {
    text.utf8.count >= 6 && text.utf8.count <= 64
      && text.lowercased().utf8.allSatisfy { hexValue($0) != nil }
  }

  private static func endOfYesterday() -> Int64 {
    var now = time(nil)
    var parts = tm()
    localtime_r(&now, &parts)
    (parts.tm_hour, parts.tm_min, parts.tm_sec, parts.tm_isdst) = (0, 0, -1, -1)
    return Int64(mktime(&parts))
  }

  /// Parses "2026-11-08" (its last second, local time) or "2026-11-08T12:30". A space may replace the "T", as
  /// in the output of `log`.
  private static func parseTime(_ text: String) -> Int64? {
    let halves = text.split(maxSplits: 1, omittingEmptySubsequences: false) {
      $0 == "T" || $0 == " "
    }
    let date = (halves.first ?? "").split(separator: "-").map { Int32($0) }
    guard date.count == 3, let year = date[0], let month = date[1], let day = date[2],
      (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day)
    else { return nil }
    var parts = tm()
    parts.tm_year = year - 1900
    parts.tm_mon = month - 1
    parts.tm_mday = day
    (parts.tm_hour, parts.tm_min, parts.tm_sec, parts.tm_isdst) = (23, 59, 59, -1)
    if halves.count == 2 {
      let clock = halves[1].split(separator: ":").map { Int32($0) }
      guard clock.count == 2, let hour = clock[0], let minute = clock[1],
        (0...23).contains(hour), (0...59).contains(minute)
      else { return nil }
      (parts.tm_hour, parts.tm_min) = (hour, minute)
    }
    let time = mktime(&parts)
    // mktime(3) turns 30 February into March.
    guard parts.tm_mday == day, parts.tm_mon == month - 1 else { return nil }
    return Int64(time)
  }

  private static func malformed(_ text: String) -> ImageError {
    ImageError(
      .invalidReference, "reference '\(text)'", "is not valid",
      hint: "Write IMAGE, IMAGE@NUMBER, IMAGE@~N, IMAGE@TAG, IMAGE@YYYY-MM-DD, "
        + "'IMAGE@YYYY-MM-DD HH:MM', IMAGE@yesterday or a snapshot's id")
  }
}

/// A snapshot, or a path in one: "REF" or "REF:PATH".
public struct PathReference: Sendable, Equatable {
  public let snapshot: Reference
  /// The path inside the image; nil for the whole image.
  public let path: String?

  /// Parses REF or REF:PATH.
  /// - Parameter path: a path from a separate argument, as in "REF PATH".
  /// - Throws: `ImageError` (`invalidReference`) if the text is not a valid reference, or if it has a path
  ///   and `path` is another one.
  public init(_ text: String, path separate: String? = nil) throws {
    let (snapshot, path) = try Reference.split(text)
    guard path == nil || separate == nil else {
      throw ImageError(
        .invalidReference, "reference '\(text)'",
        "names a path, and '\(separate ?? "")' is a second one",
        hint: "Write the path once: either REF:PATH or REF PATH")
    }
    self.snapshot = snapshot
    self.path = path ?? separate
  }
}

// References as people write them (design.md section 3):
//
//     compute            the latest snapshot          compute@12      number 12
//     compute@~1         one before the latest        compute@golden  a tag
//     compute@2026-11-08 as of the end of that day    3fa9c1d2        an id, or the start of one
//
// followed, where a path is wanted, by ":PATH". With one image in the store, "@12" alone will do.

import Codec
import Glibc
import Platform
import Store

/// A parsed reference.
public struct Reference: Sendable, Equatable {
  public enum Selector: Sendable, Equatable {
    case latest
    case number(Int)
    case back(Int)
    case tag(String)
    /// Seconds since 1970: the latest snapshot that is not younger.
    case asOf(Int64)
  }
  /// Empty for "the only image".
  public let image: String
  public let selector: Selector
  /// Inside the image; nil for the whole.
  public let path: String?

  /// - Throws: `ImageError` for text that cannot be a reference.
  public init(_ text: String) throws {
    var rest = text[...]
    if let colon = Reference.pathColon(rest) {
      path = String(rest[rest.index(after: colon)...])
      rest = rest[..<colon]
    } else {
      path = nil
    }
    guard let at = rest.firstIndex(of: "@") else {
      image = String(rest)
      selector = .latest
      if image.isEmpty { throw Reference.malformed(text) }
      return
    }
    image = String(rest[..<at])
    selector = try Reference.parseSelector(String(rest[rest.index(after: at)...]), text)
  }

  /// The colon before the path: the first one that is not that of "@2026-11-08T12:30".
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
    if text.allSatisfy(\.isNumber), let number = Int(text) { return .number(number) }
    if text.first?.isNumber == true {
      guard let time = parseTime(text) else { throw malformed(whole) }
      return .asOf(time)
    }
    return .tag(text)
  }

  /// "2026-11-08" (its last second, local time) or "2026-11-08T12:30".
  private static func parseTime(_ text: String) -> Int64? {
    let halves = text.split(separator: "T", maxSplits: 1)
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
    return Int64(mktime(&parts))
  }

  private static func malformed(_ text: String) -> ImageError {
    ImageError(
      "reference '\(text)'", "is not one",
      advice: "Write IMAGE, IMAGE@NUMBER, IMAGE@~N, IMAGE@TAG, IMAGE@YYYY-MM-DD or a snapshot id")
  }
}

extension Workspace {
  /// The snapshot that a reference means.
  /// - Throws: `ImageError` where there is none, or more than one.
  public func find(_ reference: Reference) throws -> CommittedSnapshot {
    let refs = try store().refs
    if reference.image.isEmpty {
      let images = try refs.images()
      guard images.count == 1, let only = images.first else {
        throw ImageError(
          "reference", "names no image, and the store has \(images.count)",
          advice: "Write the image's name before the '@'")
      }
      return try find(only, reference.selector, among: try refs.numbers(of: only), refs)
    }
    if let image = try? ImageName(reference.image) {
      // What has a number is at its place: the history, however long, is not listed.
      if case .number(let number) = reference.selector,
        let found = try refs.readIfPresent(image, number)
      {
        return found
      }
      let numbers = try refs.numbers(of: image)
      if !numbers.isEmpty {
        return try find(image, reference.selector, among: numbers, refs)
      }
    }
    if reference.selector == .latest, let found = try find(idPrefix: reference.image, refs) {
      return found
    }
    throw ImageError(
      "image \(reference.image)", "has no snapshots in this store, and no snapshot's id begins so",
      advice: "'imgstore images' lists what there is")
  }

  /// The latest snapshot of an image, where a verb is about the image and not one snapshot.
  func findLatest(_ name: String) throws -> CommittedSnapshot { try find(imageReference(name)) }

  /// An image and the numbers of its snapshots, latest first.
  func findHistory(_ name: String) throws -> (image: ImageName, numbers: [Int]) {
    let reference = try imageReference(name)
    let refs = try store().refs
    if let image = try? ImageName(reference.image) {
      let numbers = try refs.numbers(of: image)
      if !numbers.isEmpty { return (image, numbers.reversed()) }
    }
    let image = try ImageName(try find(reference).snapshot.image)
    return (image, try refs.numbers(of: image).reversed())
  }

  private func imageReference(_ name: String) throws -> Reference {
    let reference = try Reference(name)
    guard reference.selector == .latest, reference.path == nil else {
      throw ImageError(
        "reference '\(name)'", "names one snapshot, where an image is asked for",
        advice: "Write the image's name alone")
    }
    return reference
  }

  private func find(
    _ image: ImageName, _ selector: Reference.Selector, among numbers: [Int], _ refs: RefLog
  ) throws -> CommittedSnapshot {
    func missing(_ what: String) -> ImageError { noSnapshot(of: image, what) }
    switch selector {
    case .latest:
      guard let last = numbers.last else { throw missing("at all") }
      return try refs.read(image, last)
    case .number(let number):
      guard numbers.contains(number) else { throw missing("@\(number)") }
      return try refs.read(image, number)
    case .back(let count):
      guard count < numbers.count else { throw missing("@~\(count)") }
      return try refs.read(image, numbers[numbers.count - 1 - count])
    case .tag(let tag):
      guard let number = try refs.tags(of: image)[tag] else { throw missing("@\(tag)") }
      return try refs.read(image, number)
    case .asOf(let time):
      // Numbers grow with time, so the last that is old enough is found from the end.
      for number in numbers.reversed() {
        guard let found = try refs.readIfPresent(image, number) else { continue }
        if found.snapshot.created.seconds <= time { return found }
      }
      throw missing("as old as that")
    }
  }

  func noSnapshot(of image: ImageName, _ what: String) -> ImageError {
    ImageError(
      "image \(image)", "has no snapshot \(what)",
      advice: "'imgstore log \(image)' lists its snapshots")
  }

  private func find(idPrefix text: String, _ refs: RefLog) throws -> CommittedSnapshot? {
    let prefix = text.lowercased()
    guard prefix.count >= 6, prefix.utf8.allSatisfy({ hexValue($0) != nil }) else { return nil }
    var found: [CommittedSnapshot] = []
    for image in try refs.images() {
      for number in try refs.numbers(of: image) {
        guard let candidate = try refs.readIfPresent(image, number) else { continue }
        if candidate.id.hex.hasPrefix(prefix) { found.append(candidate) }
      }
    }
    guard found.count <= 1 || Set(found.map(\.id)).count == 1 else {
      throw ImageError(
        "snapshot \(text)", "is the start of \(found.count) ids", advice: "Write more of the id")
    }
    return found.last
  }

  /// An entry inside a snapshot: an absolute path of the management node, or one inside the root
  /// tree.
  public func findEntry(_ path: String, in snapshot: CommittedSnapshot) throws -> FoundEntry {
    let object = "\(snapshot.name):\(path)"
    guard let bytes = bytes(fromPrintable: path) else {
      throw ImageError(object, "holds a backslash that begins no \\xHH, \\n, \\t or \\\\")
    }
    let parts = bytes.split(separator: 0x2f).map(Array.init)
    let pieces = snapshot.snapshot.pieces
    if bytes.first == 0x2f {
      for piece in pieces {
        let own = piece.path.split(separator: 0x2f).map(Array.init)
        if parts.starts(with: own) {
          let top = parts.count == own.count ? piece : pieces.followed(piece) ?? piece
          return try descend(top, Array(parts.dropFirst(own.count)), object)
        }
      }
    }
    guard let tree = pieces.rootTree else {
      throw ImageError(
        object, "is no file of the image, and the image has no root tree",
        advice: "'imgstore show \(snapshot.name)' lists the files of the image")
    }
    return try descend(tree, parts, object)
  }

  private func descend(
    _ piece: Snapshot.Piece, _ parts: [[UInt8]], _ object: String
  ) throws -> FoundEntry {
    let store = try store()
    var entry = piece.entry
    var path = piece.path
    for part in parts {
      guard let ids = entry.ids,
        let child = try Tree.entries(ids, from: store).first(where: { $0.name == part })
      else {
        throw ImageError(
          object, "is not in that snapshot",
          advice: "'imgstore diff' shows in which snapshot a path appears or goes")
      }
      entry = child
      path += [0x2f] + part
    }
    return FoundEntry(path: path, entry: entry)
  }
}

/// An entry and its full path.
public struct FoundEntry: Sendable {
  public let path: [UInt8]
  public let entry: Entry
}

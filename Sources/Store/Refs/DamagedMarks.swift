// Tags and pins whose files are damaged. A damaged tag still keeps a snapshot, but which one is unknown.
//
// 1. A file is a mark if its name is one: a valid tag, or the number of a snapshot.
// 2. A mark is damaged if its file cannot be read, if its first line is incomplete or invalid, or if its
//    second line names another place or another snapshot.
// 3. `repair` leaves a damaged mark where it is, unless a source has an intact one. So its name stays taken,
//    and no policy decides about the image, until `tag`, `untag` or `unpin` replaces or removes it.

import Codec
import Platform

/// The two kinds of marks.
public enum MarkKind: Sendable {
  case tag
  case pin

  /// Returns the mark's name for the name of a file; nil if a mark of this kind cannot have it.
  func markName(_ file: [UInt8]) -> String? {
    switch self {
    case .tag: RefLog.isTagName(file) ? String(decoding: file, as: UTF8.self) : nil
    case .pin: RefLog.number(file).map { "\($0)" }
    }
  }

  /// Returns the name of the file of a mark.
  func fileName(_ name: String) -> [UInt8] {
    switch self {
    case .tag: Array(name.utf8)
    case .pin: Int(name).map { RefLog.fileName($0) } ?? Array(name.utf8)
    }
  }

  /// Returns the place that the second line of a mark must name.
  func owner(_ image: ImageName, _ name: String) -> String {
    switch self {
    case .tag: "\(image):\(name)"
    case .pin: "\(image)@\(name)"
    }
  }
}

/// A tag or pin whose file is damaged.
public struct DamagedMark: Sendable {
  public let kind: MarkKind
  public let image: ImageName
  /// The tag, or the number of the pinned snapshot.
  public let name: String
  /// The damage, as a clause about the file.
  public let reason: String
  /// Whether the snapshot that the mark keeps is unknown.
  public let hidesSnapshot: Bool

  /// The mark as a reference, such as "compute@golden".
  public var reference: String { "\(image)@\(name)" }

  /// The mark in messages.
  public var object: String {
    switch kind {
    case .tag: "tag '\(name)' of \(image)"
    case .pin: "the pin of \(reference)"
    }
  }

  /// What the user can do.
  public var hint: String {
    switch kind {
    case .tag:
      "Restore it with 'imgstore repair --from STORE', set it with 'imgstore tag \(image)@N \(name)', or "
        + "give it up with 'imgstore untag \(reference)'"
    case .pin:
      "Restore it with 'imgstore repair --from STORE', or remove it with 'imgstore unpin \(reference)'"
    }
  }

  /// The error for a command that needs the mark.
  var error: StoreError { StoreError(.damaged, object, reason, hint: hint) }
}

extension RefLog {
  /// Returns the damaged tags and pins of an image, sorted by kind and name.
  public func damagedMarks(of image: ImageName) throws(StoreError) -> [DamagedMark] {
    try damagedMarks(.tag, of: image) + damagedMarks(.pin, of: image)
  }

  private func damagedMarks(
    _ kind: MarkKind, of image: ImageName
  ) throws(StoreError) -> [DamagedMark] {
    guard let directory = try open(markDirectory(kind), image) else { return [] }
    let files = try mapSystemError(
      "the marks of \(image)", try layout.fileSystem.names(of: directory.raw))
    var marks: [DamagedMark] = []
    for file in files.sorted(by: precedes) {
      guard let name = kind.markName(file) else { continue }
      if let mark = try damage(kind, name, of: image, in: directory) { marks.append(mark) }
    }
    return marks
  }

  /// Returns the damage of one mark; nil if it does not exist or is intact.
  public func damagedMark(
    _ kind: MarkKind, _ name: String, of image: ImageName
  ) throws(StoreError) -> DamagedMark? {
    guard kind.markName(kind.fileName(name)) != nil,
      let directory = try open(markDirectory(kind), image)
    else { return nil }
    return try damage(kind, name, of: image, in: directory)
  }

  /// Checks that the snapshots that the marks of an image keep are known. Required before a decision that
  /// depends on all of them.
  /// - Throws: `damaged` if a mark hides its snapshot.
  public func requireKnownProtection(of image: ImageName) throws(StoreError) {
    guard let mark = try damagedMarks(of: image).first(where: \.hidesSnapshot) else { return }
    throw StoreError(
      .damaged, mark.object, "\(mark.reason), so the snapshot that it keeps is unknown",
      hint: mark.hint)
  }

  /// Checks that a tag is not damaged. A tag that does not exist is not.
  /// - Throws: `damaged`.
  public func requireIntactTag(_ tag: String, of image: ImageName) throws(StoreError) {
    if let mark = try damagedMark(.tag, tag, of: image) { throw mark.error }
  }

  func markDirectory(_ kind: MarkKind) -> Descriptor {
    switch kind {
    case .tag: layout.tags
    case .pin: layout.pins
    }
  }

  private func damage(
    _ kind: MarkKind, _ name: String, of image: ImageName, in directory: Descriptor
  ) throws(StoreError) -> DamagedMark? {
    let file = try mapSystemError(
      "the marks of \(image)", try readMark(kind.fileName(name), in: directory))
    func mark(_ reason: String, hides: Bool) -> DamagedMark {
      DamagedMark(
        kind: kind, image: image, name: name, reason: reason, hidesSnapshot: hides)
    }
    let bytes: [UInt8]
    switch file {
    case .absent: return nil
    case .unexpected(let reason): return mark(reason, hides: kind == .tag)
    case .content(let content): bytes = content
    }
    let content = RefMark(bytes)
    let number: Int?
    switch kind {
    case .tag:
      number = content.number
      if number == nil {
        return mark(
          bytes.isEmpty ? "is empty" : "does not begin with the number of a snapshot", hides: true)
      }
    case .pin:
      number = Int(name)
      if !content.isReason {
        return mark(bytes.isEmpty ? "is empty" : "does not begin with a reason", hides: false)
      }
    }
    guard let number, let owner = content.owner else { return nil }
    if owner != kind.owner(image, name) {
      return mark(
        "belongs to \(printable(owner.utf8)): it was moved, copied, swapped or damaged", hides: true
      )
    }
    guard let snapshot = content.snapshot else { return nil }
    // A damaged or lost ref is reported as such.
    let committed: CommittedSnapshot?
    do throws(StoreError) { committed = try readIfPresent(image, number) } catch {
      guard error.kind == .damaged else { throw error }
      return nil
    }
    guard let committed, committed.id != snapshot else { return nil }
    return mark(
      "belongs to snapshot \(snapshot.shortHex), but \(image)@\(number) is \(committed.id.shortHex)",
      hides: true)
  }
}

extension RefMark {
  /// The number in the first line of a tag; nil if the line is incomplete or not a number.
  var number: Int? {
    guard isTerminated, let number = Int(line), number > 0 else { return nil }
    return number
  }

  /// Whether the first line can be the reason of a pin.
  var isReason: Bool {
    isTerminated && line.utf8.count <= 1000
      && line.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
  }
}

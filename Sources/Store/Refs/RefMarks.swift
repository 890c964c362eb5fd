// Tags and pins of snapshots. tags/<image>/<tag> holds a number; pins/<image>/<number> holds the reason why
// the snapshot is kept. Both are created exclusively, complete and synced, after their ref, and deleted
// before it.
//
// 1. The first line is the content. A second line names the owner of the file and the snapshot (RefMark),
//    so that `verify` finds moved or swapped files.
// 2. An unreadable file (a fifo, a directory, too large, cut) is a damaged mark (DamagedMarks.swift). For a
//    pin, the file's name is enough to keep the snapshot.

import Codec
import Platform

extension RefLog {
  /// Returns the tags of an image with their snapshots' numbers. Unreadable files are skipped.
  public func tags(of image: ImageName) throws(StoreError) -> [String: Int] {
    guard let directory = try open(layout.tags, image) else { return [:] }
    return try mapSystemErrors("the tags of \(image)") { () throws(SystemError) in
      var tags: [String: Int] = [:]
      for name in try layout.fileSystem.names(of: directory.raw) {
        guard case .content(let bytes) = try readMark(name, in: directory),
          let number = RefMark(bytes).number
        else { continue }
        tags[String(decoding: name, as: UTF8.self)] = number
      }
      return tags
    }
  }

  /// Words after "@" with a meaning of their own.
  private static let reservedTags: Set<String> = ["live", "today", "yesterday", "latest", "head"]

  /// Checks that a tag's name is valid and unused.
  /// - Parameter mayMove: accepts a name that another snapshot has.
  /// - Throws: `badName`, `refused`.
  public func checkTag(
    _ tag: String, of image: ImageName, mayMove: Bool = false
  ) throws(StoreError) {
    guard RefLog.isTagName(Array(tag.utf8)) else {
      throw StoreError(
        .badName, "tag '\(tag)'", "is not valid",
        hint: "Use letters, digits, '.', '-', '_' and '+'. A tag must start with a letter")
    }
    guard !RefLog.reservedTags.contains(tag.lowercased()) else {
      throw StoreError(
        .badName, "tag '\(tag)'", "is reserved, because it has a meaning after '@'",
        hint: "Choose another tag")
    }
    if !mayMove, let number = try tags(of: image)[tag] {
      throw StoreError(
        .refused, "tag '\(tag)'", "already names \(image)@\(number)",
        hint:
          "Choose another tag, or move this one: 'imgstore tag --force', 'snapshot --move-tag'",
        code: .alreadyExists)
    }
  }

  /// Returns true if a tag can have the name, apart from reserved words.
  public static func isTagName(_ name: [UInt8]) -> Bool {
    let first = name.first ?? 0
    return name.count <= 100
      && ((0x41...0x5a).contains(first) || (0x61...0x7a).contains(first))
      && name.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
          || $0 == 0x2d || $0 == 0x5f || $0 == 0x2e || $0 == 0x2b
      }
  }

  /// Gives a snapshot a tag. A damaged tag of that name is replaced.
  /// - Parameter moving: moves the tag from another snapshot in one step.
  /// - Returns: the number of the snapshot that had the tag; nil if none.
  /// - Throws: `badName`, `refused`, `system`.
  @discardableResult
  public func setTag(
    _ tag: String, of image: ImageName, to number: Int, moving: Bool = false
  ) throws(StoreError) -> Int? {
    // A tag that is there already, and means this snapshot, is what was asked for.
    let isDamaged = try damagedMark(.tag, tag, of: image) != nil
    if !isDamaged, try tags(of: image)[tag] == number { return number }
    try checkTag(tag, of: image, mayMove: moving || isDamaged)
    let old = moving && !isDamaged ? try tags(of: image)[tag] : nil
    if isDamaged { try setAside(.tag, tag, of: image, onlyOtherKinds: true) }
    let mark = RefMark("\(number)", owner: "\(image):\(tag)", snapshot: try? read(image, number).id)
    try create(
      Array(tag.utf8), of: image, in: layout.tags, mark.bytes,
      "tag '\(tag)' of \(image)", exclusively: !(moving || isDamaged))
    return old
  }

  /// Removes a tag. The snapshot remains.
  /// - Throws: `notFound` if the image has no such tag.
  public func removeTag(_ tag: String, of image: ImageName) throws(StoreError) {
    guard try remove(Array(tag.utf8), of: image, from: layout.tags, "tag '\(tag)' of \(image)")
    else {
      throw StoreError(
        .notFound, "tag '\(tag)'", "is not a tag of \(image)",
        hint: "Run 'imgstore log \(image)' to see the tags", code: .tagNotFound)
    }
  }

  // MARK: Pins

  /// Returns the pinned snapshots of an image with the reasons.
  public func pins(of image: ImageName) throws(StoreError) -> [Int: String] {
    guard let directory = try open(layout.pins, image) else { return [:] }
    return try mapSystemErrors("the pins of \(image)") { () throws(SystemError) in
      var pins: [Int: String] = [:]
      for name in try layout.fileSystem.names(of: directory.raw) {
        guard let number = RefLog.number(name) else { continue }
        switch try readMark(name, in: directory) {
        case .content(let bytes): pins[number] = RefMark(bytes).line
        case .unexpected: pins[number] = "(the reason is unreadable)"
        case .absent: break
        }
      }
      return pins
    }
  }

  /// Pins a snapshot, so that policies keep it.
  /// - Parameter reason: the reason, one line of at most 1000 bytes.
  /// - Throws: `refused` if the snapshot is pinned already, or the reason is invalid.
  public func pin(_ image: ImageName, _ number: Int, reason: String) throws(StoreError) {
    let object = "the pin of \(image)@\(number)"
    guard reason.utf8.count <= 1000, reason.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
      throw StoreError(.refused, object, "needs a reason of one line with at most 1000 bytes")
    }
    if let existing = try pins(of: image)[number] {
      // The pin is already as requested.
      if reason.isEmpty || reason == existing { return }
      throw StoreError(
        .refused, "\(image)@\(number)",
        "is already pinned" + (existing.isEmpty ? " without a reason" : ": \(existing)"),
        hint: "'imgstore unpin \(image)@\(number)' first gives it another reason",
        code: .alreadyExists)
    }
    let mark = RefMark(reason, owner: "\(image)@\(number)", snapshot: try? read(image, number).id)
    try create(RefLog.fileName(number), of: image, in: layout.pins, mark.bytes, object)
  }

  /// Removes the pin of a snapshot.
  /// - Returns: false if the snapshot was not pinned.
  public func unpin(_ image: ImageName, _ number: Int) throws(StoreError) -> Bool {
    try remove(
      RefLog.fileName(number), of: image, from: layout.pins, "the pin of \(image)@\(number)")
  }

  // MARK: Files

  func readMark(_ name: [UInt8], in directory: Descriptor) throws(SystemError) -> StoredFile {
    try layout.read(directory, name, limitBytes: RefMark.maxBytes)
  }

  private func create(
    _ name: [UInt8], of image: ImageName, in parent: Descriptor, _ text: [UInt8],
    _ object: String, exclusively: Bool = true
  ) throws(StoreError) {
    try layout.requireWritable(object)
    try mapSystemErrors(object) { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      try fileSystem.makeDirectoryIfAbsent(at: parent.raw, image.bytes, .private)
      let directory = try fileSystem.openDirectory(at: parent.raw, image.bytes)
      try TemporaryFile.write(text, in: directory, as: name, exclusively: exclusively, layout)
      try fileSystem.sync(parent.raw)
    }
  }

  /// Moves the file of a damaged mark to quarantine/.
  /// - Parameter onlyOtherKinds: leaves a regular file, which the caller replaces in one step.
  func setAside(
    _ kind: MarkKind, _ name: String, of image: ImageName, onlyOtherKinds: Bool = false
  ) throws(StoreError) {
    guard let directory = try open(markDirectory(kind), image) else { return }
    let file = kind.fileName(name)
    try mapSystemErrors("the marks of \(image)") { () throws(SystemError) in
      guard let stat = try layout.fileSystem.statIfPresent(at: directory.raw, file),
        stat.kind != .file || !onlyOtherKinds
      else { return }
      try layout.quarantine(directory, file, as: "\(kind)s-\(image)-\(printable(file))")
    }
  }

  /// Deletes a file; false if it does not exist. A file of another kind moves to quarantine/.
  private func remove(
    _ name: [UInt8], of image: ImageName, from parent: Descriptor, _ object: String
  ) throws(StoreError) -> Bool {
    guard let directory = try open(parent, image) else { return false }
    try layout.requireWritable(object)
    return try mapSystemErrors(object) { () throws(SystemError) in
      guard let stat = try layout.fileSystem.statIfPresent(at: directory.raw, name) else {
        return false
      }
      guard stat.kind == .file else {
        try layout.quarantine(
          directory, name,
          as: "\(parent === layout.tags ? "tags" : "pins")-\(image)-\(printable(name))")
        return true
      }
      do throws(SystemError) {
        try layout.fileSystem.remove(at: directory.raw, name, isDirectory: false)
      } catch {
        if error.code == .notFound { return false }
        throw error
      }
      try layout.fileSystem.sync(directory.raw)
      return true
    }
  }
}

/// The content of a tag or pin file.
struct RefMark {
  static let maxBytes = 4096

  /// The number of a tag, or the reason of a pin.
  let line: String
  /// Whether the first line ends with a newline. Otherwise it may be cut.
  let isTerminated: Bool
  /// "compute:golden" for a tag, "compute@3" for a pin; nil in files of older versions.
  let owner: String?
  /// The id of the snapshot; nil in files of older versions, or if its ref was unreadable.
  let snapshot: Digest?

  init(_ line: String, owner: String, snapshot: Digest?) {
    (self.line, self.owner, self.snapshot) = (line, owner, snapshot)
    isTerminated = true
  }

  init(_ bytes: [UInt8]) {
    let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    line = lines.first ?? ""
    isTerminated = bytes.contains(0x0a)
    let second = lines.dropFirst().first ?? ""
    guard let blank = second.lastIndex(of: " ") else {
      (owner, snapshot) = (nil, nil)
      return
    }
    owner = String(second[..<blank])
    snapshot = Digest(hex: second[second.index(after: blank)...])
  }

  var bytes: [UInt8] {
    let second = owner.flatMap { owner in snapshot.map { "\(owner) \($0.hex)\n" } } ?? ""
    return Array("\(line)\n\(second)".utf8)
  }
}

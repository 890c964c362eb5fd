// Names and promises for snapshots: tags/<image>/<tag> holds a number, pins/<image>/<number> holds why
// the snapshot must stay. Both are created exclusively, complete and synced, after their ref, and
// removed by unlinking; before a ref goes, its tags and its pin do.
//
// 1. The first line is the content. A second line says whose the file is and which snapshot is meant
//    (RefMark): a file that was moved or swapped is found by `verify`.
// 2. A file that cannot be read (a fifo, a folder, too large) is not a tag. A pin's name is enough to
//    keep its snapshot.

import Codec
import Platform

extension RefLog {
  /// Tag names and the numbers they stand for.
  public func tags(of image: ImageName) throws(StoreError) -> [String: Int] {
    guard let folder = try open(layout.tags, image) else { return [:] }
    return try explaining("the tags of \(image)") { () throws(SystemError) in
      var tags: [String: Int] = [:]
      for name in try layout.fileSystem.names(of: folder.raw) {
        guard case .content(let bytes) = try readMark(name, in: folder),
          let number = Int(RefMark(bytes).line)
        else { continue }
        tags[String(decoding: name, as: UTF8.self)] = number
      }
      return tags
    }
  }

  /// Refuses what depends on all tags of an image where one cannot be read.
  public func requireReadableTags(of image: ImageName) throws(StoreError) {
    guard let folder = try open(layout.tags, image) else { return }
    let known = try tags(of: image)
    let names = try explaining("the tags of \(image)") { () throws(SystemError) in
      try layout.fileSystem.names(of: folder.raw)
    }
    for name in names.map({ String(decoding: $0, as: UTF8.self) }) where known[name] == nil {
      throw StoreError(
        .refused, "tag '\(printable(name.utf8))' of \(image)",
        "cannot be read, so nobody can tell which snapshot it keeps",
        advice: "'imgstore verify' says why; 'imgstore repair' moves it to quarantine/")
    }
  }

  /// Words behind "@" that mean something of their own.
  private static let reservedTags: Set<String> = ["live", "today", "yesterday"]

  /// A tag's name is allowed and, unless it may be moved, not taken.
  public func checkTag(
    _ tag: String, of image: ImageName, mayMove: Bool = false
  ) throws(StoreError) {
    let ok = tag.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        || $0 == 0x2d || $0 == 0x5f || $0 == 0x2e || $0 == 0x2b
    }
    let first = tag.utf8.first ?? 0
    guard ok, !tag.isEmpty, tag.utf8.count <= 100,
      (0x41...0x5a).contains(first) || (0x61...0x7a).contains(first)
    else {
      throw StoreError(
        .badName, "tag '\(tag)'", "is not allowed",
        advice: "Tags begin with a letter and have letters, digits, '.', '-', '_' and '+'")
    }
    guard !RefLog.reservedTags.contains(tag) else {
      throw StoreError(
        .badName, "tag '\(tag)'", "has a meaning of its own behind '@'",
        advice: "Choose another tag")
    }
    if !mayMove, let number = try tags(of: image)[tag] {
      throw StoreError(
        .refused, "tag '\(tag)'", "stands for \(image)@\(number) already",
        advice:
          "Choose another tag, or move this one: 'imgstore tag --force', 'snapshot --move-tag'")
    }
  }

  /// Gives a snapshot a tag.
  /// - Parameter moving: takes it away from the snapshot that has it, in one step.
  /// - Returns: the number that had it.
  @discardableResult
  public func setTag(
    _ tag: String, of image: ImageName, to number: Int, moving: Bool = false
  ) throws(StoreError) -> Int? {
    // A tag that is there already, and means this snapshot, is what was asked for.
    if try tags(of: image)[tag] == number { return number }
    try checkTag(tag, of: image, mayMove: moving)
    let old = moving ? try tags(of: image)[tag] : nil
    let mark = RefMark("\(number)", owner: "\(image):\(tag)", snapshot: try? read(image, number).id)
    try create(
      Array(tag.utf8), of: image, in: layout.tags, mark.bytes,
      "tag '\(tag)' of \(image)", exclusively: !moving)
    return old
  }

  /// Takes a tag away; the snapshot stays.
  /// - Throws: `notFound` where there is no such tag.
  public func removeTag(_ tag: String, of image: ImageName) throws(StoreError) {
    guard try remove(Array(tag.utf8), of: image, from: layout.tags, "tag '\(tag)' of \(image)")
    else {
      throw StoreError(
        .notFound, "tag '\(tag)'", "is no tag of \(image)",
        advice: "'imgstore log \(image)' shows its tags")
    }
  }

  // MARK: Pins

  /// The pinned snapshots of an image, and why each is.
  public func pins(of image: ImageName) throws(StoreError) -> [Int: String] {
    guard let folder = try open(layout.pins, image) else { return [:] }
    return try explaining("the pins of \(image)") { () throws(SystemError) in
      var pins: [Int: String] = [:]
      for name in try layout.fileSystem.names(of: folder.raw) {
        guard let number = RefLog.number(name) else { continue }
        switch try readMark(name, in: folder) {
        case .content(let bytes): pins[number] = RefMark(bytes).line
        case .odd: pins[number] = "(the reason cannot be read)"
        case .absent: break
        }
      }
      return pins
    }
  }

  /// Makes a snapshot stay, whatever a policy says.
  /// - Parameter why: a line of at most 1000 bytes.
  /// - Throws: `refused` where it is pinned already, or `why` is no line.
  public func pin(_ image: ImageName, _ number: Int, why: String) throws(StoreError) {
    let object = "the pin of \(image)@\(number)"
    guard why.utf8.count <= 1000, why.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
      throw StoreError(.refused, object, "must give its reason in one line of at most 1000 bytes")
    }
    if let reason = try pins(of: image)[number] {
      // What was asked for is so.
      if why.isEmpty || why == reason { return }
      throw StoreError(
        .refused, "\(image)@\(number)", "is pinned already: \(reason)",
        advice: "'imgstore unpin \(image)@\(number)' first gives it another reason")
    }
    let mark = RefMark(why, owner: "\(image)@\(number)", snapshot: try? read(image, number).id)
    try create(RefLog.fileName(number), of: image, in: layout.pins, mark.bytes, object)
  }

  /// - Returns: false where it was not pinned.
  public func unpin(_ image: ImageName, _ number: Int) throws(StoreError) -> Bool {
    try remove(
      RefLog.fileName(number), of: image, from: layout.pins, "the pin of \(image)@\(number)")
  }

  // MARK: Files

  func readMark(_ name: [UInt8], in folder: Descriptor) throws(SystemError) -> StoredFile {
    try layout.read(folder, name, limitBytes: RefMark.maxBytes)
  }

  private func create(
    _ name: [UInt8], of image: ImageName, in parent: Descriptor, _ text: [UInt8],
    _ object: String, exclusively: Bool = true
  ) throws(StoreError) {
    try layout.requireWritable(object)
    try explaining(object) { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      try makeDirectoryIfAbsent(fileSystem, parent, image.bytes)
      let folder = try fileSystem.openDirectory(at: parent.raw, image.bytes)
      try TemporaryFile.write(text, in: folder, as: name, exclusively: exclusively, layout)
      try fileSystem.sync(parent.raw)
    }
  }

  /// False where there was no such file.
  private func remove(
    _ name: [UInt8], of image: ImageName, from parent: Descriptor, _ object: String
  ) throws(StoreError) -> Bool {
    guard let folder = try open(parent, image) else { return false }
    try layout.requireWritable(object)
    return try explaining(object) { () throws(SystemError) in
      do throws(SystemError) {
        try layout.fileSystem.remove(at: folder.raw, name, isDirectory: false)
      } catch {
        if error.code == .notFound { return false }
        throw error
      }
      try layout.fileSystem.sync(folder.raw)
      return true
    }
  }
}

/// The content of a tag or a pin.
struct RefMark {
  static let maxBytes = 4096

  /// A tag's number, or why a snapshot is pinned.
  let line: String
  /// "compute:golden" of a tag, "compute@3" of a pin; nil where an older version wrote the file.
  let owner: String?
  /// The snapshot that is meant.
  let snapshot: Digest?

  init(_ line: String, owner: String, snapshot: Digest?) {
    (self.line, self.owner, self.snapshot) = (line, owner, snapshot)
  }

  init(_ bytes: [UInt8]) {
    let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    line = lines.first ?? ""
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

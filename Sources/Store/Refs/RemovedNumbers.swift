// Which numbers of an image were removed on purpose: refs/<image>/removed. Every other number up to the
// highest must have a ref; a gap is a lost ref, which `verify` reports and a collection respects.
//
// 1. The record is ranges: between two of them a snapshot stands, or is lost. It is as long as the
//    history has kept snapshots, however many were removed.
// 2. It is replaced as a whole (synced, renamed, the folder synced) before the files <n>.removed go, and
//    is read only by who removes, verifies, repairs or collects.
// 3. Stores of format version 1 have no records: their gaps were removals. They get a record when the
//    format becomes 2, before the first new ref.

import Codec
import Platform

extension RefLog {
  static let recordName = Array("removed".utf8)
  private static let recordTitle = "IMGREMOVED 1"
  private static let maxRecordBytes = 16 << 20
  /// More lost numbers are not listed one by one.
  private static let maxLost = 10_000

  /// What the record of an image says.
  enum RemovedRecord {
    case numbers(NumberRanges)
    case damaged(String)
  }

  func removedRecord(of image: ImageName) throws(StoreError) -> RemovedRecord {
    guard let folder = try open(layout.refs, image) else { return .numbers(NumberRanges()) }
    return try explaining("the refs of \(image)") { () throws(SystemError) in
      try readRecord(image, folder)
    }
  }

  private func readRecord(
    _ image: ImageName, _ folder: Descriptor
  ) throws(SystemError) -> RemovedRecord {
    switch try layout.read(folder, RefLog.recordName, limitBytes: RefLog.maxRecordBytes) {
    case .absent: return .numbers(NumberRanges())
    case .odd(let reason): return .damaged(reason)
    case .content(let bytes): return RefLog.decodeRecord(bytes, of: image)
    }
  }

  private static func decodeRecord(_ bytes: [UInt8], of image: ImageName) -> RemovedRecord {
    let lines = String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count == 5, lines[0] == RefLog.recordTitle,
      let ranges = NumberRanges(lines[2]),
      RefLog.record(String(lines[1]), ranges) == bytes
    else { return .damaged("its checksum does not match") }
    guard lines[1] == image.text else { return .damaged("it is that of \(lines[1])") }
    return .numbers(ranges)
  }

  private static func record(_ image: String, _ ranges: NumberRanges) -> [UInt8] {
    let text = "\(recordTitle)\n\(image)\n\(ranges.text)\n"
    return Array("\(text)\(SHA256.digest(of: Array(text.utf8)).hex)\n".utf8)
  }

  /// Records the numbers of all files <n>.removed, and removes these but the highest's. The caller holds
  /// locks/refs exclusively.
  func foldRemoved(
    _ image: ImageName, _ folder: Descriptor, highest: Int, also more: NumberRanges = NumberRanges()
  ) throws(SystemError) {
    let fileSystem = layout.fileSystem
    let names = try fileSystem.names(of: folder.raw)
    let marks = names.filter { RefLog.removedNumber($0) != nil }
    var ranges = NumberRanges(marks.compactMap(RefLog.removedNumber)).union(more)
    switch try readRecord(image, folder) {
    case .numbers(let known): ranges = ranges.union(known)
    case .damaged:
      for mark in marks { ranges = ranges.union(try recordedNumbers(mark, image, folder)) }
      // What it said is lost: the gaps there are count as removed, and the file is kept.
      try layout.quarantine(folder, RefLog.recordName, as: "refs-\(image)-removed")
      ranges = ranges.union(
        NumberRanges.gaps(upTo: highest, present: names.compactMap { RefLog.number($0) }, ranges))
    }
    do throws(SystemError) {
      try TemporaryFile.write(
        RefLog.record(image.text, ranges), in: folder, as: RefLog.recordName, exclusively: false,
        layout)
    } catch {
      guard error.isOutOfSpace else { throw error }
      // Their names are enough; their content is only space.
      for mark in marks where try isSpent(mark, image, folder) { try empty(mark, folder) }
      return
    }
    try fileSystem.sync(folder.raw)
    for mark in marks {
      let isHighest = RefLog.removedNumber(mark) == highest
      if try !isSpent(mark, image, folder) {
        try layout.quarantine(folder, mark, as: "refs-\(image)-\(printable(mark))")
        if isHighest {
          _ = try fileSystem.openFile(
            at: folder.raw, mark, [.write, .create, .noFollow, .nonBlocking])
        }
      } else if isHighest {
        try empty(mark, folder)
      } else {
        try fileSystem.remove(at: folder.raw, mark, isDirectory: false)
      }
    }
    try fileSystem.sync(folder.raw)
  }

  /// Whether nothing is lost with the content of a file <n>.removed: it has none, or it is the ref that
  /// had the number. Anything else came there by mistake, and may be the only copy of something.
  private func isSpent(
    _ mark: [UInt8], _ image: ImageName, _ folder: Descriptor
  ) throws(SystemError) -> Bool {
    switch try layout.read(folder, mark, limitBytes: RefLog.maxBytes) {
    case .absent: return true
    case .odd: return false
    case .content(let bytes):
      if bytes.isEmpty { return true }
      guard let number = RefLog.removedNumber(mark), let record = try? RefRecord.decode(bytes)
      else { return false }
      return (try? record.requirePlace(image, number)) != nil
    }
  }

  /// The numbers of a record that stands under the name of a file <n>.removed; none where it is another
  /// file.
  private func recordedNumbers(
    _ mark: [UInt8], _ image: ImageName, _ folder: Descriptor
  ) throws(SystemError) -> NumberRanges {
    guard
      case .content(let bytes) = try layout.read(
        folder, mark, limitBytes: RefLog.maxRecordBytes),
      case .numbers(let ranges) = RefLog.decodeRecord(bytes, of: image)
    else { return NumberRanges() }
    return ranges
  }

  /// Gives back the space of a ref that is spent.
  private func empty(_ mark: [UInt8], _ folder: Descriptor) throws(SystemError) {
    let file = try layout.fileSystem.openFile(
      at: folder.raw, mark, [.write, .truncate, .noFollow, .nonBlocking])
    withExtendedLifetime(file) {}
  }

  /// The numbers of an image that must have a ref and have none, ascending.
  /// - Returns: in a store of format version 1, which does not tell, only those that `repair` marked.
  public func lostNumbers(of image: ImageName) throws(StoreError) -> [Int] {
    let names = try fileNames(of: image)
    let marked = names.compactMap { RefLog.lostNumber($0) }
    guard try layout.formatVersion() >= 2,
      case .numbers(let recorded) = try removedRecord(of: image)
    else { return marked.sorted() }
    let present = names.compactMap { RefLog.number($0) }
    let removed = recorded.union(NumberRanges(names.compactMap { RefLog.removedNumber($0) }))
    let highest = max(present.max() ?? 0, removed.ranges.last?.upperBound ?? 0, marked.max() ?? 0)
    return NumberRanges.gaps(upTo: highest, present: present, removed).first(RefLog.maxLost)
  }

  /// Whether a number has a ref, or must have one.
  public func isKnown(_ image: ImageName, _ number: Int) throws(StoreError) -> Bool {
    if try numbers(of: image).contains(number) { return true }
    return try lostNumbers(of: image).contains(number)
  }

  /// - Throws: `damaged` where a ref is lost: what its snapshot needs cannot be told.
  func requireNoneLost() throws(StoreError) {
    for image in try everyImage() {
      guard let number = try lostNumbers(of: image).first else { continue }
      throw StoreError(
        .damaged, "\(image)@\(number)",
        "is lost, so nobody can tell what it needs: nothing is removed (no file refs/\(image)/"
          + String(decoding: RefLog.fileName(number), as: UTF8.self) + ")",
        advice: "Get it back with 'imgstore repair --from' another store, or give it up with "
          + "'imgstore remove \(image)@\(number) --force'")
    }
  }

  /// Brings a store of format version 1 to version 2: before that no gap tells anything.
  func upgrade() throws(StoreError) {
    if try layout.formatVersion() >= 2 { return }
    for image in try everyImage() {
      guard let folder = try open(layout.refs, image) else { continue }
      let highest = try highestNumber(of: image)
      let gaps = NumberRanges.gaps(
        upTo: highest, present: try numbers(of: image), NumberRanges())
      if gaps.ranges.isEmpty { continue }
      try explaining("the refs of \(image)") { () throws(SystemError) in
        let lock = try layout.lock(RefLog.lockName, exclusive: true)
        defer { withExtendedLifetime(lock) {} }
        try foldRemoved(image, folder, highest: highest, also: gaps)
      }
    }
    try explaining("the file format") { () throws(SystemError) in
      try TemporaryFile.write(
        Array(Layout.formatText.utf8), in: layout.root, as: Layout.formatName, exclusively: false,
        layout)
    }
  }
}

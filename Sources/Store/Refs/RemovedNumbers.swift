// The record of removed numbers: refs/<image>/removed. Every other number up to the highest must have a
// ref. A gap is a lost ref, which `verify` reports and gc takes into account.
//
// 1. The record consists of ranges. Between two ranges there is a snapshot, or a lost one. So its length
//    depends on the snapshots that remain, not on those that were removed.
// 2. It is replaced as a whole (synced, renamed, the directory synced) before the files <n>.removed are
//    deleted. Only removal, verify, repair and gc read it.
// 3. Stores of format version 1 have no records: their gaps are removals. They get records when the format
//    becomes 2, before the first new ref.

import Codec
import Platform

extension RefLog {
  static let recordName = Array("removed".utf8)
  private static let recordTitle = "IMGREMOVED 1"
  private static let maxRecordBytes = 16 << 20
  /// The maximum number of ranges of lost numbers in a message.
  private static let maxListedRanges = 10
  /// The maximum number of lost numbers that are listed.
  private static let maxLost = 10_000

  /// The result of reading an image's record.
  enum RemovedRecord {
    case numbers(NumberRanges)
    case damaged(String)
  }

  func removedRecord(of image: ImageName) throws(StoreError) -> RemovedRecord {
    guard let directory = try open(layout.refs, image) else { return .numbers(NumberRanges()) }
    return try mapSystemError("the refs of \(image)", try readRecord(image, directory))
  }

  private func readRecord(
    _ image: ImageName, _ directory: Descriptor
  ) throws(SystemError) -> RemovedRecord {
    switch try layout.read(directory, RefLog.recordName, limitBytes: RefLog.maxRecordBytes) {
    case .absent: return .numbers(NumberRanges())
    case .unexpected(let reason): return .damaged(reason)
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
    guard lines[1] == image.text else { return .damaged("it belongs to \(lines[1])") }
    return .numbers(ranges)
  }

  private static func record(_ image: String, _ ranges: NumberRanges) -> [UInt8] {
    let text = "\(recordTitle)\n\(image)\n\(ranges.text)\n"
    return Array("\(text)\(SHA256.digest(of: Array(text.utf8)).hex)\n".utf8)
  }

  /// Records the numbers of all files <n>.removed, and deletes these files except the one of the highest
  /// number. The caller holds locks/refs exclusively.
  /// - Parameters:
  ///   - highest: the highest number of the image.
  ///   - more: further numbers to record.
  func recordRemoved(
    _ image: ImageName, _ directory: Descriptor, highest: Int,
    additional more: NumberRanges = NumberRanges()
  ) throws(SystemError) {
    let fileSystem = layout.fileSystem
    let names = try fileSystem.names(of: directory.raw)
    let marks = names.filter { RefLog.removedNumber($0) != nil }
    var ranges = NumberRanges(marks.compactMap(RefLog.removedNumber)).union(more)
    switch try readRecord(image, directory) {
    case .numbers(let known): ranges = ranges.union(known)
    case .damaged:
      for mark in marks { ranges = ranges.union(try recordedNumbers(mark, image, directory)) }
      // The damaged record is kept in quarantine/. All its gaps count as removed from now on.
      try layout.quarantine(directory, RefLog.recordName, as: "refs-\(image)-removed")
      ranges = ranges.union(
        NumberRanges.gaps(upTo: highest, present: names.compactMap { RefLog.number($0) }, ranges))
    }
    do throws(SystemError) {
      try TemporaryFile.write(
        RefLog.record(image.text, ranges), in: directory, as: RefLog.recordName, exclusively: false,
        layout)
    } catch {
      guard error.isOutOfSpace else { throw error }
      // The names of the files are enough; their content only takes space.
      for mark in marks where try isDisposable(mark, image, directory) {
        try truncate(mark, directory)
      }
      return
    }
    try fileSystem.sync(directory.raw)
    for mark in marks {
      let isHighest = RefLog.removedNumber(mark) == highest
      if try !isDisposable(mark, image, directory) {
        try layout.quarantine(directory, mark, as: "refs-\(image)-\(printable(mark))")
        if isHighest {
          _ = try fileSystem.openFile(
            at: directory.raw, mark, [.write, .create, .noFollow, .nonBlocking])
        }
      } else if isHighest {
        try truncate(mark, directory)
      } else {
        try fileSystem.remove(at: directory.raw, mark, isDirectory: false)
      }
    }
    try fileSystem.sync(directory.raw)
  }

  /// Returns true if a file <n>.removed can be deleted: it is empty, or the ref of that number. Any other
  /// content came there by mistake, and may be the only copy.
  private func isDisposable(
    _ mark: [UInt8], _ image: ImageName, _ directory: Descriptor
  ) throws(SystemError) -> Bool {
    switch try layout.read(directory, mark, limitBytes: RefLog.maxBytes) {
    case .absent: return true
    case .unexpected: return false
    case .content(let bytes):
      if bytes.isEmpty { return true }
      guard let number = RefLog.removedNumber(mark), let record = try? RefRecord.decode(bytes)
      else { return false }
      return (try? record.requireIdentity(image, number)) != nil
    }
  }

  /// Returns the numbers of a record that has the name of a file <n>.removed; none for another file.
  private func recordedNumbers(
    _ mark: [UInt8], _ image: ImageName, _ directory: Descriptor
  ) throws(SystemError) -> NumberRanges {
    guard
      case .content(let bytes) = try layout.read(
        directory, mark, limitBytes: RefLog.maxRecordBytes),
      case .numbers(let ranges) = RefLog.decodeRecord(bytes, of: image)
    else { return NumberRanges() }
    return ranges
  }

  /// Truncates the file of a removed ref to free its space.
  private func truncate(_ mark: [UInt8], _ directory: Descriptor) throws(SystemError) {
    let file = try layout.fileSystem.openFile(
      at: directory.raw, mark, [.write, .truncate, .noFollow, .nonBlocking])
    withExtendedLifetime(file) {}
  }

  /// Returns the numbers of an image that must have a ref and have none, in ascending order.
  /// - Returns: for a store of format version 1, which has no records, only the numbers that `repair` marked.
  public func lostNumbers(of image: ImageName) throws(StoreError) -> [Int] {
    let listing = try listing(of: image)
    guard try StoreFormat.version(of: layout) >= 2,
      case .numbers(let recorded) = try removedRecord(of: image)
    else { return listing.lost.sorted() }
    let removed = recorded.union(NumberRanges(listing.removed))
    let highest = max(listing.highest, removed.ranges.last?.upperBound ?? 0)
    return NumberRanges.gaps(upTo: highest, present: listing.numbers, removed)
      .first(RefLog.maxLost)
  }

  /// Returns true if a number has a ref, or is lost.
  public func isKnown(_ image: ImageName, _ number: Int) throws(StoreError) -> Bool {
    if try numbers(of: image).contains(number) { return true }
    return try lostNumbers(of: image).contains(number)
  }

  /// Checks that no ref is lost.
  /// - Throws: `damaged` if one is, because the objects that its snapshot needs are unknown.
  func requireNoneLost() throws(StoreError) {
    for image in try everyImage() {
      let ranges = NumberRanges(try lostNumbers(of: image)).ranges
      guard let first = ranges.first else { continue }
      let text = ranges.prefix(RefLog.maxListedRanges).map { rangeText(image, $0) }
      let isOne = ranges.count == 1 && first.count == 1
      throw StoreError(
        .damaged, text.joined(separator: ", "),
        (isOne
          ? "is lost, so its references are unknown; nothing was removed (no file refs/\(image)/"
          : "are lost, so their references are unknown; nothing was removed (the first is refs/\(image)/")
          + String(decoding: RefLog.fileName(first.lowerBound), as: UTF8.self) + ")",
        hint:
          "Restore \(isOne ? "it" : "them") from another store with 'imgstore repair --from', or remove "
          + "\(isOne ? "it" : "them") with 'imgstore remove \(text.joined(separator: " ")) --force'",
        code: .snapshotDamaged)
    }
  }

  /// Upgrades a store of format version 1 to version 2, in which gaps have a meaning.
  func upgrade() throws(StoreError) {
    try StoreFormat.upgrade(layout, to: StoreFormat.createdVersion)
  }

  /// Records the numbers without a ref as removed, as a store of format version 1 means them.
  func recordGaps() throws(StoreError) {
    for image in try everyImage() {
      guard let directory = try open(layout.refs, image) else { continue }
      let highest = try highestNumber(of: image)
      let gaps = NumberRanges.gaps(
        upTo: highest, present: try numbers(of: image), NumberRanges())
      if gaps.ranges.isEmpty { continue }
      try mapSystemErrors("the refs of \(image)") { () throws(SystemError) in
        let lock = try layout.lock(RefLog.lockName, exclusive: true)
        defer { withExtendedLifetime(lock) {} }
        try recordRemoved(image, directory, highest: highest, additional: gaps)
      }
    }
  }
}

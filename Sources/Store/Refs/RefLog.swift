// Refs and tags: which snapshots there are (docs/format.md, "Refs").
//
// 1. refs/<image>/<n> is created once, complete and synced, and never changed: the listing is the
//    history. Two writers that race both succeed, with different numbers.
// 2. A ref holds the whole snapshot object; its id is recomputed at every read.
//    Removing one: RefRemoval.swift. A number never comes to mean another snapshot.
// 3. tags/<image>/<tag> holds a number; it is created exclusively, after its ref.
// 4. A ref carries its image and its number (RefRecord.swift): one that was moved or swapped is damage.
//    Numbers whose snapshots were removed are recorded (RemovedNumbers.swift): any other gap is a loss.

import Codec
import Platform

/// The name of an image: also the name of a folder, so some names are not allowed.
public struct ImageName: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let text: String

  /// - Throws: `badName` for an empty name, one over 128 bytes, one with "/", "@", ":" or control
  ///   characters, and one that begins with "." or "-".
  public init(_ text: String) throws(StoreError) {
    let bytes = Array(text.utf8)
    guard !bytes.isEmpty, bytes.count <= 128, bytes.first != 0x2e, bytes.first != 0x2d,
      bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f && $0 != 0x2f && $0 != 0x40 && $0 != 0x3a })
    else {
      throw StoreError(
        .badName, "image name '\(printable(bytes))'", "is not allowed",
        advice: "Names have 1 to 128 bytes, no '/', '@', ':' or control characters, and do not "
          + "begin with '.' or '-'")
    }
    self.text = text
  }

  public var bytes: [UInt8] { Array(text.utf8) }
  public var description: String { text }
  public static func < (a: ImageName, b: ImageName) -> Bool { precedes(a.bytes, b.bytes) }
}

/// A committed snapshot and its number.
public struct CommittedSnapshot: Sendable {
  public let number: Int
  public let id: Digest
  public let snapshot: Snapshot
  public init(number: Int, id: Digest, snapshot: Snapshot) {
    self.number = number
    self.id = id
    self.snapshot = snapshot
  }

  /// "compute@3".
  public var name: String { "\(snapshot.image)@\(number)" }
}

/// The history of the images in a store.
public struct RefLog: Sendable {
  let layout: Layout
  static let maxBytes = 64 << 20

  /// The images that have snapshots.
  public func images() throws(StoreError) -> [ImageName] { try histories().map(\.image) }

  /// Returns the images that have snapshots, each with its numbers in ascending order. It lists each folder once: a
  /// folder of 5,000 refs takes over a millisecond.
  public func histories() throws(StoreError) -> [(image: ImageName, numbers: [Int])] {
    // The folder of an image whose snapshots were all removed stays.
    var histories: [(image: ImageName, numbers: [Int])] = []
    for image in try everyImage() {
      let numbers = try numbers(of: image)
      if !numbers.isEmpty { histories.append((image, numbers)) }
    }
    return histories
  }

  /// The images that have, or had, snapshots.
  public func everyImage() throws(StoreError) -> [ImageName] {
    let names = try explaining("the folder refs/") { () throws(SystemError) in
      try layout.fileSystem.names(of: layout.refs.raw)
    }
    return names.compactMap { try? ImageName(String(decoding: $0, as: UTF8.self)) }.sorted()
  }

  /// The numbers of an image's snapshots, ascending.
  public func numbers(of image: ImageName) throws(StoreError) -> [Int] {
    try fileNames(of: image).compactMap { RefLog.number($0) }.sorted()
  }

  /// The highest number that an image has, or ever had.
  func highestNumber(of image: ImageName) throws(StoreError) -> Int {
    try fileNames(of: image).compactMap {
      RefLog.number($0) ?? RefLog.removedNumber($0) ?? RefLog.lostNumber($0)
    }.max() ?? 0
  }

  func fileNames(of image: ImageName) throws(StoreError) -> [[UInt8]] {
    guard let folder = try open(layout.refs, image) else { return [] }
    return try explaining("the refs of \(image)") { () throws(SystemError) in
      try layout.fileSystem.names(of: folder.raw)
    }
  }

  public func latest(of image: ImageName) throws(StoreError) -> CommittedSnapshot? {
    guard let last = try numbers(of: image).last else { return nil }
    return try read(image, last)
  }

  /// The latest snapshot that can be read: one damaged ref does not stop the history.
  public func latestReadable(of image: ImageName) throws(StoreError) -> CommittedSnapshot? {
    try latestReadable(of: image, among: try numbers(of: image))
  }

  /// The same, with numbers that are already listed.
  public func latestReadable(
    of image: ImageName, among numbers: [Int]
  ) throws(StoreError) -> CommittedSnapshot? {
    for number in numbers.reversed() {
      do throws(StoreError) { return try read(image, number) } catch {
        guard error.kind == .damaged else { throw error }
      }
    }
    return nil
  }

  /// Reads one ref; nil where it has been removed, also just now by another process.
  public func readIfPresent(
    _ image: ImageName, _ number: Int
  ) throws(StoreError) -> CommittedSnapshot? {
    do throws(StoreError) { return try read(image, number) } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
  }

  /// Reads and checks one ref.
  public func read(_ image: ImageName, _ number: Int) throws(StoreError) -> CommittedSnapshot {
    let object = "ref \(image)@\(number)"
    guard let folder = try open(layout.refs, image) else {
      throw StoreError(.notFound, object, "there is no such snapshot")
    }
    let file = try explaining(object) { () throws(SystemError) in
      try layout.read(folder, RefLog.fileName(number), limitBytes: RefLog.maxBytes)
    }
    switch file {
    case .absent: throw StoreError(.notFound, object, "there is no such snapshot")
    case .odd(let reason): throw .damaged(object, reason)
    case .content(let bytes):
      let record = try decoding(object) { () throws(CodecError) in
        let record = try RefRecord.decode(bytes)
        try record.requirePlace(image, number)
        return record
      }
      return CommittedSnapshot(number: number, id: record.id, snapshot: record.snapshot)
    }
  }

  /// Makes the snapshot part of the image's history: the commit.
  public func append(_ snapshot: Snapshot) throws(StoreError) -> CommittedSnapshot {
    let image = try ImageName(snapshot.image)
    try layout.requireWritable("the history of \(image)")
    try upgrade()
    let encoded = snapshot.encode()
    guard encoded.count <= RefLog.maxBytes - RefRecord.maxFrameBytes else {
      throw StoreError(
        .refused, "the snapshot of \(image)",
        "has a record of \(encoded.count) bytes, which is too much",
        advice: "Look for an absurd number of unreadable files or of rows")
    }
    var number = try highestNumber(of: image) + 1
    let object = "a new ref of \(image)"
    return try explaining(object) { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      try makeDirectoryIfAbsent(fileSystem, layout.refs, image.bytes)
      let folder = try fileSystem.openDirectory(at: layout.refs.raw, image.bytes)
      let id = SHA256.digest(of: encoded)
      while true {
        do throws(SystemError) {
          try TemporaryFile.write(
            RefRecord.encode(encoded, id, image, number), in: folder, as: RefLog.fileName(number),
            exclusively: true, layout)
          break
        } catch {
          guard error.code == .exists else { throw error }
          number += 1
        }
      }
      if number == 1 { try fileSystem.sync(layout.refs.raw) }
      return CommittedSnapshot(number: number, id: id, snapshot: snapshot)
    }
  }

  /// More digits than any history needs: such a name is not a number.
  private static let maxDigits = 15

  static func fileName(_ number: Int) -> [UInt8] {
    let digits = String(number)
    return Array((String(repeating: "0", count: max(0, 10 - digits.count)) + digits).utf8)
  }

  /// The number that is the name of a ref; nil for the name of anything else.
  static func number(_ name: some Collection<UInt8>) -> Int? {
    if name.isEmpty || name.count > maxDigits { return nil }
    var number = 0
    for digit in name {
      guard (0x30...0x39).contains(digit) else { return nil }
      let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
      let (sum, isOver) = tens.addingReportingOverflow(Int(digit - 0x30))
      if isTooLarge || isOver { return nil }
      number = sum
    }
    // One number has one name, `fileName`: ten digits, or more that do not begin with zero.
    let isOwnName = name.count == 10 || (name.count > 10 && name.first != 0x30)
    return number > 0 && isOwnName ? number : nil
  }

  func open(_ parent: Descriptor, _ image: ImageName) throws(StoreError) -> Descriptor? {
    do throws(SystemError) {
      return try layout.fileSystem.openDirectory(at: parent.raw, image.bytes)
    } catch {
      // A file or a link in its place is no history; `verify` names it.
      if error.isAbsent || error.code == .loop { return nil }
      throw .system(error, "the history of \(image)")
    }
  }
}

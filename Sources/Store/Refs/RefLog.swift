// Refs: the snapshots of a store (docs/format.md, "Refs"). RefMarks.swift has tags and pins.
//
// 1. refs/<image>/<n> is created once, complete and synced, and never changed. The directory listing is the
//    history. Two concurrent writers both succeed, with different numbers.
// 2. A ref holds the whole snapshot object, whose id is recomputed at every read. RefRemoval.swift deletes
//    refs. A number is never reused for another snapshot.
// 3. tags/<image>/<tag> holds a number. It is created exclusively, after its ref.
// 4. A ref contains its image and its number (RefRecord.swift), so that a moved or swapped ref is found.
//    The numbers of removed snapshots are recorded (RemovedNumbers.swift): any other gap is a loss.

import Codec
import Platform

/// The name of an image. It is also the name of a directory, so some names are not allowed.
public struct ImageName: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let text: String

  /// Checks and wraps a name.
  /// - Throws: `badName` for an empty name, more than 128 bytes, "/", "@", ":" or control characters, and a
  ///   name that starts with "." or "-".
  public init(_ text: String) throws(StoreError) {
    let bytes = Array(text.utf8)
    guard !bytes.isEmpty, bytes.count <= 128, bytes.first != 0x2e, bytes.first != 0x2d,
      bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f && $0 != 0x2f && $0 != 0x40 && $0 != 0x3a })
    else {
      throw StoreError(
        .badName, "image name '\(printable(bytes))'", "is not valid",
        hint:
          "Use 1 to 128 bytes without '/', '@', ':' and control characters. A name cannot start "
          + "with '.' or '-'")
    }
    self.text = text
  }

  /// Returns the UTF-8 bytes of the name.
  public var bytes: [UInt8] { Array(text.utf8) }
  public var description: String { text }
  public static func < (a: ImageName, b: ImageName) -> Bool { precedes(a.bytes, b.bytes) }
}

/// A committed snapshot with its number.
public struct CommittedSnapshot: Sendable {
  public let number: Int
  public let id: Digest
  public let snapshot: Snapshot
  /// The name of the remote whose history has the snapshot; nil for this store's own.
  public let remote: String?
  /// Creates a value; `id` must be the id of `snapshot`.
  public init(number: Int, id: Digest, snapshot: Snapshot, remote: String? = nil) {
    self.number = number
    self.id = id
    self.snapshot = snapshot
    self.remote = remote
  }

  /// Returns the reference of the snapshot, such as "compute@3" or "mn2/compute@3".
  public var name: String { (remote.map { $0 + "/" } ?? "") + "\(snapshot.image)@\(number)" }
}

/// Gives access to the history of the images in a store.
public struct RefLog: Sendable {
  let layout: Layout
  static let maxBytes = 64 << 20
  /// The largest ref.
  public static let maxRefBytes = maxBytes

  /// Returns the images that have snapshots.
  public func images() throws(StoreError) -> [ImageName] { try histories().map(\.image) }

  /// Returns the images that have snapshots, each with its numbers in ascending order.
  ///
  /// It lists each directory once: a directory of 5,000 refs takes over a millisecond.
  public func histories() throws(StoreError) -> [(image: ImageName, numbers: [Int])] {
    // The directory of an image remains after all its snapshots were removed.
    var histories: [(image: ImageName, numbers: [Int])] = []
    for image in try everyImage() {
      let numbers = try numbers(of: image)
      if !numbers.isEmpty { histories.append((image, numbers)) }
    }
    return histories
  }

  /// Returns the images that have snapshots now or had some before.
  public func everyImage() throws(StoreError) -> [ImageName] {
    let names = try mapSystemError(
      "the directory refs/", try layout.fileSystem.names(of: layout.refs.raw))
    return names.compactMap { try? ImageName(String(decoding: $0, as: UTF8.self)) }.sorted()
  }

  /// Returns the numbers of an image's snapshots in ascending order.
  public func numbers(of image: ImageName) throws(StoreError) -> [Int] {
    try listing(of: image).numbers
  }

  /// Returns the highest number that an image has used, for a snapshot that exists, was removed or is lost.
  func highestNumber(of image: ImageName) throws(StoreError) -> Int {
    try listing(of: image).highest
  }

  /// Returns the number of the snapshot that would be appended next.
  public func nextNumber(of image: ImageName) throws(StoreError) -> Int {
    try highestNumber(of: image) + 1
  }

  func listing(of image: ImageName) throws(StoreError) -> RefListings.Listing {
    guard let directory = try open(layout.refs, image) else { return RefListings.Listing([]) }
    return try mapSystemError(
      "the refs of \(image)", try layout.refListings.listing(of: directory, layout.fileSystem))
  }

  func fileNames(of image: ImageName) throws(StoreError) -> [[UInt8]] {
    guard let directory = try open(layout.refs, image) else { return [] }
    return try mapSystemError(
      "the refs of \(image)", try layout.fileSystem.names(of: directory.raw))
  }

  /// Returns the snapshot with the highest number; nil if there is none.
  /// - Throws: `damaged` if its ref cannot be read.
  public func latest(of image: ImageName) throws(StoreError) -> CommittedSnapshot? {
    guard let last = try numbers(of: image).last else { return nil }
    return try read(image, last)
  }

  /// Returns the latest readable snapshot; nil if there is none. Damaged refs are skipped.
  public func latestReadable(of image: ImageName) throws(StoreError) -> CommittedSnapshot? {
    try latestReadable(of: image, among: try numbers(of: image))
  }

  /// Returns the latest readable snapshot among the numbers of a listing.
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

  /// Reads one ref; nil if it does not exist, also if another process has just removed it.
  /// - Throws: `damaged`, `system`.
  public func readIfPresent(
    _ image: ImageName, _ number: Int
  ) throws(StoreError) -> CommittedSnapshot? {
    do throws(StoreError) { return try read(image, number) } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
  }

  /// Reads and verifies one ref.
  /// - Throws: `notFound`, `damaged`, `system`.
  public func read(_ image: ImageName, _ number: Int) throws(StoreError) -> CommittedSnapshot {
    let object = "ref \(image)@\(number)"
    guard let directory = try open(layout.refs, image) else {
      throw StoreError(.notFound, object, "does not exist", code: .snapshotNotFound)
    }
    let file = try mapSystemError(
      object, try layout.read(directory, RefLog.fileName(number), limitBytes: RefLog.maxBytes))
    switch file {
    case .absent: throw StoreError(.notFound, object, "does not exist", code: .snapshotNotFound)
    case .unexpected(let reason): throw .damaged(object, reason)
    case .content(let bytes):
      let record = try mapCodecErrors(object) { () throws(CodecError) in
        let record = try RefRecord.decode(bytes)
        try record.requireIdentity(image, number)
        return record
      }
      return CommittedSnapshot(number: number, id: record.id, snapshot: record.snapshot)
    }
  }

  /// Returns the ids of an image's snapshots by ascending number, as their refs name them.
  ///
  /// It reads only the id of each ref, and verifies nothing: `read` does that. Refs that have no id are skipped.
  /// - Throws: `system`.
  public func ids(of image: ImageName) throws(StoreError) -> [(number: Int, id: Digest)] {
    let numbers = try numbers(of: image)
    guard !numbers.isEmpty, let directory = try open(layout.refs, image) else { return [] }
    var ids: [(number: Int, id: Digest)] = []
    for number in numbers {
      let id = try mapSystemError("ref \(image)@\(number)", try id(directory, number))
      if let id { ids.append((number, id)) }
    }
    return ids
  }

  private func id(_ directory: Descriptor, _ number: Int) throws(SystemError) -> Digest? {
    guard
      case .file(let file, _) = try openIfPresent(directory, RefLog.fileName(number))
    else { return nil }
    let frontBytes = RefRecord.frontBytes
    var buffer = [UInt8](repeating: 0, count: frontBytes)
    var failure: SystemError?
    func read(at offset: UInt64, _ count: Int) -> Bool {
      buffer.withUnsafeMutableBytes { bytes in
        do throws(SystemError) {
          return try layout.fileSystem.readFully(
            file.raw, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]))
            == count
        } catch {
          failure = error
          return false
        }
      }
    }
    guard read(at: 0, frontBytes), let bodyBytes = RefRecord.snapshotBytes(front: buffer) else {
      if let failure { throw failure }
      return nil
    }
    buffer = [UInt8](repeating: 0, count: Digest.byteCount)
    guard read(at: UInt64(frontBytes + bodyBytes), Digest.byteCount) else {
      if let failure { throw failure }
      return nil
    }
    return Digest(buffer)
  }

  private func openIfPresent(
    _ directory: Descriptor, _ name: [UInt8]
  ) throws(SystemError) -> Layout.OpenedFile? {
    do throws(SystemError) { return try layout.openRegular(directory, name) } catch {
      // Another process may have just removed the snapshot.
      if error.isAbsent { return nil }
      throw error
    }
  }

  /// Commits a snapshot: creates its ref under the next number of the image.
  /// - Parameter origin: where the snapshot comes from; nil if it was taken here.
  /// - Throws: `refused` for a read-only store or a snapshot larger than a ref can be; `system`.
  public func append(
    _ snapshot: Snapshot, origin: OriginRecord? = nil
  ) throws(StoreError) -> CommittedSnapshot {
    let image = try ImageName(snapshot.image)
    try layout.requireWritable("the history of \(image)")
    try upgrade()
    let encoded = snapshot.encode()
    guard encoded.count <= RefLog.maxBytes - RefRecord.maxFrameBytes else {
      throw StoreError(
        .refused, "the snapshot of \(image)",
        "has a record of \(encoded.count) bytes, more than the limit",
        hint: "Look for a very large number of unreadable files or table rows")
    }
    var number = try nextNumber(of: image)
    let object = "a new ref of \(image)"
    return try mapSystemErrors(object) { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      try fileSystem.makeDirectoryIfAbsent(at: layout.refs.raw, image.bytes, .private)
      let directory = try fileSystem.openDirectory(at: layout.refs.raw, image.bytes)
      let id = SHA256.digest(of: encoded)
      while true {
        do throws(SystemError) {
          try OriginRecords(layout: layout).prepare(
            origin, of: SnapshotName(image: image, number: number))
          try TemporaryFile.write(
            RefRecord.encode(encoded, id, image, number), in: directory,
            as: RefLog.fileName(number),
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

  /// Longer names are not numbers. No history needs so many digits.
  private static let maxDigits = 15

  /// Returns the file name of a number: at least ten digits.
  static func fileName(_ number: Int) -> [UInt8] {
    let digits = String(number)
    return Array((String(repeating: "0", count: max(0, 10 - digits.count)) + digits).utf8)
  }

  /// Returns the number that a ref's file name stands for; nil for any other name.
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
    // Each number has one name, `fileName`: ten digits, or more that do not start with zero.
    let isOwnName = name.count == 10 || (name.count > 10 && name.first != 0x30)
    return number > 0 && isOwnName ? number : nil
  }

  /// Opens the directory of an image; nil if there is none.
  func open(_ parent: Descriptor, _ image: ImageName) throws(StoreError) -> Descriptor? {
    do throws(SystemError) {
      return try layout.fileSystem.openDirectory(at: parent.raw, image.bytes)
    } catch {
      // A file or link in its place is not a history; `verify` reports it.
      if error.isAbsent || error.code == .loop { return nil }
      throw .system(error, "the history of \(image)")
    }
  }
}

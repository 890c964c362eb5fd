// Merges the write-ahead log of an SQLite database in memory. If the last writer was interrupted, the newest
// pages are in a `-wal` file next to the database (https://sqlite.org/fileformat2.html, section 4).
//
// 1. As in SQLite, frames count up to the last commit before the first frame with a wrong salt or
//    checksum. Later frames are obsolete or torn.
// 2. Afterwards the database's header declares that it has no log, so that SQLite reads it as it is.

enum WriteAheadLog {
  private static let headerBytes = 32
  private static let frameHeaderBytes = 24

  static func replay(_ log: [UInt8], over database: inout [UInt8]) throws {
    guard database.count >= 100 else { return }
    if log.count > headerBytes + frameHeaderBytes {
      let pages: [(number: Int, at: Int)]
      let pageBytes: Int
      let pageCount: Int
      (pages, pageBytes, pageCount) = try log.withUnsafeBytes { try committed(ByteView($0)) }
      if !pages.isEmpty {
        let (size, overflow) = pageBytes.multipliedReportingOverflow(by: pageCount)
        guard !overflow, size <= RPMDatabase.limitBytes else {
          throw MalformedDataError("its write-ahead log makes it too large")
        }
        if size > database.count {
          database.append(contentsOf: repeatElement(0, count: size - database.count))
        } else {
          database.removeSubrange(size...)
        }
        for (number, at) in pages where number >= 1 && number <= pageCount {
          database.replaceSubrange(
            (number - 1) * pageBytes..<number * pageBytes, with: log[at..<at + pageBytes])
        }
      }
    }
    guard database.count >= 100 else { return }
    // Bytes 18 and 19: the versions for writing and reading; 2 means "with a write-ahead log".
    if database[18] == 2 { database[18] = 1 }
    if database[19] == 2 { database[19] = 1 }
  }

  /// Returns the offsets in the log of the pages of its committed frames, in order, and the database's size.
  private static func committed(
    _ log: ByteView
  ) throws(MalformedDataError) -> (pages: [(number: Int, at: Int)], pageBytes: Int, pageCount: Int)
  {
    let magic = try log.word32(0, isBigEndian: true)
    let pageBytes = try log.length(8, isBigEndian: true)
    guard magic & ~1 == 0x377f_0682, (512...65536).contains(pageBytes),
      pageBytes & (pageBytes - 1) == 0
    else { return ([], 0, 0) }
    let sumsBigEndian = magic & 1 == 1
    var sum = try checksum(log.view(0, 24), (0, 0), sumsBigEndian)
    guard try sum == (log.word32(24, isBigEndian: true), log.word32(28, isBigEndian: true)) else {
      return ([], 0, 0)
    }
    var pages: [(number: Int, at: Int)] = []
    var committedCount = 0
    var pageCount = 0
    var at = headerBytes
    while log.count - at >= frameHeaderBytes + pageBytes {
      guard try log.word32(at + 8) == log.word32(16), try log.word32(at + 12) == log.word32(20)
      else { break }
      sum = try checksum(log.view(at, 8), sum, sumsBigEndian)
      sum = try checksum(log.view(at + frameHeaderBytes, pageBytes), sum, sumsBigEndian)
      guard
        try sum == (log.word32(at + 16, isBigEndian: true), log.word32(at + 20, isBigEndian: true))
      else { break }
      pages.append((try log.length(at, isBigEndian: true), at + frameHeaderBytes))
      let sizeAfterCommit = try log.length(at + 4, isBigEndian: true)
      if sizeAfterCommit != 0 { (committedCount, pageCount) = (pages.count, sizeAfterCommit) }
      at += frameHeaderBytes + pageBytes
    }
    return (Array(pages.prefix(committedCount)), pageBytes, pageCount)
  }

  private static func checksum(
    _ bytes: ByteView, _ start: (UInt32, UInt32), _ isBigEndian: Bool
  ) throws(MalformedDataError) -> (UInt32, UInt32) {
    var (a, b) = start
    for at in stride(from: 0, to: bytes.count - 7, by: 8) {
      a = a &+ (try bytes.word32(at, isBigEndian: isBigEndian)) &+ b
      b = b &+ (try bytes.word32(at + 4, isBigEndian: isBigEndian)) &+ a
    }
    return (a, b)
  }
}

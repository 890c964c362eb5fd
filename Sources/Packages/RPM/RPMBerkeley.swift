// `Packages` as a Berkeley DB hash database (libdb's src/dbinc/db_page.h): pages in either byte order,
// buckets of key/value pairs, large values in chains of overflow pages.
//
// 1. A page is used only if it contains its own number.
// 2. The number of pages limits every walk, and the file's size limits all values together. A cyclic
//    chain, or values that share pages, are damage.
// 3. Key 0 is rpm's counter, not a header.

enum RPMBerkeley {
  static func forEachHeader(
    _ file: ByteView, _ body: (ByteView) throws(MalformedDataError) -> Void
  ) throws(MalformedDataError) {
    let database = try BerkeleyHash(file)
    try database.visitPairs { key, value throws(MalformedDataError) in
      if key.buffer.allSatisfy({ $0 == 0 }) { return }
      try body(value)
    }
  }
}

/// A Berkeley DB hash database.
private struct BerkeleyHash {
  private let file: ByteView
  private let isBigEndian: Bool
  private let pageBytes: Int
  private let lastPage: Int
  private let maxBucket: Int
  /// For each doubling of the table, the offset from a bucket to its page.
  private var spares: [Int] = []

  private static let magic: UInt32 = 0x0006_1561
  private static let pageHeaderBytes = 26

  private enum PageType {
    static let unsortedHash: UInt8 = 2
    static let overflow: UInt8 = 7
    static let hash: UInt8 = 13
  }

  private enum ItemType {
    static let inline: UInt8 = 1
    static let overflow: UInt8 = 3
  }

  init(_ file: ByteView) throws(MalformedDataError) {
    self.file = file
    if try file.word32(12) == BerkeleyHash.magic {
      isBigEndian = false
    } else if try file.word32(12, isBigEndian: true) == BerkeleyHash.magic {
      isBigEndian = true
    } else {
      throw MalformedDataError("it is not a Berkeley DB hash database")
    }
    let version = try file.length(16, isBigEndian: isBigEndian)
    guard (8...10).contains(version) else {
      throw MalformedDataError(
        "it is a hash database of version \(version); this program reads 8 to 10")
    }
    guard try file.byte(24) == 0 else { throw MalformedDataError("it is encrypted") }
    pageBytes = try file.length(20, isBigEndian: isBigEndian)
    guard (512...65536).contains(pageBytes), pageBytes & (pageBytes - 1) == 0 else {
      throw MalformedDataError("its pages are of \(pageBytes) bytes")
    }
    lastPage = try file.length(32, isBigEndian: isBigEndian)
    maxBucket = try file.length(72, isBigEndian: isBigEndian)
    guard lastPage < file.count / pageBytes, maxBucket < file.count / pageBytes else {
      throw MalformedDataError("it ends too early")
    }
    for i in 0..<32 { spares.append(try file.length(96 + 4 * i, isBigEndian: isBigEndian)) }
  }

  /// Calls `body` with each pair; the views are valid during the call only.
  func visitPairs(
    _ body: (_ key: ByteView, _ value: ByteView) throws(MalformedDataError) -> Void
  ) throws(MalformedDataError) {
    var keyBytes: [UInt8] = []
    var valueBytes: [UInt8] = []
    var visited = 0
    var totalBytes = 0
    for bucket in 0...maxBucket {
      var number = page(ofBucket: bucket)
      repeat {
        visited += 1
        guard visited <= lastPage else { throw MalformedDataError("its pages form a cycle") }
        let page = try page(number)
        let type = try page.byte(25)
        guard type == PageType.hash || type == PageType.unsortedHash else {
          throw MalformedDataError(
            "page \(number) is of type \(type), where a hash page is expected")
        }
        let items = try page.word16(20, isBigEndian: isBigEndian)
        for i in stride(from: 0, to: items - items % 2, by: 2) {
          try load(page, item: i, into: &keyBytes, &totalBytes)
          try load(page, item: i + 1, into: &valueBytes, &totalBytes)
          try call(body, keyBytes, valueBytes)
        }
        number = try page.length(16, isBigEndian: isBigEndian)
      } while number != 0
    }
  }

  private func call(
    _ body: (ByteView, ByteView) throws(MalformedDataError) -> Void, _ key: [UInt8],
    _ value: [UInt8]
  ) throws(MalformedDataError) {
    try key.withUnsafeBytes { (key) throws(MalformedDataError) in
      try value.withUnsafeBytes { (value) throws(MalformedDataError) in
        try body(ByteView(key), ByteView(value))
      }
    }
  }

  private func page(ofBucket bucket: Int) -> Int {
    let doubling = bucket == 0 ? 0 : Int.bitWidth - bucket.leadingZeroBitCount
    return doubling < spares.count ? bucket + spares[doubling] : .max
  }

  private func page(_ number: Int) throws(MalformedDataError) -> ByteView {
    guard number > 0, number <= lastPage else {
      throw MalformedDataError("it has no page \(number)")
    }
    let page = try file.view(number * pageBytes, pageBytes)
    guard try page.length(8, isBigEndian: isBigEndian) == number else {
      throw MalformedDataError("page \(number) contains another page number")
    }
    return page
  }

  /// Loads the items of a page. Items fill a page from its end: each ends where the previous one begins.
  private func load(
    _ page: ByteView, item: Int, into bytes: inout [UInt8], _ totalBytes: inout Int
  ) throws(MalformedDataError) {
    let table = BerkeleyHash.pageHeaderBytes
    let start = try page.word16(table + 2 * item, isBigEndian: isBigEndian)
    let end =
      item == 0
      ? pageBytes : try page.word16(table + 2 * (item - 1), isBigEndian: isBigEndian)
    guard start < end, end <= pageBytes else {
      throw MalformedDataError("an item of it has no length")
    }
    let whole = try page.view(start, end - start)
    bytes.removeAll(keepingCapacity: true)
    switch try whole.byte(0) {
    case ItemType.inline: bytes.append(contentsOf: try whole.view(1, whole.count - 1).buffer)
    case ItemType.overflow: try loadOverflow(whole, into: &bytes, &totalBytes)
    case let type: throw MalformedDataError("an item of it is of type \(type)")
    }
  }

  private func loadOverflow(
    _ item: ByteView, into bytes: inout [UInt8], _ totalBytes: inout Int
  ) throws(MalformedDataError) {
    var number = try item.length(4, isBigEndian: isBigEndian)
    let length = try item.length(8, isBigEndian: isBigEndian)
    guard length <= file.count - totalBytes else { throw MalformedDataError("its values overlap") }
    totalBytes += length
    bytes.reserveCapacity(length)
    while bytes.count < length {
      let page = try page(number)
      guard try page.byte(25) == PageType.overflow else {
        throw MalformedDataError("page \(number) is not an overflow page")
      }
      let count = try page.word16(22, isBigEndian: isBigEndian)
      guard count > 0, count <= length - bytes.count else {
        throw MalformedDataError(
          "overflow page \(number) has \(count) bytes, more or less than its value")
      }
      bytes.append(contentsOf: try page.view(BerkeleyHash.pageHeaderBytes, count).buffer)
      number = try page.length(16, isBigEndian: isBigEndian)
    }
  }
}

// The maps of sparse files in the four forms of `SparseMap`.

extension TarReader {
  /// Returns the map of a sparse member; nil for other members.
  func sparseMap(
    _ header: TarHeader, _ pax: PaxRecords, _ member: TarMember
  ) throws -> SparseMap? {
    if header.type == UInt8(ascii: "S") {
      var numbers = try header.sparseNumbers(member: member.path)
      var isExtended = header.hasMoreSparseNumbers
      while isExtended {
        guard numbers.count <= 2 * SparseMap.maxParts else {
          throw ArchiveError(member: member.path, "its map of a sparse file is too long")
        }
        let block = try stream.read(TarBlock.size)
        guard block.count == TarBlock.size else {
          throw ArchiveError(member: member.path, "the archive ends inside this member")
        }
        numbers += try TarHeader.sparseNumbers(
          block, at: 0, count: 21, member: member.path)
        isExtended = block[504] != 0
      }
      return try SparseMap(
        numbers, sizeBytes: try header.realSize(member: member.path),
        storedBytes: stream.remainingBytes,
        member: member.path)
    }
    if pax.sparse.isEmpty, pax.sparseNumbers.isEmpty { return nil }
    func number(_ key: String) throws(ArchiveError) -> UInt64? {
      guard let text = pax.sparse[key] else { return nil }
      guard let value = UInt64(decimal: text) else {
        throw ArchiveError(member: member.path, "its map of a sparse file is malformed")
      }
      return value
    }
    guard let size = try number("realsize") ?? number("size") else {
      throw ArchiveError(member: member.path, "its map of a sparse file has no size")
    }
    if let major = try number("major") {
      guard major == 1, try number("minor") == 0 else {
        throw ArchiveError(
          member: member.path, "it is a sparse file of the form \(major), which is not supported")
      }
      let numbers = try readMap(member.path)
      return try SparseMap(
        numbers, sizeBytes: size, storedBytes: stream.remainingBytes, member: member.path)
    }
    var numbers = pax.sparseNumbers
    if let text = pax.sparse["map"] {
      numbers = try text.split(separator: 0x2c, omittingEmptySubsequences: false)
        .map { part throws(ArchiveError) -> UInt64 in
          guard let value = UInt64(decimal: part) else {
            throw ArchiveError(member: member.path, "its map of a sparse file is malformed")
          }
          return value
        }
    }
    return try SparseMap(
      numbers, sizeBytes: size, storedBytes: stream.remainingBytes, member: member.path)
  }

  /// Reads the map of pax 1.0: lines of decimal digits before the content, padded to a block.
  private func readMap(_ path: [UInt8]) throws -> [UInt64] {
    var block: ArraySlice<UInt8> = []
    func line() throws -> UInt64 {
      var digits: [UInt8] = []
      while true {
        if block.isEmpty {
          guard stream.remainingBytes >= 512 else {
            throw ArchiveError(member: path, "its map of a sparse file is truncated")
          }
          block = try stream.read(512)[...]
          guard block.count == 512 else {
            throw ArchiveError(member: path, "the archive ends inside this member")
          }
          stream.remainingBytes -= 512
        }
        let byte = block.removeFirst()
        if byte == 0x0a { break }
        guard digits.count < 20 else { break }
        digits.append(byte)
      }
      guard let value = UInt64(decimal: digits) else {
        throw ArchiveError(member: path, "its map of a sparse file is malformed")
      }
      return value
    }
    let count = try line()
    guard count <= UInt64(SparseMap.maxParts) else {
      throw ArchiveError(member: path, "its map of a sparse file is too long")
    }
    var numbers: [UInt64] = []
    for _ in 0..<2 * count { numbers.append(try line()) }
    return numbers
  }
}

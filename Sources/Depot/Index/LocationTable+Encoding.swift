// Writes tables of locations; `LocationTable` has the layout.

import Codec

extension LocationTable {
  /// Returns the bytes of a table, in parts.
  static func encode(
    _ builder: inout TableBuilder, _ output: ([UInt8]) throws -> Void
  ) rethrows {
    builder.rows.sort(by: LocationRow.precedes)
    let rows = builder.rows
    let packs = builder.packs
    let blockCount = (rows.count + rowsPerBlock - 1) / rowsPerBlock
    var front = ByteWriter()
    front.raw(magic)
    front.word32(UInt32(packs.count))
    front.word32(UInt32(blockCount))
    front.word64(UInt64(rows.count))
    front.word32(UInt32(builder.basedFrames.count))
    front.word32(UInt32(builder.headers.count))
    var lists = ByteWriter()
    for pack in packs {
      lists.digest(pack.name.digest)
      lists.word64(pack.name.writer.high)
      lists.word64(pack.name.writer.low)
      lists.word64(pack.sizeBytes)
      lists.word32(UInt32(pack.rowCount))
    }
    for block in 0..<blockCount { lists.word64(rows[block * rowsPerBlock].key.high) }
    for frame in builder.basedFrames {
      lists.word32(frame.pack)
      lists.word32(frame.offset)
      lists.word32(frame.header)
    }
    var crc = CRC32()
    front.bytes.withUnsafeBytes { crc.update($0) }
    lists.bytes.withUnsafeBytes { crc.update($0) }
    front.word32(crc.value)
    try output(front.bytes)
    try output(lists.bytes)
    for block in 0..<blockCount {
      let slice = rows[(block * rowsPerBlock)..<min(rows.count, (block + 1) * rowsPerBlock)]
      try output(encodeBlock(slice))
    }
    try output(builder.headers)
  }

  private static func encodeBlock(_ rows: ArraySlice<LocationRow>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: blockBytes) { buffer, count in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
      for (index, row) in rows.enumerated() {
        let base = index * rowBytes
        bytes.storeBytes(of: row.key.high.littleEndian, toByteOffset: base, as: UInt64.self)
        bytes.storeBytes(of: row.key.low.littleEndian, toByteOffset: base + 8, as: UInt64.self)
        let kind = row.key.kind | UInt32(row.depth) << 8
        let words = [kind, row.pack, row.offset, row.frameBytes, row.start, row.length]
        for (i, word) in words.enumerated() {
          bytes.storeBytes(of: word.littleEndian, toByteOffset: base + 16 + i * 4, as: UInt32.self)
        }
      }
      let content = UnsafeRawBufferPointer(rebasing: bytes[..<(blockBytes - 4)])
      bytes.storeBytes(
        of: CRC32.of(content).littleEndian, toByteOffset: blockBytes - 4, as: UInt32.self)
      count = blockBytes
    }
  }
}

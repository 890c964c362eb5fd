// Collects the rows of a table of locations, from directories of packs and from other tables.

import Codec
import Platform
import Store

/// Collects the rows of a table.
struct TableBuilder {
  private(set) var packs: [LocationTable.Pack] = []
  var rows: [LocationRow] = []
  private(set) var basedFrames: [LocationTable.BasedFrame] = []
  /// The headers of the frames with a base.
  private(set) var headers: [UInt8] = []
  private var names: Set<DepotPack> = []

  var isEmpty: Bool { packs.isEmpty }
  var rowCount: Int { rows.count }
  /// Whether a table with these rows is large enough.
  var isFull: Bool {
    rows.count >= LocationIndex.maxRows || headers.count >= LocationIndex.maxHeaderBytes
  }
  func contains(_ pack: DepotPack) -> Bool { names.contains(pack) }

  mutating func add(_ directory: PackDirectory) throws {
    let position = UInt32(packs.count)
    let before = rows.count
    // Growth by doubling would hold two large arrays at once.
    if rows.count > LocationIndex.maxRows / 8, rows.capacity < LocationIndex.maxRows {
      rows.reserveCapacity(LocationIndex.maxRows + LocationIndex.maxRows / 16)
    }
    try directory.forEachFrame { frame in
      if frame.header.base != nil {
        basedFrames.append(
          LocationTable.BasedFrame(
            pack: position, offset: UInt32(frame.offset), header: UInt32(headers.count)))
        headers += directory.headers[frame.headerRange]
      }
      for object in frame.header.objects {
        rows.append(
          LocationRow(
            key: LocationKey(object.kind, object.id), pack: position,
            offset: UInt32(frame.offset), frameBytes: UInt32(frame.header.frameBytes),
            start: UInt32(object.start), length: UInt32(object.length),
            depth: frame.header.base?.depth ?? 0))
      }
    }
    names.insert(directory.pack)
    packs.append(
      LocationTable.Pack(
        name: directory.pack, sizeBytes: directory.sizeBytes, rowCount: rows.count - before))
  }

  mutating func add(_ table: LocationTable) throws {
    // A pack that several tables have is taken once.
    let isNew = table.packs.map { names.insert($0.name).inserted }
    var positions: [UInt32] = []
    for (pack, isNew) in zip(table.packs, isNew) {
      positions.append(UInt32(packs.count))
      if isNew { packs.append(pack) }
    }
    try table.forEachRow { row in
      guard isNew[Int(row.pack)] else { return true }
      rows.append(
        LocationRow(
          key: row.key, pack: positions[Int(row.pack)], offset: row.offset,
          frameBytes: row.frameBytes, start: row.start, length: row.length, depth: row.depth))
      return true
    }
    for (index, frame) in table.basedFrames.enumerated() {
      guard Int(frame.pack) < isNew.count else { throw DamagedCacheError() }
      guard isNew[Int(frame.pack)] else { continue }
      basedFrames.append(
        LocationTable.BasedFrame(
          pack: positions[Int(frame.pack)], offset: frame.offset, header: UInt32(headers.count)))
      headers += try table.headerBytes(ofBasedFrame: index)
    }
  }
}

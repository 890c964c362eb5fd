// The table of extended attributes: sets of keys and values, and one record per set with its
// position. Equal sets are stored once; a repeated value is stored as a reference.

import Codec
import Platform
import Store

/// The attribute sets of an image.
struct SquashfsXattrs {
  private enum Prefix: UInt16, CaseIterable {
    case user = 0
    case trusted = 1
    case security = 2

    var bytes: [UInt8] {
      switch self {
      case .user: Array("user.".utf8)
      case .trusted: Array("trusted.".utf8)
      case .security: Array("security.".utf8)
      }
    }
  }

  private static let outOfLine: UInt16 = 0x100
  /// The minimum size of values that are stored as references. A reference takes eight bytes, so
  /// shorter values are repeated.
  private static let minReferred = 9

  private var pairs: SquashfsMetadata
  private var ids: [UInt8] = []
  private var count: UInt32 = 0
  private var numbers: [Digest: (id: UInt32, omitted: [[UInt8]])] = [:]
  private var values: [[UInt8]: MetadataReference] = [:]
  private let source: OverlayTree
  private let compressor: SquashfsMetadataCompressor

  init(_ source: OverlayTree, _ compressor: SquashfsMetadataCompressor) {
    self.source = source
    self.compressor = compressor
    pairs = SquashfsMetadata(compressor)
  }

  var isEmpty: Bool { count == 0 }

  /// Returns the number of a set, and adds it if it is new. Also returns the names that squashfs
  /// cannot store: all but user, trusted and security ones.
  mutating func number(of set: Digest) throws -> (id: UInt32, omitted: [[UInt8]]) {
    if let known = numbers[set] { return known }
    let bytes = try source.object(.xattrs, set)
    let attributes: [XattrSet.Attribute]
    do throws(CodecError) { attributes = try XattrSet.decode(bytes).attributes } catch {
      throw StoreError(
        .damaged, "attribute set \(set)", "is damaged: \(error)",
        hint: "Run 'imgstore verify --deep' to see which snapshots are affected")
    }
    let number = try add(attributes)
    numbers[set] = number
    return number
  }

  private mutating func add(
    _ attributes: [XattrSet.Attribute]
  ) throws(RenderError) -> (id: UInt32, omitted: [[UInt8]]) {
    let position = pairs.position
    var omitted: [[UInt8]] = []
    var addedCount: UInt32 = 0
    var listBytes: UInt32 = 0
    for attribute in attributes {
      guard
        let prefix = Prefix.allCases.first(where: { attribute.name.starts(with: $0.bytes) }),
        attribute.name.count > prefix.bytes.count, attribute.name.count <= 255,
        attribute.value.count <= 65536
      else {
        omitted.append(attribute.name)
        continue
      }
      try append(prefix, attribute.name[prefix.bytes.count...], attribute.value)
      addedCount += 1
      listBytes &+= UInt32(attribute.name.count + 1 + attribute.value.count)
    }
    guard addedCount > 0 else { return (Squashfs.noXattrs, omitted) }
    ids.append64(position.packed)
    ids.append32(addedCount)
    // The size of all names with their terminators, and of all values, as listing and reading them returns.
    ids.append32(listBytes)
    count += 1
    return (count - 1, omitted)
  }

  private mutating func append(
    _ prefix: Prefix, _ name: ArraySlice<UInt8>, _ value: [UInt8]
  ) throws(RenderError) {
    let known = value.count >= SquashfsXattrs.minReferred ? values[value] : nil
    var key: [UInt8] = []
    key.append16(prefix.rawValue | (known == nil ? 0 : SquashfsXattrs.outOfLine))
    key.append16(UInt16(name.count))
    key += name
    try pairs.append(key)
    var record: [UInt8] = []
    if let known {
      record.append32(8)
      record.append64(known.packed)
    } else {
      if value.count >= SquashfsXattrs.minReferred { values[value] = pairs.position }
      record.append32(UInt32(value.count))
      record += value
    }
    try pairs.append(record)
  }

  /// Writes the table.
  /// - Returns: the position of its header; `noTable` if there are no attributes.
  mutating func write(to output: SquashfsOutput) throws -> UInt64 {
    guard count > 0 else { return Squashfs.noTable }
    try pairs.finish()
    let pairsStart = output.offset
    try output.append(pairs.bytes)
    let blocks = try output.appendBlocks(of: ids, compressor)
    let start = output.offset
    var header: [UInt8] = []
    header.append64(pairsStart)
    header.append32(count)
    header.append32(0)
    for block in blocks { header.append64(block) }
    try output.append(header)
    return start
  }
}

extension SquashfsOutput {
  /// Writes records as metadata blocks.
  /// - Returns: the position of each block in the image.
  func appendBlocks(of records: [UInt8], _ compressor: SquashfsMetadataCompressor) throws
    -> [UInt64]
  {
    var table = SquashfsMetadata(compressor)
    try table.append(records)
    try table.finish()
    let start = offset
    try append(table.bytes)
    return table.blocks.map { start + $0 }
  }

  /// Writes records as metadata blocks, followed by the list of the blocks.
  /// - Returns: the position of the list.
  func appendTable(_ records: [UInt8], _ compressor: SquashfsMetadataCompressor) throws -> UInt64 {
    let blocks = try appendBlocks(of: records, compressor)
    let start = offset
    var list: [UInt8] = []
    for block in blocks { list.append64(block) }
    try append(list)
    return start
  }
}

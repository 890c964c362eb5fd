// The two small objects that entries share by id: attribute sets and hole maps.

import Codec

/// The extended attributes of an entry, in byte order of their names.
public struct XattrSet: Hashable, Sendable {
  public struct Attribute: Hashable, Sendable {
    public let name: [UInt8]
    public let value: [UInt8]
    public init(name: [UInt8], value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }
  public let attributes: [Attribute]

  public init(_ attributes: [Attribute]) {
    self.attributes = attributes.sorted { precedes($0.name, $1.name) }
  }

  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(attributes.count)
    for attribute in attributes {
      writer.string(attribute.name)
      writer.string(attribute.value)
    }
    return writer.bytes
  }

  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> XattrSet {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      var attributes: [Attribute] = []
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        let name = try reader.string()
        guard !name.isEmpty, !name.contains(0) else {
          throw .corrupt("an attribute's name is not allowed")
        }
        attributes.append(Attribute(name: name, value: try reader.string()))
      }
      try reader.expectEnd()
      return XattrSet(attributes)
    }
  }
}

/// Where a sparse file has holes: ranges of bytes without storage, ascending, apart, not empty.
public struct HoleMap: Hashable, Sendable {
  public let holes: [Range<UInt64>]

  public init(_ holes: [Range<UInt64>]) { self.holes = holes }

  /// The ranges of a file of `sizeBytes` that do hold data.
  public func data(sizeBytes: UInt64) -> [Range<UInt64>] {
    var data: [Range<UInt64>] = []
    var at: UInt64 = 0
    for hole in holes {
      if hole.lowerBound > at { data.append(at..<hole.lowerBound) }
      at = hole.upperBound
    }
    if at < sizeBytes { data.append(at..<sizeBytes) }
    return data
  }

  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(holes.count)
    var end: UInt64 = 0
    for hole in holes {
      writer.varint(hole.lowerBound - end)
      writer.varint(UInt64(hole.count))
      end = hole.upperBound
    }
    return writer.bytes
  }

  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> HoleMap {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      var holes: [Range<UInt64>] = []
      var end: UInt64 = 0
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        let start = end + (try reader.varint(limit: UInt64(Int64.max) - end, "a hole's start"))
        let length = try reader.varint(limit: UInt64(Int64.max) - start, "a hole's length")
        guard length > 0 else { throw .corrupt("a hole is empty") }
        end = start + length
        holes.append(start..<end)
      }
      try reader.expectEnd()
      return HoleMap(holes)
    }
  }
}

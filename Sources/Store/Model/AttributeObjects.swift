// The two small objects that entries share by id: attribute sets and hole maps (docs/format.md).

import Codec

/// The extended attributes of one or more entries. `attributes` is in byte order of the names.
public struct XattrSet: Hashable, Sendable {
  /// One extended attribute: its full name, with the namespace, and its value.
  public struct Attribute: Hashable, Sendable {
    public let name: [UInt8]
    public let value: [UInt8]
    public init(name: [UInt8], value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }
  public let attributes: [Attribute]

  /// Creates a set from attributes in any order.
  public init(_ attributes: [Attribute]) {
    self.attributes = attributes.sorted { precedes($0.name, $1.name) }
  }

  /// Returns the set as the bytes of an object of kind `xattrs`.
  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(attributes.count)
    for attribute in attributes {
      writer.string(attribute.name)
      writer.string(attribute.value)
    }
    return writer.bytes
  }

  /// Reads a set from the bytes of an object.
  /// - Throws: `corrupt` for an empty name or one with a NUL; `truncated` for bytes that end early.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> XattrSet {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      var attributes: [Attribute] = []
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        let name = try reader.string()
        guard !name.isEmpty, !name.contains(0) else {
          throw .corrupt("an extended attribute has an invalid name")
        }
        attributes.append(Attribute(name: name, value: try reader.string()))
      }
      try reader.expectEnd()
      return XattrSet(attributes)
    }
  }
}

/// Maps the holes of a sparse file: byte ranges without storage. The ranges are ascending, not empty, and
/// do not touch.
public struct HoleMap: Hashable, Sendable {
  public let holes: [Range<UInt64>]

  /// Creates a map from ranges that are ascending, not empty, and apart.
  public init(_ holes: [Range<UInt64>]) { self.holes = holes }

  /// Returns the byte ranges of a file of `sizeBytes` that hold data.
  public func data(sizeBytes: UInt64) -> [Range<UInt64>] {
    var data: [Range<UInt64>] = []
    var offset: UInt64 = 0
    for hole in holes {
      if hole.lowerBound > offset { data.append(offset..<hole.lowerBound) }
      offset = hole.upperBound
    }
    if offset < sizeBytes { data.append(offset..<sizeBytes) }
    return data
  }

  /// Returns the map as the bytes of an object of kind `holes`: each hole relative to the end of the last.
  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(holes.count)
    var previousEnd: UInt64 = 0
    for hole in holes {
      writer.varint(hole.lowerBound - previousEnd)
      writer.varint(UInt64(hole.count))
      previousEnd = hole.upperBound
    }
    return writer.bytes
  }

  /// Reads a map from the bytes of an object.
  /// - Throws: `corrupt` for an empty hole or one beyond `Int64.max`; `truncated` for bytes that end early.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> HoleMap {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      var holes: [Range<UInt64>] = []
      var previousEnd: UInt64 = 0
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        let start =
          previousEnd
          + (try reader.varint(limit: UInt64(Int64.max) - previousEnd, "a hole's start"))
        let length = try reader.varint(limit: UInt64(Int64.max) - start, "a hole's length")
        guard length > 0 else { throw .corrupt("a hole is empty") }
        previousEnd = start + length
        holes.append(start..<previousEnd)
      }
      try reader.expectEnd()
      return HoleMap(holes)
    }
  }
}

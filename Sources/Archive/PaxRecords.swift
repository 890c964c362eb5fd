// The records of pax extended headers (POSIX.1-2017, pax, "pax Extended Header"):
// "LENGTH KEY=VALUE\n", LENGTH counting all of it.
//
// Extended attributes are `SCHILY.xattr.NAME`, as star, GNU tar and bsdtar write them. In NAME, GNU
// tar spells "%" as "%25" and "=" as "%3D", and so do we. An access control list as text
// (`SCHILY.acl.…`) is not understood, and said to be there.

/// What was read of a member's extended headers. Only what is understood is kept: an archive may
/// bring any number of other keys.
struct PaxRecords {
  static let maxBytes: UInt64 = 4 << 20
  /// As Linux limits them (xattr(7)).
  static let maxXattrNameBytes = 255
  static let maxXattrValueBytes = 64 << 10
  private static let fieldKeys: Set<String> = ["path", "linkpath", "size", "uid", "gid", "mtime"]
  private static let xattrPrefix = "SCHILY.xattr."

  private(set) var fields: [String: [UInt8]] = [:]
  private var attributes: [[UInt8]: [UInt8]] = [:]
  private var attributeBytes: UInt64 = 0
  var comment: String?
  private(set) var isSparse = false
  private(set) var hasTextACL = false

  init() {}

  subscript(key: String) -> [UInt8]? { fields[key] }

  /// In byte order of their names.
  var xattrs: [TarMember.Xattr] {
    attributes.sorted { $0.key.lexicographicallyPrecedes($1.key) }
      .map { TarMember.Xattr(name: $0.key, value: $0.value) }
  }

  /// Takes the records of one header; later ones replace earlier ones.
  mutating func parse(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      guard let blank = rest.firstIndex(of: 0x20), blank - rest.startIndex < 8,
        let length = Int(String(decoding: rest[rest.startIndex..<blank], as: UTF8.self)),
        length > blank - rest.startIndex + 1, length <= rest.count
      else { throw ArchiveError("a pax record is malformed") }
      let record = rest[(blank + 1)..<(rest.startIndex + length)]
      guard record.last == 0x0a, let equals = record.firstIndex(of: 0x3d) else {
        throw ArchiveError("a pax record is malformed")
      }
      try take(
        key: record[record.startIndex..<equals],
        value: record[(equals + 1)..<(record.endIndex - 1)])
      rest = rest[(rest.startIndex + length)...]
    }
  }

  private mutating func take(key keyBytes: ArraySlice<UInt8>, value: ArraySlice<UInt8>) throws {
    let prefix = PaxRecords.xattrPrefix.utf8
    if keyBytes.starts(with: prefix) {
      return try takeXattr(PaxRecords.decodedName(keyBytes.dropFirst(prefix.count)), Array(value))
    }
    let key = String(decoding: keyBytes, as: UTF8.self)
    if PaxRecords.fieldKeys.contains(key) {
      fields[key] = Array(value)
    } else if key == "comment" {
      comment = String(validating: value, as: UTF8.self)
    } else if key.hasPrefix("GNU.sparse") {
      isSparse = true
    } else if key.hasPrefix("SCHILY.acl.") {
      hasTextACL = true
    }
  }

  private mutating func takeXattr(_ name: [UInt8], _ value: [UInt8]) throws {
    guard !name.isEmpty, name.count <= PaxRecords.maxXattrNameBytes, !name.contains(0) else {
      throw ArchiveError("the name of an extended attribute is empty, too long or holds a NUL")
    }
    guard value.count <= PaxRecords.maxXattrValueBytes else {
      throw ArchiveError("an extended attribute has \(value.count) bytes, too many")
    }
    attributeBytes += UInt64(name.count + value.count)
    guard attributeBytes <= PaxRecords.maxBytes else {
      throw ArchiveError("a member has too many extended attributes")
    }
    attributes[name] = value
  }

  // MARK: Writing

  /// The records that a member needs beside its GNU header; empty where that says everything.
  static func needed(for member: TarMember) -> [UInt8] {
    var bytes: [UInt8] = []
    if let comment = member.comment { append("comment", Array(comment.utf8), to: &bytes) }
    if member.modifiedNanoseconds > 0 { append("mtime", Array(time(member).utf8), to: &bytes) }
    for xattr in member.xattrs {
      append(Array(xattrPrefix.utf8) + encodedName(xattr.name), xattr.value, to: &bytes)
    }
    return bytes
  }

  private static func append(_ key: String, _ value: [UInt8], to bytes: inout [UInt8]) {
    append(Array(key.utf8), value, to: &bytes)
  }

  private static func append(_ key: [UInt8], _ value: [UInt8], to bytes: inout [UInt8]) {
    // Blank, equals sign, newline, and the digits of the length itself.
    let payload = key.count + value.count + 3
    var length = payload + String(payload).utf8.count
    length = payload + String(length).utf8.count
    bytes += Array(String(length).utf8) + [0x20] + key + [0x3d] + value + [0x0a]
  }

  /// Seconds with a decimal fraction: -1 s and 999,999,999 ns are "-0.000000001".
  private static func time(_ member: TarMember) -> String {
    let isNegative = member.modifiedSeconds < 0
    let seconds = isNegative ? -(member.modifiedSeconds + 1) : member.modifiedSeconds
    let part = min(member.modifiedNanoseconds, 999_999_999)
    let fraction = String(isNegative ? 1_000_000_000 - part : part)
    let digits = String(repeating: "0", count: 9 - fraction.utf8.count) + fraction
    return (isNegative ? "-" : "") + "\(seconds).\(digits)"
  }

  private static func encodedName(_ name: [UInt8]) -> [UInt8] {
    name.flatMap { byte -> [UInt8] in
      switch byte {
      case 0x25: Array("%25".utf8)
      case 0x3d: Array("%3D".utf8)
      default: [byte]
      }
    }
  }

  private static func decodedName(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var name: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
      if byte == 0x25, rest.starts(with: "25".utf8) || rest.starts(with: "3D".utf8) {
        name.append(rest.first == 0x32 ? 0x25 : 0x3d)
        rest.removeFirst(2)
      } else {
        name.append(byte)
      }
    }
    return name
  }
}

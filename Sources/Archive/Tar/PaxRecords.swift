// The records of pax extended headers (POSIX.1-2017, pax, "pax Extended Header"): "LENGTH
// KEY=VALUE\n"; LENGTH counts the whole record.
//
// 1. Extended attributes are `SCHILY.xattr.NAME`, as star, GNU tar and bsdtar write them, or
//    `LIBARCHIVE.xattr.NAME` (name encoded as in URLs, value in base64). GNU tar encodes "%" in a name
//    as "%25" and "=" as "%3D", and so does this code. `RHT.security.selinux` is the attribute
//    security.selinux without its NUL.
// 2. An unsupported key is listed in `unknown`, unless it is known to be irrelevant. The reader of the
//    archive then reports that it was not kept.

import Codec

/// The content of a member's extended headers.
struct PaxRecords {
  static let maxBytes: UInt64 = 4 << 20
  /// The limits of Linux (xattr(7)).
  static let maxXattrNameBytes = 255
  static let maxXattrValueBytes = 64 << 10
  private static let fieldKeys: Set<String> = ["path", "linkpath", "size", "uid", "gid", "mtime"]
  private static let xattrPrefix = "SCHILY.xattr."
  private static let base64Prefix = "LIBARCHIVE.xattr."
  private static let selinux = Array("security.selinux".utf8)
  /// The keys without relevance for a tree: other times, names next to numbers, the writer's own.
  private static let ignoredKeys: Set<String> = [
    "atime", "ctime", "uname", "gname", "charset", "hdrcharset", "LIBARCHIVE.creationtime",
    "LIBARCHIVE.symlinktype", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "SCHILY.realsize",
    "SCHILY.filetype", "SCHILY.devmajor", "SCHILY.devminor", "SCHILY.archtype", "SCHILY.release",
    "GNU.volume.label", "GNU.volume.filename", "GNU.volume.size", "GNU.volume.offset",
    "GNU.dumpdir",
  ]
  private static let maxUnknown = 16

  private(set) var fields: [String: [UInt8]] = [:]
  private var attributes: [[UInt8]: [UInt8]] = [:]
  private var attributeBytes: UInt64 = 0
  var comment: String?
  /// The values of `GNU.sparse.KEY`.
  private(set) var sparse: [String: [UInt8]] = [:]
  /// Alternating offsets and lengths, as pax 0.0 writes them.
  private(set) var sparseNumbers: [UInt64] = []
  private(set) var accessList: [UInt8]?
  private(set) var defaultList: [UInt8]?
  /// The unsupported keys, each once.
  private(set) var unknown: [String] = []

  init() {}

  subscript(key: String) -> [UInt8]? { fields[key] }

  /// The extended attributes, in byte order of their names.
  var xattrs: [TarMember.Xattr] {
    attributes.sorted { $0.key.lexicographicallyPrecedes($1.key) }
      .map { TarMember.Xattr(name: $0.key, value: $0.value) }
  }

  /// Parses the records of one header; later ones replace earlier ones.
  mutating func parse(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while let first = rest.first {
      // Some writers include the NULs that fill up the block.
      if first == 0, rest.allSatisfy({ $0 == 0 }) { return }
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
    let base64 = PaxRecords.base64Prefix.utf8
    if keyBytes.starts(with: base64) {
      guard let name = PercentEncoding.decode(keyBytes.dropFirst(base64.count)),
        let bytes = Base64.decode(value, padding: .optional)
      else { throw ArchiveError("an extended attribute is not in base64") }
      // bsdtar writes both spellings of one attribute.
      if attributes[name] == nil { try takeXattr(name, bytes) }
      return
    }
    let key = String(decoding: keyBytes, as: UTF8.self)
    switch key {
    case _ where PaxRecords.fieldKeys.contains(key): fields[key] = Array(value)
    case "comment": comment = String(validating: value, as: UTF8.self)
    case "RHT.security.selinux":
      if attributes[PaxRecords.selinux] == nil {
        try takeXattr(PaxRecords.selinux, value.last == 0 ? Array(value) : Array(value) + [0])
      }
    case "SCHILY.acl.access": accessList = Array(value)
    case "SCHILY.acl.default": defaultList = Array(value)
    case _ where key.hasPrefix("GNU.sparse."): try takeSparse(String(key.dropFirst(11)), value)
    case _ where PaxRecords.ignoredKeys.contains(key): break
    default: note(unknown: key)
    }
  }

  /// Adds a key to `unknown`, once.
  mutating func note(unknown key: String) {
    guard unknown.count < PaxRecords.maxUnknown, !unknown.contains(key) else { return }
    unknown.append(String(key.prefix(64)))
  }

  private mutating func takeSparse(_ key: String, _ value: ArraySlice<UInt8>) throws {
    guard key == "offset" || key == "numbytes" else {
      sparse[key] = Array(value)
      return
    }
    guard let number = UInt64(decimal: value), sparseNumbers.count < 2 * SparseMap.maxParts,
      (sparseNumbers.count % 2 == 0) == (key == "offset")
    else { throw ArchiveError("the map of a sparse file is malformed") }
    sparseNumbers.append(number)
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

  /// Returns the records that a member needs in addition to its GNU header; empty if it needs none.
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
    // A blank, an equals sign, a newline, and the digits of the length itself.
    let payload = key.count + value.count + 3
    var length = payload + String(payload).utf8.count
    length = payload + String(length).utf8.count
    bytes += Array(String(length).utf8) + [0x20] + key + [0x3d] + value + [0x0a]
  }

  /// Returns seconds with a decimal fraction: -1 s and 999,999,999 ns are "-0.000000001".
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

extension UInt64 {
  /// Parses a number of decimal digits only.
  init?(decimal text: some Sequence<UInt8>) { self.init(digits: text) }
}

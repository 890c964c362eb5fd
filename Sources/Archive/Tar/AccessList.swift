// Access control lists of archives (POSIX.1e draft 17): the text that star, GNU tar and bsdtar write
// in `SCHILY.acl.access` and `SCHILY.acl.default`, and the bytes that Linux keeps in
// `system.posix_acl_access` and `system.posix_acl_default` (acl(5), linux/posix_acl_xattr.h).
//
// 1. An entry for a user or group has a number, a name, or both: bsdtar writes both, GNU tar only the
//    name. A list is kept only if each of its entries has a number.
// 2. A list that is not kept never widens access: `narrowedMode` grants nobody more than the list did.

/// An access control list.
public struct AccessList: Sendable, Equatable {
  /// The extended attribute of the access list.
  public static let accessName = Array("system.posix_acl_access".utf8)
  /// The extended attribute of a directory's default list.
  public static let defaultName = Array("system.posix_acl_default".utf8)

  /// The subject of an entry.
  public enum Subject: Sendable, Equatable {
    case owner
    case user(id: UInt32?, name: [UInt8])
    case owningGroup
    case group(id: UInt32?, name: [UInt8])
    case mask
    case other
  }

  /// A subject and its permissions.
  public struct Entry: Sendable, Equatable {
    public var subject: Subject
    /// The bits of r, w and x: 4, 2, 1.
    public var permissions: UInt8
  }

  /// The entries, in the order of the source.
  public private(set) var entries: [Entry]

  static let maxEntries = 4096

  /// Parses the text of a list: entries separated by commas or newlines.
  /// - Returns: nil for a text that is not a list, or that lacks a mandatory entry.
  public init?(text: [UInt8]) {
    entries = []
    for item in text.split(whereSeparator: { $0 == 0x2c || $0 == 0x0a }) {
      let plain = item.prefix { $0 != UInt8(ascii: "#") }.filter { $0 != 0x20 && $0 != 0x09 }
      if plain.isEmpty { continue }
      guard entries.count < AccessList.maxEntries, let entry = AccessList.entry(plain) else {
        return nil
      }
      entries.append(entry)
    }
    guard permissions(of: .owner) != nil, permissions(of: .owningGroup) != nil,
      permissions(of: .other) != nil
    else { return nil }
    if !names.isEmpty, permissions(of: .mask) == nil { return nil }
  }

  private static func entry(_ text: [UInt8]) -> Entry? {
    var fields = text.split(separator: 0x3a, omittingEmptySubsequences: false).map(Array.init)
    if let first = fields.first, ["default", "d"].contains(String(decoding: first, as: UTF8.self)) {
      fields.removeFirst()
    }
    // "mask:rwx" and "other:rwx" may omit the empty field.
    let tag = String(decoding: fields.first ?? [], as: UTF8.self)
    if fields.count == 2, ["mask", "m", "other", "o"].contains(tag) { fields.insert([], at: 1) }
    guard fields.count == 3 || fields.count == 4 else { return nil }
    var permissions: UInt8 = 0
    for byte in fields[2] {
      switch byte {
      case UInt8(ascii: "r"): permissions |= 4
      case UInt8(ascii: "w"): permissions |= 2
      case UInt8(ascii: "x"): permissions |= 1
      case UInt8(ascii: "-"): break
      default: return nil
      }
    }
    let name = fields[1]
    let number = fields.count == 4 ? fields[3] : name
    let id = UInt32(String(decoding: number, as: UTF8.self)).flatMap { $0 == .max ? nil : $0 }
    if fields.count == 4, id == nil { return nil }
    let subject: Subject
    switch (tag, name.isEmpty && fields.count == 3) {
    case ("user", true), ("u", true): subject = .owner
    case ("user", false), ("u", false): subject = .user(id: id, name: name)
    case ("group", true), ("g", true): subject = .owningGroup
    case ("group", false), ("g", false): subject = .group(id: id, name: name)
    case ("mask", _), ("m", _): subject = .mask
    case ("other", _), ("o", _): subject = .other
    default: return nil
    }
    return Entry(subject: subject, permissions: permissions)
  }

  private func permissions(of subject: Subject) -> UInt8? {
    entries.first { $0.subject == subject }?.permissions
  }

  /// The entries for named users and groups.
  private var names: [Entry] {
    entries.filter {
      switch $0.subject {
      case .user, .group: true
      default: false
      }
    }
  }

  /// Whether the list is equivalent to nine permission bits.
  public var isMinimal: Bool { names.isEmpty && permissions(of: .mask) == nil }

  // MARK: Numbers

  /// Sets the number of entries that have only a name.
  public mutating func resolve(
    user: ([UInt8]) -> UInt32?, group: ([UInt8]) -> UInt32?
  ) {
    for index in entries.indices {
      switch entries[index].subject {
      case .user(nil, let name): entries[index].subject = .user(id: user(name), name: name)
      case .group(nil, let name): entries[index].subject = .group(id: group(name), name: name)
      default: break
      }
    }
  }

  /// The first name without a number; nil if the list can be kept.
  public var unresolvedName: [UInt8]? {
    for entry in entries {
      switch entry.subject {
      case .user(nil, let name), .group(nil, let name): return name
      default: break
      }
    }
    return nil
  }

  // MARK: Modes

  /// Returns the permission bits of a file with this list: those of the mask replace those of the group.
  public func mode(_ mode: UInt16) -> UInt16 {
    let group = permissions(of: .mask) ?? permissions(of: .owningGroup) ?? 0
    return bits(mode, group: group, other: permissions(of: .other) ?? 0)
  }

  /// Returns the permission bits of a file that loses the list. A user or group in the list becomes
  /// part of the group or of the others, which get no more than the list granted.
  public func narrowedMode(_ mode: UInt16) -> UInt16 {
    let mask = permissions(of: .mask) ?? 7
    let named = names.reduce(UInt8(7)) { $0 & $1.permissions & mask }
    let group = (permissions(of: .owningGroup) ?? 0) & mask & named
    return bits(mode, group: group, other: (permissions(of: .other) ?? 0) & named)
  }

  private func bits(_ mode: UInt16, group: UInt8, other: UInt8) -> UInt16 {
    let owner = permissions(of: .owner) ?? 0
    return mode & 0o7000 | UInt16(owner) << 6 | UInt16(group) << 3 | UInt16(other)
  }

  // MARK: Linux

  /// Parses the value of the extended attribute; nil if it is not a list of version 2.
  public init?(linuxValue bytes: [UInt8]) {
    guard bytes.count >= 4, bytes.starts(with: [2, 0, 0, 0]), bytes.count % 8 == 4 else {
      return nil
    }
    entries = []
    for offset in stride(from: 4, to: bytes.count, by: 8) {
      let id = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[offset + 4 + $1]) << (8 * UInt32($1)) }
      let subject: Subject
      switch bytes[offset] {
      case 0x01: subject = .owner
      case 0x02: subject = .user(id: id, name: [])
      case 0x04: subject = .owningGroup
      case 0x08: subject = .group(id: id, name: [])
      case 0x10: subject = .mask
      case 0x20: subject = .other
      default: return nil
      }
      entries.append(Entry(subject: subject, permissions: bytes[offset + 2] & 7))
    }
  }

  /// The value of the extended attribute; nil if a name has no number, or a number is duplicated.
  public var linuxValue: [UInt8]? {
    var rows: [(tag: UInt16, permissions: UInt8, id: UInt32)] = []
    for entry in entries {
      switch entry.subject {
      case .owner: rows.append((0x01, entry.permissions, .max))
      case .user(let id?, _): rows.append((0x02, entry.permissions, id))
      case .owningGroup: rows.append((0x04, entry.permissions, .max))
      case .group(let id?, _): rows.append((0x08, entry.permissions, id))
      case .mask: rows.append((0x10, entry.permissions, .max))
      case .other: rows.append((0x20, entry.permissions, .max))
      default: return nil
      }
    }
    rows.sort { ($0.tag, $0.id) < ($1.tag, $1.id) }
    for (row, next) in zip(rows, rows.dropFirst()) where (row.tag, row.id) == (next.tag, next.id) {
      return nil
    }
    var bytes: [UInt8] = [2, 0, 0, 0]
    for row in rows {
      bytes += [UInt8(row.tag), 0, row.permissions, 0]
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: row.id >> shift))
      }
    }
    return bytes
  }
}

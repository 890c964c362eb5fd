// One entry of a tree: the name and all attributes of a file, directory or other node.
//
// 1. Names are bytes. They are never empty, "." or "..", and contain neither "/" nor NUL.
// 2. Each case of `EntryContent` holds only the fields that its kind of entry has.
// 3. Trees do not contain modification times. `Entry` carries them from the times object, which is stored
//    apart.

import Codec
import Platform

/// Describes what an entry holds, by its kind.
public enum EntryContent: Hashable, Sendable {
  /// A file's bytes: the blob's id and size.
  case file(blob: Digest, sizeBytes: UInt64)
  /// A file that could not be read when the snapshot was taken.
  case unreadableFile(sizeBytes: UInt64)
  /// A directory: the id of its tree object.
  case directory(tree: Digest)
  /// A directory that could not be read when the snapshot was taken.
  case unreadableDirectory
  /// Another entry that could not be examined when the snapshot was taken. The kind comes from its directory.
  case unreadableNode(UnreadableNodeKind)
  /// A symbolic link and its target, which need not exist.
  case symlink(target: [UInt8])
  /// A block or character device.
  case device(isBlock: Bool, DeviceNumber)
  case fifo
  case socket

  /// Returns the kind of the entry. Unreadable entries have the kind that their directory reported.
  public var kind: FileKind {
    switch self {
    case .file, .unreadableFile: .file
    case .directory, .unreadableDirectory: .directory
    case .unreadableNode(let kind): kind.fileKind
    case .symlink: .symlink
    case .device(let isBlock, _): isBlock ? .blockDevice : .characterDevice
    case .fifo: .fifo
    case .socket: .socket
    }
  }

  /// Returns true if the content could not be read when the snapshot was taken.
  public var isMissing: Bool {
    switch self {
    case .unreadableFile, .unreadableDirectory, .unreadableNode: true
    default: false
    }
  }
}

/// The kinds of entries that are neither files nor directories.
public enum UnreadableNodeKind: UInt8, Hashable, Sendable, CaseIterable {
  case symlink = 3
  case characterDevice = 4
  case blockDevice = 5
  case fifo = 6
  case socket = 7

  /// Returns the kind as an unreadable node's; nil for files and directories.
  public init?(_ kind: FileKind) { self.init(rawValue: kind.rawValue) }

  /// Returns the kind as one of all kinds of entries.
  public var fileKind: FileKind {
    switch self {
    case .symlink: .symlink
    case .characterDevice: .characterDevice
    case .blockDevice: .blockDevice
    case .fifo: .fifo
    case .socket: .socket
    }
  }
}

/// Holds one entry with its modification time.
public struct Entry: Hashable, Sendable {
  /// The name in its directory, as bytes; empty for a root.
  public var name: [UInt8]
  public var content: EntryContent
  /// The twelve permission bits.
  public var mode: UInt16
  public var uid: UInt32
  public var gid: UInt32
  /// The id of the attribute set; nil if the entry has no extended attributes.
  public var xattrs: Digest?
  /// The id of the hole map of a sparse file; nil if it has no holes.
  public var holes: Digest?
  /// The inode's flags (`chattr`).
  public var flags: InodeFlags
  /// Entries of one tree with the same non-zero number are hard links to one inode.
  public var linkGroup: UInt64
  public var modified: Timestamp
  /// The id of a directory's times object; nil for other kinds.
  public var times: Digest?

  /// Creates an entry. `times` is required for a readable directory that will be encoded.
  public init(
    name: [UInt8], content: EntryContent, mode: UInt16, uid: UInt32, gid: UInt32,
    xattrs: Digest? = nil, holes: Digest? = nil, flags: InodeFlags = [], linkGroup: UInt64 = 0,
    modified: Timestamp, times: Digest? = nil
  ) {
    self.name = name
    self.content = content
    self.mode = mode
    self.uid = uid
    self.gid = gid
    self.xattrs = xattrs
    self.holes = holes
    self.flags = flags
    self.linkGroup = linkGroup
    self.modified = modified
    self.times = times
  }

  /// Returns the kind of the entry.
  public var kind: FileKind { content.kind }
  /// Returns the id of a readable directory's tree object; nil for other entries.
  public var tree: Digest? { if case .directory(let tree) = content { tree } else { nil } }
  /// Returns the id of a readable file's content; nil for other entries.
  public var blob: Digest? { if case .file(let blob, _) = content { blob } else { nil } }
  /// Returns the size of a file in bytes; 0 for other kinds.
  public var sizeBytes: UInt64 {
    switch content {
    case .file(_, let size), .unreadableFile(let size): size
    default: 0
    }
  }
}

/// Returns true if `a` comes before `b` in byte order, the order of entries in every tree.
public func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  a.withUnsafeBytes { compareNames($0, b) } < 0
}

/// Compares two names in byte order: the result is negative if `a` comes first, and 0 if they are equal.
public func compareNames(_ a: UnsafeRawBufferPointer, _ b: [UInt8]) -> Int {
  let order = b.withUnsafeBytes { b in
    guard let p = a.baseAddress, let q = b.baseAddress else { return Int32(0) }
    return compareMemory(p, q, min(a.count, b.count))
  }
  return order != 0 ? Int(order) : a.count - b.count
}

// MARK: - Encoding (docs/format.md, "Trees")

extension Entry {
  private enum Flag {
    static let xattrs: UInt8 = 1
    static let holes: UInt8 = 2
    static let linked: UInt8 = 4
    static let missing: UInt8 = 8
    static let inodeFlags: UInt8 = 16
    static let known: UInt8 = 31
  }

  /// Writes everything except ids and times.
  func encodeAttributes(into writer: inout ByteWriter) {
    writer.string(name)
    writer.byte(kind.rawValue)
    writer.byte(
      (xattrs != nil ? Flag.xattrs : 0) | (holes != nil ? Flag.holes : 0)
        | (linkGroup != 0 ? Flag.linked : 0) | (content.isMissing ? Flag.missing : 0)
        | (flags.isEmpty ? 0 : Flag.inodeFlags))
    if !flags.isEmpty { writer.byte(flags.rawValue) }
    writer.varint(UInt64(mode))
    writer.varint(UInt64(uid))
    writer.varint(UInt64(gid))
    switch content {
    case .file(_, let size), .unreadableFile(let size): writer.varint(size)
    case .symlink(let target): writer.string(target)
    case .device(_, let number):
      writer.varint(UInt64(number.major))
      writer.varint(UInt64(number.minor))
    case .directory, .unreadableDirectory, .unreadableNode, .fifo, .socket: break
    }
    if linkGroup != 0 { writer.word64(linkGroup) }
  }

  /// Writes the ids that the attributes declare, in the order of the attributes.
  func encodeIDs(into writer: inout ByteWriter) {
    switch content {
    case .file(let blob, _): writer.digest(blob)
    case .directory(let tree): writer.digest(tree)
    default: break
    }
    if let xattrs { writer.digest(xattrs) }
    if let holes { writer.digest(holes) }
  }

  /// Reads the attributes of an entry; its ids are placeholders until `decodeIDs`.
  /// - Parameter allowAnyName: true for the entry of a component, whose name is empty.
  /// - Throws: `corrupt` for an invalid name, an unknown kind or flag, or a number out of range; `truncated`.
  static func decodeAttributes(
    from reader: inout ByteReader, allowAnyName: Bool = false
  ) throws(CodecError) -> Entry {
    let name = try reader.string()
    guard allowAnyName || FileName(name) != nil else {
      throw .corrupt("an entry has an invalid name")
    }
    guard let kind = FileKind(rawValue: try reader.byte()) else {
      throw .corrupt("an entry has an unknown kind")
    }
    let flags = try reader.byte()
    guard flags <= Flag.known else { throw .corrupt("an entry has unknown flags") }
    var inodeFlags: InodeFlags = []
    if flags & Flag.inodeFlags != 0 {
      inodeFlags = InodeFlags(rawValue: try reader.byte())
      guard !inodeFlags.isEmpty, InodeFlags.all.isSuperset(of: inodeFlags) else {
        throw .corrupt("an entry has unknown inode flags")
      }
    }
    let mode = UInt16(try reader.varint(limit: 0o7777, "a mode"))
    let uid = UInt32(try reader.varint(limit: UInt64(UInt32.max), "an owner"))
    let gid = UInt32(try reader.varint(limit: UInt64(UInt32.max), "a group"))
    let missing = flags & Flag.missing != 0
    let content: EntryContent
    switch kind {
    case .file:
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      content = missing ? .unreadableFile(sizeBytes: size) : .file(blob: .zero, sizeBytes: size)
    case .directory: content = missing ? .unreadableDirectory : .directory(tree: .zero)
    case .symlink where !missing: content = .symlink(target: try reader.string())
    case .characterDevice where !missing, .blockDevice where !missing:
      let major = try reader.varint(limit: UInt64(UInt32.max), "a device number")
      let minor = try reader.varint(limit: UInt64(UInt32.max), "a device number")
      content = .device(
        isBlock: kind == .blockDevice,
        DeviceNumber(major: UInt32(major), minor: UInt32(minor)))
    case .fifo where !missing: content = .fifo
    case .socket where !missing: content = .socket
    case .symlink, .characterDevice, .blockDevice, .fifo, .socket:
      guard let node = UnreadableNodeKind(kind) else {
        throw .corrupt("an entry has an unknown kind")
      }
      content = .unreadableNode(node)
    }
    let linkGroup = flags & Flag.linked != 0 ? try reader.word64() : 0
    return Entry(
      name: name, content: content, mode: mode, uid: uid, gid: gid,
      xattrs: flags & Flag.xattrs != 0 ? .zero : nil, holes: flags & Flag.holes != 0 ? .zero : nil,
      flags: inodeFlags, linkGroup: linkGroup, modified: Timestamp(seconds: 0, nanoseconds: 0))
  }

  /// Reads the ids in place of the placeholders that `decodeAttributes` left.
  mutating func decodeIDs(from reader: inout ByteReader) throws(CodecError) {
    switch content {
    case .file(_, let size): content = .file(blob: try reader.digest(), sizeBytes: size)
    case .directory: content = .directory(tree: try reader.digest())
    default: break
    }
    if xattrs != nil { xattrs = try reader.digest() }
    if holes != nil { holes = try reader.digest() }
  }
}

// The bytes of one entry of a directory: in memory after a directory was walked, and in the stat cache.
//
// 1. A record has everything that the walk saw, so an entry can be read back from it. Fields that most
//    entries of a directory share, or lack, take no bytes.
// 2. A view checks all lengths when it is created. Its fields are then inside the record.
//
// Layout, little-endian: name length u32 | kind 4 bits, state 4 bits | flags of the entry 4 bits, flags of
// `stat` 4 bits | presence u16 | inode u64 | size u64 | mtime seconds i64 | ctime seconds i64 | mtime
// nanoseconds u32 | ctime nanoseconds u32 | links u32 | uid u32 | gid u32 | mode u16 | target length u16,
// then the fields that are present: device number 8 | device u64 | mount u64 | link group u64 | blob 32 |
// xattrs 32 | holes 32 | tree 32, times 32, offset u64, length u64 | target | name.

import Codec
import Platform
import Store

enum EntryRecord {
  static let fixedBytes = 64
  static let maxTargetBytes = Int(UInt16.max)

  /// What a record holds besides its fixed part, and how far it is trusted.
  struct Flags: OptionSet {
    let rawValue: UInt16
    /// The times are so old that a later change must show in them.
    static let trusted = Flags(rawValue: 1)
    /// A directory has ids, and a record in the stat cache.
    static let child = Flags(rawValue: 2)
    static let xattrs = Flags(rawValue: 4)
    static let holes = Flags(rawValue: 8)
    static let linked = Flags(rawValue: 16)
    /// The device differs from that of the directory's first entry.
    static let otherDevice = Flags(rawValue: 32)
    /// The record confirms the content only (StatCache.swift, invariant 3).
    static let untrustedAttributes = Flags(rawValue: 64)
    static let covered = Flags(rawValue: 128)
    static let cached = Flags(rawValue: 256)
    /// `statx` reported the flags of the inode.
    static let reportsAll = Flags(rawValue: 512)
    static let mountRoot = Flags(rawValue: 1024)
    /// The mount differs from that of the directory's first entry.
    static let otherMount = Flags(rawValue: 2048)
    static let node = Flags(rawValue: 4096)
    static let blob = Flags(rawValue: 8192)
    static let noMount = Flags(rawValue: 16384)
  }

  /// The state of the content.
  enum State: UInt8 {
    case node, unread, vanished, file, directory, excludedDirectory, unreadable, symlink

    /// Returns the state of a complete entry.
    init(of kind: FileKind) {
      switch kind {
      case .file: self = .file
      case .directory: self = .directory
      case .symlink: self = .symlink
      case .characterDevice, .blockDevice, .fifo, .socket: self = .node
      }
    }

    init(_ content: borrowing ScannedContent) {
      switch content {
      case .node: self = .node
      case .unread: self = .unread
      case .vanished: self = .vanished
      case .file: self = .file
      case .directory: self = .directory
      case .excludedDirectory: self = .excludedDirectory
      case .unreadable: self = .unreadable
      case .symlink: self = .symlink
      }
    }
  }

  /// The fields that most entries of a directory share.
  struct Defaults: Sendable {
    var device: UInt64 = 0
    var mountID: UInt64?
  }

  /// A directory's ids, and the place of its record in the stat cache.
  struct Child {
    let ids: Tree.IDs
    let offset: UInt64
    let lengthBytes: UInt64
  }

  /// Appends the record of an entry.
  /// - Parameters:
  ///   - flags: those that do not follow from the entry: `trusted`, `untrustedAttributes`.
  ///   - child: a directory's ids and place; nil in memory, where the directory itself is known.
  /// - Returns: false if the entry does not fit into a record; nothing is appended then.
  static func append(
    _ entry: borrowing ScannedEntry, flags: Flags = [], child: Child? = nil, _ defaults: Defaults,
    to bytes: inout [UInt8]
  ) -> Bool {
    let state = State(entry.content)
    var target: [UInt8] = []
    if case .symlink(let text) = entry.content { target = text }
    guard target.count <= maxTargetBytes, let nameBytes = UInt32(exactly: entry.name.count) else {
      return false
    }
    let flags = presence(of: entry, flags, state, defaults, hasChild: child != nil)
    appendFixed(entry, flags, state, nameBytes, UInt16(target.count), to: &bytes)
    if flags.contains(.node) {
      appendWord(UInt64(entry.stat.node.major) << 32 | UInt64(entry.stat.node.minor), &bytes)
    }
    if flags.contains(.otherDevice) { appendWord(entry.stat.device, &bytes) }
    if flags.contains(.otherMount) { appendWord(entry.stat.mountID ?? 0, &bytes) }
    if flags.contains(.linked) { appendWord(entry.linkGroup, &bytes) }
    if flags.contains(.blob) {
      if case .file(let blob) = entry.content {
        appendDigest(blob, &bytes)
      } else {
        appendDigest(.zero, &bytes)
      }
    }
    if let xattrs = entry.xattrs { appendDigest(xattrs, &bytes) }
    if let holes = entry.holes { appendDigest(holes, &bytes) }
    if let child {
      appendDigest(child.ids.tree, &bytes)
      appendDigest(child.ids.times, &bytes)
      appendWord(child.offset, &bytes)
      appendWord(child.lengthBytes, &bytes)
    }
    bytes += target
    bytes += entry.name
    return true
  }

  /// Returns the length of an entry's record in memory.
  static func lengthBytes(of entry: borrowing ScannedEntry, _ defaults: Defaults) -> Int {
    let flags = presence(of: entry, [], State(entry.content), defaults, hasChild: false)
    var targetBytes = 0
    if case .symlink(let target) = entry.content { targetBytes = target.count }
    return optionalEnd(flags) + targetBytes + entry.name.count
  }

  /// The optional fields of eight bytes, and those with a digest.
  static let words: Flags = [.node, .otherDevice, .otherMount, .linked]
  static let digests: Flags = [.blob, .xattrs, .holes]

  /// Returns the length of the fixed part and the words and digests that are present.
  static func optionalEnd(_ flags: Flags) -> Int {
    fixedBytes + 8 * (flags.rawValue & words.rawValue).nonzeroBitCount
      + Digest.byteCount * (flags.rawValue & digests.rawValue).nonzeroBitCount
  }

  private static func presence(
    of entry: borrowing ScannedEntry, _ flags: Flags, _ state: State, _ defaults: Defaults,
    hasChild: Bool
  ) -> Flags {
    var flags = flags
    if entry.xattrs != nil { flags.insert(.xattrs) }
    if entry.holes != nil { flags.insert(.holes) }
    // A file with several names may get its group in place.
    if entry.linkGroup != 0 || entry.stat.kind != .directory && entry.stat.links > 1 {
      flags.insert(.linked)
    }
    if entry.stat.device != defaults.device { flags.insert(.otherDevice) }
    if entry.isCovered { flags.insert(.covered) }
    if entry.isCached { flags.insert(.cached) }
    if entry.stat.reportsFlags { flags.insert(.reportsAll) }
    if entry.stat.isMountRoot { flags.insert(.mountRoot) }
    if entry.stat.node != .none { flags.insert(.node) }
    if entry.stat.mountID == nil {
      flags.insert(.noMount)
    } else if entry.stat.mountID != defaults.mountID {
      flags.insert(.otherMount)
    }
    if hasChild { flags.insert(.child) }
    // A file that will be read gets its blob in place.
    if state == .file || state == .unread { flags.insert(.blob) }
    return flags
  }

  private static func appendFixed(
    _ entry: borrowing ScannedEntry, _ flags: Flags, _ state: State, _ nameBytes: UInt32,
    _ targetBytes: UInt16, to bytes: inout [UInt8]
  ) {
    withUnsafeTemporaryAllocation(byteCount: fixedBytes, alignment: 8) { record in
      func put(_ value: some FixedWidthInteger, _ offset: Int) {
        record.storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
      }
      put(nameBytes, 0)
      put(entry.stat.kind.rawValue | state.rawValue << 4, 4)
      put(entry.flags.rawValue & 15 | (entry.stat.flags.rawValue & 15) << 4, 5)
      put(flags.rawValue, 6)
      put(entry.stat.inode, 8)
      put(entry.stat.size, 16)
      put(entry.stat.modified.seconds, 24)
      put(entry.stat.changed.seconds, 32)
      put(entry.stat.modified.nanoseconds, 40)
      put(entry.stat.changed.nanoseconds, 44)
      put(entry.stat.links, 48)
      put(entry.stat.uid, 52)
      put(entry.stat.gid, 56)
      put(entry.stat.mode, 60)
      put(targetBytes, 62)
      bytes.append(contentsOf: UnsafeRawBufferPointer(record))
    }
  }

  private static func appendWord(_ word: UInt64, _ bytes: inout [UInt8]) {
    withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func appendDigest(_ digest: Digest, _ bytes: inout [UInt8]) {
    withUnsafeTemporaryAllocation(byteCount: Digest.byteCount, alignment: 8) { buffer in
      guard let base = buffer.baseAddress else { return }
      digest.store(to: base)
      bytes.append(contentsOf: UnsafeRawBufferPointer(buffer))
    }
  }
}

/// A record in memory that outlives the view.
struct EntryView {
  private let base: UnsafeRawPointer
  /// The number of bytes of the record.
  let lengthBytes: Int
  let kind: FileKind
  let state: EntryRecord.State
  let flags: EntryRecord.Flags
  private let targetOffset: Int

  /// Creates a view of the record at an offset; nil if the bytes are not a record.
  init?(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard offset >= 0, bytes.count - offset >= EntryRecord.fixedBytes, let start = bytes.baseAddress
    else { return nil }
    base = start + offset
    func load<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
      T(littleEndian: (start + offset).loadUnaligned(as: T.self))
    }
    let kindAndState = load(offset + 4, UInt8.self)
    guard let kind = FileKind(rawValue: kindAndState & 15),
      let state = EntryRecord.State(rawValue: kindAndState >> 4)
    else { return nil }
    (self.kind, self.state) = (kind, state)
    flags = EntryRecord.Flags(rawValue: load(offset + 6, UInt16.self))
    targetOffset =
      EntryRecord.optionalEnd(flags) + (flags.contains(.child) ? EntryView.childBytes : 0)
    lengthBytes =
      targetOffset + Int(load(offset + 62, UInt16.self)) + Int(load(offset, UInt32.self))
    guard lengthBytes <= bytes.count - offset else { return nil }
  }

  /// The bytes of a directory's ids and place.
  private static let childBytes = 80

  /// Returns the offset behind the optional fields of which `flags` has those that precede.
  private static func offset(
    behind words: EntryRecord.Flags, _ digests: EntryRecord.Flags = [], in flags: EntryRecord.Flags
  ) -> Int {
    EntryRecord.fixedBytes + 8 * (flags.rawValue & words.rawValue).nonzeroBitCount
      + Digest.byteCount * (flags.rawValue & digests.rawValue).nonzeroBitCount
  }

  private func load<T: FixedWidthInteger>(_ offset: Int, _: T.Type = T.self) -> T {
    T(littleEndian: (base + offset).loadUnaligned(as: T.self))
  }

  private func word(_ field: EntryRecord.Flags, behind earlier: EntryRecord.Flags) -> UInt64? {
    flags.contains(field) ? load(EntryView.offset(behind: earlier, in: flags), UInt64.self) : nil
  }

  private func digest(_ field: EntryRecord.Flags, behind earlier: EntryRecord.Flags) -> Digest? {
    guard flags.contains(field) else { return nil }
    return Digest(loading: base + EntryView.offset(behind: EntryRecord.words, earlier, in: flags))
  }

  // MARK: Fields

  var name: UnsafeRawBufferPointer {
    let count = Int(load(0, UInt32.self))
    return UnsafeRawBufferPointer(start: base + lengthBytes - count, count: count)
  }
  var target: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + targetOffset, count: Int(load(62, UInt16.self)))
  }
  var inode: UInt64 { load(8) }
  var size: UInt64 { load(16) }
  var links: UInt32 { load(48) }
  var uid: UInt32 { load(52) }
  var gid: UInt32 { load(56) }
  var mode: UInt16 { load(60) }
  var modified: Timestamp { Timestamp(seconds: load(24), nanoseconds: load(40)) }
  var changed: Timestamp { Timestamp(seconds: load(32), nanoseconds: load(44)) }
  var entryFlags: InodeFlags { InodeFlags(rawValue: load(5, UInt8.self) & 15) }
  var statFlags: InodeFlags { InodeFlags(rawValue: load(5, UInt8.self) >> 4) }
  var linkGroup: UInt64 { word(.linked, behind: [.node, .otherDevice, .otherMount]) ?? 0 }
  var node: DeviceNumber {
    guard let word = word(.node, behind: []) else { return .none }
    return DeviceNumber(
      major: UInt32(truncatingIfNeeded: word >> 32), minor: UInt32(truncatingIfNeeded: word))
  }
  /// The blob of a file that was read.
  var blob: Digest? { state == .file ? digest(.blob, behind: []) : nil }
  var xattrs: Digest? { digest(.xattrs, behind: .blob) }
  var holes: Digest? { digest(.holes, behind: [.blob, .xattrs]) }
  /// The ids and the place of a directory in the stat cache.
  var child: EntryRecord.Child? {
    guard flags.contains(.child), kind == .directory else { return nil }
    let offset = EntryRecord.optionalEnd(flags)
    return EntryRecord.Child(
      ids: Tree.IDs(
        tree: Digest(loading: base + offset), times: Digest(loading: base + offset + 32)),
      offset: load(offset + 64), lengthBytes: load(offset + 72))
  }

  func device(_ defaults: EntryRecord.Defaults) -> UInt64 {
    word(.otherDevice, behind: .node) ?? defaults.device
  }

  func stat(_ defaults: EntryRecord.Defaults) -> FileStat {
    FileStat(
      device: device(defaults), inode: inode, kind: kind, mode: mode, uid: uid, gid: gid,
      size: size,
      links: links, node: node, modified: modified, changed: changed,
      isMountRoot: flags.contains(.mountRoot),
      mountID: flags.contains(.noMount)
        ? nil : word(.otherMount, behind: [.node, .otherDevice]) ?? defaults.mountID,
      flags: statFlags, reportsFlags: flags.contains(.reportsAll))
  }

  /// Returns the entry.
  /// - Parameter directory: the directory of an entry with the state `directory`.
  func entry(_ defaults: EntryRecord.Defaults, _ directory: ScannedDirectory?) -> ScannedEntry {
    let content: ScannedContent =
      switch state {
      case .node: .node
      case .unread: .unread
      case .vanished: .vanished
      case .file: blob.map { .file(blob: $0) } ?? .unreadable
      case .directory: directory.map { .directory($0) } ?? .unreadable
      case .excludedDirectory: .excludedDirectory
      case .unreadable: .unreadable
      case .symlink: .symlink(Array(target))
      }
    var entry = ScannedEntry(name: Array(name), stat: stat(defaults), content: content)
    entry.xattrs = xattrs
    entry.holes = holes
    entry.flags = entryFlags
    entry.linkGroup = linkGroup
    entry.isCovered = flags.contains(.covered)
    entry.isCached = flags.contains(.cached)
    return entry
  }
}

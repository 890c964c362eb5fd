// Frames entries of a tree as members of a cpio or tar archive.

import Archive
import Platform
import Store

/// A header, and whether the entry's content follows it.
struct EncodedHeader {
  let header: [UInt8]
  let hasContent: Bool
}

/// Frames entries as cpio members. Of the links to an inode only the last has content.
struct CpioHeaderEncoder {
  private let links: [UInt64: UInt32]
  private var left: [UInt64: UInt32]
  private var inodes: [UInt64: UInt32] = [:]
  private var usedNumbers: Set<UInt32> = []

  init(_ links: [UInt64: UInt32]) {
    self.links = links
    left = links
  }

  mutating func encode(
    _ entry: Entry, _ path: [UInt8], _ counts: inout TreeArchiveCounts
  ) throws -> EncodedHeader {
    let kind: CpioKind
    switch entry.content {
    case .directory, .unreadableDirectory: kind = .directory
    case .symlink(let target): kind = .symlink(target: target)
    case .device(true, let node): kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node): kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: kind = .fifo
    case .file, .unreadableFile, .unreadableNode, .socket: kind = .file
    }
    let seconds = UInt32(clamping: entry.modified.seconds)
    if Int64(seconds) != entry.modified.seconds { counts.clampedTimes += 1 }
    if entry.xattrs != nil { counts.droppedXattrs += 1 }
    let count = links[entry.linkGroup] ?? 1
    let rest = (left[entry.linkGroup] ?? 1) - 1
    if entry.linkGroup != 0 { left[entry.linkGroup] = rest }
    let hasContent = kind == .file && rest == 0
    let member = CpioMember(
      path: path, kind: kind, mode: entry.mode, uid: entry.uid,
      gid: entry.gid, inode: CpioInode(number: count > 1 ? inode(entry.linkGroup) : 0),
      links: count, modifiedSeconds: seconds, sizeBytes: hasContent ? entry.sizeBytes : 0)
    return EncodedHeader(header: try member.header(), hasContent: hasContent)
  }

  /// Returns an inode number for a link group, derived from the group's name. Only hard links need one.
  private mutating func inode(_ group: UInt64) -> UInt32 {
    if let known = inodes[group] { return known }
    var number = UInt32(truncatingIfNeeded: group ^ group >> 32) | 1
    while !usedNumbers.insert(number).inserted { number &+= 2 }
    inodes[group] = number
    return number
  }
}

/// Frames entries as tar members. All links to an inode but the first refer to the first.
struct TarHeaderEncoder {
  private var firstNames: [UInt64: [UInt8]] = [:]

  mutating func encode(
    _ entry: Entry, _ name: [UInt8], _ xattrs: [TarMember.Xattr]
  ) throws -> EncodedHeader {
    var member = TarMember(
      path: name, kind: .file, mode: entry.mode, uid: entry.uid, gid: entry.gid,
      modifiedSeconds: entry.modified.seconds, modifiedNanoseconds: entry.modified.nanoseconds,
      xattrs: xattrs)
    switch entry.content {
    case .file(_, let size): member.sizeBytes = size
    case .unreadableFile, .unreadableNode, .socket: break
    case .directory, .unreadableDirectory:
      member.kind = .directory
      member.path.append(0x2f)
    case .symlink(let target): member.kind = .symlink(target: target)
    case .device(true, let node):
      member.kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node):
      member.kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: member.kind = .fifo
    }
    if entry.linkGroup != 0 {
      if let first = firstNames[entry.linkGroup] {
        member.kind = .hardLink(target: first)
        member.sizeBytes = 0
        member.xattrs = []
      } else {
        firstNames[entry.linkGroup] = name
      }
    }
    return EncodedHeader(header: try member.header(), hasContent: member.kind == .file)
  }
}

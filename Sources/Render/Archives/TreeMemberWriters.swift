// Writes entries of a tree as members of a cpio or tar archive.

import Archive
import Platform
import Store

/// Writes entries as cpio members. Of the links to an inode only the last has content.
final class CpioTreeWriter {
  let archive: CpioWriter
  private let links: [UInt64: UInt32]
  private var inodes: [UInt64: (number: UInt32, left: UInt32)] = [:]
  private var lastInode: UInt32 = 0

  init(_ archive: CpioWriter, _ links: [UInt64: UInt32]) {
    self.archive = archive
    self.links = links
  }

  func write(
    _ entry: Entry, _ path: [UInt8], _ subdirectories: Int, _ counts: inout TreeArchiveCounts,
    content: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    let kind: CpioKind
    switch entry.content {
    case .file, .unreadableFile: kind = .file
    case .directory, .unreadableDirectory: kind = .directory
    case .unreadableNode: return
    case .symlink(let target): kind = .symlink(target: target)
    case .device(true, let node): kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node): kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: kind = .fifo
    case .socket:
      counts.skippedSockets += 1
      return
    }
    let seconds = UInt32(clamping: entry.modified.seconds)
    if Int64(seconds) != entry.modified.seconds { counts.clampedTimes += 1 }
    if entry.xattrs != nil { counts.droppedXattrs += 1 }
    let (inode, isLast) = nextInode(entry)
    let size = kind == .file && isLast ? entry.sizeBytes : 0
    let linkCount =
      kind == .directory ? UInt32(clamping: 2 + subdirectories) : links[entry.linkGroup] ?? 1
    try archive.begin(
      CpioMember(
        path: path, kind: kind, mode: entry.mode, uid: entry.uid, gid: entry.gid,
        inode: CpioInode(number: inode), links: linkCount, modifiedSeconds: seconds,
        sizeBytes: size))
    if size > 0 { try content(archive.write) }
    counts.members += 1
    counts.contentBytes &+= size
    if isLast, entry.holes != nil { counts.filledSparseFiles += 1 }
  }

  /// Returns the entry's inode number, and whether this is its last name.
  private func nextInode(_ entry: Entry) -> (UInt32, isLast: Bool) {
    if entry.linkGroup != 0, let (number, left) = inodes[entry.linkGroup] {
      inodes[entry.linkGroup] = left > 1 ? (number, left - 1) : nil
      return (number, left <= 1)
    }
    lastInode &+= 1
    let others = (links[entry.linkGroup] ?? 1) - 1
    if others > 0 { inodes[entry.linkGroup] = (lastInode, others) }
    return (lastInode, others == 0)
  }
}

/// Writes entries as tar members. All links to an inode but the first refer to the first.
final class TarTreeWriter {
  let archive: TarWriter
  private var firstNames: [UInt64: [UInt8]] = [:]

  init(_ archive: TarWriter) { self.archive = archive }

  func write(
    _ entry: Entry, _ path: [UInt8], _ xattrs: [TarMember.Xattr],
    _ counts: inout TreeArchiveCounts,
    content: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    var member = TarMember(
      path: path, kind: .file, mode: entry.mode, uid: entry.uid, gid: entry.gid,
      modifiedSeconds: entry.modified.seconds, modifiedNanoseconds: entry.modified.nanoseconds,
      xattrs: xattrs)
    switch entry.content {
    case .file(_, let size): member.sizeBytes = size
    case .unreadableFile, .unreadableNode: break
    case .directory, .unreadableDirectory:
      member.kind = .directory
      member.path.append(0x2f)
    case .symlink(let target): member.kind = .symlink(target: target)
    case .device(true, let node):
      member.kind = .blockDevice(major: node.major, minor: node.minor)
    case .device(false, let node):
      member.kind = .characterDevice(major: node.major, minor: node.minor)
    case .fifo: member.kind = .fifo
    case .socket:
      counts.skippedSockets += 1
      return
    }
    if entry.linkGroup != 0 {
      if let first = firstNames[entry.linkGroup] {
        member.kind = .hardLink(target: first)
        member.sizeBytes = 0
        member.xattrs = []
      } else {
        firstNames[entry.linkGroup] = path
      }
    }
    try archive.begin(member)
    if member.sizeBytes > 0 { try content(archive.write) }
    counts.members += 1
    counts.contentBytes &+= member.sizeBytes
    if member.kind == .file, entry.holes != nil { counts.filledSparseFiles += 1 }
  }
}

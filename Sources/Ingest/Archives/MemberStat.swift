// The attributes of archive members as those of files.

import Archive
import Platform

extension FileStat {
  init(_ member: CpioMember) {
    let (kind, node): (FileKind, DeviceNumber) =
      switch member.kind {
      case .file: (.file, .none)
      case .directory: (.directory, .none)
      case .symlink: (.symlink, .none)
      case .characterDevice(let major, let minor):
        (.characterDevice, DeviceNumber(major: major, minor: minor))
      case .blockDevice(let major, let minor):
        (.blockDevice, DeviceNumber(major: major, minor: minor))
      case .fifo: (.fifo, .none)
      case .socket: (.socket, .none)
      }
    self.init(
      kind: kind, mode: member.mode, uid: member.uid, gid: member.gid, size: member.sizeBytes,
      node: node, modified: Timestamp(seconds: Int64(member.modifiedSeconds), nanoseconds: 0))
  }

  /// Creates a stat from a member, or returns nil for a hard link, which has no attributes of its own.
  init?(_ member: TarMember) {
    let (kind, node): (FileKind, DeviceNumber)
    switch member.kind {
    case .file: (kind, node) = (.file, .none)
    case .directory: (kind, node) = (.directory, .none)
    case .symlink: (kind, node) = (.symlink, .none)
    case .characterDevice(let major, let minor):
      (kind, node) = (.characterDevice, DeviceNumber(major: major, minor: minor))
    case .blockDevice(let major, let minor):
      (kind, node) = (.blockDevice, DeviceNumber(major: major, minor: minor))
    case .fifo: (kind, node) = (.fifo, .none)
    case .hardLink: return nil
    }
    self.init(
      // A link has no mode of its own, whatever its header says.
      kind: kind, mode: kind == .symlink ? 0o777 : member.mode, uid: member.uid, gid: member.gid,
      size: member.sizeBytes, node: node,
      modified: Timestamp(
        seconds: member.modifiedSeconds, nanoseconds: member.modifiedNanoseconds))
  }
}

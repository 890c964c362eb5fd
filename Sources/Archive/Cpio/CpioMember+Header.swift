// The headers of cpio archives in the form "newc", byte for byte as GNU `cpio -H newc -o` writes them.

extension CpioMember: ArchiveMember {
  public static var unitBytes: UInt64 { 4 }
  private static var blockBytes: Int { 512 }

  /// Returns the header, and the target of a symbolic link, which is the link's content.
  /// - Throws: `ArchiveError` for members that the form cannot hold: a file of 4 GiB or more, an empty or
  ///   too long name, the name of the end mark.
  public func header() throws(ArchiveError) -> [UInt8] {
    guard !path.isEmpty, path.count <= CpioFormat.maxNameBytes,
      !path.contains(0), path != CpioFormat.endMark
    else {
      throw ArchiveError(
        member: path,
        path == CpioFormat.endMark
          ? "a cpio archive cannot have a member of this name, which marks an archive's end: rename it, or "
            + "use the method tar"
          : "no cpio archive can hold this name: it is empty, over \(CpioFormat.maxNameBytes) bytes, or "
            + "has a NUL")
    }
    var target: [UInt8] = []
    var device: (major: UInt32, minor: UInt32) = (0, 0)
    let kindBits: UInt32
    switch kind {
    case .file: kindBits = 0o100000
    case .directory: kindBits = 0o040000
    case .symlink(let t): (kindBits, target) = (0o120000, t)
    case .characterDevice(let major, let minor): (kindBits, device) = (0o020000, (major, minor))
    case .blockDevice(let major, let minor): (kindBits, device) = (0o060000, (major, minor))
    case .fifo: kindBits = 0o010000
    case .socket: kindBits = 0o140000
    }
    let content = kind == .file ? sizeBytes : UInt64(target.count)
    guard content <= CpioFormat.maxFileBytes, kind == .file || sizeBytes == 0 else {
      throw ArchiveError(
        member: path,
        "it has \(sizeBytes) bytes, and a cpio archive holds files of less than 4 GiB")
    }
    var header = CpioHeader()
    header.inode = inode.number
    header.mode = kindBits | UInt32(mode & 0o7777)
    header.uid = uid
    header.gid = gid
    header.links = links
    header.modified = modifiedSeconds
    header.contentBytes = UInt32(content)
    header.deviceMajor = inode.deviceMajor
    header.deviceMinor = inode.deviceMinor
    header.nodeMajor = device.major
    header.nodeMinor = device.minor
    return CpioMember.bytes(header, name: path) + CpioMember.padded(target)
  }

  /// Returns the end mark, padded to a block of 512 bytes.
  public static func end(after totalBytes: UInt64) -> [UInt8] {
    var header = CpioHeader()
    header.links = 1
    let mark = bytes(header, name: CpioFormat.endMark)
    let rest = (blockBytes - (Int(totalBytes % 512) + mark.count) % blockBytes) % blockBytes
    return mark + [UInt8](repeating: 0, count: rest)
  }

  private static func bytes(_ header: CpioHeader, name: [UInt8]) -> [UInt8] {
    var header = header
    header.nameBytes = UInt32(name.count + 1)
    return padded(header.bytes + name + [0])
  }
}

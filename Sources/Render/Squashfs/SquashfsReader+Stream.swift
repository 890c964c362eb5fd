// Produces the tar stream of a squashfs image: the list of its members, and their content.

import Archive
import Platform

extension SquashfsReader {
  // MARK: The stream

  /// Returns the image as a tar archive.
  /// - Parameter top: the name of the image's root.
  /// - Throws: `ArchiveError` if a table is damaged; the errors of reading the image.
  public func tarStream(top: [UInt8]) throws -> ByteSource {
    let stream = SquashfsTarStream(self)
    var numbers: [UInt32: [UInt8]] = [:]
    var directories: Set<UInt64> = []
    var members: [(member: TarMember, reference: UInt64)] = []
    func visit(_ reference: UInt64, _ path: [UInt8], _ depth: Int) throws {
      guard depth <= SquashfsReader.maxDepth, members.count < SquashfsReader.maxEntries else {
        throw ArchiveError("a squashfs image is nested too deeply, or has too many entries")
      }
      let inode = try inode(reference, path: path)
      var member = inode.member
      if member.kind == .directory {
        // A directory has one name. With two it would contain itself, or waste memory.
        guard directories.insert(reference).inserted else {
          throw ArchiveError("a squashfs directory occurs twice in the image")
        }
        member.path.append(0x2f)
        members.append((member, reference))
        for (name, child) in try listing(inode) {
          try visit(child, path + [0x2f] + name, depth + 1)
        }
        return
      }
      if inode.isSocket { return }
      if let first = numbers.updateValue(path, forKey: inode.number) {
        numbers[inode.number] = first
        member.kind = .hardLink(target: first)
        (member.sizeBytes, member.xattrs) = (0, [])
      }
      members.append((member, reference))
    }
    try visit(rootReference, top, 0)
    stream.members = members
    return { try stream.read($0) }
  }

  /// Returns the plain bytes of block `number` of a file, including its tail.
  func content(_ reference: UInt64, block number: Int) throws -> [UInt8] {
    if current?.reference != reference || current?.block != number {
      let inode = try inode(reference, path: [])
      guard let data = inode.data, number == 0 else { return [] }
      current = (reference, inode.member.sizeBytes, data, 0, data.start)
    }
    guard let (_, size, data, _, offset) = current else { return [] }
    current?.block += 1
    let expectedBytes = Int(min(UInt64(blockBytes), size - UInt64(number) * UInt64(blockBytes)))
    if number < data.blockSizes.count {
      let word = data.blockSizes[number]
      let packedBytes = Int(word & (Squashfs.blockUncompressed - 1))
      current?.at = offset &+ UInt64(packedBytes)
      if packedBytes == 0 { return [UInt8](repeating: 0, count: expectedBytes) }
      guard packedBytes <= blockBytes else {
        throw ArchiveError("a squashfs block is longer than its image allows")
      }
      let packed = try bytes(offset, packedBytes)
      let plain =
        word & Squashfs.blockUncompressed != 0
        ? packed : try decode(packed, maxBytes: blockBytes)
      guard plain.count >= expectedBytes else {
        throw ArchiveError("a squashfs block is too short")
      }
      return Array(plain[..<expectedBytes])
    }
    let shared = try fragmentBytes(data.fragment)
    guard data.fragmentOffset <= shared.count, expectedBytes <= shared.count - data.fragmentOffset
    else {
      throw ArchiveError("a squashfs fragment is too short")
    }
    return Array(shared[data.fragmentOffset..<data.fragmentOffset + expectedBytes])
  }

  private func fragmentBytes(_ number: UInt32) throws -> [UInt8] {
    if let fragment, fragment.number == number { return fragment.bytes }
    guard number < fragmentCount else {
      throw ArchiveError("a squashfs fragment is not in its table")
    }
    var entry = LittleEndianFields(try element(fragmentTable, UInt64(number), size: 16))
    let start = try entry.word64()
    let word = try entry.word32()
    let packedBytes = Int(word & (Squashfs.blockUncompressed - 1))
    guard packedBytes <= blockBytes else {
      throw ArchiveError("a squashfs block is longer than its image allows")
    }
    let packed = try bytes(start, packedBytes)
    let plain =
      word & Squashfs.blockUncompressed != 0 ? packed : try decode(packed, maxBytes: blockBytes)
    fragment = (number, plain)
    return plain
  }
}

/// Produces the members of an image part by part.
private final class SquashfsTarStream {
  private let reader: SquashfsReader
  var members: [(member: TarMember, reference: UInt64)] = []
  private var next = 0
  private var block = 0
  private var blocks = 0
  private var buffer: [UInt8] = []
  private var offset = 0
  private var isEnded = false

  init(_ reader: SquashfsReader) { self.reader = reader }

  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    while offset == buffer.count {
      guard try fill() else { return 0 }
    }
    let n = min(target.count, buffer.count - offset)
    target.copyBytes(from: buffer[offset..<offset + n])
    offset += n
    return n
  }

  private func fill() throws -> Bool {
    (buffer, offset) = ([], 0)
    if block < blocks {
      let (member, reference) = members[next - 1]
      buffer = try reader.content(reference, block: block)
      block += 1
      if block == blocks {
        buffer += [UInt8](repeating: 0, count: TarMember.paddingBytes(after: member.sizeBytes))
      }
      return true
    }
    if next < members.count {
      let member = members[next].member
      next += 1
      buffer = try member.header()
      block = 0
      blocks =
        member.kind == .file
        ? Int((member.sizeBytes + UInt64(reader.blockBytes) - 1) / UInt64(reader.blockBytes)) : 0
      return true
    }
    if isEnded { return false }
    isEnded = true
    buffer = [UInt8](repeating: 0, count: 1024)
    return true
  }
}

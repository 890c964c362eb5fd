// Byte streams over arrays, and helpers for tests of archives.

import Archive
import Foundation
import Platform
import TestSupport

func source(_ bytes: [UInt8], step: Int = .max) -> ByteSource {
  let rest = Monitor(bytes[...])
  return { target in
    rest.withLock { rest in
      let n = min(rest.count, target.count, step)
      target.copyBytes(from: rest.prefix(n))
      rest.removeFirst(n)
      return n
    }
  }
}

/// Reads content to its end, in parts of an odd size.
func readAll(_ read: (UnsafeMutableRawBufferPointer) throws -> Int) throws -> [UInt8] {
  var content: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1001)
  while true {
    let n = try buffer.withUnsafeMutableBytes { try read($0) }
    if n == 0 { return content }
    content += buffer.prefix(n)
  }
}

func fileBytes(_ path: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

func cpioMembers(_ bytes: [UInt8], step: Int = .max) throws -> [(CpioMember, [UInt8])] {
  let cpio = CpioReader(source(bytes, step: step))
  var all: [(CpioMember, [UInt8])] = []
  while let member = try cpio.next() { all.append((member, try readAll { try cpio.read($0) })) }
  return all
}

/// Members of every kind, with random names, numbers and content.
func cpioSample(_ seed: UInt64) -> [(CpioMember, [UInt8])] {
  var random = SplitMix64(seed)
  let kinds: [CpioKind] = [
    .file, .file, .file, .directory, .symlink(target: Array("a/b".utf8)), .fifo, .socket,
    .characterDevice(major: 1, minor: 3), .blockDevice(major: 259, minor: 70_000),
  ]
  return (0..<40).map { i in
    let name = String(repeating: "n", count: Int.random(in: 1...200, using: &random)) + "\(i)"
    let kind = kinds[Int.random(in: 0..<kinds.count, using: &random)]
    let content =
      kind == .file ? random.bytes(Int.random(in: 0...3000, using: &random)) : []
    return (
      CpioMember(
        path: Array(name.utf8), kind: kind, mode: UInt16(random.next() & 0o7777),
        uid: UInt32(truncatingIfNeeded: random.next()),
        gid: UInt32(truncatingIfNeeded: random.next()),
        inode: CpioInode(
          deviceMajor: UInt32(truncatingIfNeeded: random.next()), number: UInt32(i + 1)),
        modifiedSeconds: UInt32(truncatingIfNeeded: random.next()),
        sizeBytes: UInt64(content.count)), content
    )
  }
}

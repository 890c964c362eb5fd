// Walks an archive member by member and, where it is asked to, writes it again without some of them: byte for
// byte, but for what is left out or replaced. For packed images, ramdisks, and archives among extras.
//
//     stream = { zeros | cpio archive | compressed stream } …   as the kernel unpacks an initramfs
//            | tar archive
//
// 1. What is not understood is an `ArchiveError`: nothing is passed on unexamined.
// 2. Headers are copied as they are. A replaced member gets a header with its new size.
// 3. The archive is hostile: lengths are checked before they are used.

import Archive
import Codec

/// A member on its walk.
struct WalkedMember {
  let path: [UInt8]
  let isFile: Bool
  let sizeBytes: UInt64
  /// Its number in the archive, over all segments.
  let number: Int
  /// Names one inode within its segment; nil where it has no other name.
  var inode: [UInt8]?
  /// What a hard link of tar leads to, or a symbolic link.
  var linkTarget: [UInt8]?
  var isHardLink = false
}

/// What becomes of a member.
enum MemberFate: Equatable {
  case kept
  case leftOut
  case replaced([UInt8])
}

/// Decides on members.
protocol ArchiveVisitor: AnyObject {
  /// Whether `visit` is given the content: it is held in memory then.
  func wantsContent(_ member: WalkedMember) -> Bool
  /// - Parameter content: nil where it was not wanted.
  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberFate
  /// Looks at content that is not held, from its beginning. What is not read is skipped.
  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws
}

/// The compressed forms of streams.
enum StreamForm: Sendable {
  case gzip, xz, zstd
  /// Read, and never written.
  case bzip2, lzma

  static func of(_ head: ArraySlice<UInt8>) -> StreamForm? {
    if head.starts(with: [0x1f, 0x8b]) { return .gzip }
    if head.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) { return .xz }
    if head.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return .zstd }
    if head.count >= 4, head[head.startIndex] & 0xf0 == 0x50,
      head.dropFirst().starts(with: [0x2a, 0x4d, 0x18])
    {
      return .zstd
    }
    if head.starts(with: "BZh".utf8) { return .bzip2 }
    if head.starts(with: [0x5d, 0, 0]) { return .lzma }
    return nil
  }
}

/// Compresses what `write` gives it, and passes it on.
typealias StreamCompressor = (
  _ form: StreamForm, _ write: (@escaping ByteSink) throws -> Void, _ sink: @escaping ByteSink
) throws -> Void

/// A walk over one archive.
final class ArchiveWalk {
  private let visitor: any ArchiveVisitor
  private let compress: StreamCompressor?
  private var number = 0
  private var depth = 0

  private static let maxDepth = 8
  private static let windowBytes = 256 << 10
  private static let cpioMagics = [Array("070701".utf8), Array("070702".utf8)]

  /// - Parameter compress: writes compressed streams again; nil where nothing is written.
  init(_ visitor: any ArchiveVisitor, compress: StreamCompressor? = nil) {
    self.visitor = visitor
    self.compress = compress
  }

  /// Whether these bytes begin an archive, compressed or not.
  static func isArchive(_ head: ArraySlice<UInt8>) -> Bool {
    if StreamForm.of(head) != nil { return true }
    if cpioMagics.contains(where: { head.starts(with: $0) }) { return true }
    return head.count >= 262 && head[(head.startIndex + 257)...].starts(with: "ustar".utf8)
  }

  /// Walks to the stream's end.
  /// - Parameter sink: gets the archive as it shall be; nil where it is only read.
  /// - Throws: `ArchiveError` for what is not understood, and what visitor and sink throw.
  func run(_ source: @escaping ByteSource, to sink: ByteSink? = nil) throws {
    depth += 1
    defer { depth -= 1 }
    guard depth <= ArchiveWalk.maxDepth else {
      throw ArchiveError("it is compressed more than \(ArchiveWalk.maxDepth) times")
    }
    let reader = PeekingReader(source)
    var isFirst = true
    while true {
      try skipZeros(reader, sink)
      let head = try reader.peek(512)
      if head.isEmpty { return }
      if ArchiveWalk.cpioMagics.contains(where: { head.starts(with: $0) }) {
        try walkCpio(reader, sink)
      } else if let form = StreamForm.of(head) {
        // The rest of the stream is the compressed stream's.
        return try walkCompressed(form, reader, sink)
      } else if isFirst {
        return try walkTar(reader, sink)
      } else {
        throw ArchiveError("something that is no archive follows an archive")
      }
      isFirst = false
    }
  }

  private func emit(_ bytes: [UInt8], _ sink: ByteSink?) throws {
    guard let sink, !bytes.isEmpty else { return }
    try bytes.withUnsafeBytes { try sink($0) }
  }

  private func skipZeros(_ reader: PeekingReader, _ sink: ByteSink?) throws {
    while case let head = try reader.peek(4096), head.first == 0 {
      let count = head.prefix { $0 == 0 }.count
      try emit(try reader.take(count), sink)
    }
  }

  private func walkCompressed(
    _ form: StreamForm, _ reader: PeekingReader, _ sink: ByteSink?
  ) throws {
    let plain = DecompressingReader({ try reader.read($0) }, limit: .holes)
    guard let sink else { return try run({ try plain.read($0) }) }
    guard let compress else { preconditionFailure("a walk that writes has a compressor") }
    try compress(form, { inner in try self.run({ try plain.read($0) }, to: inner) }, sink)
  }

  // MARK: cpio

  private struct CpioField {
    static let inode = 6, mode = 14, links = 38, size = 54, deviceMajor = 62, nameSize = 94
    static let sum = 102
  }

  private func hex(_ header: [UInt8], _ offset: Int) throws -> UInt32 {
    try header[offset..<offset + 8].reduce(0) { value, digit in
      let digit = digit
      switch digit {
      case 0x30...0x39: return value << 4 | UInt32(digit - 0x30)
      case 0x41...0x46: return value << 4 | UInt32(digit - 0x41 + 10)
      case 0x61...0x66: return value << 4 | UInt32(digit - 0x61 + 10)
      default: throw ArchiveError("a number in a cpio header is not hexadecimal")
      }
    }
  }

  private func exactly(_ count: Int, _ reader: PeekingReader) throws -> [UInt8] {
    let bytes = try reader.take(count)
    guard bytes.count == count else { throw ArchiveError("the cpio archive is cut off") }
    return bytes
  }

  /// One archive, to its end mark.
  private func walkCpio(_ reader: PeekingReader, _ sink: ByteSink?) throws {
    while true {
      var header = try exactly(110, reader)
      guard ArchiveWalk.cpioMagics.contains(where: { header.starts(with: $0) }) else {
        throw ArchiveError("no cpio header where one must be")
      }
      let nameBytes = Int(try hex(header, CpioField.nameSize))
      guard nameBytes > 1, nameBytes <= 4097 else {
        throw ArchiveError("a name of \(nameBytes) bytes in a cpio archive is impossible")
      }
      let nameField = try exactly(nameBytes + (4 - (110 + nameBytes) % 4) % 4, reader)
      let path = Array(nameField.prefix(nameBytes - 1).prefix { $0 != 0 })
      let size = UInt64(try hex(header, CpioField.size))
      if path == Array("TRAILER!!!".utf8) {
        try emit(header + nameField, sink)
        return
      }
      let mode = try hex(header, CpioField.mode)
      let padding = Int((4 - size % 4) % 4)
      let isLinked = try hex(header, CpioField.links) > 1 && mode & 0o170000 == 0o100000
      var member = WalkedMember(
        path: path, isFile: mode & 0o170000 == 0o100000, sizeBytes: size, number: number)
      number += 1
      if isLinked {
        member.inode =
          Array(header[CpioField.inode..<CpioField.inode + 8])
          + header[CpioField.deviceMajor..<CpioField.deviceMajor + 16]
      }
      if mode & 0o170000 == 0o120000, size <= 4096 {
        let target = try exactly(Int(size), reader)
        let pad = try exactly(padding, reader)
        member.linkTarget = target
        if try visitor.visit(member, nil) != .leftOut {
          try emit(header + nameField + target + pad, sink)
        }
        continue
      }
      if member.isFile, size > 0, visitor.wantsContent(member) {
        let content = try exactly(Int(size), reader)
        let pad = try exactly(padding, reader)
        switch try visitor.visit(member, content) {
        case .kept: try emit(header + nameField + content + pad, sink)
        case .leftOut: break
        case .replaced(let bytes):
          ArchiveWalk.put(UInt32(clamping: bytes.count), in: &header, at: CpioField.size)
          if header.starts(with: ArchiveWalk.cpioMagics[1]) {
            let sum = bytes.reduce(UInt32(0)) { $0 &+ UInt32($1) }
            ArchiveWalk.put(sum, in: &header, at: CpioField.sum)
          }
          let zeros = [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
          try emit(header + nameField + bytes + zeros, sink)
        }
        continue
      }
      let fate = try visitor.visit(member, nil)
      let output = fate == .leftOut ? nil : sink
      try emit(header + nameField, output)
      let left = RemainingBytes(size)
      if member.isFile, size > 0 {
        // What the visitor reads is passed on as well.
        try visitor.look(member) { target in
          try left.read(target, from: { try reader.read($0) }, passingTo: output)
        }
      }
      try left.drain(from: { try reader.read($0) }, passingTo: output)
      guard left.count == 0 else { throw ArchiveError(member: path, "the cpio archive is cut off") }
      try emit(try exactly(padding, reader), output)
    }
  }

  private static func put(_ value: UInt32, in header: inout [UInt8], at offset: Int) {
    let digits = Array("0123456789abcdef".utf8)
    for i in 0..<8 { header[offset + i] = digits[Int(value >> UInt32(28 - 4 * i) & 15)] }
  }

  // MARK: tar

  /// One archive, to the stream's end.
  private func walkTar(_ reader: PeekingReader, _ sink: ByteSink?) throws {
    let tee = TarTee(reader)
    let tar = TarReader { try tee.read($0) }
    while true {
      tee.beginHeader()
      guard let next = try tar.next() else { break }
      let header = tee.takeHeader()
      var member = WalkedMember(
        path: next.path, isFile: next.kind == .file, sizeBytes: next.sizeBytes, number: number)
      number += 1
      switch next.kind {
      case .hardLink(let target):
        member.linkTarget = target
        member.isHardLink = true
      case .symlink(let target): member.linkTarget = target
      default: break
      }
      try emit(header.padding, tee.wasKept ? sink : nil)
      if member.isFile, next.sizeBytes > 0, next.sparse == nil, visitor.wantsContent(member) {
        tee.begin(passingTo: nil)
        var content = [UInt8](repeating: 0, count: Int(next.sizeBytes))
        try content.withUnsafeMutableBytes { buffer in
          var done = 0
          while done < buffer.count {
            let n = try tar.read(UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
            guard n > 0 else { throw ArchiveError(member: next.path, "it ends too early") }
            done += n
          }
        }
        switch try visitor.visit(member, content) {
        case .kept:
          try emit(header.blocks + content, sink)
          tee.wasKept = true
        case .leftOut: tee.wasKept = false
        case .replaced(let bytes):
          var changed = next
          changed.sizeBytes = UInt64(bytes.count)
          changed.comment = nil
          var blocks: [UInt8] = []
          try TarWriter { blocks += $0 }.begin(changed)
          blocks += bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
          try emit(blocks, sink)
          tee.wasKept = false
        }
        continue
      }
      let fate = try visitor.visit(member, nil)
      let output = fate == .leftOut ? nil : sink
      if output == nil, sink != nil, member.isHardLink,
        header.blocks.count < 512 || header.blocks[header.blocks.count - 356] != UInt8(ascii: "1")
      {
        // The reader has looked at the block behind the header, which another member may begin in.
        throw ArchiveError(member: next.path, "it is a hard link of a form that cannot be left out")
      }
      try emit(header.blocks, output)
      tee.begin(passingTo: output)
      if member.isFile, next.sizeBytes > 0 {
        try visitor.look(member) { try tar.read($0) }
      }
      var buffer = [UInt8](repeating: 0, count: ArchiveWalk.windowBytes)
      while try buffer.withUnsafeMutableBytes({ try tar.read($0) }) > 0 {}
      tee.wasKept = fate != .leftOut
    }
    let end = tee.takeHeader()
    try emit(end.padding, tee.wasKept ? sink : nil)
    try emit(end.blocks, sink)
    // What follows the end mark must be zeros: the record's filling.
    while case let rest = try reader.take(ArchiveWalk.windowBytes), !rest.isEmpty {
      guard rest.allSatisfy({ $0 == 0 }) else {
        throw ArchiveError("something follows the archive's end mark: more than one archive?")
      }
      try emit(rest, sink)
    }
  }
}

/// The content of a member that is left to be read.
private final class RemainingBytes {
  private(set) var count: UInt64
  init(_ count: UInt64) { self.count = count }

  func read(
    _ target: UnsafeMutableRawBufferPointer, from source: ByteSource, passingTo sink: ByteSink?
  ) throws -> Int {
    let wanted = Int(min(UInt64(target.count), count))
    if wanted == 0 { return 0 }
    let part = UnsafeMutableRawBufferPointer(rebasing: target[..<wanted])
    let n = try source(part)
    count -= UInt64(n)
    if n > 0 { try sink?(UnsafeRawBufferPointer(rebasing: part[..<n])) }
    return n
  }

  func drain(from source: ByteSource, passingTo sink: ByteSink?) throws {
    if count == 0 { return }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while count > 0, try read(buffer, from: source, passingTo: sink) > 0 {}
  }
}

/// Records the blocks that a `TarReader` takes: headers to be written again, content to be passed on.
private final class TarTee {
  private let reader: PeekingReader
  private var isHeader = true
  private var recorded: [UInt8] = []
  private var output: ByteSink?
  private var contentBytes: UInt64 = 0
  private var paddingBytes = 0
  /// The member before is in the output, and so is its padding.
  var wasKept = true

  /// A header record may not be longer: names and pax records have limits of their own.
  private static let maxHeaderBytes = 64 << 20

  init(_ reader: PeekingReader) { self.reader = reader }

  func beginHeader() {
    paddingBytes = Int((512 - contentBytes % 512) % 512)
    contentBytes = 0
    isHeader = true
    recorded = []
  }

  /// What was read since `beginHeader`: the padding of the member before, then header blocks.
  func takeHeader() -> (padding: [UInt8], blocks: [UInt8]) {
    let cut = min(paddingBytes, recorded.count)
    return (Array(recorded[..<cut]), Array(recorded[cut...]))
  }

  func begin(passingTo sink: ByteSink?) {
    isHeader = false
    output = sink
  }

  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    let n = try reader.read(target)
    let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(target)[..<n])
    if isHeader {
      guard recorded.count + n <= TarTee.maxHeaderBytes else {
        throw ArchiveError("a tar header is too long")
      }
      recorded += bytes
    } else {
      contentBytes += UInt64(n)
      if n > 0 { try output?(bytes) }
    }
    return n
  }
}

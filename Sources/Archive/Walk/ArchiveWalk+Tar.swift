// The walk over tar archives: a `TarReader` parses them, and the consumed blocks are copied unchanged.

extension ArchiveWalk {
  /// Walks one archive, to the stream's end.
  func walkTar(_ reader: PeekingReader, _ sink: ByteSink?) throws {
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
        tee.wasKept = try visitContent(of: member, next, header.blocks, tar, sink)
      } else {
        tee.wasKept = try pass(member, next, header.blocks, tar, tee, sink)
      }
    }
    let end = tee.takeHeader()
    try emit(end.padding, tee.wasKept ? sink : nil)
    try emit(end.blocks, sink)
    // Only zeros may follow the end mark, as padding of the record.
    while case let rest = try reader.take(ArchiveWalk.windowBytes), !rest.isEmpty {
      guard rest.allSatisfy({ $0 == 0 }) else {
        throw ArchiveError("data follows the archive's end mark: more than one archive?")
      }
      try emit(rest, sink)
    }
  }
  /// Shows a file with its content to the visitor.
  /// - Returns: whether the file is in the output, without its padding.
  private func visitContent(
    of member: WalkedMember, _ header: TarMember, _ blocks: [UInt8], _ tar: TarReader,
    _ sink: ByteSink?
  ) throws -> Bool {
    var content = [UInt8](repeating: 0, count: Int(header.sizeBytes))
    try content.withUnsafeMutableBytes { buffer in
      var done = 0
      while done < buffer.count {
        let n = try tar.read(UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        guard n > 0 else { throw ArchiveError(member: header.path, "it ends too early") }
        done += n
      }
    }
    switch try visitor.visit(member, content) {
    case .kept:
      try emit(blocks + content, sink)
      return true
    case .leftOut: return false
    case .replaced(let bytes):
      var changed = header
      changed.sizeBytes = UInt64(bytes.count)
      changed.comment = nil
      try emit(try changed.header() + TarMember.padded(bytes), sink)
      return false
    }
  }

  /// Shows a member to the visitor, and copies or skips its content.
  /// - Returns: whether the visitor keeps the member.
  private func pass(
    _ member: WalkedMember, _ header: TarMember, _ blocks: [UInt8], _ tar: TarReader, _ tee: TarTee,
    _ sink: ByteSink?
  ) throws -> Bool {
    let action = try visitor.visit(member, nil)
    let output = action == .leftOut ? nil : sink
    if output == nil, sink != nil, member.isHardLink,
      blocks.count < 512 || blocks[blocks.count - 356] != UInt8(ascii: "1")
    {
      // The reader has read one block ahead, in which another member may begin.
      throw ArchiveError(member: header.path, "it is a hard link of a form that cannot be left out")
    }
    try emit(blocks, output)
    tee.begin(passingTo: output)
    // Skip holes: a small archive may claim files of many terabytes.
    func readData(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
      if header.sparse != nil { tar.skipHole(upTo: header.sizeBytes) }
      return try tar.read(target)
    }
    if member.isFile, header.sizeBytes > 0 { try visitor.look(member, readData) }
    var buffer = [UInt8](repeating: 0, count: ArchiveWalk.windowBytes)
    while try buffer.withUnsafeMutableBytes({ try readData($0) }) > 0 {}
    return action != .leftOut
  }
}

/// Records the blocks that a `TarReader` consumes: headers to be written later, content to be copied.
private final class TarTee {
  private let reader: PeekingReader
  private var isHeader = true
  private var recorded: [UInt8] = []
  private var output: ByteSink?
  private var contentBytes: UInt64 = 0
  private var paddingBytes = 0
  /// Whether the previous member is in the output, and so needs its padding.
  var wasKept = true

  /// The limit of a header record; names and pax records have limits of their own.
  private static let maxHeaderBytes = 64 << 20

  init(_ reader: PeekingReader) { self.reader = reader }

  func beginHeader() {
    paddingBytes = Int((512 - contentBytes % 512) % 512)
    contentBytes = 0
    isHeader = true
    recorded = []
  }

  /// Returns the bytes read since `beginHeader`: the padding of the previous member, then header blocks.
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

// Searching bytes line by line, as grep does.
//
// 1. Memory is bounded: a line of more than `lineLimitBytes` is searched in pieces of that length.
// 2. A file with a NUL is binary: its lines are not shown, and a NUL ends a line, so that no search
//    runs over megabytes without one.

import Platform

/// What a search found in one file.
public struct LineHit: Sendable {
  /// From 1.
  public let number: Int
  /// Without its newline.
  public let line: [UInt8]
}

/// Searches one file, part by part.
public struct LineSearcher {
  private let pattern: LinePattern
  private var pending: [UInt8] = []
  private var lineNumber = 1
  /// A NUL was seen.
  public private(set) var isBinary = false
  /// Lines that matched; of a binary file, at least one where any did.
  public private(set) var hitCount = 0

  static let lineLimitBytes = 16 << 20
  /// A part of a file that is searched at once.
  private static let blockBytes = 128 << 10

  public init(_ pattern: LinePattern) { self.pattern = pattern }

  /// Whether the rest of the file can change nothing.
  public var isDecided: Bool { isBinary && hitCount > 0 }

  /// Takes the next part; calls `hit` with each matching line of text.
  public mutating func feed(
    _ bytes: UnsafeRawBufferPointer, _ hit: (LineHit) throws -> Void
  ) throws {
    var rest = bytes
    while !rest.isEmpty, !isDecided {
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(LineSearcher.blockBytes))
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
      if !isBinary, part.contains(0) {
        isBinary = true
        replaceNULs()
      }
      let old = pending.count
      pending.append(contentsOf: part)
      if isBinary { replaceNULs(from: old) }
      if let end = pending[old...].lastIndex(of: 0x0a) {
        try search(end + 1, hit)
      } else if pending.count >= LineSearcher.lineLimitBytes {
        try search(pending.count, hit)
      }
    }
  }

  /// Takes the end of the file.
  public mutating func finish(_ hit: (LineHit) throws -> Void) throws {
    if !pending.isEmpty, !isDecided { try search(pending.count, hit) }
  }

  private mutating func replaceNULs(from start: Int = 0) {
    for i in start..<pending.count where pending[i] == 0 { pending[i] = 0x0a }
  }

  private mutating func search(_ count: Int, _ hit: (LineHit) throws -> Void) throws {
    var hits: [LineHit] = []
    try pending.withUnsafeBytes { whole in
      let buffer = UnsafeRawBufferPointer(rebasing: whole[..<count])
      var at = 0
      // A match behind the last newline is on no line; one at the end of an unended line is.
      while let match = try find(in: buffer, from: at),
        match < count || buffer[count - 1] != 0x0a
      {
        hitCount += 1
        if isBinary { return }
        let start = buffer[at..<match].lastIndex(of: 0x0a).map { $0 + 1 } ?? at
        let end = buffer[match...].firstIndex(of: 0x0a) ?? count
        lineNumber += newlines(buffer[at..<start])
        hits.append(LineHit(number: lineNumber, line: [UInt8](buffer[start..<end])))
        lineNumber += 1
        at = end + 1
        if at >= count { return }
      }
      lineNumber += newlines(buffer[at...])
    }
    pending.removeSubrange(..<count)
    for found in hits { try hit(found) }
  }

  /// The first match; an error names the line that it was met in.
  private func find(in buffer: UnsafeRawBufferPointer, from start: Int) throws -> Int? {
    do {
      return try pattern.firstMatch(in: buffer, from: start)
    } catch let error as SearchLimitError {
      let line = lineNumber + newlines(buffer[start..<min(error.offset, buffer.count)])
      throw ImageError(
        "line \(line)", "the pattern needs more than \(error.limit) to be matched against it",
        advice:
          "Write the pattern without references to groups and long repetitions: such a pattern has no limit"
      )
    }
  }

  private func newlines(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
    bytes.reduce(0) { $0 + ($1 == 0x0a ? 1 : 0) }
  }
}

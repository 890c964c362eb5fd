// Line-by-line search in a file's bytes, as in grep.
//
// 1. Memory is bounded: a line longer than `lineLimitBytes` is searched in parts of that length.
// 2. A file with a NUL is binary. Its lines are not shown, and a NUL ends a line. Otherwise a search could
//    run over megabytes without a line end.

import Platform

/// A matching line of a file.
public struct LineHit: Sendable {
  /// The line number, starting at 1.
  public let number: Int
  /// The line without its newline.
  public let line: [UInt8]
}

/// Searches one file in parts.
public struct LineSearcher {
  private let pattern: LinePattern
  /// The file's name in errors; empty if they name only the line.
  private let file: String
  private var pending: [UInt8] = []
  private var lineNumber = 1
  /// Whether the file contains a NUL.
  public private(set) var isBinary = false
  /// The number of matching lines. In a binary file, the search may stop at the first one.
  public private(set) var hitCount = 0

  static let lineLimitBytes = 16 << 20
  /// The size of the blocks that `feed` appends at a time.
  private static let blockBytes = 128 << 10

  /// - Parameter file: the file's name in errors; empty if they name only the line.
  public init(_ pattern: LinePattern, in file: String = "") {
    self.pattern = pattern
    self.file = file
  }

  /// Whether the result is final, whatever the rest of the file contains.
  public var isDecided: Bool { isBinary && hitCount > 0 }

  /// Searches the next part of the file and calls `hit` with each matching line of text.
  /// - Throws: `ImageError` if a line exceeds the limits of the pattern; and the errors of `hit`.
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

  /// Searches the last line of the file, which may lack a newline.
  /// - Throws: the same errors as `feed`.
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
      // A match after the last newline is on no line. A match at the end of a line without newline counts.
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

  /// Returns the offset of the first match. An error names the line that caused it.
  private func find(in buffer: UnsafeRawBufferPointer, from start: Int) throws -> Int? {
    do {
      return try pattern.firstMatch(in: buffer, from: start)
    } catch let error as SearchLimitError {
      let line = lineNumber + newlines(buffer[start..<min(error.offset, buffer.count)])
      throw ImageError(
        (file.isEmpty ? "" : file + ", ") + "line \(line)",
        "cannot be matched against the pattern with less than \(error.limit)",
        hint:
          "Write the pattern without back-references and long repetitions: such a pattern has no limit"
      )
    }
  }

  private func newlines(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
    bytes.reduce(0) { $0 + ($1 == 0x0a ? 1 : 0) }
  }
}

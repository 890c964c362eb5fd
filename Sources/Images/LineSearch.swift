// Searching bytes line by line, as grep does: fixed strings, or POSIX regular expressions by libc.
//
// 1. Text is bytes; nothing depends on a locale (the program never sets one).
// 2. Memory is bounded: a line of more than `lineLimitBytes` is searched in pieces of that length.
// 3. A file with a NUL is binary: its lines are not shown, and a NUL ends a line, so that no search
//    runs over megabytes without one.

import Glibc
import Platform

/// A compiled pattern. Belongs to one thread at a time.
public final class LinePattern {
  public enum Syntax: Sendable {
    case fixed
    case basic
    case extended
  }

  private enum Matcher {
    case bytes([UInt8])
    case expression(UnsafeMutablePointer<regex_t>)
  }
  private let matcher: Matcher

  /// - Throws: `ImageError` for what is no regular expression.
  public init(_ pattern: String, _ syntax: Syntax, ignoresCase: Bool) throws {
    guard !pattern.utf8.contains(0x0a) else {
      throw ImageError("pattern '\(printable(pattern.utf8))'", "holds a newline, which no line has")
    }
    if syntax == .fixed, !ignoresCase {
      matcher = .bytes(Array(pattern.utf8))
      return
    }
    let text = syntax == .fixed ? LinePattern.escaped(pattern) : pattern
    let compiled = UnsafeMutablePointer<regex_t>.allocate(capacity: 1)
    let flags =
      REG_NEWLINE | (syntax == .extended ? REG_EXTENDED : 0) | (ignoresCase ? REG_ICASE : 0)
    let r = regcomp(compiled, text, flags)
    guard r == 0 else {
      var message = [CChar](repeating: 0, count: 256)
      regerror(r, compiled, &message, message.count)
      compiled.deallocate()
      let why = String(
        decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      throw ImageError(
        "pattern '\(printable(pattern.utf8))'", "is no regular expression: \(why)",
        advice: "Use -F to search for the text as it is")
    }
    matcher = .expression(compiled)
  }

  deinit {
    if case .expression(let compiled) = matcher {
      regfree(compiled)
      compiled.deallocate()
    }
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      if "[].*^$\\".contains(character) { result += "\\" }
      result.append(character)
    }
  }

  /// Where the first match at or after `start` begins; nil for none. `start` begins a line.
  func firstMatch(in buffer: UnsafeRawBufferPointer, from start: Int) -> Int? {
    guard let base = buffer.baseAddress, start < buffer.count else { return nil }
    switch matcher {
    case .bytes(let wanted):
      guard let first = wanted.first else { return start }
      var at = start
      while buffer.count - at >= wanted.count,
        let found = memchr(base + at, Int32(first), buffer.count - at - wanted.count + 1)
      {
        at = found - UnsafeMutableRawPointer(mutating: base)
        if wanted.withUnsafeBytes({ memcmp($0.baseAddress ?? base, base + at, wanted.count) }) == 0
        {
          return at
        }
        at += 1
      }
      return nil
    case .expression(let compiled):
      var match = regmatch_t(rm_so: regoff_t(start), rm_eo: regoff_t(buffer.count))
      let r = regexec(
        compiled, base.assumingMemoryBound(to: CChar.self), 1, &match, REG_STARTEND)
      return r == 0 ? Int(match.rm_so) : nil
    }
  }
}

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
  /// A part of a file that is searched at once: libc's matcher copies it to ignore case.
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
    pending.withUnsafeBytes { whole in
      let buffer = UnsafeRawBufferPointer(rebasing: whole[..<count])
      var at = 0
      // A match behind the last newline is on no line; one at the end of an unended line is.
      while let match = pattern.firstMatch(in: buffer, from: at),
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

  private func newlines(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
    bytes.reduce(0) { $0 + ($1 == 0x0a ? 1 : 0) }
  }
}

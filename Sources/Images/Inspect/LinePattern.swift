// The pattern of `imgstore grep`: a fixed string or a POSIX regular expression, matched line by line.
//
// 1. Text is bytes. Nothing depends on a locale.
// 2. Time is linear in the text, because RE2 matches every expression that is regular.
// 3. PCRE2 matches the patterns that RE2 cannot: those with back-references, and with repetitions of more
//    than 1,000. It works within limits, and a line that would exceed them is an error.

import CPCRE2
import CRE2
import Glibc
import Platform

/// The error for a line that the pattern cannot be matched against within the limits.
struct SearchLimitError: Error {
  /// The offset of the line's first byte.
  let offset: Int
  let limit: String
}

/// A compiled pattern. Belongs to one thread at a time.
public final class LinePattern {
  public enum Syntax: Sendable {
    case fixed
    case basic
    case extended
  }

  private enum Matcher {
    case bytes([UInt8])
    case linear(OpaquePointer)
    case backtracking(PCREPattern)
  }
  private let matcher: Matcher

  /// The memory of RE2's automata. A pattern that needs more matches more slowly, but still in linear time.
  private static let memoryLimitBytes: Int64 = 32 << 20

  /// Compiles a pattern.
  /// - Throws: `ImageError` (`invalidPattern`) if the pattern is not a valid regular expression or contains a
  ///   newline.
  public init(_ pattern: String, _ syntax: Syntax, ignoresCase: Bool) throws {
    let bytes = Array(pattern.utf8)
    let object = "pattern '\(printable(bytes))'"
    guard !bytes.contains(0x0a) else {
      throw ImageError(.invalidPattern, object, "contains a newline, so no line can match it")
    }
    if syntax == .fixed {
      matcher =
        ignoresCase
        ? try LinePattern.compile(
          PosixExpression.literal(bytes, ignoresCase: true), needsBacktracking: false, object)
        : .bytes(bytes)
      return
    }
    do {
      let expression = try PosixExpression(
        bytes, isExtended: syntax == .extended, ignoresCase: ignoresCase)
      matcher = try LinePattern.compile(
        expression.text, needsBacktracking: expression.needsBacktracking, object)
    } catch let error as PosixExpression.SyntaxError {
      throw ImageError(
        .invalidPattern, object, "is not a valid regular expression: \(error.reason)",
        hint: "Use -F to search for the literal text")
    }
  }

  deinit { if case .linear(let expression) = matcher { cre2_free(expression) } }

  private static func compile(
    _ text: [UInt8], needsBacktracking: Bool, _ object: String
  ) throws -> Matcher {
    if !needsBacktracking {
      let whole = Array("(?m)".utf8) + text
      var reason = [CChar](repeating: 0, count: 256)
      let expression = whole.withUnsafeBytes {
        cre2_compile(
          $0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count, memoryLimitBytes, &reason,
          reason.count)
      }
      if let expression { return .linear(expression) }
    }
    guard let pattern = PCREPattern(text) else {
      throw ImageError(.invalidPattern, object, "is too long or too deeply nested to compile")
    }
    return .backtracking(pattern)
  }

  /// Returns the offset of a match in the first matching line at or after `start`; nil if no line matches.
  /// - Parameter start: the first byte of a line.
  /// - Throws: `SearchLimitError` if a line exceeds the limits of PCRE2.
  func firstMatch(in buffer: UnsafeRawBufferPointer, from start: Int) throws -> Int? {
    guard let base = buffer.baseAddress, start < buffer.count else { return nil }
    switch matcher {
    case .bytes(let desired):
      if desired.isEmpty { return start }
      let found = desired.withUnsafeBytes {
        cre2_find_literal(
          (base + start).assumingMemoryBound(to: CChar.self), buffer.count - start,
          $0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
      }
      return found < 0 ? nil : start + found
    case .linear(let expression):
      let found = cre2_find(
        expression, base.assumingMemoryBound(to: CChar.self), buffer.count, start)
      return found < 0 ? nil : found
    case .backtracking(let pattern): return try pattern.firstMatch(in: buffer, from: start)
    }
  }
}

/// A pattern for PCRE2, which matches one line at a time.
private final class PCREPattern {
  /// The most steps that the matcher takes for one line: about a second.
  private static let stepLimit: UInt32 = 20_000_000
  private static let memoryLimitKiB: UInt32 = 64 << 10

  private let code: OpaquePointer
  private let data: OpaquePointer
  private let context: OpaquePointer

  /// Compiles an expression. Returns nil if PCRE2 rejects it.
  init?(_ text: [UInt8]) {
    // One attempt per line, from its start: PCRE2 restarts its step count at every offset that it tries.
    let whole = Array("[^\\n]*?(?:".utf8) + text + Array(")".utf8)
    var error: Int32 = 0
    var offset = 0
    guard let settings = pcre2_compile_context_create_8(nil) else { return nil }
    defer { pcre2_compile_context_free_8(settings) }
    guard
      let code = pcre2_compile_8(
        whole, whole.count, UInt32(PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY), &error, &offset, settings
      )
    else { return nil }
    guard let data = pcre2_match_data_create_8(1, nil) else {
      pcre2_code_free_8(code)
      return nil
    }
    guard let context = pcre2_match_context_create_8(nil) else {
      pcre2_code_free_8(code)
      pcre2_match_data_free_8(data)
      return nil
    }
    pcre2_set_match_limit_8(context, PCREPattern.stepLimit)
    pcre2_set_depth_limit_8(context, PCREPattern.stepLimit)
    pcre2_set_heap_limit_8(context, PCREPattern.memoryLimitKiB)
    (self.code, self.data, self.context) = (code, data, context)
  }

  deinit {
    pcre2_code_free_8(code)
    pcre2_match_data_free_8(data)
    pcre2_match_context_free_8(context)
  }

  /// Returns the offset of the first matching line; nil if no line matches.
  func firstMatch(in buffer: UnsafeRawBufferPointer, from start: Int) throws -> Int? {
    guard let base = buffer.baseAddress else { return nil }
    var line = start
    while line < buffer.count {
      let end = memchr(base + line, 0x0a, buffer.count - line).map { UnsafeRawPointer($0) - base }
      let count = (end ?? buffer.count) - line
      let result = pcre2_match_8(
        code, (base + line).assumingMemoryBound(to: UInt8.self), count, 0, 0, data, context)
      switch result {
      case 0...: return line
      case PCRE2_ERROR_NOMATCH: break
      case PCRE2_ERROR_HEAPLIMIT:
        throw SearchLimitError(
          offset: line, limit: "\(PCREPattern.memoryLimitKiB >> 10) MiB")
      default:
        throw SearchLimitError(offset: line, limit: "\(PCREPattern.stepLimit) steps")
      }
      guard let end else { return nil }
      line = end + 1
    }
    return nil
  }
}

// Conditional requests of RFC 9110 section 13, and dates, by table.

import HTTPServer
import Testing

struct PreconditionTests {
  /// 2026-11-01 00:00:00 UTC.
  private static let modified: Int64 = 1_793_491_200
  private static let now = modified + 1_000_000
  private static let same = HTTPDate.text(modified)
  private static let before = HTTPDate.text(modified - 1)
  private static let after = HTTPDate.text(modified + 1)
  private static let future = HTTPDate.text(now + 1000)

  private func refusal(_ headers: [(String, String)]) -> HTTPStatus? {
    Preconditions(headers.map { (name: $0.0, value: $0.1) }, now: PreconditionTests.now).refusal(
      Validators(entityTag: "abc", modified: PreconditionTests.modified))
  }

  @Test(
    arguments: [
      ([("if-none-match", "\"abc\"")], .notModified),
      ([("if-none-match", "W/\"abc\"")], .notModified),
      ([("if-none-match", "\"x\", \"abc\"")], .notModified),
      ([("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")], .notModified),
      ([("if-none-match", "\"x,y\",\"abc\"")], .notModified),
      ([("if-none-match", "*")], .notModified),
      ([("if-none-match", "\"x\"")], nil),
      ([("if-none-match", "abc")], nil),
      ([("if-none-match", "\"ABC\"")], nil),
      ([("if-none-match", "")], nil),
      ([("if-match", "\"abc\"")], nil),
      ([("if-match", "*")], nil),
      ([("if-match", "W/\"abc\"")], .preconditionFailed),
      ([("if-match", "\"x\"")], .preconditionFailed),
      ([("if-match", "\"x\", \"abc\"")], nil),
      ([("if-modified-since", same)], .notModified),
      ([("if-modified-since", after)], .notModified),
      ([("if-modified-since", before)], nil),
      ([("if-modified-since", "yesterday")], nil),
      ([("if-modified-since", same), ("if-modified-since", same)], nil),
      ([("if-unmodified-since", same)], nil),
      ([("if-unmodified-since", after)], nil),
      ([("if-unmodified-since", before)], .preconditionFailed),
      ([("if-unmodified-since", "0")], nil),
      // If-None-Match replaces If-Modified-Since, and If-Match replaces If-Unmodified-Since.
      ([("if-none-match", "\"x\""), ("if-modified-since", same)], nil),
      ([("if-match", "\"abc\""), ("if-unmodified-since", before)], nil),
      ([("if-match", "\"x\""), ("if-none-match", "\"abc\"")], .preconditionFailed),
      ([("if-match", "\"abc\""), ("if-none-match", "\"abc\"")], .notModified),
      ([], nil),
    ] as [([(String, String)], HTTPStatus?)])
  func `conditions are evaluated in the order of the RFC`(
    _ headers: [(String, String)], _ expected: HTTPStatus?
  ) { #expect(refusal(headers) == expected, "\(headers)") }

  @Test(
    arguments: [
      ("\"abc\"", true), ("W/\"abc\"", false), ("\"x\"", false), ("abc", false), (same, true),
      (before, false), (after, false), ("\"abc\", \"x\"", false), ("", false),
    ] as [(String, Bool)])
  func `If-Range needs a strong validator that matches`(_ value: String, _ expected: Bool) {
    let conditions = Preconditions([(name: "if-range", value: value)], now: PreconditionTests.now)
    let content = Validators(entityTag: "abc", modified: PreconditionTests.modified)
    #expect(conditions.allowsRange(content) == expected)
  }

  @Test func `a date of this second is not a strong validator`() {
    let conditions = Preconditions(
      [(name: "if-range", value: PreconditionTests.same)], now: PreconditionTests.modified)
    #expect(
      !conditions.allowsRange(Validators(entityTag: nil, modified: PreconditionTests.modified)))
  }

  @Test func `a content without validators fulfils no condition but the star`() {
    let content = Validators(entityTag: nil, modified: nil)
    func refusal(_ name: String, _ value: String) -> HTTPStatus? {
      Preconditions([(name: name, value: value)], now: 0).refusal(content)
    }
    #expect(refusal("if-match", "\"abc\"") == .preconditionFailed)
    #expect(refusal("if-none-match", "\"abc\"") == nil)
    #expect(refusal("if-none-match", "*") == .notModified)
    #expect(refusal("if-modified-since", PreconditionTests.same) == nil)
  }

  @Test(
    arguments: [
      ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
      ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
      ("Sun Nov  6 08:49:37 1994", 784_111_777),
      ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
      ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
      ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
      ("Wed, 29 Feb 2023 12:00:00 GMT", nil),
      ("Sun, 06 Nov 1994 08:49:37", nil), ("Sun, 06 Nov 1994 08:49:37 UTC", nil),
      ("Sun, 06 Nov 1994 24:00:00 GMT", nil), ("Sun, 6 Nov 1994 8:49:37 GMT", nil),
      ("Foo, 06 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 Foo 1994 08:49:37 GMT", nil),
      ("Sun, 00 Nov 1994 08:49:37 GMT", nil), ("", nil), ("784111777", nil),
      ("Sun, 06 Nov 99999 08:49:37 GMT", nil), ("Sun, 06 Nov -994 08:49:37 GMT", nil),
    ] as [(String, Int64?)])
  func `dates have three forms`(_ text: String, _ expected: Int64?) {
    #expect(HTTPDate.parse(text, now: PreconditionTests.now) == expected)
  }

  @Test func `a date survives its text`() {
    for seconds in stride(from: Int64(0), to: 253_402_300_799, by: 98_765_433) {
      #expect(HTTPDate.parse(HTTPDate.text(seconds), now: 0) == seconds)
    }
    #expect(HTTPDate.text(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(HTTPDate.text(.max) == "Fri, 31 Dec 9999 23:59:59 GMT")
  }
}

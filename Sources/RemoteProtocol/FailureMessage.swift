// Errors on their way: code, form, subject, reason and hint.
//
// 1. Texts are printable and bounded, whatever the other side sends.
// 2. The receiver names the peer in front. It cannot be made to say something about this machine.

import Codec
import Platform
import Transfer

/// An error in a message.
public struct FailureMessage: Sendable, Equatable {
  private static let maxTextBytes = 4096

  public private(set) var code: ErrorCode
  public private(set) var subject: String
  public private(set) var reason: String
  public private(set) var hint: String
  public private(set) var form: ReasonForm

  /// Creates the message of an error.
  public init(_ error: any Error) {
    if let error = error as? any ExplainedError {
      code = error.errorCode
      subject = error.subject
      reason = error.reason
      hint = error.hint
      form = error.form
    } else {
      code = .failed
      subject = "the request"
      reason = "failed: \(error)"
      hint = ""
      form = .predicate
    }
  }

  /// The body of the message.
  public var body: [UInt8] {
    var writer = ByteWriter()
    writer.string(code.rawValue)
    writer.byte(FailureMessage.number(form))
    for text in [subject, reason, hint] { writer.string(FailureMessage.bounded(Array(text.utf8))) }
    return writer.bytes
  }

  /// Decodes a body.
  /// - Throws: `CodecError`.
  public static func decode(_ body: [UInt8]) throws(CodecError) -> FailureMessage {
    try decodeBody(body) { (reader) throws(CodecError) in
      let code = String(decoding: try reader.string(), as: UTF8.self)
      let form: ReasonForm
      switch try reader.byte() {
      case 0: form = .predicate
      case 1: form = .clause
      case 2: form = .sentence
      default: throw .corrupt("the form of an error is unknown")
      }
      var texts: [String] = []
      for _ in 0..<3 { texts.append(bounded(try reader.string())) }
      return FailureMessage(received(code), texts[0], texts[1], texts[2], form)
    }
  }

  private init(
    _ code: ErrorCode, _ subject: String, _ reason: String, _ hint: String, _ form: ReasonForm
  ) {
    self.code = code
    self.subject = subject
    self.reason = reason
    self.hint = hint
    self.form = form
  }

  /// Returns the error for the user of this machine.
  public func error(at peer: String) -> TransferError {
    TransferError(
      code, subject.isEmpty ? peer : "\(peer): \(subject)", reason,
      hint: hint.isEmpty ? "" : "There: \(hint)", form: form == .sentence ? .clause : form)
  }

  /// Returns the code that a remote's error has here. Codes about this machine's own work are not a remote's.
  private static func received(_ text: String) -> ErrorCode {
    guard let code = ErrorCode(rawValue: text) else { return .failed }
    switch code.category {
    case .usage, .interrupted, .unfinished, .alreadyRunning: return .failed
    case .failed, .notFound, .busy, .damaged: return code
    }
  }

  private static func bounded(_ bytes: [UInt8]) -> String {
    guard bytes.count > maxTextBytes else { return FailureMessage.plain(bytes) }
    return FailureMessage.plain(bytes.prefix(maxTextBytes)) + "…"
  }

  /// Returns text without characters that control a terminal. Line breaks become spaces.
  private static func plain(_ bytes: some Sequence<UInt8>) -> String {
    var text = TerminalText()
    let lines = bytes.map { $0 == 0x0a || $0 == 0x0d || $0 == 0x09 ? 0x20 : $0 }
    let escaped = text.escaped(lines) + text.end()
    return String(decoding: escaped, as: UTF8.self)
  }

  private static func number(_ form: ReasonForm) -> UInt8 {
    switch form {
    case .predicate: 0
    case .clause: 1
    case .sentence: 2
    }
  }
}

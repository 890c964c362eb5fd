// The body of a refusal ("Error responses" of the Amazon S3 API reference).

import Platform

/// A refusal in the words of the service.
struct ErrorDocument: Sendable {
  static let maxBytes = 64 << 10

  let code: String
  /// The message on one line, of 200 characters at most; empty if there is none.
  let message: String
  let region: String?

  /// Parses a body; nil if it is another document.
  init?(parsing bytes: [UInt8]) {
    guard bytes.count <= ErrorDocument.maxBytes, let root = S3XML.parse(bytes),
      root.name == "Error", let code = root.value("Code")
    else { return nil }
    self.code = ErrorDocument.oneLine(code, maxBytes: 64)
    message = ErrorDocument.oneLine(root.value("Message") ?? "", maxBytes: 200)
    region = root.value("Region").map { ErrorDocument.oneLine($0, maxBytes: 64) }
  }

  /// Returns the beginning of an untrusted text, printable and without line breaks.
  static func oneLine(_ text: String, maxBytes: Int) -> String {
    let blank = text.map { $0.isNewline || $0 == "\t" ? " " : $0 }
    let line = printable(Array(String(blank).utf8.prefix(maxBytes)))
    return line.hasSuffix(".") ? String(line.dropLast()) : line
  }
}

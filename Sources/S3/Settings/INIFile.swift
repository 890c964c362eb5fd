// The files of AWS tools: sections, `key = value`, and values of several indented lines (the format that
// Python's configparser reads, without interpolation).
//
// 1. Errors name the file and the line, never the content of a line: it may be a key.
// 2. Limits: 1 MiB, 20,000 lines. A section or a key that occurs twice is an error, as in the AWS CLI.

import ObjectStorage

/// The sections of a file.
struct INIFile: Sendable {
  static let maxBytes = 1 << 20
  static let maxLines = 20_000

  /// Values by section and lower-case key.
  private(set) var sections: [String: [String: String]] = [:]
  /// Nested values (`s3 =` and indented lines below) by section, key and nested key.
  private(set) var nested: [String: [String: [String: String]]] = [:]

  /// Parses a file.
  /// - Throws: `StorageError` of kind settings.
  init(parsing bytes: [UInt8], path: String) throws(StorageError) {
    guard bytes.count <= INIFile.maxBytes else {
      throw StorageError(.settings, path, "has more than \(INIFile.maxBytes) bytes")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw StorageError(.settings, path, "is not text in UTF-8")
    }
    let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
    guard lines.count <= INIFile.maxLines else {
      throw StorageError(.settings, path, "has more than \(INIFile.maxLines) lines")
    }
    var reader = Reader()
    for (index, line) in lines.enumerated() {
      if let reason = reader.add(line) {
        throw StorageError(.settings, "\(path):\(index + 1)", reason)
      }
    }
    sections = reader.sections
    nested = reader.nested
  }

  private struct Reader {
    var sections: [String: [String: String]] = [:]
    var nested: [String: [String: [String: String]]] = [:]
    private var section: String?
    private var key: String?

    /// Adds a line. Returns the reason if it is invalid.
    mutating func add(_ line: Substring) -> String? {
      let text = trimmed(line)
      guard let first = text.first, first != "#", first != ";" else { return nil }
      if line.first?.isWhitespace == true { return addNested(text) }
      if first == "[" { return open(text) }
      guard let section else { return "is before the first section" }
      guard let (name, value) = pair(text) else { return "has no '='" }
      guard sections[section]?[name] == nil else { return "sets a key a second time" }
      sections[section]?[name] = value
      key = name
      return nil
    }

    private mutating func open(_ text: Substring) -> String? {
      guard text.hasSuffix("]") else { return "does not end its section with ']'" }
      let words = text.dropFirst().dropLast().split(whereSeparator: \.isWhitespace)
      let name = words.joined(separator: " ").filter { $0 != "\"" && $0 != "'" }
      guard !name.isEmpty else { return "has a section without a name" }
      guard sections[name] == nil else { return "opens a section a second time" }
      sections[name] = [:]
      (section, key) = (name, nil)
      return nil
    }

    private mutating func addNested(_ text: Substring) -> String? {
      guard let section, let key else { return "is indented below no key" }
      // A value that continues on further lines belongs to no setting that is read here.
      guard sections[section]?[key]?.isEmpty == true, let (name, value) = pair(text) else {
        return nil
      }
      nested[section, default: [:]][key, default: [:]][name] = value
      return nil
    }

    private func pair(_ text: Substring) -> (String, String)? {
      guard let separator = text.firstIndex(where: { $0 == "=" || $0 == ":" }) else { return nil }
      let name = trimmed(text[..<separator])
      guard !name.isEmpty else { return nil }
      return (name.lowercased(), String(trimmed(text[text.index(after: separator)...])))
    }

    private func trimmed(_ text: Substring) -> Substring {
      var text = text
      while text.first?.isWhitespace == true { text.removeFirst() }
      while text.last?.isWhitespace == true { text.removeLast() }
      return text
    }
  }
}

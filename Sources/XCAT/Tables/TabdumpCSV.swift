// The text of a table, as `tabdump` prints and `tabrestore` reads it (docs/xcat-contract.md#tabdump).
//
//     #image,file,options,comments,disable
//     "ALL","/etc/hosts","tmpfs,rw",,
//
// 1. A set value is in quotes, with quotes inside doubled; nothing between commas is an unset one.
// 2. A quoted value may contain line breaks. A value without quotes is taken unchanged.
// 3. A line with more values than columns is an error, and so is a text that ends inside quotes.

/// A table as text.
public struct TabdumpCSV: Sendable, Equatable {
  /// The columns of the header.
  public let columns: [String]
  /// The rows, set columns only.
  public let rows: [[String: String]]

  /// Creates a table; empty values are dropped.
  public init(columns: [String], rows: [[String: String]]) {
    self.columns = columns
    self.rows = rows.map { $0.filter { !$0.value.isEmpty } }
  }

  /// The size limit of a dump.
  public static let limitBytes = 64 << 20

  /// Parses a dump with its header line.
  /// - Parameter source: the origin of the text, for messages: "tabdump osimage", a file's name.
  /// - Throws: `XCATError` with the line's number.
  public static func parse(_ bytes: [UInt8], _ source: String) throws(XCATError) -> TabdumpCSV {
    var parser = try CSVParser(bytes, source)
    guard let header = try parser.header() else {
      throw parser.error("is empty, without the header '#column,column,…'")
    }
    guard Set(header).count == header.count, header.allSatisfy({ !$0.isEmpty }) else {
      throw parser.error("has a header with an empty or a repeated column")
    }
    // xCAT's schemas use these characters only, so a header needs no quotes.
    guard header.allSatisfy({ $0.utf8.allSatisfy(TabdumpCSV.isInColumn) }) else {
      throw parser.error("has a header with a column that no table has")
    }
    var rows: [[String: String]] = []
    while let values = try parser.record() {
      guard values.count <= header.count else {
        throw parser.error("has \(values.count) values for \(header.count) columns")
      }
      rows.append(Dictionary(zip(header, values)) { $1 })
    }
    return TabdumpCSV(columns: header, rows: rows)
  }

  private static func isInColumn(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f, 0x2d, 0x2e: true
    default: false
    }
  }

  /// Returns the text as tabdump prints it.
  public func render() -> String {
    var text = "#" + columns.joined(separator: ",") + "\n"
    for row in rows {
      text += columns.map { TabdumpCSV.quoted(row[$0] ?? "") }.joined(separator: ",") + "\n"
    }
    return text
  }

  static func quoted(_ value: String) -> String {
    guard !value.isEmpty else { return "" }
    let parts = value.utf8.split(separator: UInt8(ascii: "\""), omittingEmptySubsequences: false)
    return "\"" + parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\"\"") + "\""
  }
}

/// Parses CSV, record by record.
struct CSVParser {
  private let bytes: [UInt8]
  private let source: String
  private var at = 0
  private var line = 1
  /// The line at which the current record begins.
  private var recordLine = 1

  init(_ bytes: [UInt8], _ source: String) throws(XCATError) {
    guard bytes.count <= TabdumpCSV.limitBytes else {
      throw XCATError(.tablesInvalid, source, "is larger than \(TabdumpCSV.limitBytes >> 20) MiB")
    }
    self.bytes = bytes
    self.source = source
  }

  func error(_ reason: String) -> XCATError {
    XCATError(.tablesInvalid, "\(source), line \(recordLine)", reason)
  }

  /// Returns the columns of the header line; nil at the end.
  mutating func header() throws(XCATError) -> [String]? {
    guard at < bytes.count else { return nil }
    guard bytes[at] == UInt8(ascii: "#") else {
      throw error("does not begin with the header '#column,column,…'")
    }
    at += 1
    return try values()
  }

  /// Returns the values of the next line that is not blank; nil at the end.
  mutating func record() throws(XCATError) -> [String]? {
    while at < bytes.count, bytes[at] == 0x0a || bytes[at] == 0x0d {
      if bytes[at] == 0x0a { line += 1 }
      at += 1
    }
    recordLine = line
    return at < bytes.count ? try values() : nil
  }

  /// Returns the values up to the end of the line.
  private mutating func values() throws(XCATError) -> [String] {
    var values: [String] = []
    while true {
      values.append(try value())
      guard at < bytes.count else { return values }
      if bytes[at] == UInt8(ascii: ",") {
        at += 1
        continue
      }
      // A line end of either kind.
      if bytes[at] == 0x0d, at + 1 < bytes.count, bytes[at + 1] == 0x0a { at += 1 }
      guard bytes[at] == 0x0a else { throw error("has text after a closing quote") }
      at += 1
      line += 1
      return values
    }
  }

  private mutating func value() throws(XCATError) -> String {
    var value: [UInt8] = []
    if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
      at += 1
      while true {
        guard at < bytes.count else { throw error("has a quote that is never closed") }
        let byte = bytes[at]
        at += 1
        if byte == 0x0a { line += 1 }
        if byte == UInt8(ascii: "\"") {
          guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { break }
          at += 1
        }
        value.append(byte)
      }
    } else {
      while at < bytes.count, bytes[at] != UInt8(ascii: ","), bytes[at] != 0x0a {
        if bytes[at] == UInt8(ascii: "\"") { throw error("has a quote inside an unquoted value") }
        if bytes[at] == 0x0d, at + 1 == bytes.count || bytes[at + 1] == 0x0a { break }
        value.append(bytes[at])
        at += 1
      }
      if at + 1 == bytes.count, bytes[at] == 0x0d { at += 1 }
    }
    guard let text = String(validating: value, as: UTF8.self) else { throw error("is not UTF-8") }
    return text
  }
}

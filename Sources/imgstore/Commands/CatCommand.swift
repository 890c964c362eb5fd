// imgstore cat.

import ArgumentParser
import FoundationEssentials
import Images
import Platform
import Store

struct Cat: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cat",
    abstract: "Print files of a snapshot, as they are.",
    discussion: """
      Links are followed inside the root tree. On a terminal, control characters are spelled out \
      unless --raw is given.

      With --json, a file whose bytes are UTF-8 is text, another one is in base64, and all together \
      have at most 16 MiB.
      """)

  @Argument(help: "REF:PATH, one or more; or REF, and then paths.") var files: [String]
  @Flag(help: "Write bytes as they are on a terminal, too.") var raw = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    if json.json { return try printDocument(workspace) }
    Terminal.finish()
    Output.begin(pages: false, raw: raw)
    defer { Output.end() }
    for (reference, path) in try Cat.operands(files) {
      let place = try ResolvedReference(workspace, reference, path: path)
      try place.reader.read(place.found) { try Output.write(content: $0) }
    }
  }

  /// "REF PATH…" is one snapshot and paths in it; "REF:PATH…" has a snapshot for each.
  private static func operands(_ words: [String]) throws -> [(reference: String, path: String?)] {
    guard let first = words.first, words.count > 1, try PathReference(first).path == nil else {
      return words.map { ($0, nil) }
    }
    return words.dropFirst().map { (first, $0) }
  }

  private func printDocument(_ workspace: Workspace) throws {
    var remainingBytes = FilesJSON.maxBytes
    let documents = try Cat.operands(files).map { reference, path in
      let place = try ResolvedReference(workspace, reference, path: path)
      let sizeBytes = place.found.entry.sizeBytes
      guard sizeBytes <= remainingBytes else {
        throw ImageError(
          .usage, "\(reference):\(place.spelling)",
          "is larger than what a document can hold (16 MiB together)",
          advice: "Leave --json out, or write it to a file: 'imgstore restore'")
      }
      remainingBytes -= sizeBytes
      var bytes: [UInt8] = []
      try place.reader.read(place.found) { bytes += $0 }
      return FileJSON(place.found, bytes)
    }
    Terminal.finish()
    try printJSON(FilesJSON(files: documents))
  }
}

/// What `cat` prints.
struct FilesJSON: JSONDocument {
  static let kind = "files"
  /// Of the content of all files together.
  static let maxBytes: UInt64 = 16 << 20
  let files: [FileJSON]
}

/// A file with its content.
struct FileJSON: Codable {
  let path: String
  let sizeBytes: UInt64
  let sha256: String?
  /// The content where it is UTF-8.
  let text: String?
  /// The content where it is not.
  let base64: String?

  init(_ found: FoundEntry, _ bytes: [UInt8]) {
    path = printable(found.path)
    sizeBytes = UInt64(bytes.count)
    sha256 = found.entry.mayHaveSparseID ? nil : found.entry.blob?.hex
    text = String(validating: bytes, as: UTF8.self)
    base64 = text == nil ? Data(bytes).base64EncodedString() : nil
  }
}

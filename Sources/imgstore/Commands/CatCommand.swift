// imgstore cat.

import ArgumentParser
import Images

struct CatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cat",
    abstract: "Print files of a snapshot",
    discussion: """
      The command follows links inside the root tree. On a terminal, it escapes control characters \
      unless you add --raw.

      With --json, a UTF-8 file is text and any other file is base64. All files together may have at \
      most 16 MiB.
      """)

  @Argument(help: "REF:PATH, one or more; or REF, followed by paths") var files: [String]
  @Flag(help: "Do not escape control characters on a terminal") var raw = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    if json.json { return try printDocument(workspace) }
    Terminal.finish()
    StandardOutput.begin(pages: false, raw: raw)
    defer { StandardOutput.end() }
    for (reference, path) in try CatCommand.operands(files) {
      let file = try ResolvedReference(workspace, reference, path: path)
      try file.reader.read(file.found) { try StandardOutput.write(content: $0) }
    }
  }

  /// Returns a reference and a path for each file: "REF PATH…" names one snapshot, "REF:PATH…" one for each
  /// path.
  private static func operands(_ words: [String]) throws -> [(reference: String, path: String?)] {
    guard let first = words.first, words.count > 1, try PathReference(first).path == nil else {
      return words.map { ($0, nil) }
    }
    return words.dropFirst().map { (first, $0) }
  }

  private func printDocument(_ workspace: Workspace) throws {
    var remainingBytes = FilesJSON.maxBytes
    let documents = try CatCommand.operands(files).map { reference, path in
      let file = try ResolvedReference(workspace, reference, path: path)
      let sizeBytes = file.found.entry.sizeBytes
      guard sizeBytes <= remainingBytes else {
        throw ImageError(
          .unsupported, "file \(printable(file.found.path))",
          "is too large for a document (at most 16 MiB for all files)",
          hint: "Leave --json out, or write the file with 'imgstore restore'")
      }
      remainingBytes -= sizeBytes
      var bytes: [UInt8] = []
      try file.reader.read(file.found) { bytes += $0 }
      return FileJSON(file.found, bytes)
    }
    Terminal.finish()
    try printJSON(FilesJSON(files: documents))
  }
}

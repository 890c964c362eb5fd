// imgstore grep.

import ArgumentParser
import Images

struct GrepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grep",
    abstract: "Search the files of a snapshot for a pattern",
    discussion: """
      PATTERN is a POSIX basic regular expression, as for grep. The command compares bytes and \
      ignores the encoding. A file with a NUL byte is binary: the command reports the match, but not \
      the lines. Exit code 1 without a message means that no line matches.
      """)

  @Argument(help: "Pattern to search for") var pattern: String
  @Argument(help: "REF or REF:PATH; REF alone is the root tree") var ref: String
  @Argument(help: "Path, if REF has none") var path: String?
  @Flag(name: [.customShort("F"), .long], help: "Search for PATTERN as plain text")
  var fixedStrings = false
  @Flag(name: [.customShort("E"), .long], help: "Use extended regular expressions")
  var extendedRegexp = false
  @Flag(name: [.customShort("i"), .long], help: "Ignore the case of ASCII letters")
  var ignoreCase = false
  @Flag(name: [.customShort("n"), .long], help: "Print line numbers")
  var lineNumber = false
  @Flag(name: [.customShort("l"), .long], help: "Print only the names of files that match")
  var filesWithMatches = false
  @Flag(help: "Do not escape control characters on a terminal") var raw = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if fixedStrings, extendedRegexp { throw ValidationError("-F and -E exclude each other.") }
  }

  func run() throws {
    let compiled = try LinePattern(
      pattern, fixedStrings ? .fixed : extendedRegexp ? .extended : .basic,
      ignoresCase: ignoreCase)
    let workspace = try common.open()
    let start: ResolvedReference
    do {
      start = try ResolvedReference(workspace, ref, path: path)
    } catch let error as ImageError where error.errorCode.category == .notFound {
      guard path == nil, (try? workspace.find(Reference(pattern))) != nil else { throw error }
      throw ImageError(
        .usage, "'\(pattern)'", "is an image, but the first operand must be the pattern",
        hint: "Write 'imgstore grep \(ref) \(pattern)'")
    }
    Terminal.finish()
    StandardOutput.begin(raw: raw)
    defer { StandardOutput.end() }
    var list = json.json ? JSONList<MatchesJSON>() : nil
    var hits = 0
    try start.reader.walk(start.found) { found in
      guard found.entry.blob != nil else { return }
      let isOnly = found.path == start.found.path
      hits += try search(start, found, compiled, name: isOnly ? nil : start.spell(found), &list)
    }
    list?.end()
    if hits == 0 { throw NoMatch() }
  }

  /// Searches one file, and prints its matches.
  /// - Parameter name: The prefix of each line; nil if only one file is searched.
  /// - Returns: The number of lines that match.
  private func search(
    _ start: ResolvedReference, _ found: LocatedEntry, _ compiled: LinePattern, name: String?,
    _ list: inout JSONList<MatchesJSON>?
  ) throws -> Int {
    struct MatchLimitReached: Error {}
    var searcher = LineSearcher(compiled, in: printable(found.path))
    var shown: [LineHit] = []
    func show() throws {
      for hit in shown where !filesWithMatches {
        if list != nil {
          try list?.add(
            MatchJSON(
              path: printable(found.path), line: hit.number,
              text: String(decoding: hit.line, as: UTF8.self), isBinary: false))
          continue
        }
        let number = lineNumber ? StandardOutput.painted("\(hit.number)", .green) + ":" : ""
        let head = name.map { StandardOutput.painted($0, .cyan) + ":" } ?? ""
        try StandardOutput.write(line: hit.line, after: Array((head + number).utf8), before: [0x0a])
      }
      shown.removeAll()
    }
    do {
      try start.reader.read(found) { bytes in
        try searcher.feed(bytes) { shown.append($0) }
        try show()
        if searcher.isDecided || (filesWithMatches && searcher.hitCount > 0) {
          throw MatchLimitReached()
        }
      }
      try searcher.finish { shown.append($0) }
      try show()
    } catch is MatchLimitReached {
    }
    guard searcher.hitCount > 0 else { return 0 }
    let spelling = name ?? start.spelling
    if filesWithMatches || searcher.isBinary {
      if list != nil {
        try list?.add(
          MatchJSON(
            path: printable(found.path), isBinary: searcher.isBinary))
      } else {
        print(filesWithMatches ? spelling : "\(spelling): binary file matches")
      }
    }
    return searcher.hitCount
  }
}

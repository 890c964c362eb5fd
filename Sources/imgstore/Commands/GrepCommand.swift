// imgstore grep: lines of a snapshot's files that match a pattern.

import ArgumentParser
import Images
import Platform
import Store

struct Grep: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grep",
    abstract: "Search the files of a snapshot for a pattern.",
    discussion: """
      PATTERN is a POSIX basic regular expression, as for grep; text is bytes, whatever its \
      encoding. A file with a NUL byte is binary: that it matches is said, its lines are not \
      shown. Exit code 1, without a message, means that nothing matches.
      """)

  @Argument(help: "The pattern.") var pattern: String
  @Argument(help: "REF or REF:PATH; REF alone is the root tree.") var ref: String
  @Argument(help: "The path, where REF has none.") var path: String?
  @Flag(name: [.customShort("F"), .long], help: "The pattern is a text, not an expression.")
  var fixedStrings = false
  @Flag(name: [.customShort("E"), .long], help: "The pattern is an extended expression.")
  var extendedRegexp = false
  @Flag(name: [.customShort("i"), .long], help: "Upper and lower case (of ASCII) are the same.")
  var ignoreCase = false
  @Flag(name: [.customShort("n"), .long], help: "Show the numbers of the lines.")
  var lineNumber = false
  @Flag(name: [.customShort("l"), .long], help: "Show only the names of files that match.")
  var filesWithMatches = false
  @Flag(help: "Write lines as they are on a terminal, too.") var raw = false
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
    let place: ResolvedReference
    do {
      place = try ResolvedReference(workspace, ref, path: path)
    } catch let error as ImageError where error.errorCode == .notFound {
      guard path == nil, (try? workspace.find(Reference(pattern))) != nil else { throw error }
      throw ImageError(
        .usage, "'\(pattern)'", "is an image, where the pattern is asked for",
        advice: "Write 'imgstore grep \(ref) \(pattern)'")
    }
    Terminal.finish()
    Output.begin(raw: raw)
    defer { Output.end() }
    var list = json.json ? JSONList<MatchesJSON>() : nil
    var hits = 0
    try place.reader.walk(place.found) { found in
      guard found.entry.blob != nil else { return }
      let isOnly = found.path == place.found.path
      do {
        hits += try search(place, found, compiled, name: isOnly ? nil : place.spell(found), &list)
      } catch let error as ImageError where !error.object.hasPrefix("/") {
        throw ImageError(
          error.errorCode, "\(printable(found.path)), \(error.object)", error.finding,
          advice: error.advice)
      }
    }
    list?.end()
    if hits == 0 { throw NoMatch() }
  }

  /// - Parameter name: what stands before each line; nil where only one file is searched.
  /// - Returns: how many lines matched.
  private func search(
    _ place: ResolvedReference, _ found: FoundEntry, _ compiled: LinePattern, name: String?,
    _ list: inout JSONList<MatchesJSON>?
  ) throws -> Int {
    struct Enough: Error {}
    var searcher = LineSearcher(compiled)
    var shown: [LineHit] = []
    func show() throws {
      for hit in shown where !filesWithMatches {
        if list != nil {
          try list?.add(
            MatchJSON(
              path: printable(found.path), line: hit.number,
              text: String(decoding: hit.line, as: UTF8.self), binary: false))
          continue
        }
        let number = lineNumber ? Output.painted("\(hit.number)", .green) + ":" : ""
        let head = name.map { Output.painted($0, .cyan) + ":" } ?? ""
        try Output.write(line: hit.line, after: Array((head + number).utf8), before: [0x0a])
      }
      shown.removeAll()
    }
    do {
      try place.reader.read(found) { bytes in
        try searcher.feed(bytes) { shown.append($0) }
        try show()
        if searcher.isDecided || (filesWithMatches && searcher.hitCount > 0) { throw Enough() }
      }
      try searcher.finish { shown.append($0) }
      try show()
    } catch is Enough {
    }
    guard searcher.hitCount > 0 else { return 0 }
    let spelling = name ?? place.spelling
    if filesWithMatches || searcher.isBinary {
      if list != nil {
        try list?.add(
          MatchJSON(
            path: printable(found.path), line: nil, text: nil, binary: searcher.isBinary))
      } else {
        print(filesWithMatches ? spelling : "\(spelling): binary file matches")
      }
    }
    return searcher.hitCount
  }
}

struct MatchJSON: Codable {
  let path: String
  let line: Int?
  let text: String?
  let binary: Bool
}

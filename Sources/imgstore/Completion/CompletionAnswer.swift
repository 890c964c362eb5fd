// imgstore __complete, which the completion scripts of the shells call (CompletionScripts.swift). It prints
// only an answer in the form that the script reads: no errors and no warnings.
//
//     imgstore __complete bash WORD TYPE LINE      readline's word, COMP_TYPE, and the line up to the cursor
//     imgstore __complete zsh|fish WORD WORDS…     the current word, then those from the program's name on
//
// The first line is "words", or "files N" or "folders N" if the first N characters of the word are not part
// of the path. For bash, "words open" means that no blank may follow. The other lines are candidates.

import Glibc
import Images

/// Answers the completion scripts.
enum CompletionAnswer {
  static let command = "__complete"
  /// The time limit: a file server that does not answer must not block the prompt.
  private static let limitSeconds: UInt32 = 5

  /// Prints the answer for the arguments of `__complete`.
  static func run(_ arguments: [String]) {
    alarm(limitSeconds)
    guard let shell = arguments.first.flatMap(Shell.init), arguments.count > 1 else { return }
    let rest = Array(arguments.dropFirst())
    switch shell {
    case .bash:
      guard rest.count == 3 else { return }
      answerBash(BashLine(rest[2]), replaced: rest[0], isListing: rest[1] == "63")
    case .zsh, .fish:
      let completion = complete(Array(rest.dropFirst(2)), rest[0], describes: true)
      if shell == .zsh { answerZsh(completion) } else { answerFish(completion) }
    }
  }

  private static func complete(
    _ words: [String], _ word: String, describes: Bool
  ) -> Completion {
    let tree = CommandTree.program()
    let point = CompletionPoint(words, word, tree)
    // If the parser refuses a common option, offer no candidates: they would come from the wrong store.
    guard let options = try? CommonOptions.parse(point.globalOptions.map(expandingHome)),
      let workspace = try? Workspace(
        options.workspaceOptions((try? options.configuration()) ?? Configuration()),
        warn: { _ in })
    else { return .none }
    return workspace.completion(at: point, tree, describes: describes)
  }

  /// Returns a word such as "~/store" as the shell will expand it.
  private static func expandingHome(_ word: String) -> String {
    guard let home = environment("HOME"), word.hasPrefix("~/") else { return word }
    return home + word.dropFirst()
  }

  // MARK: Shells

  /// Prints the answer for bash.
  /// - Parameter isListing: Whether bash only lists the candidates, without replacing the word.
  private static func answerBash(_ line: BashLine, replaced: String, isListing: Bool) {
    if line.isRedirection { return print("files 0") }
    let completion = complete(
      Array(line.words.dropFirst()), line.word, describes: false)
    switch completion.source {
    case .files: print("files \(keptCharacters(completion, line, replaced))")
    case .directories: print("folders \(keptCharacters(completion, line, replaced))")
    case .candidates(let candidates):
      let words = candidates.compactMap { candidate in
        line.replacement(completion.kept + candidate.text, for: replaced).map { word in
          isListing && candidates.count > 1 ? lastPart(candidate.text) ?? word : word
        }
      }
      let isOpen = candidates.count == 1 && candidates.first?.isFinished == false
      print(isOpen ? "words open" : "words")
      for word in words { print(word) }
    }
  }

  /// Returns the number of characters in readline's word that precede the path.
  private static func keptCharacters(
    _ completion: Completion, _ line: BashLine, _ replaced: String
  ) -> Int {
    max(0, replaced.count - (line.word.count - completion.kept.count))
  }

  /// Returns the last component of a path, for lists; nil if it has only one component.
  private static func lastPart(_ text: String) -> String? {
    let body = text.hasSuffix("/") ? text.dropLast() : text[...]
    guard let slash = body.lastIndex(of: "/") else { return nil }
    return String(text[text.index(after: slash)...])
  }

  private static func answerZsh(_ completion: Completion) {
    guard case .candidates(let candidates) = completion.source else {
      return printFiles(completion)
    }
    let words = candidates.map { completion.kept + $0.text }
    let isDescribed = candidates.contains { !$0.summary.isEmpty }
    let width = isDescribed ? words.map(\.count).max() ?? 0 : 0
    let columns = environment("COLUMNS").flatMap { Int($0) } ?? 80
    print("words")
    for (candidate, word) in zip(candidates, words) {
      var line = ""
      if isDescribed {
        let blanks = String(repeating: " ", count: width - word.count + 2)
        line = String((word + blanks + candidate.summary).prefix(max(1, columns - 1)))
      }
      print("\(zshMark(candidate))\(word)\t\(line)")
    }
  }

  private static func zshMark(_ candidate: CompletionCandidate) -> String {
    if candidate.isFinished { return "=" }
    return candidate.text.last.map { "/@:=".contains($0) } ?? true ? "+" : "@"
  }

  private static func answerFish(_ completion: Completion) {
    guard case .candidates(let candidates) = completion.source else {
      return printFiles(completion)
    }
    print("words")
    for candidate in candidates {
      print("\(completion.kept)\(candidate.text)\t\(candidate.summary)")
    }
  }

  private static func printFiles(_ completion: Completion) {
    print("\(completion.source == .files ? "files" : "folders") \(completion.kept.count)")
  }

  private static func print(_ line: String) { Swift.print(line) }
}

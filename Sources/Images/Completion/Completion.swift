// The result of a completion: candidates, or a request that the shell complete file names itself.
//
// 1. A completion writes nothing, takes no lock, never waits and does not fail. Without a result it is empty.
// 2. It has at most `maxCandidates`. A shell inserts the common prefix of the candidates. So if some are
//    omitted, the others have the same common prefix as all candidates.

/// A possible continuation of the current word.
public struct CompletionCandidate: Sendable, Equatable {
  /// The whole word, without the part before it in `kept`.
  public var text: String
  /// One short line, for shells that display it.
  public var summary: String
  /// Whether the word is complete. Then a blank follows.
  public var isFinished: Bool

  public init(_ text: String, summary: String = "", isFinished: Bool = true) {
    self.text = text
    self.summary = summary
    self.isFinished = isFinished
  }
}

/// The result of a completion.
public struct Completion: Sendable, Equatable {
  public enum Source: Sendable, Equatable {
    case candidates([CompletionCandidate])
    /// The shell's own completion of file names.
    case files
    case directories
  }

  /// The start of the current word that precedes every candidate: "--root=".
  public var kept: String
  public var source: Source

  public init(kept: String = "", _ source: Source) {
    self.kept = kept
    self.source = source
  }

  public static let none = Completion(.candidates([]))

  public static let maxCandidates = 1000
  /// The number of snapshots above which no summaries are read from the store.
  static let maxDescribed = 200
}

extension [CompletionCandidate] {
  /// Returns at most `count` candidates with the same common prefix as all of them.
  func limited(to count: Int = Completion.maxCandidates) -> [CompletionCandidate] {
    guard self.count > count, count > 1 else { return self }
    var kept = Array(prefix(count))
    let common = kept.commonPrefix
    if let other = dropFirst(count).first(where: { !$0.text.hasPrefix(common) }) {
      kept[count - 1] = other
    }
    return kept
  }

  private var commonPrefix: String {
    guard let first else { return "" }
    return dropFirst().reduce(first.text) { $0.commonPrefix(with: $1.text) }
  }
}

extension String {
  fileprivate func commonPrefix(with other: String) -> String {
    String(zip(self, other).prefix { $0 == $1 }.map(\.0))
  }
}

extension CompletionPoint {
  /// Returns the result if it needs neither the store nor the tables; nil otherwise.
  func staticCompletion(_ tree: CommandTree) -> Completion? {
    switch kind {
    case .nothing, .value(.free): return Completion.none
    case .command(let path): return .init(.candidates(commands(below: path, tree)))
    case .option(let options): return .init(.candidates(names(of: options)))
    case .value(.command):
      return .init(.candidates(commands(below: operands.map(\.text), tree)))
    case .value(.file): return Completion(kept: kept, isRemote ? .candidates([]) : .files)
    case .value(.directory): return Completion(kept: kept, .directories)
    case .value(.imageOrDirectory) where word.contains("/") || word.hasPrefix("."):
      return Completion(kept: kept, .directories)
    case .value(.oneOf(let values)):
      let fitting = values.filter { $0.hasPrefix(word) }
      return Completion(kept: kept, .candidates(fitting.map { .init($0) }))
    case .value: return nil
    }
  }

  /// Whether the word is "HOST:FILE". The files of another host are unknown.
  private var isRemote: Bool {
    guard let colon = word.firstIndex(of: ":") else { return false }
    return !word[..<colon].contains("/")
  }

  private func commands(below path: [String], _ tree: CommandTree) -> [CompletionCandidate] {
    var commands = tree.commands
    for name in path { commands = commands.named(name)?.subcommands ?? [] }
    var candidates: [CompletionCandidate] = []
    for command in commands {
      // Aliases are only offered for a word that starts with them.
      for name in word.isEmpty ? [command.name] : [command.name] + command.aliases
      where name.hasPrefix(word) {
        candidates.append(.init(name, summary: command.summary))
      }
    }
    return candidates
  }

  private func names(of options: [CommandSyntax.Option]) -> [CompletionCandidate] {
    options.flatMap { option in
      let long = option.names.filter { $0.hasPrefix("--") }
      return (long.isEmpty ? option.names : long).filter { $0.hasPrefix(word) }
        .map { CompletionCandidate($0, summary: option.summary) }
    }
  }
}

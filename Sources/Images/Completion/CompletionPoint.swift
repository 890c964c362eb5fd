// Finds the element at the cursor: a command name, an option, or a value and its kind. The result depends
// only on the words and the syntax of the command.
//
// 1. Words after the cursor are ignored.
// 2. An unknown option counts as a flag without a value.

/// The position of the cursor in a command line.
public struct CompletionPoint: Sendable, Equatable {
  public enum Kind: Sendable, Equatable {
    /// A command, or a subcommand of the commands in this path.
    case command([String])
    case option([CommandSyntax.Option])
    case value(ValueKind)
    case nothing
  }

  public struct Operand: Sendable, Equatable {
    public let text: String
    public let kind: ValueKind

    public init(_ text: String, _ kind: ValueKind) {
      self.text = text
      self.kind = kind
    }
  }

  public internal(set) var kind = Kind.nothing
  /// The start of the current word that is not part of the value: "--root=".
  public internal(set) var kept = ""
  /// The rest of the current word, up to the cursor.
  public internal(set) var word: String
  /// The operands before the cursor.
  public internal(set) var operands: [Operand] = []
  /// The global options before the cursor, as the parser accepts them.
  public internal(set) var globalOptions: [String] = []

  /// Finds the position of the cursor.
  /// - Parameters:
  ///   - words: the unquoted words before the current one, without the program's name.
  ///   - word: the current word, up to the cursor.
  public init(_ words: [String], _ word: String, _ tree: CommandTree) {
    self.word = word
    var rest = words[...]
    var path: [String] = []
    var commands = tree.commands
    let globals = CommandSyntax(options: tree.globalOptions + tree.rootOptions)
    while true {
      var reader = WordReader(command: "", globals, tree)
      while let next = rest.first, next.hasPrefix("-") {
        reader.read(next)
        rest.removeFirst()
        if reader.pending != nil, let value = rest.popFirst() { reader.read(value) }
      }
      globalOptions += reader.globalOptions
      guard let name = rest.popFirst() else {
        let isOption = reader.pending != nil || word.hasPrefix("-")
        if isOption { complete(reader) } else { kind = .command(path) }
        return
      }
      guard let command = commands.named(name) else { return }
      path.append(command.name)
      if command.subcommands.isEmpty { break }
      commands = command.subcommands
    }
    var reader = WordReader(
      command: path.joined(separator: " "), tree.syntax(path), tree)
    for word in rest { reader.read(word) }
    globalOptions += reader.globalOptions
    operands = reader.operands
    complete(reader)
  }

  private mutating func complete(_ reader: WordReader) {
    if let option = reader.pending {
      kind = .value(reader.kind(of: option))
      return
    }
    if !reader.isTerminated, word.hasPrefix("-") {
      let (name, value) = WordReader.split(word)
      guard let value else {
        kind = .option(reader.unusedOptions)
        return
      }
      guard let option = reader.syntax.option(named: name), option.hasValue else { return }
      (kept, word) = (name + "=", value)
      kind = .value(reader.kind(of: option))
      return
    }
    if let next = reader.nextKind {
      kind = .value(next)
      return
    }
    // Only an option can follow.
    if word.isEmpty, !reader.isTerminated { kind = .option(reader.unusedOptions) }
  }
}

/// Reads the words of a command in order.
private struct WordReader {
  let command: String
  let syntax: CommandSyntax
  let globalNames: Set<String>
  /// An option whose value has not been read yet.
  var pending: CommandSyntax.Option?
  var isTerminated = false
  var operands: [CompletionPoint.Operand] = []
  var globalOptions: [String] = []
  private var used: Set<String> = []

  init(command: String, _ syntax: CommandSyntax, _ tree: CommandTree) {
    self.command = command
    self.syntax = syntax
    globalNames = Set(tree.globalOptions.flatMap(\.names))
  }

  /// Splits "--root=x" into the name and the value, if any.
  static func split(_ word: String) -> (name: String, value: String?) {
    guard let equals = word.firstIndex(of: "=") else { return (word, nil) }
    return (String(word[..<equals]), String(word[word.index(after: equals)...]))
  }

  mutating func read(_ word: String) {
    if let option = pending {
      pending = nil
      return note(option, word)
    }
    if isTerminated || word == "-" || !word.hasPrefix("-") {
      return operands.append(.init(word, nextKind ?? .free))
    }
    if word == "--" {
      isTerminated = true
      return
    }
    let (name, value) = WordReader.split(word)
    guard let option = syntax.option(named: name) ?? lastOfCluster(name) else { return }
    if option.hasValue, value == nil { pending = option } else { note(option, value) }
  }

  /// Returns the last option of a cluster such as "-nm". Only this one may have a value.
  private func lastOfCluster(_ word: String) -> CommandSyntax.Option? {
    guard !word.hasPrefix("--"), let last = word.last else { return nil }
    return syntax.option(named: "-\(last)")
  }

  private mutating func note(_ option: CommandSyntax.Option, _ value: String?) {
    used.formUnion(option.names)
    guard let name = option.names.first, globalNames.contains(name) else { return }
    globalOptions += [name] + (option.hasValue ? [value ?? ""] : [])
  }

  /// The kind of the next operand; nil if no operand can follow.
  var nextKind: ValueKind? {
    syntax.operand(operands.count, isAfterTerminator: isTerminated)
      .map { $0.values.isEmpty ? kind(of: $0.name) : .oneOf($0.values) }
  }

  func kind(of option: CommandSyntax.Option) -> ValueKind {
    option.values.isEmpty ? kind(of: option.names.first ?? "") : .oneOf(option.values)
  }

  private func kind(of name: String) -> ValueKind {
    ValueTable.kind(of: name, in: command) ?? .free
  }

  var unusedOptions: [CommandSyntax.Option] {
    syntax.options.filter { $0.isRepeating || used.isDisjoint(with: $0.names) }
  }
}

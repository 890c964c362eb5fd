// The syntax of the command line for completion: the commands, and the options and operands of each. The
// program derives it from its argument parser. ValueTable.swift has the kinds of values.

/// The options and operands of one command.
public struct CommandSyntax: Sendable, Equatable {
  public struct Option: Sendable, Equatable {
    /// "--message", "-m"; ValueTable lists the option under the first name.
    public var names: [String]
    public var summary: String
    public var hasValue: Bool
    /// Whether the option may be given several times.
    public var isRepeating: Bool
    /// All values, if the option accepts a fixed list.
    public var values: [String]

    public init(
      _ names: [String], summary: String = "", hasValue: Bool = false, isRepeating: Bool = false,
      values: [String] = []
    ) {
      self.names = names
      self.summary = summary
      self.hasValue = hasValue
      self.isRepeating = isRepeating
      self.values = values
    }
  }

  public struct Operand: Sendable, Equatable {
    /// The name in the help: "ref".
    public var name: String
    public var isRepeating: Bool
    /// Whether the operand follows "--" only.
    public var isAfterTerminator: Bool
    public var values: [String]

    public init(
      _ name: String, isRepeating: Bool = false, isAfterTerminator: Bool = false,
      values: [String] = []
    ) {
      self.name = name
      self.isRepeating = isRepeating
      self.isAfterTerminator = isAfterTerminator
      self.values = values
    }
  }

  public var options: [Option]
  public var operands: [Operand]

  public init(options: [Option] = [], operands: [Operand] = []) {
    self.options = options
    self.operands = operands
  }

  func option(named name: String) -> Option? { options.first { $0.names.contains(name) } }

  /// Returns the operand at a position, counted from 0.
  func operand(_ number: Int, isAfterTerminator: Bool) -> Operand? {
    if isAfterTerminator, let last = operands.first(where: \.isAfterTerminator) { return last }
    let plain = operands.filter { !$0.isAfterTerminator }
    if number < plain.count { return plain[number] }
    return plain.last.flatMap { $0.isRepeating ? $0 : nil }
  }
}

/// All commands of the program.
public struct CommandTree: Sendable {
  public struct Command: Sendable {
    public var name: String
    public var aliases: [String]
    public var summary: String
    public var subcommands: [Command]

    public init(
      _ name: String, aliases: [String] = [], summary: String = "", subcommands: [Command] = []
    ) {
      self.name = name
      self.aliases = aliases
      self.summary = summary
      self.subcommands = subcommands
    }
  }

  public var commands: [Command]
  /// Options of every command, which may also precede the command.
  public var globalOptions: [CommandSyntax.Option]
  /// Options that replace a command.
  public var rootOptions: [CommandSyntax.Option]
  /// Returns the syntax of one command. Deriving the syntax of all commands would make a completion too slow.
  public var syntax: @Sendable (_ path: [String]) -> CommandSyntax

  public init(
    commands: [Command], globalOptions: [CommandSyntax.Option],
    rootOptions: [CommandSyntax.Option] = [],
    syntax: @escaping @Sendable (_ path: [String]) -> CommandSyntax
  ) {
    self.commands = commands
    self.globalOptions = globalOptions
    self.rootOptions = rootOptions
    self.syntax = syntax
  }
}

extension [CommandTree.Command] {
  func named(_ word: String) -> CommandTree.Command? {
    first { $0.name == word || $0.aliases.contains(word) }
  }
}

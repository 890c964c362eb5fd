// Derives the syntax for completion (Images, CommandSyntax) from the argument parser. The parser exposes its
// declarations only as JSON (`--experimental-dump-help`): 10 KB for one command, which takes 1 ms.

import ArgumentParser
import FoundationEssentials
import Images

extension CommandTree {
  /// The commands of this program.
  static func program() -> CommandTree {
    let types = ImgStore.configuration.subcommands
    let rootOptions = [
      CommandSyntax.Option(["--help", "-h"], summary: "Show help information"),
      CommandSyntax.Option(["--version"], summary: "Show the version"),
    ]
    return CommandTree(
      commands: types.compactMap(command) + [Command("help", summary: "Explain a command")],
      globalOptions: ParserDump.syntax(of: CommonOptions.self).options
        .filter { !$0.names.contains("--help") }.map(withOtherNames),
      rootOptions: rootOptions
    ) { path in
      if path == ["help"] {
        return CommandSyntax(operands: [.init("subcommands", isRepeating: true)])
      }
      var subcommands = types
      var match: (any ParsableCommand.Type)?
      for name in path {
        match = subcommands.first { $0.configuration.commandName == name }
        subcommands = match?.configuration.subcommands ?? []
      }
      return match.map { ParserDump.syntax(of: $0) } ?? CommandSyntax()
    }
  }

  private static func command(_ type: any ParsableCommand.Type) -> Command? {
    let configuration = type.configuration
    guard configuration.shouldDisplay, let name = configuration.commandName else { return nil }
    return Command(
      name, aliases: configuration.aliases, summary: configuration.abstract,
      subcommands: configuration.subcommands.compactMap(command))
  }

  /// Returns an option with the names that are allowed only before the command.
  private static func withOtherNames(_ option: CommandSyntax.Option) -> CommandSyntax.Option {
    var option = option
    option.names += ArgumentNormalizer.otherNames.filter { option.names.contains($0.value) }
      .map(\.key).sorted()
    return option
  }
}

/// The declarations of the parser.
private struct ParserDump: Decodable {
  struct Command: Decodable {
    let arguments: [Argument]?
  }

  struct Argument: Decodable {
    struct Name: Decodable {
      let kind: String
      let name: String

      var text: String { (kind == "long" ? "--" : "-") + name }
    }

    let kind: String
    let shouldDisplay: Bool
    let isRepeating: Bool
    let parsingStrategy: String
    let names: [Name]?
    let preferredName: Name?
    let valueName: String?
    let allValues: [String]?
    let abstract: String?
  }

  let command: Command

  static func syntax(of type: any ParsableArguments.Type) -> CommandSyntax {
    let json = type._dumpHelp()
    guard let dump = try? JSONDecoder().decode(ParserDump.self, from: Data(json.utf8)) else {
      return CommandSyntax()
    }
    var syntax = CommandSyntax()
    for argument in dump.command.arguments ?? [] where argument.shouldDisplay {
      let values = argument.allValues ?? []
      if argument.kind == "positional" {
        syntax.operands.append(
          .init(
            argument.valueName ?? "", isRepeating: argument.isRepeating,
            isAfterTerminator: argument.parsingStrategy == "postTerminator", values: values))
        continue
      }
      let preferred = argument.preferredName?.text
      let names = (argument.names ?? []).map(\.text)
      syntax.options.append(
        .init(
          [preferred].compactMap(\.self) + names.filter { $0 != preferred },
          summary: argument.abstract ?? "", hasValue: argument.kind == "option",
          isRepeating: argument.isRepeating, values: values))
    }
    return syntax
  }
}

// The command line: parses arguments, prints text, JSON and progress, and returns exit codes. Makes no
// decisions.

import ArgumentParser
import Glibc
import Images

// Each command states its name, although the parser could derive it. The parser asks for all names at each
// start, and deriving one takes 0.07 ms.
@main
struct ImgStore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "imgstore",
    abstract: "Snapshot, compare, revert, export and import node images",
    discussion: """
      A reference (REF) names a snapshot: IMAGE (the latest; for 'diff' and 'revert' the latest that \
      you took or reverted to), IMAGE@latest, IMAGE@12 (by number), IMAGE@~1 (one before the latest), IMAGE@TAG, \
      IMAGE@yesterday, IMAGE@2026-11-08 (as of the end of that day), 'IMAGE@2026-11-08 12:30' (as of \
      that minute, local time), or six or more digits of a snapshot's id. For 'diff', IMAGE@live is \
      the image as it is now. If there is only one image, @12 is enough. IMAGE may be any part of a \
      name that no other image has.

      REF:PATH names a file inside a snapshot. imgstore prints and reads a byte that is not UTF-8 as \
      \\xff, and a backslash as \\\\.

      Exit codes: 0 done; 1 failed, nothing changed unless the message says so; 2 usage error; 3 \
      done, with problems that are listed; 4 busy: another process is at work; 5 stored data is \
      damaged; 6 the image has an unfinished change; 7 a difference was found (--exit-code); 8 another maintain \
      is running. 'run' has the exit code of its command.
      """,
    version: "imgstore \(Workspace.version)",
    groupedSubcommands: [
      CommandGroup(
        name: "Images",
        subcommands: [
          AddCommand.self, DefineCommand.self, ImagesCommand.self, ShowCommand.self,
          CopyCommand.self,
        ]),
      CommandGroup(
        name: "History",
        subcommands: [SnapshotCommand.self, LogCommand.self, StatusCommand.self, DiffCommand.self]),
      CommandGroup(name: "Change", subcommands: [RunCommand.self, HooksCommand.self]),
      CommandGroup(
        name: "Inspect",
        subcommands: [
          ListCommand.self, CatCommand.self, FindCommand.self, GrepCommand.self, BlameCommand.self,
          SecretsCommand.self,
        ]),
      CommandGroup(
        name: "Revert and restore",
        subcommands: [
          RevertCommand.self, UndoCommand.self, ResumeCommand.self, RestoreCommand.self,
          StandbyCommand.self,
        ]),
      CommandGroup(
        name: "Nodes",
        subcommands: [
          PackCommand.self, StageCommand.self, LiteCommand.self, NodesCommand.self,
          WhichCommand.self,
          BenchCommand.self,
        ]),
      CommandGroup(
        name: "Exchange",
        subcommands: [
          ExportCommand.self, ImportCommand.self, RemoteCommand.self, PushCommand.self,
          PullCommand.self, CloneCommand.self, HaveCommand.self, ServeCommand.self,
        ]),
      CommandGroup(name: "Signatures", subcommands: [KeyCommand.self, SignCommand.self]),
      CommandGroup(
        name: "Retention and space",
        subcommands: [
          TagCommand.self, TagsCommand.self, UntagCommand.self, PinCommand.self, PinsCommand.self,
          UnpinCommand.self, ForgetCommand.self,
          RemoveCommand.self,
          GCCommand.self,
          OptimizeCommand.self, RecipesCommand.self, DuCommand.self, MaintainCommand.self,
        ]),
      CommandGroup(
        name: "Store",
        subcommands: [
          InitCommand.self, StatsCommand.self, VerifyCommand.self, RepairCommand.self,
          ReindexCommand.self, ConfigCommand.self, DoctorCommand.self, MetricsCommand.self,
          SchemaCommand.self,
        ]),
      CommandGroup(name: "Shells", subcommands: [CompletionCommand.self, HookCommand.self]),
    ])

  static func main() {
    prepareProcess()
    // Clear the owner's bits of the umask: a command must be able to use the files that it creates.
    umask(umask(0) & 0o077)
    let words = programArguments()
    let name = XCATCommandName(program: words.first ?? "")
    // Trees may be nested 2,000 levels deep, and the code that walks them recurses.
    let result = Monitor(ExitStatus.failed)
    do throws(SystemError) {
      try startThread(stackBytes: 512 << 20) {
        let arguments = Array(words.dropFirst())
        let code = name?.run(arguments) ?? run(arguments)
        result.withLock { $0 = code }
      }.join()
    } catch {
      Terminal.error(error.messageWithHint)
      Glibc.exit(ExitStatus.failed)
    }
    let code = result.withLock { $0 }
    let isReported = fflush(nil) == 0
    Interruption.endIfRequested()
    if !isReported, code == ExitStatus.done {
      Terminal.error("cannot write the report to standard output; the command itself is complete.")
      Glibc.exit(name == nil ? ExitStatus.problems : ExitStatus.failed)
    }
    Glibc.exit(code)
  }

  private static func run(_ words: [String]) -> Int32 {
    if words.isEmpty || words == ["help"] {
      print(Overview.text)
      return ExitStatus.done
    }
    // Answer completion first: words that are still being typed are not arguments.
    if words.first == CompletionAnswer.command {
      CompletionAnswer.run(Array(words.dropFirst()))
      return ExitStatus.done
    }
    let arguments: [String]
    do {
      arguments = try ArgumentNormalizer(known: commandNames).normalized(words)
    } catch {
      if asksForJSON(words) {
        JSONOutput.printFailure(ErrorJSON(usage: error.text))
      } else {
        Terminal.error(error.text)
      }
      return ExitStatus.usage
    }
    do {
      return run(try parseAsRoot(arguments), arguments, asJSON: asksForJSON(words))
    } catch {
      let code = report(parserError: error, asJSON: asksForJSON(words))
      let isStarter = ["run", "hook"].contains(arguments.first)
      return isStarter && code != ExitStatus.done ? RunCommand.failureStatus : code
    }
  }

  /// Whether words have the option --json. Those after "--" belong to another program.
  private static func asksForJSON(_ words: [String]) -> Bool {
    words.prefix { $0 != "--" }.contains("--json")
  }

  private static func run(
    _ parsed: any ParsableCommand, _ arguments: [String], asJSON: Bool
  ) -> Int32 {
    do {
      var command = parsed
      Quiet.apply(to: command, arguments)
      Interruption.enableMessages()
      if asksForJSON(arguments) { JSONOutput.followSignals() }
      if let message = interruptionMessage(of: command) {
        Interruption.announce("interrupted: \(message)")
      }
      try command.run()
      if Interruption.requested != nil {
        Terminal.finish()
        Terminal.error("the signal came when the change was complete")
      }
      return ExitStatus.done
    } catch is DifferencesFound {
      Terminal.finish()
      return ExitStatus.differs
    } catch is NoMatch {
      Terminal.finish()
      return ExitStatus.failed
    } catch let ended as CommandEnded {
      return ended.status
    } catch let problems as CompletedWithWarnings {
      Terminal.finish()
      fflush(nil)
      for line in problems.lines { Terminal.error(line) }
      return (type(of: parsed) as? any CommandStarter.Type)?.failureStatus ?? problems.exitStatus
    } catch let error as any ExplainedError {
      Terminal.finish()
      fflush(nil)
      if asksForJSON(arguments) {
        JSONOutput.printFailure(ErrorJSON(error))
      } else {
        Terminal.error(FailedTask(parsed).message(error))
      }
      return status(of: error, in: parsed)
    } catch {
      Terminal.finish()
      fflush(nil)
      return report(parserError: error, asJSON: asJSON, of: type(of: parsed))
    }
  }

  /// Returns the exit code for a command that failed.
  private static func status(
    of error: any ExplainedError, in command: any ParsableCommand
  ) -> Int32 {
    (error as? FailedStart)?.status
      ?? (type(of: command) as? any CommandStarter.Type)?.failureStatus
      ?? ExitStatus.of(error.errorCode)
  }

  /// The names of all commands, with their aliases.
  private static var commandNames: Set<String> {
    var names: Set<String> = ["help"]
    for group in configuration.groupedSubcommands {
      for command in group.subcommands {
        names.formUnion([command.configuration.commandName ?? ""])
        names.formUnion(command.configuration.aliases)
      }
    }
    return names
  }

  /// Returns a parser's message without its suggestion if the suggested option is spelled very differently.
  private static func withoutFarSuggestion(_ text: String) -> String {
    guard let question = text.firstRange(of: " Did you mean '"),
      let quoted = text.firstRange(of: "Unknown option '")
    else { return text }
    let typed = text[quoted.upperBound...].prefix { $0 != "'" }
    let meant = text[question.upperBound...].prefix { $0 != "'" }
    if Spelling.isNear(String(typed), String(meant)) { return text }
    let rest = text[question.upperBound...].firstIndex(of: "?").map(text.index(after:))
    return String(text[..<question.lowerBound]) + text[(rest ?? text.endIndex)...]
  }

  /// Shortens a list of unexpected arguments, which is as long as a directory if the shell expands a pattern.
  private static func shorteningArgumentList(_ text: String) -> String {
    guard let list = text.firstRange(of: " unexpected arguments: ") else { return text }
    let end = text[list.upperBound...].firstIndex(of: "\n") ?? text.endIndex
    let words = text[list.upperBound..<end].split(
      separator: "', '", omittingEmptySubsequences: false)
    guard words.count > 5 else { return text }
    return text[..<list.upperBound] + words.prefix(5).joined(separator: "', '")
      + "' …\nhint: Quote patterns, or the shell expands them" + text[end...]
  }

  /// Prints help and version to standard output, and errors of the arguments to standard error.
  /// - Returns: The exit code.
  private static func report(
    parserError error: any Error, asJSON: Bool, of command: any ParsableCommand.Type = ImgStore.self
  ) -> Int32 {
    let name = command.configuration.commandName ?? ""
    var text = shorteningArgumentList(command.fullMessage(for: error))
    if command != ImgStore.self {
      text = text.replacing("Usage: \(name)", with: "Usage: imgstore \(name)")
        .replacing("See '\(name) ", with: "See 'imgstore \(name) ")
    }
    guard exitCode(for: error) != .success else {
      print(LineFolding.withFoldedUsage(text))
      return ExitStatus.done
    }
    if asJSON {
      JSONOutput.printFailure(ErrorJSON(usage: withoutFarSuggestion(message(for: error))))
    } else {
      Terminal.error(
        withoutFarSuggestion(text.hasPrefix("Error: ") ? String(text.dropFirst(7)) : text))
    }
    return error is ValidationError || exitCode(for: error) == .validationFailure
      ? ExitStatus.usage : ExitStatus.failed
  }
}

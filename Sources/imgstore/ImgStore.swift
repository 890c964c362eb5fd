// The command line: arguments in, text, JSON and progress out, exit codes. No decisions.

import ArgumentParser
import Glibc
import Images
import Platform

// Every command writes its name down, though the parser would derive it: it asks all of them at
// each start, and to derive one takes 0.07 ms.
@main
struct ImgStore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "imgstore",
    abstract: "Git for node images: snapshot, compare, revert, export and import them.",
    discussion: """
      A reference (REF) names a snapshot: IMAGE (the latest; for 'diff' and 'revert' the latest that is \
      not automatic), IMAGE@12 (by number), IMAGE@~1 (one \
      before the latest), IMAGE@TAG, IMAGE@yesterday, IMAGE@2026-11-08 (as of the end of that day), \
      'IMAGE@2026-11-08 12:30' (as of that minute, local time), or six or more digits of a \
      snapshot's id. For 'diff', IMAGE@live is the image as it is now. With one image, @12 is enough. \
      IMAGE may be any part of a name that no other image has.

      REF:PATH names a file inside a snapshot. Bytes of a name that are not UTF-8 are written \
      \\xff, and a backslash \\\\, as imgstore prints them.

      Exit codes: 0 done; 1 failed, nothing changed unless said; 2 usage; 3 done, with problems \
      that are listed; 4 busy: another process is at work; 5 stored data is damaged; 6 a change \
      of the image was begun and has not ended; 7 something differs (--exit-code).
      """,
    version: "imgstore \(Workspace.version)",
    groupedSubcommands: [
      CommandGroup(
        name: "Images",
        subcommands: [Add.self, Define.self, ImagesCommand.self, Show.self, Copy.self]),
      CommandGroup(
        name: "History",
        subcommands: [SnapshotCommand.self, Log.self, Status.self, Diff.self]),
      CommandGroup(
        name: "Looking inside",
        subcommands: [
          List.self, Cat.self, Find.self, Grep.self, Blame.self, SecretsCommand.self,
        ]),
      CommandGroup(
        name: "Going back", subcommands: [Revert.self, Undo.self, Resume.self, Restore.self]),
      CommandGroup(name: "Nodes", subcommands: [Pack.self, Lite.self, Bench.self]),
      CommandGroup(name: "Other sites", subcommands: [Export.self, Import.self]),
      CommandGroup(name: "Signatures", subcommands: [KeyCommand.self, Sign.self]),
      CommandGroup(
        name: "Time and space",
        subcommands: [
          TagCommand.self, Tags.self, Untag.self, Pin.self, Pins.self, Unpin.self, Forget.self,
          Remove.self,
          GC.self,
          Optimize.self, Recipes.self, Du.self,
        ]),
      CommandGroup(
        name: "The store",
        subcommands: [
          Init.self, Stats.self, Verify.self, Repair.self, Reindex.self, SchemaCommand.self,
        ]),
      CommandGroup(name: "Shells", subcommands: [CompletionCommand.self]),
    ])

  static func main() {
    prepareProcess()
    // Whatever the caller's umask takes from others, what a command makes it can use itself.
    umask(umask(0) & 0o077)
    let words = programArguments()
    let name = XCATName(program: words.first ?? "")
    // Trees may be nested two thousand deep, and what walks them recurses.
    let result = Monitor(ExitStatus.failed)
    do throws(SystemError) {
      try startThread(stackBytes: 512 << 20) {
        let arguments = Array(words.dropFirst())
        let code = name?.run(arguments) ?? run(arguments)
        result.withLock { $0 = code }
      }.join()
    } catch {
      Terminal.error(error.explanation)
      Glibc.exit(ExitStatus.failed)
    }
    let code = result.withLock { $0 }
    let isReported = fflush(nil) == 0
    Interruption.endIfRequested()
    if !isReported, code == ExitStatus.done {
      Terminal.error("standard output: the command did its work, but its report cannot be written.")
      Glibc.exit(name == nil ? ExitStatus.problems : ExitStatus.failed)
    }
    Glibc.exit(code)
  }

  private static func run(_ words: [String]) -> Int32 {
    if words.isEmpty || words == ["help"] {
      print(Overview.text)
      return ExitStatus.done
    }
    // Before anything else: words that are being typed are no arguments.
    if words.first == CompletionAnswer.command {
      CompletionAnswer.run(Array(words.dropFirst()))
      return ExitStatus.done
    }
    let arguments: [String]
    do {
      arguments = try CommandWords(known: commandNames).arranged(words)
    } catch {
      if words.contains("--json") { JSONOutput.printFailure(ErrorJSON(usage: error.text)) }
      Terminal.error(error.text)
      return ExitStatus.usage
    }
    let command: any ParsableCommand
    do {
      command = try parseAsRoot(arguments)
    } catch {
      return report(parserError: error, asJSON: words.contains("--json"))
    }
    do {
      var command = command
      Quiet.apply(to: command, arguments)
      Interruption.speak()
      if arguments.contains("--json") { JSONOutput.followSignals() }
      if let words = (command as? any InterruptibleCommand)?.interruptedWords {
        Interruption.announce("interrupted: \(words)")
      }
      try command.run()
      if Interruption.requested != nil {
        Terminal.finish()
        Terminal.error("the signal came when the change was complete")
      }
      return ExitStatus.done
    } catch is Differs {
      Terminal.finish()
      return ExitStatus.differs
    } catch is NoMatch {
      Terminal.finish()
      return ExitStatus.failed
    } catch let problems as CompletedWithWarnings {
      Terminal.finish()
      fflush(nil)
      for line in problems.lines { Terminal.error(line) }
      return problems.exitStatus
    } catch let error as any ExplainedError {
      Terminal.finish()
      fflush(nil)
      if arguments.contains("--json") { JSONOutput.printFailure(ErrorJSON(error)) }
      Terminal.error(error.explanation)
      return ExitStatus.of(error.errorCode)
    } catch {
      Terminal.finish()
      fflush(nil)
      return report(parserError: error, asJSON: words.contains("--json"))
    }
  }

  /// The commands and their aliases.
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

  /// A parser's message without the suggestion of an option that is spelled quite differently.
  private static func withoutFarSuggestion(_ text: String) -> String {
    guard let question = text.firstRange(of: " Did you mean '"),
      let quoted = text.firstRange(of: "Unknown option '")
    else { return text }
    let typed = text[quoted.upperBound...].prefix { $0 != "'" }
    let meant = text[question.upperBound...].prefix { $0 != "'" }
    if Spelling.isNear(String(typed), String(meant)) { return text }
    let end = text[question.upperBound...].firstIndex(of: "?").map(text.index(after:))
    return String(text[..<question.lowerBound]) + text[(end ?? text.endIndex)...]
  }

  /// Help and version go to standard output; what is wrong with the arguments to standard error.
  private static func report(parserError error: any Error, asJSON: Bool) -> Int32 {
    let text = fullMessage(for: error)
    guard exitCode(for: error) != .success else {
      print(LineFolding.withFoldedUsage(text))
      return ExitStatus.done
    }
    if asJSON {
      JSONOutput.printFailure(ErrorJSON(usage: withoutFarSuggestion(message(for: error))))
    }
    Terminal.error(
      withoutFarSuggestion(text.hasPrefix("Error: ") ? String(text.dropFirst(7)) : text))
    return error is ValidationError || exitCode(for: error) == .validationFailure
      ? ExitStatus.usage : ExitStatus.failed
  }
}

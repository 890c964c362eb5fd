// The names imgexport, imgimport, packimage and liteimg: xCAT's commands, word for word, with the same
// implementation as ours. docs/xcat.md lists the equal, better and different parts, with reasons.
//
// 1. The lines that scripts look for are xCAT's, on standard output and in xCAT's order. Errors are "Error:
//    …" and warnings "Warning: …" on standard error.
// 2. "Done!" and "Successfully imported …" are printed only on success, and after it.
// 3. Exit codes are 0 and 1. A mistake in the command line prevents any change.

import ArgumentParser
import Glibc
import Images

/// A command of xCAT under whose name this program can run.
enum XCATCommandName: String {
  case imgexport, imgimport, packimage, liteimg

  /// - Parameter program: The path that the program was called by, argv[0].
  init?(program: String) {
    self.init(rawValue: program.split(separator: "/").last.map(String.init) ?? "")
  }

  /// Runs the command.
  /// - Returns: The exit code.
  func run(_ arguments: [String]) -> Int32 {
    do {
      switch self {
      case .imgexport:
        return try answer(ImgexportCommandLine.read(arguments), ImgexportCommandLine.usage) {
          try XCATExport($0).run()
        }
      case .imgimport:
        return try answer(ImgimportCommandLine.read(arguments), ImgimportCommandLine.usage) {
          try XCATImport(arguments: $0).run()
        }
      case .packimage:
        return try answer(PackimageCommandLine.read(arguments), PackimageCommandLine.usage) {
          try XCATPack(arguments: $0).run()
        }
      case .liteimg:
        return try answer(LiteimgCommandLine.read(arguments), LiteimgCommandLine.usage) {
          try XCATLite(arguments: $0).run()
        }
      }
    } catch let problems as CompletedWithWarnings {
      for line in problems.lines { XCATConsole.error(line) }
    } catch let error as any ExplainedError {
      XCATConsole.error(error)
    } catch {
      XCATConsole.error(ImgStore.message(for: error))
    }
    return ExitStatus.failed
  }

  private func answer<Arguments>(
    _ reading: ParseResult<Arguments>, _ usage: String,
    _ body: (Arguments) throws -> Void
  ) throws -> Int32 {
    switch reading {
    case .run(let arguments):
      try body(arguments)
      Terminal.finish()
      return ExitStatus.done
    case .help:
      print(usage)
      return ExitStatus.done
    case .version:
      print("imgstore version \(Workspace.version)")
      return ExitStatus.done
    case .usage:
      print(usage)
      return ExitStatus.failed
    case .invalid(let text):
      XCATConsole.error("\(text)\nhint: Nothing was done; '\(rawValue) -h' shows the usage")
      return ExitStatus.failed
    }
  }
}

/// The messages of xCAT's commands.
enum XCATConsole {
  /// Prints a line, and flushes it so that a reader of a pipe sees it at once.
  static func say(_ line: String) {
    Terminal.clear()
    print(line)
    fflush(nil)
  }

  /// Prints a warning.
  static func warn(_ text: String) { Terminal.say("Warning: \(text)") }

  /// Prints an error.
  static func error(_ text: String) {
    Terminal.finish()
    fflush(nil)
    Terminal.say("Error: \(text)")
  }

  /// Prints an error in our words or in xCAT's, followed by the hint.
  static func error(_ error: any ExplainedError) {
    self.error(error.messageWithHint)
  }

  /// Opens the workspace that the environment names. Remarks are printed as warnings.
  static func open() throws -> Workspace {
    try CommonOptions.parse([]).open(
      announcesNewStore: false, warn: { warn($0) }, remark: { warn($0) })
  }
}

/// An error in xCAT's own words, because scripts may look for them.
struct XCATMessage: ExplainedError {
  let subject = ""
  let form = ReasonForm.sentence
  let reason: String
  let hint: String

  init(_ text: String, hint: String = "") {
    reason = text
    self.hint = hint
  }
}

// The names imgexport, imgimport, packimage and liteimg: xCAT's commands, word for word, over the same verbs
// (docs/xcat.md has what is the same, what is better, and what is different and why).
//
// 1. The lines that scripts look for are xCAT's, on standard output, in its order; errors are
//    "Error: …" and warnings "Warning: …" on standard error.
// 2. "Done!" and "Successfully imported …" are said of success only, and after it.
// 3. Exit codes are 0 and 1. Nothing is done where the command line holds a mistake.

import ArgumentParser
import Glibc
import Images
import Platform
import XCAT

/// A command of xCAT's that this program can be called by.
enum XCATName: String {
  case imgexport, imgimport, packimage, liteimg

  /// - Parameter program: how the program was called, argv[0].
  init?(program: String) {
    self.init(rawValue: program.split(separator: "/").last.map(String.init) ?? "")
  }

  /// Runs the command; returns its exit code.
  func run(_ arguments: [String]) -> Int32 {
    do {
      switch self {
      case .imgexport:
        return try answer(Imgexport.read(arguments), Imgexport.usage) { try XCATExport($0).run() }
      case .imgimport:
        return try answer(Imgimport.read(arguments), Imgimport.usage) { try XCATImport($0).run() }
      case .packimage:
        return try answer(Packimage.read(arguments), Packimage.usage) { try XCATPack($0).run() }
      case .liteimg:
        return try answer(Liteimg.read(arguments), Liteimg.usage) { try XCATLite($0).run() }
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
    case .mistake(let text):
      XCATConsole.error("\(text)\n  Nothing was done; '\(rawValue) -h' shows the usage.")
      return ExitStatus.failed
    }
  }
}

/// How xCAT's commands speak.
enum XCATConsole {
  /// A reader at the other end of a pipe sees each line when it is said.
  static func say(_ line: String) {
    Terminal.clear()
    print(line)
    fflush(nil)
  }

  static func warn(_ text: String) { Terminal.say("Warning: \(text)") }

  static func error(_ text: String) {
    Terminal.finish()
    fflush(nil)
    Terminal.say("Error: \(text)")
  }

  /// An error in our words, or in xCAT's, with the advice behind it.
  static func error(_ error: any ExplainedError) {
    let text = error.object.isEmpty ? error.finding : "\(error.object): \(error.finding)."
    self.error(error.advice.isEmpty ? text : "\(text)\n  \(error.advice).")
  }

  /// The workspace that the environment names; what a verb remarks is a warning.
  static func open() throws -> Workspace {
    try CommonOptions.parse([]).open(
      announcesNewStore: false, warn: { warn($0) }, remark: { warn($0) })
  }
}

/// An error in xCAT's own words, which scripts may look for.
struct XCATMessage: ExplainedError {
  let object = ""
  let finding: String
  let advice: String

  init(_ text: String, advice: String = "") {
    finding = text
    self.advice = advice
  }
}

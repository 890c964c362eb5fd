// xCAT's programs: where they are, how they are run, and what they must not be given.

import Platform

/// Finds and runs xCAT's commands.
struct XCATCommandRunner: Sendable {
  private let fileSystem: any FileSystem
  private let environment: [String: String]

  init(_ fileSystem: any FileSystem, environment: [String: String]) {
    self.fileSystem = fileSystem
    self.environment = environment
  }

  /// Runs a command to its end.
  /// - Throws: `XCATError` where it is nowhere; `SystemError` where it cannot be run.
  func run(
    _ name: String, _ arguments: [String], input: String = ""
  ) throws -> ChildResult {
    try ChildProcess.run(
      try path(of: name), arguments,
      environment: ChildProcess.environment(for: .xcat, of: environment), input: Array(input.utf8))
  }

  /// Runs a command that must succeed.
  func mustRun(_ name: String, _ arguments: [String], input: String = "") throws {
    let answer = try run(name, arguments, input: input)
    guard answer.status == 0 else { throw failure(name, arguments, answer) }
  }

  /// xCAT keeps `lsdef` and its like in bin, `tabdump` and `chtab` in sbin.
  func path(of name: String) throws -> [UInt8] {
    var folders: [String] = []
    for root in [environment["XCATROOT"] ?? "", "/opt/xcat"] where !root.isEmpty {
      folders += [root + "/bin", root + "/sbin"]
    }
    folders += (environment["PATH"] ?? "").split(separator: ":").map(String.init)
    for folder in folders where folder.utf8.first == UInt8(ascii: "/") {
      let path = Array("\(folder)/\(name)".utf8)
      let found = try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, path, followLink: true)
      if let found, found.kind == .file, found.mode & 0o111 != 0 { return path }
    }
    throw XCATError(
      "xCAT's command \(name)", "is neither in $XCATROOT, nor in /opt/xcat, nor on PATH",
      advice: "Run this on the management node, or set XCATROOT")
  }

  /// What a command said when it failed.
  func failure(_ name: String, _ arguments: [String], _ answer: ChildResult) -> XCATError {
    let said = answer.errors.isEmpty ? answer.output : answer.errors
    let lines = said.prefix(2000).split(separator: 0x0a).map { printable($0) }
    return XCATError(
      "'\(([name] + arguments).joined(separator: " "))'",
      "ended with status \(answer.status)"
        + (lines.isEmpty ? "" : " and said: " + lines.joined(separator: " / ")),
      advice: "Put right what xCAT complains of and run the command again")
  }

  // MARK: What the commands cannot carry

  /// Refuses names of objects that xCAT's options would take apart.
  static func check(name: String) throws(XCATError) {
    let isPlain =
      !name.isEmpty && name.utf8.first != UInt8(ascii: "-")
      && !name.utf8.contains { $0 <= 0x20 || $0 == 0x7f || ",='\"\\|".utf8.contains($0) }
    guard isPlain else {
      throw XCATError(
        "the name '\(printable(name.utf8))'", "has characters that xCAT's commands take apart",
        advice: "Use letters, digits, '.', '_' and '-'")
    }
  }

  /// Refuses values that come out of xCAT's commands otherwise than they went in.
  static func check(value: String, of object: String) throws(XCATError) {
    let finding: String
    if hasControl(value) {
      finding = "holds a line break or another control character"
    } else if value == "NULL" {
      finding = "is the word NULL, which xCAT takes for no value"
    } else if value != trimmed(value) {
      finding = "has blanks at an end, which xCAT's commands cut off"
    } else {
      return
    }
    throw XCATError(object, finding, advice: "Change that value before it is written")
  }
}

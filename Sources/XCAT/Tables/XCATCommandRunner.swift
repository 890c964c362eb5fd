// Runs xCAT's programs: their location, and the arguments that they cannot take.

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
  /// - Throws: `XCATError` if it does not exist; `SystemError` if it cannot be run.
  func run(
    _ name: String, _ arguments: [String], input: String = ""
  ) throws -> ChildResult {
    try ChildProcess.run(
      try path(of: name), arguments,
      environment: ChildProcess.environment(for: .xcat, of: environment), input: Array(input.utf8))
  }

  /// Runs a command that must succeed.
  /// - Throws: `XCATError` with the command's message if it fails.
  func mustRun(_ name: String, _ arguments: [String], input: String = "") throws {
    let result = try run(name, arguments, input: input)
    guard result.status == 0 else { throw failure(name, arguments, result) }
  }

  /// Returns the path of a command. `lsdef` and similar ones are in bin, `tabdump` and `chtab` in sbin.
  func path(of name: String) throws -> [UInt8] {
    var directories: [String] = []
    for root in [environment["XCATROOT"] ?? "", "/opt/xcat"] where !root.isEmpty {
      directories += [root + "/bin", root + "/sbin"]
    }
    directories += (environment["PATH"] ?? "").split(separator: ":").map(String.init)
    for directory in directories where directory.utf8.first == UInt8(ascii: "/") {
      let path = Array("\(directory)/\(name)".utf8)
      let stat = try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, path, followLink: true)
      if let stat, stat.kind == .file, stat.mode & 0o111 != 0 { return path }
    }
    throw XCATError(
      .xcatCommandFailed,
      "xCAT's command \(name)", "is not in $XCATROOT, /opt/xcat or PATH",
      hint: "Run this on the management node, or set XCATROOT")
  }

  /// Returns an error with the message of a failed command.
  func failure(_ name: String, _ arguments: [String], _ result: ChildResult) -> XCATError {
    let output = result.errors.isEmpty ? result.output : result.errors
    let lines = output.prefix(2000).split(separator: 0x0a).map { printable($0) }
    return XCATError(
      .xcatCommandFailed,
      "'\(([name] + arguments).joined(separator: " "))'",
      "ended with status \(result.status)"
        + (lines.isEmpty ? "" : " and said: " + lines.joined(separator: " / ")),
      hint: "Correct the cause that xCAT reports, and run the command again")
  }

  // MARK: Arguments that the commands cannot carry

  /// Refuses names of objects that xCAT's options would split.
  static func check(name: String) throws(XCATError) {
    let isPlain =
      !name.isEmpty && name.utf8.first != UInt8(ascii: "-")
      && !name.utf8.contains { $0 <= 0x20 || $0 == 0x7f || ",='\"\\|".utf8.contains($0) }
    guard isPlain else {
      throw XCATError(
        .tablesInvalid,
        "the name '\(printable(name.utf8))'", "has characters that xCAT's commands would split",
        hint: "Use letters, digits, '.', '_' and '-'")
    }
  }

  /// Refuses values that xCAT's commands would change.
  static func check(value: String, of object: String) throws(XCATError) {
    let reason: String
    if hasControl(value) {
      reason = "holds a line break or another control character"
    } else if value == "NULL" {
      reason = "is the word NULL, which xCAT stores as no value"
    } else if value != trimmed(value) {
      reason = "has blanks at an end, which xCAT's commands trim"
    } else {
      return
    }
    throw XCATError(.tablesInvalid, object, reason, hint: "Change that value before it is written")
  }
}

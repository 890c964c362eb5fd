// Another program, run to its end: arguments as they are (no shell).

import CLinux

/// What a program said.
public struct ChildResult: Sendable {
  /// Its exit status; 128 + the number of the signal that ended it.
  public let status: Int32
  /// What it said on stderr; empty where that went to ours.
  public let errors: [UInt8]
}

/// Runs programs.
public enum ChildProcess {
  /// Runs `program` without input and waits for it; what it says goes to our standard error.
  /// - Parameters:
  ///   - program: its path; PATH is not searched.
  ///   - arguments: without the program's own name.
  /// - Throws: `SystemError` where it cannot be started.
  public static func run(
    _ program: [UInt8], _ arguments: [String], environment: [String: String]
  ) throws(SystemError) -> ChildResult {
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    guard !program.contains(0), !(arguments + variables).contains(where: { $0.utf8.contains(0) })
    else { throw SystemError(code: .invalid, "run", program) }
    let result = withCStrings([program] + arguments.map { Array($0.utf8) }) { argv in
      withCStrings(variables.map { Array($0.utf8) }) { envp in clinux_run(argv, envp) }
    }
    guard result >= 0 else {
      throw SystemError(code: .init(rawValue: -result), "run", program)
    }
    return ChildResult(status: result, errors: [])
  }

  /// Gives `body` a NULL-terminated array of C strings.
  private static func withCStrings<R>(
    _ strings: [[UInt8]], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
  ) -> R {
    let copies = strings.map { string in
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: string.count + 1)
      for (i, byte) in string.enumerated() { copy[i] = CChar(bitPattern: byte) }
      copy[string.count] = 0
      return copy
    }
    defer { for copy in copies { copy.deallocate() } }
    return body(copies + [nil])
  }
}

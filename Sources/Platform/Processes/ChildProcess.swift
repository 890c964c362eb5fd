// Runs another program to its end. Arguments are passed without a shell. The standard streams go
// through pipes that are served together, so that neither side waits for the other for ever.

import CLinux
import Glibc

/// The result of a program.
public struct ChildResult: Sendable {
  /// The exit status; 128 + the number of the signal that ended the program.
  public let status: Int32
  /// The standard output.
  public let output: [UInt8]
  /// The first 64 KiB of standard error.
  public let errors: [UInt8]
}

/// Runs programs.
public enum ChildProcess {
  static let errorLimitBytes = 64 << 10

  /// Runs `program` and waits for it.
  /// - Parameters:
  ///   - program: its path; PATH is not searched.
  ///   - arguments: without the program's own name.
  ///   - input: its standard input. A program that does not read it to the end is not an error.
  ///   - outputLimitBytes: a program that prints more is killed.
  /// - Throws: `SystemError`: the program cannot be started; EFBIG if it printed too much.
  public static func run(
    _ program: [UInt8], _ arguments: [String], environment: [String: String],
    input: [UInt8] = [], outputLimitBytes: Int = 64 << 20
  ) throws(SystemError) -> ChildResult {
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let texts = arguments + variables
    guard !program.contains(0), !texts.contains(where: { $0.utf8.contains(0) }) else {
      throw SystemError(code: .invalid, "run", program)
    }
    var pipes: [Int32] = [-1, -1, -1]
    let process = withCStrings([program] + arguments.map { Array($0.utf8) }) { argv in
      withCStrings(variables.map { Array($0.utf8) }) { envp in
        clinux_spawn(argv[0], argv, envp, &pipes)
      }
    }
    guard process > 0 else {
      throw SystemError(code: .init(rawValue: -process), "run", program)
    }
    var streams = Streams(pipes: pipes, input: input, outputLimitBytes: outputLimitBytes)
    let isTooLong = !streams.serve()
    if isTooLong { clinux_kill(process) }
    let status = clinux_wait(process)
    if isTooLong { throw SystemError(code: .tooLarge, "read the output of", program) }
    guard status >= 0 else {
      throw SystemError(code: .init(rawValue: -status), "wait for", program)
    }
    return ChildResult(status: status, output: streams.output, errors: streams.errors)
  }

  /// Runs a program, found in PATH, with the standard streams of this process, and waits for it: an editor.
  /// - Returns: its exit status; 128 + the number of the signal that ended it.
  /// - Throws: `SystemError` if it cannot be started.
  public static func runInheriting(
    _ words: [String], environment: [String: String]
  ) throws(SystemError) -> Int32 {
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let name = Array((words.first ?? "").utf8)
    guard !words.isEmpty, !(words + variables).contains(where: { $0.utf8.contains(0) }) else {
      throw SystemError(code: .invalid, "run", name)
    }
    let process = withCStrings(words.map { Array($0.utf8) }) { argv in
      withCStrings(variables.map { Array($0.utf8) }) { envp in
        clinux_spawn_inheriting(argv[0], argv, envp)
      }
    }
    guard process > 0 else { throw SystemError(code: .init(rawValue: -process), "run", name) }
    let status = clinux_wait(process)
    guard status >= 0 else {
      throw SystemError(code: .init(rawValue: -status), "wait for", name)
    }
    return status
  }

  /// Passes a NULL-terminated array of C strings to `body`.
  static func withCStrings<R>(
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

/// Our ends of a child's streams.
private struct Streams {
  private var toChild: Int32
  private var fromChild: [Int32]
  private let input: [UInt8]
  private var written = 0
  private let outputLimitBytes: Int
  var output: [UInt8] = []
  var errors: [UInt8] = []

  init(pipes: [Int32], input: [UInt8], outputLimitBytes: Int) {
    toChild = pipes[0]
    fromChild = [pipes[1], pipes[2]]
    self.input = input
    self.outputLimitBytes = outputLimitBytes
  }

  /// Serves the streams until the child has closed its own.
  /// - Returns: false if the child printed more than the limit.
  mutating func serve() -> Bool {
    defer { closeAll() }
    if input.isEmpty { close(&toChild) }
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while fromChild.contains(where: { $0 >= 0 }) {
      let ready = clinux_wait_ready(fromChild, toChild)
      if ready < 0 { break }
      if ready & 0x80 != 0 { write() }
      for stream in 0..<2 where ready & (1 << Int32(stream)) != 0 {
        let n = clinux_read(fromChild[stream], &buffer, buffer.count)
        if n == -11 { continue }  // EAGAIN
        guard n > 0 else {
          close(&fromChild[stream])
          continue
        }
        if stream == 0 {
          guard output.count + Int(n) <= outputLimitBytes else { return false }
          output.append(contentsOf: buffer[..<Int(n)])
        } else {
          let remaining = ChildProcess.errorLimitBytes - errors.count
          errors.append(contentsOf: buffer[..<min(Int(n), remaining)])
        }
      }
    }
    return true
  }

  private mutating func write() {
    let n = input.withUnsafeBytes { bytes in
      clinux_write_pipe(
        toChild, bytes.baseAddress.map { $0 + written }, bytes.count - written)
    }
    if n == -11 { return }  // EAGAIN
    written += max(0, Int(n))
    if n < 0 || written == input.count { close(&toChild) }
  }

  private func close(_ file: inout Int32) {
    if file >= 0 { _ = clinux_close(file) }
    file = -1
  }

  private mutating func closeAll() {
    close(&toChild)
    close(&fromChild[0])
    close(&fromChild[1])
  }
}

/// Returns the variables of this process, except those that are not UTF-8.
public func processEnvironment() -> [String: String] {
  var variables: [String: String] = [:]
  var at = clinux_environment()
  while let entry = at?.pointee {
    at = at?.advanced(by: 1)
    let bytes = UnsafeRawBufferPointer(start: entry, count: strlen(entry))
    guard let text = String(validating: bytes, as: UTF8.self),
      let equals = text.utf8.firstIndex(of: UInt8(ascii: "="))
    else { continue }
    variables[String(text[..<equals])] = String(text[text.utf8.index(after: equals)...])
  }
  return variables
}

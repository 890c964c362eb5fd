// Standard output for long texts. On a terminal it has colours and a pager, and escapes control characters in
// contents. In a pipe or file, contents are unchanged bytes.

@preconcurrency import Glibc  // for "stdout"
import Images

/// Colours, the pager, and contents of files on standard output.
///
/// The variables are not shared: only the thread that runs the command prints, and uses them.
enum StandardOutput {
  /// Whether the output is coloured: on a terminal, unless NO_COLOR (https://no-color.org) is set.
  nonisolated(unsafe) private static var isColourful = false
  nonisolated(unsafe) private static var pager: pid_t?
  /// Escapes control characters in contents; nil if contents are written unchanged.
  nonisolated(unsafe) private static var terminal: TerminalText?

  /// Chooses colours, and starts a pager if standard output is a terminal. Call it once, before the first
  /// output.
  /// - Parameters:
  ///   - pages: Whether to start a pager.
  ///   - raw: Whether contents are written unchanged even on a terminal.
  static func begin(pages: Bool = true, raw: Bool = false) {
    guard isatty(1) == 1 else { return }
    if !raw { terminal = TerminalText() }
    isColourful = environment("NO_COLOR") == nil && environment("TERM") != "dumb"
    if pages { startPager() }
  }

  /// Ends the output, and waits until the user quits the pager.
  static func end() {
    if let left = terminal?.end(), !left.isEmpty { try? write(left) }
    guard let pager else { return }
    fflush(stdout)
    // The pager sees the end of its input only when the last copy of the pipe is closed.
    close(1)
    // Leave Ctrl-C to the pager.
    signal(SIGINT, SIG_IGN)
    var status: Int32 = 0
    while waitpid(pager, &status, 0) == -1, errno == EINTR {}
    self.pager = nil
    signal(SIGINT, SIG_DFL)
    _ = open("/dev/null", O_WRONLY)
  }

  /// Writes bytes unchanged.
  static func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard fwrite(bytes.baseAddress, 1, bytes.count, stdout) == bytes.count else {
      throw SystemError(code: .init(rawValue: errno), "write", Array("standard output".utf8))
    }
  }

  static func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

  /// Writes the content of a file, which is untrusted.
  static func write(content bytes: UnsafeRawBufferPointer) throws {
    guard let shown = terminal?.escaped(bytes) else { return try write(bytes) }
    try write(shown)
  }

  /// Writes a line of a file's content.
  /// - Parameters:
  ///   - line: The line without its line end.
  ///   - head: Trusted bytes before the line.
  ///   - tail: Trusted bytes after it.
  static func write(line: some Sequence<UInt8>, after head: [UInt8] = [], before tail: [UInt8])
    throws
  {
    guard terminal != nil else { return try write(head + line + tail) }
    var text = TerminalText()
    try write(head + text.escaped(line) + text.end() + tail)
  }

  /// The colours, by their SGR codes.
  enum Colour: String {
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
    case bold = "1"
  }

  /// Returns the text in a colour, if the output is coloured.
  static func painted(_ text: String, _ colour: Colour) -> String {
    isColourful ? "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m" : text
  }

  /// Writes a unified diff, with a colour for the sign of each line.
  static func write(diff lines: [UInt8]) throws {
    guard isColourful || terminal != nil else { return try write(lines) }
    for line in lines.split(separator: 0x0a, omittingEmptySubsequences: false).dropLast() {
      let colour: Colour? =
        switch line.first {
        case 0x2b: line.starts(with: Array("+++ ".utf8)) ? .bold : .green
        case 0x2d: line.starts(with: Array("--- ".utf8)) ? .bold : .red
        case 0x40: .cyan
        default: nil
        }
      guard isColourful, let colour else {
        try write(line: line, before: [0x0a])
        continue
      }
      try write(
        line: line, after: Array("\u{1b}[\(colour.rawValue)m".utf8),
        before: Array("\u{1b}[0m\n".utf8))
    }
  }

  // MARK: Pager

  /// Whether the program runs with another user's rights. The pager must not give the caller a shell with
  /// them.
  private static var mustBeSecure: Bool { environment("SUDO_UID") != nil || geteuid() != getuid() }

  /// Returns the words of PAGER, which no shell interprets: "less -FRX" if it is not set, no words if it is
  /// "cat". In secure mode only less is used, because it has such a mode.
  private static func pagerCommand() -> [String] {
    let fallback = ["less", "-FRX"]
    let words = environment("PAGER")?.split(separator: " ").map(String.init) ?? fallback
    if words.first == "cat" { return [] }
    let isLess = words.first?.split(separator: "/").last == "less"
    return mustBeSecure && !isLess ? fallback : words
  }

  /// Returns the environment of the pager: only variables about the terminal.
  private static func pagerEnvironment() -> [String] {
    let names = [
      "PATH", "TERM", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "COLUMNS", "LINES", "HOME",
      "LESS",
      "LESSCHARSET",
    ]
    let values = names.compactMap { name in environment(name).map { "\(name)=\($0)" } }
    return mustBeSecure ? values + ["LESSSECURE=1"] : values
  }

  private static func startPager() {
    let words = pagerCommand()
    guard let tool = words.first else { return }
    var pipe: [Int32] = [0, 0]
    guard pipe2(&pipe) else { return }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, pipe[0], 0)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    defer { for argument in arguments { free(argument) } }
    arguments.append(nil)
    var process: pid_t = 0
    fflush(stdout)
    var variables: [UnsafeMutablePointer<CChar>?] = pagerEnvironment().map { strdup($0) }
    defer { for variable in variables { free(variable) } }
    variables.append(nil)
    let r = posix_spawnp(&process, tool, &actions, nil, arguments, variables)
    close(pipe[0])
    defer { close(pipe[1]) }
    // If the pager cannot start, the text goes to the terminal directly.
    guard r == 0 else { return }
    pager = process
    dup2(pipe[1], 1)
  }

  /// Creates a pipe that no other program inherits.
  private static func pipe2(_ ends: inout [Int32]) -> Bool {
    guard Glibc.pipe(&ends) == 0 else { return false }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return true
  }
}

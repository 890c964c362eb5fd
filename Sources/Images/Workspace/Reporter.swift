// The receiver of a command's messages. It holds closures and not a workspace: a store that held its
// workspace would never release its lease.

import Platform

/// Receives the messages of a command, one line each.
struct Reporter: Sendable {
  /// Receives warnings.
  let warn: @Sendable (String) -> Void
  /// Receives other messages, unless the command is quiet.
  let inform: @Sendable (String) -> Void
  /// The short image names, and other facts, that a message has explained already.
  private let explained = Monitor<Set<String>>([])

  /// - Parameter inform: receives messages that are no warnings; nil for `warn`.
  init(
    isQuiet: Bool, warn: @escaping @Sendable (String) -> Void,
    inform: (@Sendable (String) -> Void)?
  ) {
    let receiver = inform ?? warn
    self.warn = warn
    self.inform = { line in if !isQuiet { receiver(line) } }
  }

  /// Returns whether a fact has not been explained yet, and remembers that it is now.
  func isFirstTime(_ fact: String) -> Bool { explained.withLock { $0.insert(fact).inserted } }
}

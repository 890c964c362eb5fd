// A rule of the table of secrets: the paths of the files, and how a file is examined and scrubbed.

/// A row of the table.
public struct SecretRule: Sendable {
  public let id: String
  public let kind: SecretKind
  public let patterns: [String]
  public let check: SecretCheck
  public let reason: String

  /// - Parameter patterns: the patterns, separated by spaces.
  init(
    _ id: String, _ kind: SecretKind, _ check: SecretCheck, _ reason: String, _ patterns: String...
  ) {
    (self.id, self.kind, self.check, self.reason) = (id, kind, check, reason)
    self.patterns = patterns.flatMap { $0.split(separator: " ").map(String.init) }
  }
}

/// How a file whose path matches a rule is examined and scrubbed.
public enum SecretCheck: Sendable {
  /// Any content is secret: the file is left out.
  case content
  /// Any content except public keys and certificates is secret: the file is left out.
  case unlessPublic
  /// A keystore or a DER key is secret: the file is left out.
  case keyFormat
  /// Lines of fields that are separated by colons. "*" replaces the hash in the second field.
  case accounts
  /// Passwords on lines of kickstart, preseed and AutoYaST files are blanked.
  case installer
  /// Values of these names, separated by spaces, are blanked: NAME=VALUE, NAME: VALUE, "NAME": "VALUE",
  /// <NAME>VALUE<.
  case values(String)
  /// The rest of a line that starts with one of these words, separated by spaces, is blanked.
  case directives(String)
  /// The file stays, empty.
  case emptied

  /// The treatment in a scrubbed export, as docs/secrets.md prints it.
  public var treatment: String {
    switch self {
    case .content, .unlessPublic, .keyFormat: "left out"
    case .accounts: "hashes become `*`"
    case .installer, .values, .directives: "values blanked"
    case .emptied: "emptied"
    }
  }
}

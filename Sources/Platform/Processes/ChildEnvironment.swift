// The part of our environment that other programs get: the variables that they work by, and no others.
// Tokens and passwords of the caller's other programs are not passed on.

extension ChildProcess {
  /// A kind of program, by the variables that it needs.
  public enum ProgramKind: Sendable {
    /// Archivers and compressors.
    case tool
    /// scp, and ssh below it.
    case ssh
    /// xCAT's clients, which are written in Perl.
    case xcat

    fileprivate var names: Set<String> {
      let usual: Set = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM",
      ]
      switch self {
      case .tool: return usual
      case .ssh:
        return usual.union([
          "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY",
          "XDG_RUNTIME_DIR", "KRB5CCNAME", "KRB5_CONFIG",
        ])
      case .xcat: return usual
      }
    }

    fileprivate var prefixes: [String] {
      self == .xcat ? ["LC_", "XCAT", "PERL"] : ["LC_"]
    }
  }

  /// Returns the variables of `environment` that a program of this kind gets.
  public static func environment(
    for kind: ProgramKind, of environment: [String: String]
  ) -> [String: String] {
    let (names, prefixes) = (kind.names, kind.prefixes)
    return environment.filter { name, _ in
      names.contains(name) || prefixes.contains { name.hasPrefix($0) }
    }
  }
}

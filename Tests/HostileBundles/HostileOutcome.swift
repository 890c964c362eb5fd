// The outcome for a hostile bundle. Most are refused. Some are imported without their harmful parts. This file
// decides which of the two applies to a class of bundles.

/// The result of an import of a hostile bundle.
public enum HostileOutcome: Sendable {
  /// It is refused before anything is written, with these words in the message.
  case refused([String])
  /// It is imported, and nothing acts: paths below the root that must not be there afterwards, and files whose bits of
  /// privilege and capabilities must not have come along.
  case imported(absent: [String], plain: [String])
}

extension HostileOutcome {
  /// Setuid, setgid, capabilities and devices in a root tree, which the request does not allow.
  /// - Parameter path: of the entry, as a plan names it.
  static func privilegeInTree(_ path: String) -> HostileOutcome {
    .refused([path])
  }

  /// A file of the site's that no image has, in a place where the bundle brings another; without --force.
  static func foreignFile(_ path: String) -> HostileOutcome { .refused([path]) }
}

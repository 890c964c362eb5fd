// The user-visible form of errors of archive writers.

import Archive
import Platform

extension ArchiveError: ExplainedError {
  /// The member, or the archive.
  public var subject: String {
    member.isEmpty ? "the archive" : "member \(printable(member.prefix(255)))"
  }
  /// Reasons of archives are clauses.
  public var form: ReasonForm { .clause }
  /// No hint.
  public var hint: String { "" }
}

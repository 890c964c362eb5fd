// How an archive that cannot be written is explained to a person.

import Archive
import Platform

extension ArchiveError: ExplainedError {
  public var object: String {
    member.isEmpty ? "the archive" : "member \(printable(member.prefix(255)))"
  }
  public var advice: String { "" }
}

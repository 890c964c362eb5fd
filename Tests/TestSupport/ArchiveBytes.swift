// Archives in memory.

import Archive

/// Returns a member of an archive with its content and its padding.
public func memberBytes(_ member: some ArchiveMember, _ content: [UInt8]) throws -> [UInt8] {
  try member.header() + type(of: member).padded(content)
}

/// Returns an archive.
/// - Parameter isEnded: whether the archive has its end mark.
public func archiveBytes<Member: ArchiveMember>(
  _ members: [(Member, [UInt8])], isEnded: Bool = true
) throws -> [UInt8] {
  let bytes = try members.reduce(into: []) { $0 += try memberBytes($1.0, $1.1) }
  return bytes + (isEnded ? Member.end(after: UInt64(bytes.count)) : [])
}

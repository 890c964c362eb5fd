// The archive walk: examining members and writing the archive again.

import Archive
import Codec
import Foundation
import TestSupport
import Testing

@Suite(.usesTools) struct ArchiveWalkTests {
  /// Keeps every member, and reads all content.
  private final class Looker: ArchiveVisitor {
    private(set) var seenBytes: [String: UInt64] = [:]

    func wantsContent(_ member: WalkedMember) -> Bool { false }

    func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberAction { .kept }

    func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws {
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      var count: UInt64 = 0
      while case let n = try buffer.withUnsafeMutableBytes({ try read($0) }), n > 0 {
        count += UInt64(n)
      }
      seenBytes[String(decoding: member.path, as: UTF8.self)] = count
    }
  }

  @Test(arguments: ["gnu", "pax"])
  func `holes of terabytes are skipped, and the archive is copied unchanged`(_ form: String) throws
  {
    let directory = try TemporaryDirectory()
    // /var/log/lastlog looks like this when users have large numbers.
    try shell(
      """
      cd "$1"; truncate -s 8T lastlog; printf data | dd of=lastlog bs=1 seek=4T conv=notrunc status=none
      echo plain >plain; tar c --sparse --format=$2 lastlog plain >"$3"
      """, directory.path, form, directory.path("archive.tar"))
    let bytes = [UInt8](
      try Data(contentsOf: URL(fileURLWithPath: directory.path("archive.tar"))))
    var (offset, output): (Int, [UInt8]) = (0, [])
    let looker = Looker()
    try ArchiveWalk(looker).run(
      { target in
        let n = min(target.count, bytes.count - offset)
        target.copyBytes(from: bytes[offset..<offset + n])
        offset += n
        return n
      },
      to: { output += $0 })
    #expect(output == bytes)
    #expect(looker.seenBytes["plain"] == 6)
    let data = try #require(looker.seenBytes["lastlog"])
    #expect(data > 0 && data <= 1 << 20, "\(data)")
  }
}

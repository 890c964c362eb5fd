import Platform
import Testing

@Suite struct UnlinkedFilesTests {
  private func stat(_ changed: Int64, links: UInt32, mode: UInt16 = 0o644) -> FileStat {
    FileStat(
      device: 1, inode: 7, kind: .file, mode: mode, uid: 0, gid: 0, size: 3, links: links,
      modified: Timestamp(seconds: 1, nanoseconds: 0),
      changed: Timestamp(seconds: changed, nanoseconds: 0))
  }

  @Test func `two removals of names of one file are one`() throws {
    var files = UnlinkedFiles()
    files.add(stat(5, links: 3), stat(8, links: 2))
    files.add(stat(8, links: 2), stat(9, links: 1))
    let removal = try #require(files.removal(of: FileIdentity(stat(9, links: 1))))
    #expect(removal.changedBefore.seconds == 5 && removal.changedAfter.seconds == 9)
    #expect(removal.links == 1)
  }

  @Test func `a change between two removals makes a file unknown for good`() {
    var files = UnlinkedFiles()
    files.add(stat(5, links: 4), stat(8, links: 3))
    files.add(stat(9, links: 3), stat(10, links: 2))
    #expect(files.removal(of: FileIdentity(stat(10, links: 2))) == nil)
    files.add(stat(10, links: 2), stat(11, links: 1))
    #expect(files.removal(of: FileIdentity(stat(11, links: 1))) == nil)
  }

  @Test func `an attribute that changed during a removal makes a file unknown`() {
    var files = UnlinkedFiles()
    files.add(stat(5, links: 2), stat(8, links: 1, mode: 0o600))
    #expect(files.removal(of: FileIdentity(stat(8, links: 1))) == nil)
    #expect(!files.isEmpty)
  }

  @Test func `the last name of a file is not recorded`() {
    var files = UnlinkedFiles()
    files.add(stat(5, links: 1), stat(8, links: 0))
    #expect(files.isEmpty)
  }
}

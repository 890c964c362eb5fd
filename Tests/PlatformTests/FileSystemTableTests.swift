// Mount points in fstab(5).

import Platform
import TestSupport
import Testing

@Suite struct FileSystemTableTests {
  private let table = FileSystemTable(
    parsing: Array(
      """
      # /dev/sdz1 /comment ext4 defaults 0 0
      UUID=1-2 / ext4 errors=remount-ro 0 1
      /dev/sdb1\t/backup   xfs noauto 0 0
      /dev/sdc1 /with\\040blank ext4 defaults
      /dev/sdd1 none swap sw 0 0
      server:/vol /backup/remote nfs4 _netdev 0 0
      broken line
      /dev/sde1 relative ext4 defaults 0 0
      """.utf8))

  @Test func `mount points are read with their escapes, and broken lines are skipped`() {
    #expect(table.points.map(\.text) == ["/backup", "/with blank", "/backup/remote"])
  }

  @Test(arguments: [
    ("/backup", ["/backup"]), ("/backup/imgstore", ["/backup"]),
    ("/backup/remote/x", ["/backup", "/backup/remote"]), ("/backups", []), ("/", []),
    ("/with blank/store", ["/with blank"]),
  ])
  func above(path: String, expected: [String]) throws {
    let path = try #require(AbsolutePath(path))
    #expect(table.points(above: path).map(\.text) == expected)
  }
}

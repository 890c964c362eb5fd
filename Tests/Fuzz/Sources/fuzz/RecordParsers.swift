// Records of a store that are files of their own, and package databases of strangers' trees.

import Codec
import Images
import Packages
import Platform
import Store

/// A ref that is read is written as it was, where its version says so; with its sums made right, so that noise gets
/// beyond them.
func fuzzRef(_ bytes: [UInt8]) {
  _ = try? RefRecord.decode(bytes)
  guard let snapshot = try? Snapshot.decode(bytes) else { return }
  let encoded = snapshot.encode()
  guard let again = try? Snapshot.decode(encoded) else {
    return hold(false, "a snapshot reads again")
  }
  hold(again.encode() == encoded, "a snapshot has one spelling")
  guard let image = try? ImageName(snapshot.image) else { return }
  let record = RefRecord.encode(encoded, SHA256.digest(of: encoded), image, 7)
  guard let read = try? RefRecord.decode(record) else { return hold(false, "a ref reads again") }
  hold(read.number == 7 && read.snapshot.encode() == encoded, "a ref is as it was")
}

/// A journal that is read is written as it was.
func fuzzJournal(_ bytes: [UInt8]) {
  guard let journal = try? Journal.decode(bytes) else { return }
  guard let again = try? Journal.decode(journal.encode()) else {
    return hold(false, "a journal reads again")
  }
  hold(again == journal, "a journal is as it was")
}

/// A tree of one file.
private struct OneFile: RootTree {
  let path: String
  let content: [UInt8]

  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]? {
    path == Array(self.path.utf8) && content.count <= limitBytes ? content : nil
  }

  func directory(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)] {
    let prefix = String(decoding: path, as: UTF8.self) + "/"
    guard self.path.hasPrefix(prefix) else { return [] }
    return [(Array(self.path.dropFirst(prefix.count).prefix { $0 != "/" }.utf8), nil)]
  }
}

/// The first byte selects the database format of the rest.
func fuzzPackages(_ bytes: [UInt8]) {
  let paths = [
    "var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db",
    "var/lib/rpm/Packages",
    "var/lib/dpkg/status.d/x", "usr/lib/sysimage/rpm/Packages.db",
  ]
  let tree = OneFile(
    path: paths[Int(bytes.first ?? 0) % paths.count], content: Array(bytes.dropFirst()))
  guard let (database, set) = try? PackageDatabase.find(in: tree) else { return }
  hold(set.packages.allSatisfy { !$0.name.isEmpty }, "a package has a name")
  _ = try? database.owners(of: [Array("etc/passwd".utf8)], in: tree)
}

/// The seeds for fuzzing records.
enum RecordSeeds {
  static func of(_ parser: Parser) -> [[UInt8]] {
    let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 5)
    switch parser {
    case .journal:
      let journal = Journal(
        operation: .revert, image: "compute", started: time, method: .inPlace, target: Digest.zero,
        before: SHA256.digest(of: [1]), command: "revert", message: "a message",
        options: [.init("swap", "/a"), .init("nodes", "n1,n2")])
      return [journal.encode()]
    case .ref:
      let snapshot = Snapshot(
        image: "compute", created: time, parent: nil, message: "first",
        provenance: [.init("user", "root")],
        tables: [.init(name: "osimage", rows: [["imagename": "compute"]])], components: [],
        notes: [.init(.unreadable, path: [0x2f, 0x61], detail: "EIO")], facts: [.init("a", "b")],
        entryCount: 3, contentBytes: 5)
      let encoded = snapshot.encode()
      guard let image = try? ImageName("compute") else { return [encoded] }
      return [encoded, RefRecord.encode(encoded, SHA256.digest(of: encoded), image, 1)]
    case .packages:
      let paragraph =
        "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nConffiles:\n /etc/a 0\n\n"
      return [
        Array("0".utf8) + Array(paragraph.utf8), Array("1SQLite format 3\0".utf8),
        Array("2".utf8) + Array("RpmP".utf8) + [UInt8](repeating: 0, count: 64),
        Array("3".utf8) + [UInt8](repeating: 0, count: 12) + [0x61, 0x15, 6, 0],
      ]
    default: return []
    }
  }
}

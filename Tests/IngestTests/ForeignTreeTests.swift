// Trees from other archive writers: holes, access control lists, labels, and unsupported
// attributes.

import Archive
import Foundation
import HostileBundles
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite struct ForeignTreeTests {
  /// Each command stores holes in its own format.
  static let sparseWriters = [
    "tar --format=gnu -cSf - rootimg", "tar --format=oldgnu -cSf - rootimg",
    "tar --format=pax --sparse-version=0.0 -cSf - rootimg",
    "tar --format=pax --sparse-version=0.1 -cSf - rootimg",
    "tar --format=pax --sparse-version=1.0 -cSf - rootimg", "bsdtar -cf - rootimg",
  ]

  @Test(.usesTools, arguments: sparseWriters)
  func `sparse members are read with content and holes`(_ pack: String) throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    try runFixture("scripts/trees/make-sparse-files.py", directory.path("live/rootimg"))
    try shell("cd \"$1/live\"; \(pack) >../a 2>../err", directory.path)
    let packed = try #require(
      FileManager.default.attributesOfItem(atPath: directory.path("a"))[.size] as? Int)
    #expect(packed < 2 << 20)
    let found = try trees.read(file: directory.path("a"))
    let expected = try trees.capture(directory.path("live/rootimg"))
    #expect(found.losses.isEmpty)
    if found.entry != expected {
      let (a, b) = (try trees.facts(found.entry), try trees.facts(expected))
      let differing = Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }.sorted()
      Issue.record("\(differing.map { ($0, a[$0], b[$0]) })")
    }
  }

  @Test(
    .usesTools,
    arguments: ["tar --format=posix --acls -cf - rootimg", "bsdtar --format pax -cf - rootimg"])
  func `access control lists as text become the attributes that Linux keeps`(
    _ pack: String
  ) throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    try shell(
      """
      mkdir -p "$1/live/rootimg/etc"; cd "$1/live/rootimg"; getent passwd daemon games >etc/passwd
      getent group games adm >etc/group; echo secret >f; chmod 640 f; mkdir d; echo x >g; ln g h
      setfacl -m u:daemon:rw,g:adm:r f; setfacl -m u:games:--- g; setfacl -m g:games:rx d
      setfacl -d -m u:daemon:rwx,g:games:- d; find . -exec touch -h -d 2001-02-03 {} +
      cd ..; \(pack) >../a 2>../err
      """, directory.path)
    let found = try trees.read(file: directory.path("a"))
    let expected = try trees.capture(directory.path("live/rootimg"))
    #expect(found.losses.isEmpty, "\(found.losses)")
    #expect(found.entry == expected)
  }

  @Test func `a list with an unknown name is lost, and access is not widened`() throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    var tar = RawTar()
    tar.directory("rootimg/")
    // GNU tar stores the mask in the mode's group bits.
    tar.pax([
      ("SCHILY.acl.access", "user::rw-\nuser:stranger:rw-\ngroup::r--\nmask::rw-\nother::---")
    ])
    tar.file("rootimg/granted", "x", mode: 0o660)
    // A list may also deny access.
    tar.pax([("SCHILY.acl.access", "user::rw-,user:stranger:---,group::r--,mask::r--,other::r--")])
    tar.file("rootimg/denied", "x", mode: 0o644)
    tar.pax([("SCHILY.acl.ace", "owner@:rw::allow")])
    tar.file("rootimg/nfs", "x", mode: 0o640)
    tar.pax([("SCHILY.fflags", "schg"), ("VENDOR.secret", "1"), ("atime", "1"), ("uname", "x")])
    tar.file("rootimg/flags", "x", mode: 0o640)
    tar.end()
    let found = try trees.read(bytes: tar.bytes)
    let facts = try trees.facts(found.entry)
    #expect(facts["/granted"]?.mode == 0o640 && facts["/granted"]?.xattrs == nil)
    #expect(facts["/denied"]?.mode == 0o600)
    #expect(
      Set(found.losses.map { String(decoding: $0.path, as: UTF8.self) })
        == ["granted", "nfs", "flags"])
    #expect(found.losses.map(\.count).reduce(0, +) == 5)
  }

  @Test func `labels and attributes are read in every notation`() throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    var tar = RawTar()
    tar.directory("rootimg/")
    tar.pax([("RHT.security.selinux", "system_u:object_r:bin_t:s0")])
    tar.file("rootimg/label", "x")
    tar.pax([("LIBARCHIVE.xattr.user.a%3Db", "dmFsdWU=")])
    tar.file("rootimg/base64", "x")
    tar.pax([("LIBARCHIVE.xattr.user.c", "dmFsdWU"), ("SCHILY.xattr.user.c", "value")])
    tar.file("rootimg/both", "x")
    tar.end()
    let found = try trees.read(bytes: tar.bytes)
    func attributes(_ path: String) throws -> [XattrSet.Attribute] {
      let id = try #require(try trees.facts(found.entry)[path]?.xattrs)
      return try XattrSet.decode(try trees.store.object(.xattrs, id)).attributes
    }
    func text(_ text: String) -> [UInt8] { Array(text.utf8) }
    #expect(
      try attributes("/label") == [
        .init(name: text("security.selinux"), value: text("system_u:object_r:bin_t:s0\0"))
      ])
    #expect(
      try attributes("/base64") == [.init(name: text("user.a=b"), value: text("value"))])
    #expect(try attributes("/both") == [.init(name: text("user.c"), value: text("value"))])
  }

  @Test func `a list that has only the form of XFS is lost, and its attribute is not kept`() throws
  {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    var tar = RawTar()
    tar.directory("rootimg/")
    tar.pax([("SCHILY.xattr.trusted.SGI_ACL_FILE", "x"), ("SCHILY.xattr.user.a", "y")])
    tar.file("rootimg/only", "x")
    tar.pax([
      ("SCHILY.xattr.trusted.SGI_ACL_FILE", "x"),
      ("SCHILY.acl.access", "user::rw-,user:stranger:rw-:7,group::r--,mask::rw-,other::---"),
    ])
    tar.file("rootimg/both", "x", mode: 0o660)
    tar.end()
    let found = try trees.read(bytes: tar.bytes)
    #expect(found.losses.map(\.path) == [Array("only".utf8)])
    func names(_ path: String) throws -> [String] {
      let id = try #require(try trees.facts(found.entry)[path]?.xattrs)
      return try XattrSet.decode(try trees.store.object(.xattrs, id)).attributes
        .map { String(decoding: $0.name, as: UTF8.self) }
    }
    #expect(try names("/only") == ["user.a"])
    #expect(try names("/both") == ["system.posix_acl_access"])
  }

  @Test func `members that most readers accept are accepted`() throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    var tar = RawTar()
    tar.header("a label", type: "V")
    tar.directory("rootimg/")
    tar.header("names", type: "N", size: 3)
    tar.content([1, 2, 3])
    tar.header("rootimg/dumped", type: "D", size: 4)
    tar.content(Array("Yx\0\0".utf8))
    tar.header("rootimg/odd", type: "a", size: 2)
    tar.content(Array("o\n".utf8))
    tar.file("rootimg/first", "one\n")
    // A hard link that repeats the content, and one whose size field describes the content of its
    // target.
    tar.header("rootimg/second", type: "1", size: 4, link: "rootimg/first")
    tar.content(Array("one\n".utf8))
    tar.header("rootimg/third", type: "1", size: 4, link: "rootimg/first")
    tar.pax([("mtime", ".5")], type: "X")
    tar.file("rootimg/half", "x")
    tar.pax([("mtime", "12.25 ")])
    tar.file("rootimg/blank", "x")
    tar.rawPax(paxRecord("mtime", Array("7".utf8)) + [0, 0, 0])
    tar.file("rootimg/nuls", "x")
    tar.header("rootimg/tab", size: 0) { $0.put(Array("\t0000000000\0".utf8), at: 136) }
    tar.end()
    let found = try trees.read(bytes: tar.bytes)
    let facts = try trees.facts(found.entry)
    #expect(facts["/dumped"]?.kind == .directory && facts["/odd"]?.sizeBytes == 2)
    #expect(facts["/second"]?.blob == facts["/first"]?.blob && facts["/third"]?.linkGroup != 0)
    #expect(facts["/half"]?.modified == Timestamp(seconds: 0, nanoseconds: 500_000_000))
    #expect(facts["/blank"]?.modified == Timestamp(seconds: 12, nanoseconds: 250_000_000))
    #expect(facts["/nuls"]?.modified.seconds == 7 && facts["/tab"] != nil)
    #expect(found.losses.map(\.what) == ["type 'a'"])
  }

  @Test func `signed checksums and the kernel's own cpio writer are read`() throws {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    var tar = RawTar()
    tar.directory("rootimg/")
    var block = RawTar()
    block.header(Array("rootimg/".utf8) + [0xe4, 0xf6], size: 0)
    var bytes = block.bytes
    let sum = bytes.enumerated().reduce(0) {
      $0 + ((148..<156).contains($1.offset) ? 32 : Int(Int8(bitPattern: $1.element)))
    }
    let digits = String(sum, radix: 8)
    bytes.replaceSubrange(
      148..<156,
      with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 0x20])
    tar.raw(bytes)
    tar.end()
    #expect(try trees.read(bytes: tar.bytes).entryCount == 2)

    var cpio = RawCpio()
    cpio.entry("rootimg", mode: 0o40755)
    cpio.entry("rootimg/l", mode: 0o120777, Array("target\0".utf8))
    cpio.end()
    let facts = try trees.facts(try trees.read(bytes: cpio.bytes).entry)
    #expect(facts["/l"]?.content == .symlink(target: Array("target".utf8)))
  }
}

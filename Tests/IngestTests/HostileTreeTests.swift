// Archives that only an attacker would write.

import Archive
import Foundation
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite struct HostileTreeTests {
  private func tar(_ members: [TarMember], isEnded: Bool = true) throws -> [UInt8] {
    try archiveBytes(
      members.map { ($0, [UInt8](repeating: 0x61, count: Int($0.sizeBytes))) }, isEnded: isEnded)
  }

  private func member(_ path: String, _ kind: TarKind = .file, size: UInt64 = 0) -> TarMember {
    TarMember(path: Array(path.utf8), kind: kind, mode: 0o644, sizeBytes: size)
  }

  private func cpio(_ members: [(CpioMember, String)]) throws -> [UInt8] {
    try archiveBytes(
      members.map { member, content in
        var member = member
        member.sizeBytes = UInt64(content.utf8.count)
        return (member, Array(content.utf8))
      })
  }

  private func link(_ path: String, inode: UInt32 = 7, mode: UInt16 = 0o644) -> CpioMember {
    CpioMember(
      path: Array(path.utf8), kind: .file, mode: mode, inode: CpioInode(number: inode), links: 2)
  }

  /// Returns the reason for refusing an archive, or "" if it is accepted.
  private func refusal(
    _ bytes: [UInt8], limits: ArchiveTreeLimits = ArchiveTreeLimits()
  ) throws -> String {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    do {
      _ = try trees.read(bytes: bytes, limits: limits)
      return ""
    } catch let error as BundleError {
      return "\(error.subject) \(error.reason)"
    }
  }

  @Test func `names that lead elsewhere or are invalid are refused by name`() throws {
    let long = String(repeating: "n", count: 256)
    let cases: [(String, String)] = [
      ("/rootimg/a", "absolute"), ("rootimg/../../etc/passwd", "'..'"), ("../rootimg/a", "'..'"),
      ("rootimg/a/..", "'..'"), ("rootimg//a", "empty component"), ("rootimg/./a", "'.'"),
      ("rootimg/\(long)", "255"), ("other/a", "outside"), ("a", "outside"),
      ("rootimg", "not a directory"), ("rootimgs/a", "outside"), ("./", ""),
      ("rootimg/a/", ""), ("././rootimg/b", ""), ("rootimg/a//", "empty component"),
    ]
    for (path, reason) in cases {
      let found = try refusal(tar([member("rootimg/", .directory), member(path)]))
      if reason.isEmpty {
        #expect(found == "", "\(path)")
      } else {
        #expect(found.contains(reason), "\(path): \(found)")
        #expect(found.hasPrefix("member "), "\(path): \(found)")
      }
      // The same with cpio, whose directory names have no trailing slash.
      if path.hasSuffix("/") { continue }
      let inCpio = try refusal(
        cpio([
          (
            CpioMember(path: Array(path.utf8), kind: .file, mode: 0, inode: CpioInode(number: 1)),
            "x"
          )
        ]))
      #expect(reason.isEmpty ? inCpio == "" : inCpio.contains(reason), "\(path): \(inCpio)")
    }
  }

  @Test func `members that occur twice or are not below a directory are refused`() throws {
    let to = TarKind.symlink(target: Array("/etc".utf8))
    let cases: [([TarMember], String)] = [
      (
        [member("rootimg/l", to), member("rootimg/l/passwd")],
        "rootimg/l/passwd lies below l, which is a symbolic link"
      ),
      ([member("rootimg/f"), member("rootimg/f/x", .directory)], "which is a file"),
      ([member("rootimg/f"), member("rootimg/f")], "rootimg/f occurs twice"),
      ([member("rootimg/f"), member("./rootimg/f", .fifo)], "occurs twice"),
      ([member("rootimg/d/", .directory), member("rootimg/d", to)], "occurs twice"),
      ([member("rootimg/f"), member("rootimg/f/", .directory)], "occurs twice"),
      ([member("rootimg/d/x"), member("rootimg/d")], "occurs twice"),
      ([member("rootimg/l", to), member("rootimg/l", .directory)], "occurs twice"),
      ([member("rootimg/d/", .directory), member("rootimg/d/", .directory)], ""),
      ([member("rootimg/d/x"), member("rootimg/d/", .directory)], ""),
    ]
    for (members, reason) in cases {
      let found = try refusal(tar(members))
      #expect(reason.isEmpty ? found == "" : found.contains(reason), "\(reason): \(found)")
    }
  }

  @Test func `hard links to anything but an earlier member are refused`() throws {
    func link(_ target: String) -> TarMember {
      member("rootimg/link", .hardLink(target: Array(target.utf8)))
    }
    let before = [member("rootimg/d/", .directory), member("rootimg/f", size: 5)]
    let cases: [([TarMember], String)] = [
      (before + [link("rootimg/f")], ""), (before + [link("./rootimg/f")], ""),
      (before + [link("rootimg/none")], "not an earlier member"),
      (before + [link("rootimg/link")], "not an earlier member"),
      ([link("rootimg/f")] + before, "not an earlier member"),
      (before + [link("rootimg/d")], "hard link to the directory"),
      (before + [link("/etc/passwd")], "absolute"), (before + [link("rootimg/../x")], "'..'"),
      (before + [link("etc/shadow")], "outside"),
      (before + [link("rootimg/f/x")], "not an earlier member"),
      (before + [link("rootimg/f"), member("rootimg/link")], "occurs twice"),
    ]
    for (members, reason) in cases {
      let found = try refusal(tar(members))
      #expect(reason.isEmpty ? found == "" : found.contains(reason), "\(reason): \(found)")
    }
  }

  @Test func `links in a cpio have one content and one set of attributes, whichever name has it`()
    throws
  {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    let orders: [[(CpioMember, String)]] = [
      [(link("rootimg/a"), ""), (link("rootimg/b"), "data")],
      [(link("rootimg/a"), "data"), (link("rootimg/b"), "")],
      [(link("rootimg/a"), "data"), (link("rootimg/b"), "data")],
    ]
    var found: Set<Entry> = []
    for members in orders { found.insert(try trees.read(bytes: cpio(members)).entry) }
    #expect(found.count == 1)
    let facts = try trees.facts(try #require(found.first))
    #expect(facts["/a"]?.linkGroup == facts["/b"]?.linkGroup)
    #expect(facts["/a"]?.linkGroup != 0)
    #expect(facts["/a"]?.sizeBytes == 4)

    let void = try trees.facts(
      trees.read(bytes: cpio([(link("rootimg/a"), ""), (link("rootimg/b"), "")])).entry)
    #expect(void["/a"]?.content == .file(blob: emptyBlob, sizeBytes: 0))
    let lone = try trees.facts(trees.read(bytes: cpio([(link("rootimg/a"), "data")])).entry)
    #expect(lone["/a"]?.linkGroup == 0)
    #expect(lone["/a"]?.sizeBytes == 4)

    #expect(
      try refusal(cpio([(link("rootimg/a"), "data"), (link("rootimg/b"), "other")]))
        .contains("rootimg/b is a hard link whose content differs"))
    #expect(
      try refusal(cpio([(link("rootimg/a"), ""), (link("rootimg/b", mode: 0o4755), "data")]))
        .contains("different attributes"))
  }

  @Test func `an archive without its end, or with data after it, is refused`() throws {
    let good = [member("rootimg/", .directory), member("rootimg/a", size: 512)]
    #expect(try refusal(tar(good)) == "")
    #expect(try refusal(tar(good) + [UInt8](repeating: 0, count: 70_000)) == "")
    #expect(try refusal(tar(good, isEnded: false)).contains("cut off"))
    #expect(try refusal(tar(good) + tar(good)).contains("follows"))
    #expect(try refusal([]).contains("empty"))
    #expect(try refusal(Array("no archive at all".utf8)).contains("not a tar archive"))
    #expect(try refusal(Array("070707000000".utf8)).contains("old form"))
    #expect(try refusal(tar([])).contains("has no member"))
    #expect(try refusal(tar([member("./", .directory)])).contains("has no member"))
  }

  @Test func `more members or names than the limits allow are refused`() throws {
    let members = (0..<50).map { member("rootimg/file-\($0)") }
    var limits = ArchiveTreeLimits()
    limits.maxEntries = 51
    #expect(try refusal(tar(members), limits: limits) == "")
    limits.maxEntries = 50
    #expect(
      try refusal(tar(members), limits: limits).contains("file-49 exceeds the limit of 50 members"))
    // Parents that occur only in names count as well.
    #expect(
      try refusal(
        tar([member("rootimg/" + String(repeating: "a/", count: 60) + "b")]), limits: limits
      ).contains("limit of 50 members"))
    limits = ArchiveTreeLimits()
    limits.maxNameBytes = 200
    #expect(try refusal(tar(members), limits: limits).contains("200 bytes"))
    let target = TarKind.symlink(target: [UInt8](repeating: 0x61, count: 190))
    #expect(try refusal(tar([member("rootimg/l", target)]), limits: limits) == "")
    #expect(
      try refusal(tar([member("rootimg/link", target), member("rootimg/abcd")]), limits: limits)
        .contains("200 bytes"))
  }

  @Test func `a tree of the maximum depth is read, a deeper one is refused`() throws {
    let deep = String(repeating: "a/", count: 1998)
    let good = try tar([member("rootimg/" + deep, .directory)])
    let bad = try tar([member("rootimg/" + deep + "a")])
    let found = Monitor<[String]>([])
    // Trees are built recursively, on the stack size of the command line.
    try startThread(stackBytes: 512 << 20) {
      for bytes in [good, bad] {
        let text = (try? refusal(bytes)) ?? "another error"
        found.withLock { $0.append(text) }
      }
    }.join()
    let texts = found.withLock { $0 }
    #expect(texts.first == "")
    #expect(texts.last?.contains("deeper than") == true, "\(texts)")
  }

  @Test(arguments: seeds) func `damaged archives are refused and never trap`(_ seed: UInt64) throws
  {
    let directory = try TemporaryDirectory()
    let trees = try TreeStore(directory)
    var random = SplitMix64(seed)
    let inTar = try tar([
      member("rootimg/", .directory), member("rootimg/a", size: 700),
      member("rootimg/b", .hardLink(target: Array("rootimg/a".utf8))),
      member("rootimg/l", .symlink(target: Array("a".utf8))), member("rootimg/d/x"),
    ])
    let inCpio = try cpio([
      (link("rootimg/a"), ""), (link("rootimg/b"), "content"), (link("rootimg/d/x", inode: 9), ""),
      (link("rootimg/d/y", inode: 9), ""),
    ])
    for _ in 0..<150 {
      var bytes = Bool.random(using: &random) ? inTar : inCpio
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let at = Int.random(in: 0..<min(bytes.count, 3000), using: &random)
        bytes[at] = Array("0123456789abcdef/.\0r".utf8)[Int.random(in: 0..<20, using: &random)]
      }
      if Bool.random(using: &random) {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
      }
      do { _ = try trees.read(bytes: bytes) } catch is BundleError {}
    }
  }
}

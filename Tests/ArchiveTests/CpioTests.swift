// cpio archives, compared with the usual tools and tested with damage.

import Archive
import Foundation
import Platform
import TestSupport
import Testing

/// Files, links of one inode (one of them empty), a symbolic link, a fifo, odd sizes and names.
private let makeTree = """
  mkdir -p "$1/t/dir/empty"; cd "$1/t"; echo content >dir/file; ln -s file dir/link; mkfifo fifo
  ln dir/file hard; ln dir/file dir/zzz; : >void; ln void void2; head -c 100001 /dev/urandom >big
  printf abc >three; printf 'x' >"$(printf 'new\\nline\\377')"; chmod 4755 three; ln fifo fifo2
  touch -d '2001-02-03 04:05:06' big dir
  """

@Suite struct CpioTests {
  @Test(arguments: seeds) func `a written cpio archive reads back in portions of any size`(
    _ seed: UInt64
  ) throws {
    let members = cpioSample(seed)
    let bytes = try archiveBytes(members)
    #expect(bytes.count % 512 == 0)
    for step in [1, 511, 70_000] {
      let back = try cpioMembers(bytes, step: step)
      #expect(back.map(\.0) == members.map(\.0), "seed \(seed)")
      #expect(back.map(\.1) == members.map(\.1), "seed \(seed)")
    }
    // Skipping content yields the same members.
    let cpio = CpioReader(source(bytes))
    for (member, _) in members { #expect(try cpio.next() == member) }
    #expect(try cpio.next() == nil)
    #expect(try cpio.next() == nil)
  }

  @Test(
    .usesTools,
    arguments: [
      "find . -print0 | cpio -0 --quiet -H newc -o", "find . -print0 | cpio -0 --quiet -H crc -o",
      "find . -print0 | bsdcpio -0 --quiet -H newc -o",
      "find . -print0 | busybox cpio -0 -H newc -o",
      "pax -w -x sv4cpio .", "pax -w -x sv4crc .", "bsdtar -cf - --format newc .",
    ])
  func `cpio archives of the usual tools are read`(_ pack: String) throws {
    let directory = try TemporaryDirectory()
    try shell(makeTree + "\n" + pack + " >../t.cpio", directory.path)
    let found = try cpioMembers(fileBytes(directory.path("t.cpio")))
    var byName: [[UInt8]: (CpioMember, [UInt8])] = [:]
    for member in found {
      let name =
        member.0.path.starts(with: [0x2e, 0x2f]) ? member.0.path.dropFirst(2) : member.0.path[...]
      byName[Array(name)] = member
    }
    func member(_ name: String) throws -> (CpioMember, [UInt8]) {
      try #require(byName[Array(name.utf8)], "\(name)")
    }
    #expect(found.count == 14, "\(found.map { printable($0.0.path) })")
    let big = try member("big")
    #expect(big.1 == (try fileBytes(directory.path("t/big"))))
    #expect(big.0.modifiedSeconds == 981_173_106)
    #expect(try member("three").0.mode == 0o4755)
    #expect(try member("dir").0.kind == .directory)
    #expect(try member("dir/link").0.kind == .symlink(target: Array("file".utf8)))
    #expect(try member("fifo").0.kind == .fifo)
    #expect(byName[Array("new\nline".utf8) + [0xff]]?.1 == Array("x".utf8))
    let links = try ["hard", "dir/file", "dir/zzz"].map(member)
    #expect(Set(links.map(\.0.inode)).count == 1)
    #expect(links.allSatisfy { $0.0.links == 3 })
    let contents = Set(links.map(\.1)).subtracting([[]])
    #expect(contents == [Array("content\n".utf8)])
  }

  @Test(.usesTools, arguments: ["cpio", "bsdcpio", "busybox cpio"])
  func `the usual tools read the written cpio archives`(_ tool: String) throws {
    let directory = try TemporaryDirectory()
    var members: [(CpioMember, [UInt8])] = []
    func add(
      _ name: String, _ kind: CpioKind, _ content: String = "", mode: UInt16 = 0o644,
      inode: UInt32, links: UInt32 = 1
    ) {
      members.append(
        (
          CpioMember(
            path: Array(name.utf8), kind: kind, mode: mode, inode: CpioInode(number: inode),
            links: links, modifiedSeconds: 1_234_567_890, sizeBytes: UInt64(content.utf8.count)),
          Array(content.utf8)
        ))
    }
    add("d", .directory, mode: 0o755, inode: 1, links: 3)
    add("d/first", .file, inode: 2, links: 3)
    add("d/fifo", .fifo, mode: 0o600, inode: 3)
    add("d/link", .symlink(target: Array("first".utf8)), mode: 0o777, inode: 4)
    add("d/second", .file, inode: 2, links: 3)
    add("d/third", .file, "the content", inode: 2, links: 3)
    add("d/void", .file, inode: 5, links: 2)
    add("d/void2", .file, inode: 5, links: 2)
    add("d/odd", .file, "12345", mode: 0o4711, inode: 6)
    try Data(archiveBytes(members)).write(to: URL(fileURLWithPath: directory.path("a.cpio")))
    try shell("mkdir \"$1/x\"; cd \"$1/x\"; \(tool) -idm <../a.cpio 2>../err", directory.path)
    let listed = try shell(
      // Without the times of directories and links, which GNU cpio and busybox do not keep.
      "cd \"$1/x\"; stat -c '%A' d d/link; stat -c '%n %A %h %s %Y' d/[!l]*", directory.path
    ).output
    #expect(
      listed.split(separator: "\n").map(String.init) == [
        "drwxr-xr-x", "lrwxrwxrwx",
        "d/fifo prw------- 1 0 1234567890",
        "d/first -rw-r--r-- 3 11 1234567890",
        "d/odd -rws--x--x 1 5 1234567890",
        "d/second -rw-r--r-- 3 11 1234567890",
        "d/third -rw-r--r-- 3 11 1234567890",
        "d/void -rw-r--r-- 2 0 1234567890",
        "d/void2 -rw-r--r-- 2 0 1234567890",
      ])
    #expect(try fileBytes(directory.path("x/d/first")) == Array("the content".utf8))
  }

  // MARK: Invalid archives

  private func refusal(_ bytes: [UInt8]) -> String {
    do {
      _ = try cpioMembers(bytes)
      return ""
    } catch let error as ArchiveError {
      return printable(error.member) + ": " + error.reason
    } catch {
      return "another error: \(error)"
    }
  }

  private func one(_ name: String, _ content: String = "") throws -> [UInt8] {
    try archiveBytes([
      (
        CpioMember(
          path: Array(name.utf8), kind: .file, mode: 0o644, inode: CpioInode(number: 1),
          sizeBytes: UInt64(content.utf8.count)), Array(content.utf8)
      )
    ])
  }

  private func changed(_ bytes: [UInt8], at offset: Int, to text: String) -> [UInt8] {
    var changed = bytes
    changed.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    return changed
  }

  @Test func `the error for a truncated archive names the last member`() throws {
    let good = try one("the-member", "content")
    for count in 6..<240 where count < good.count {
      #expect(!refusal(Array(good.prefix(count))).isEmpty, "\(count)")
    }
    // 110 + 11 → 124; 7 → 132.
    #expect(refusal(Array(good.prefix(126))).contains("the-member: the archive ends inside"))
    let atEnd = refusal(Array(good.prefix(132)))
    #expect(atEnd.hasPrefix("the-member: "))
    #expect(atEnd.contains("TRAILER!!!"))
    #expect(refusal([]).contains("not a cpio archive"))
  }

  @Test func `impossible headers are refused`() throws {
    let good = try one("a", "content")
    #expect(refusal(good) == "")
    let cases: [(Int, String, String)] = [
      (0, "070707", "not a cpio archive"),
      (6, "0000 001", "not hexadecimal"), (6, "+0000001", "not hexadecimal"),
      (94, "00000000", "impossible"), (94, "00000001", "impossible"),
      (94, "00001002", "impossible"), (94, "ffffffff", "impossible"),
      (14, "000041ed", "has content"), (14, "0000f1ed", "of an unknown kind"),
      (14, "800081ed", "of an unknown kind"),
      (54, "ffffffff", "ends inside"), (14, "0000a1ff", "after this member"),
    ]
    for (offset, text, reason) in cases {
      var bytes = changed(good, at: offset, to: text)
      if text == "0000a1ff" { bytes[offset + 8 * 5 + 6] = 0x30 }
      let found = refusal(bytes)
      if text == "0000a1ff" {
        #expect(found == "", "a link with content is a link with a target")
      } else {
        #expect(found.contains(reason), "\(offset) \(text): \(found)")
      }
    }
    #expect(refusal(changed(good, at: 111, to: "x")).contains("NUL"))
    #expect(refusal(good + one0()).contains("follows"))
    #expect(refusal(good + [UInt8](repeating: 0, count: 5000)) == "")
  }

  private func one0() -> [UInt8] { (try? one("b")) ?? [] }

  @Test(.usesTools)
  func `a wrong checksum in the crc format is an error, whether the member is read or skipped`()
    throws
  {
    let directory = try TemporaryDirectory()
    try shell(
      "cd \"$1\"; printf 'some content' >f; echo f | cpio --quiet -H crc -o >a.cpio", directory.path
    )
    var bytes = try fileBytes(directory.path("a.cpio"))
    #expect(refusal(bytes) == "")
    let content = try #require(bytes.firstRange(of: Array("some content".utf8)))
    bytes[content.lowerBound] ^= 1
    #expect(refusal(bytes).contains("checksum"))
    let cpio = CpioReader(source(bytes))
    _ = try cpio.next()
    #expect(throws: ArchiveError.self) { try cpio.next() }
  }

  @Test func `a file of 4 GiB is refused, and the error names it`() throws {
    let member = CpioMember(
      path: Array("big/file".utf8), kind: .file, mode: 0o644, inode: CpioInode(number: 1),
      sizeBytes: 1 << 32)
    let error = #expect(throws: ArchiveError.self) { try member.header() }
    #expect(error?.member == member.path)
    #expect(error?.reason.contains("4294967296") == true)
    for name in ["", "TRAILER!!!", "a\0b", String(repeating: "n", count: 4096)] {
      var named = member
      named.path = Array(name.utf8)
      #expect(throws: ArchiveError.self) { try named.header() }
    }
  }

  @Test(arguments: seeds) func `a damaged cpio archive causes an error and never a trap`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let good = try archiveBytes(cpioSample(seed))
    var refused = 0
    for _ in 0..<600 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        // Half of the damage is in headers, and half of that keeps valid hexadecimal digits.
        let at = Int.random(in: 0..<bytes.count, using: &random)
        bytes[at] =
          Bool.random(using: &random)
          ? UInt8.random(in: 0...255, using: &random) : Array("0123456789abcdefF".utf8)[at % 17]
      }
      if Bool.random(using: &random) {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
      }
      do { _ = try cpioMembers(bytes) } catch is ArchiveError { refused += 1 }
    }
    #expect(refused > 200, "seed \(seed)")
  }
}

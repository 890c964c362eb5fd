// Extended attributes, nanoseconds and comments of tar members, compared with the usual tools.

import Archive
import Foundation
import Platform
import TestSupport
import Testing

private func tarMembers(_ bytes: [UInt8]) throws -> [(TarMember, [UInt8])] {
  let tar = TarReader(source(bytes))
  var all: [(TarMember, [UInt8])] = []
  while let member = try tar.next() { all.append((member, try readAll { try tar.read($0) })) }
  #expect(tar.hasEndMark)
  return all
}

@Suite struct PaxTests {
  private let sample: [(TarMember, [UInt8])] = {
    let long = String(repeating: "long/", count: 40)
    let value = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
    return [
      (
        TarMember(
          path: Array("noted".utf8), kind: .file, mode: 0o644, sizeBytes: 5,
          modifiedSeconds: 1_000_000_000, modifiedNanoseconds: 123_456_789,
          xattrs: [
            .init(name: Array("user.a=b%25".utf8), value: value),
            .init(name: Array("user.empty".utf8), value: []),
          ], comment: "a comment = with\nmore than one line"), Array("hello".utf8)
      ),
      (
        TarMember(
          path: Array((long + "name").utf8), kind: .symlink(target: Array((long + "to").utf8)),
          mode: 0o777, modifiedSeconds: -1, modifiedNanoseconds: 999_999_999,
          comment: String(repeating: "c", count: 980)), []
      ),
      (
        TarMember(
          path: Array("before".utf8), kind: .file, mode: 0o600, modifiedSeconds: -5,
          modifiedNanoseconds: 1), []
      ),
      (TarMember(path: Array("plain".utf8), kind: .file, mode: 0o600, sizeBytes: 1), [0x21]),
    ]
  }()

  @Test func `extended attributes, nanoseconds and comments read back as written`() throws {
    let back = try tarMembers(archiveBytes(sample))
    #expect(back.map(\.0) == sample.map(\.0))
    #expect(back.map(\.1) == sample.map(\.1))
    // Record lengths count their own digits: check every length around the steps.
    for count in Array(80...110) + Array(975...1010) {
      let member = TarMember(
        path: [0x61], kind: .fifo, mode: 0, comment: String(repeating: "c", count: count))
      #expect(try tarMembers(archiveBytes([(member, [])])).first?.0 == member)
    }
  }

  @Test func `members without extended attributes, nanoseconds or comments have no pax header`()
    throws
  {
    let plain = Array(sample.suffix(1))
    #expect(try archiveBytes(plain).count == 10240)
    #expect(try !archiveBytes(plain).contains(0x78))
  }

  @Test(.usesTools) func `GNU tar, bsdtar, python and busybox accept comments without a warning`()
    throws
  {
    let directory = try TemporaryDirectory()
    var members = sample
    // Extended attributes need a file system that supports them; here only the comments count. GNU tar
    // also warns of times before 1970, with and without a comment.
    for i in members.indices {
      members[i].0.xattrs = []
      members[i].0.modifiedSeconds = max(members[i].0.modifiedSeconds, 1_000_000_000)
    }
    try Data(archiveBytes(members)).write(to: URL(fileURLWithPath: directory.path("a.tar")))
    let python =
      "import sys, tarfile; t = tarfile.open(sys.argv[1]); t.extractall('.'); print(t.getnames())"
    let tools: [[String]] = [
      ["tar", "-xf", "../a.tar"], ["bsdtar", "-xf", "../a.tar"],
      ["busybox", "tar", "-xf", "../a.tar"], ["python3", "-c", python, "../a.tar"],
    ]
    for (i, tool) in tools.enumerated() {
      let out = try shell(
        "mkdir \"$1\"; cd \"$1\"; shift; exec \(tool.map { "'\($0.replacing("'", with: "'\\''"))'" }.joined(separator: " "))",
        directory.path("x\(i)"))
      #expect(out.errors == "", "\(tool)")
      #expect(try fileBytes(directory.path("x\(i)/noted")) == Array("hello".utf8))
      let found = try run(
        "bash", "-c", "cd \"$1\"; find . ! -type d | wc -l; stat -c %y noted", "t",
        directory.path("x\(i)")
      ).output
      // busybox does not support nanoseconds, and Python's times are floating-point numbers.
      let time = tool[0] == "busybox" ? "" : tool[0] == "python3" ? ".123456" : ".123456789"
      #expect(found.hasPrefix("4\n2001-09-09 01:46:40" + time), "\(tool): \(found)")
    }
  }

  @Test(.usesTools)
  func `extended attributes are exchanged with GNU tar and bsdtar in both directions`() throws {
    let directory = try TemporaryDirectory()
    try Data(archiveBytes(Array(sample.prefix(1)))).write(
      to: URL(fileURLWithPath: directory.path("a.tar")))
    for (i, tool) in ["tar --xattrs --xattrs-include='*'", "bsdtar --xattrs"].enumerated() {
      let out = try shell(
        "mkdir \"$1/x\(i)\"; cd \"$1/x\(i)\"; \(tool) -xf ../a.tar; getfattr -d -e hex noted",
        directory.path)
      #expect(out.errors == "", "\(tool)")
      // bsdtar does not support GNU tar's encoding of "=".
      #expect(out.output.contains("user.empty"), "\(tool): \(out.output)")
      if i == 0 {
        #expect(
          out.output.contains("user.a\\075b%25=0x000102")
            || out.output.contains("user.a=b%25=0x000102"), "\(out.output)")
      }
    }
    try shell(
      """
      cd "$1"; echo x >f; setfattr -n user.one -v 1 f; setfattr -n user.bin -v 0x000a3dff f
      setfattr -n user.a=b -v 2 f
      mkdir d; setfattr -n user.dir -v d d
      tar --format=posix --xattrs --xattrs-include='*' -cf gnu.tar f d
      bsdtar --format pax -cf bsd.tar f d
      """, directory.path)
    for name in ["gnu.tar", "bsd.tar"] {
      let found = try tarMembers(fileBytes(directory.path(name)))
      let xattrs = found.map {
        $0.0.xattrs.map { "\(printable($0.name)):\(printable($0.value))" }
      }
      #expect(
        xattrs == [
          ["user.a=b:2", "user.bin:\\x00\\n=\\xff", "user.one:1"], ["user.dir:d"],
        ] || name == "bsd.tar" && xattrs.last == ["user.dir:d"], "\(name): \(xattrs)")
    }
  }

  @Test(.usesTools) func `an access control list in text form is reported as a loss`() throws {
    let directory = try TemporaryDirectory()
    try shell(
      "cd \"$1\"; echo x >f; setfacl -m u:1000:r f; tar --format=posix --acls -cf a.tar f",
      directory.path)
    #expect(
      try tarMembers(fileBytes(directory.path("a.tar"))).map { $0.0.accessList != nil } == [true])
    #expect(try tarMembers(archiveBytes(sample)).allSatisfy { $0.0.accessList == nil })
  }

  /// Returns an 'x' header.
  private func archive(_ records: [UInt8]) throws -> [UInt8] {
    let good = try archiveBytes([
      (TarMember(path: [0x61], kind: .fifo, mode: 0, comment: "c"), [])
    ])
    var block = Array(good.prefix(512))
    let size = String(records.count, radix: 8)
    block.replaceSubrange(
      124..<136, with: Array((String(repeating: "0", count: 11 - size.count) + size).utf8) + [0])
    var sum = 0
    for i in 0..<512 { sum += (148..<156).contains(i) ? 32 : Int(block[i]) }
    let digits = String(sum, radix: 8)
    block.replaceSubrange(
      148..<156,
      with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 32])
    return block + records + [UInt8](repeating: 0, count: (512 - records.count % 512) % 512)
      + good.dropFirst(1024)
  }

  private func record(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
    let payload = key.count + value.count + 3
    var length = payload
    while payload + String(length).utf8.count != length {
      length = payload + String(length).utf8.count
    }
    return Array("\(length) ".utf8) + key + [0x3d] + value + [0x0a]
  }

  @Test func `attributes that Linux does not allow are refused`() throws {
    let name = Array("SCHILY.xattr.user.a".utf8)
    let good = try tarMembers(archive(record(name, [1]) + record(name, [2]))).first?.0.xattrs
    #expect(good == [.init(name: Array("user.a".utf8), value: [2])])
    let long = [UInt8](repeating: 0x61, count: 256)
    let bad: [[UInt8]] = [
      record(Array("SCHILY.xattr.".utf8), [1]), record(name + [0], [1]), record(name + long, [1]),
      record(name, [UInt8](repeating: 1, count: 65537)),
    ]
    for records in bad {
      #expect(throws: ArchiveError.self) { try tarMembers(archive(records)) }
    }
    #expect(try tarMembers(archive(record(Array("comment".utf8), [0xff]))).first?.0.comment == nil)
  }

  @Test(arguments: seeds) func `random pax records cause errors and never traps`(_ seed: UInt64)
    throws
  {
    var random = SplitMix64(seed)
    let good =
      record(Array("mtime".utf8), Array("-12.000000001".utf8))
      + record(Array("SCHILY.xattr.user.%3D%".utf8), random.bytes(50))
      + record(Array("comment".utf8), Array("text".utf8))
    for _ in 0..<500 {
      var bytes = good
      for _ in 0..<3 {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<40, using: &random)) }
      do { _ = try tarMembers(archive(bytes)) } catch is ArchiveError {}
    }
  }
}

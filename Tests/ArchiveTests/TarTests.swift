// tar and gzip, compared with the usual tools and tested with damage.

import Archive
import Codec
import Foundation
import HostileBundles
import Platform
import TestSupport
import Testing

private func members(_ bytes: [UInt8], step: Int = .max) throws -> [(TarMember, [UInt8])] {
  let plain = DecompressingReader(source(bytes, step: step))
  let tar = TarReader { try plain.read($0) }
  var all: [(TarMember, [UInt8])] = []
  while let member = try tar.next() {
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1000)
    while true {
      let n = try buffer.withUnsafeMutableBytes { try tar.read($0) }
      if n == 0 { break }
      content += buffer.prefix(n)
    }
    all.append((member, content))
  }
  return all
}

@Suite struct TarTests {
  private func write(_ members: [(TarMember, [UInt8])], level: Int32 = 6) throws -> [UInt8] {
    let output = Monitor<[UInt8]>([])
    let gzip = try GzipWriter(level: level) { bytes in output.withLock { $0 += bytes } }
    var totalBytes = 0
    for (i, (member, content)) in members.enumerated() {
      try gzip.setCompressing(i % 2 == 0)
      let bytes = try memberBytes(member, content)
      totalBytes += bytes.count
      try bytes.withUnsafeBytes { try gzip.write($0) }
    }
    try TarMember.end(after: UInt64(totalBytes)).withUnsafeBytes { try gzip.write($0) }
    try gzip.finish()
    return output.withLock { $0 }
  }

  private func sample(_ seed: UInt64) -> [(TarMember, [UInt8])] {
    var random = SplitMix64(seed)
    return (0..<40).map { i in
      let name =
        "dir/" + String(repeating: "n", count: Int.random(in: 1...200, using: &random)) + "\(i)"
      let content = random.bytes(Int.random(in: 0...3000, using: &random))
      return (
        TarMember(
          path: Array(name.utf8), kind: .file, mode: UInt16(random.next() & 0o777),
          uid: UInt32(random.next() % 4_000_000_000), gid: 12, sizeBytes: UInt64(content.count),
          modifiedSeconds: Int64(random.next() % 10_000_000_000)), content
      )
    }
  }

  @Test(arguments: seeds) func `a written tar archive reads back in portions of any size`(
    _ seed: UInt64
  ) throws {
    let members = sample(seed)
    let bytes = try write(members)
    for step in [1, 511, 70_000] {
      let back = try ArchiveTests.members(bytes, step: step)
      #expect(back.map(\.0) == members.map(\.0), "seed \(seed)")
      #expect(back.map(\.1) == members.map(\.1), "seed \(seed)")
    }
  }

  @Test(.usesTools) func `GNU tar and gzip read the written archives`() throws {
    let directory = try TemporaryDirectory()
    let members = sample(1)
    try Data(write(members)).write(to: URL(fileURLWithPath: directory.path("a.tgz")))
    #expect(try run("gzip", "-t", directory.path("a.tgz")).didSucceed)
    let list = try run("tar", "--numeric-owner", "-tvzf", directory.path("a.tgz"))
    #expect(list.didSucceed, "\(list.errors)")
    #expect(list.output.split(separator: "\n").count == members.count)
    try shell("mkdir \"$1/x\"; tar xzf \"$1/a.tgz\" -C \"$1/x\" --no-same-owner", directory.path)
    for (member, content) in members {
      let path = directory.path("x/" + String(decoding: member.path, as: UTF8.self))
      #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) == content)
    }
  }

  @Test(.usesTools, arguments: ["gnu", "pax", "ustar", "v7"])
  func `archives of GNU tar in every format are read`(_ form: String) throws {
    let directory = try TemporaryDirectory()
    try shell(
      """
      mkdir -p "$1/t/dir"; cd "$1/t"; echo content >dir/file; ln -s file dir/link; mkfifo fifo
      ln dir/file hard; head -c 100000 /dev/urandom >big; touch -d '2001-02-03 04:05:06.789' big
      [ $2 = v7 ] || [ $2 = ustar ] || { n=$(printf 'x%.0s' $(seq 180)); echo long >$n; ln -s $n$n longlink; }
      [ $2 = v7 ] && rm fifo
      tar --format=$2 --sort=name -cf ../t.tar . ; gzip -k ../t.tar
      """, directory.path, form)
    for name in ["t.tar", "t.tar.gz"] {
      let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory.path(name))))
      let found = try members(bytes)
      let list = try run("tar", "-tf", directory.path(name)).output.split(separator: "\n")
      #expect(found.map { String(decoding: $0.0.path, as: UTF8.self) } == list.map(String.init))
      let big = try #require(found.first { $0.0.path == Array("./big".utf8) })
      #expect(big.1 == [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory.path("t/big")))))
      if form == "pax" { #expect(big.0.modifiedNanoseconds == 789_000_000) }
    }
  }

  @Test(arguments: seeds) func `a damaged tar archive causes an error and never a trap`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let good = try archiveBytes(sample(seed))
    for _ in 0..<400 {
      var bytes = good
      let block = Int.random(in: 0..<bytes.count / 512, using: &random) * 512
      for _ in 0..<3 {
        bytes[block + Int.random(in: 0..<512, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      // The checksum catches most damage: correct it to reach the code after the check.
      var sum = 0
      for i in 0..<512 { sum += (148..<156).contains(i) ? 32 : Int(bytes[block + i]) }
      let digits = String(sum, radix: 8)
      let field = Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 32]
      bytes.replaceSubrange(block + 148..<block + 156, with: field)
      if Bool.random(using: &random) {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
      }
      _ = try? members(bytes)
    }
  }

  @Test func `a truncated or changed gzip stream is an error`() throws {
    let good = try write(sample(3))
    #expect(throws: ArchiveError.self) { try drain(Array(good.dropLast(5))) }
    var bad = good
    bad[bad.count - 6] ^= 1
    #expect(throws: ArchiveError.self) { try drain(bad) }
    #expect(throws: Never.self) { try drain(good) }
  }

  private func drain(_ bytes: [UInt8]) throws {
    let plain = DecompressingReader(source(bytes))
    var buffer = [UInt8](repeating: 0, count: 10_000)
    while try buffer.withUnsafeMutableBytes({ try plain.read($0) }) > 0 {}
  }
}

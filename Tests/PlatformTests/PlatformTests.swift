// Printable names, paths that stay inside a root, times before 1970.

import Foundation
import Platform
import TestSupport
import Testing

@Suite struct PlatformTests {
  @Test(arguments: seeds) func `the printable form of every name decodes to the name`(
    _ seed: UInt64
  ) {
    var random = SplitMix64(seed)
    var names: [[UInt8]] = [
      [], [0x5c], [0xc3], [0xed, 0xa0, 0x80], Array("naïve".utf8), Array("nai\u{308}ve".utf8),
    ]
    for _ in 0..<3000 { names.append(random.bytes(Int.random(in: 0...12, using: &random))) }
    for name in names {
      let text = printable(name)
      #expect(bytes(fromPrintable: text) == name, "seed \(seed): \(name)")
      #expect(!text.unicodeScalars.contains { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) })
    }
    #expect(Set(names.map { Array(printable($0).utf8) }).count == Set(names).count)
  }

  @Test func `invisible characters are escaped`() {
    for scalar: Unicode.Scalar in [
      "\u{200b}", "\u{200d}", "\u{feff}", "\u{ad}", "\u{e0061}", "\u{34f}", "\u{3164}", "\u{fe0f}",
      "\u{2800}",
      "\u{a0}", "\u{3000}", "\u{202e}", "\u{2066}",
    ] {
      let name = "a\(scalar)b"
      let text = printable(name.utf8)
      #expect(!text.unicodeScalars.contains(scalar) && text.hasPrefix("a\\x"), "\(text)")
      #expect(bytes(fromPrintable: text) == Array(name.utf8))
    }
    for name in ["grün", "naïve", "日本", "a b", "Ωμέγα"] {
      #expect(printable(name.utf8) == name)
    }
  }

  @Test func `absolute paths are parsed and normalized`() {
    #expect(AbsolutePath("/a//b/./c/")?.text == "/a/b/c")
    #expect(AbsolutePath("/")?.text == "/")
    for bad in ["", "a", "/a/../b", "../a", "/a\0b", "/" + String(repeating: "x", count: 256)] {
      #expect(AbsolutePath(bad) == nil, "\(bad)")
    }
  }

  @Test(.usesTools) func `no link leads out of the root`() throws {
    let directory = try TemporaryDirectory()
    try shell(
      """
      cd "$1"; mkdir -p root/in/deep outside; echo secret >outside/f
      ln -s /outside root/absolute; ln -s ../../../../outside root/in/up; ln -s loop root/loop
      ln -s in/deep root/fine; ln -s /in root/in/back; ln -s nothing root/dangling
      """, directory.path)
    let files = KernelFileSystem.shared
    let root = try files.openDirectory(
      at: files.workingDirectory, Array(directory.path("root").utf8))
    let resolver = PathResolver(files, root: root)
    func location(_ text: String, follow: Bool = true) throws -> (UInt64, String) {
      let location = try resolver.resolve(
        try #require(AbsolutePath(text)), links: follow ? .all : .refuse)
      return (
        try files.stat(location.directory.raw).inode, String(decoding: location.name, as: UTF8.self)
      )
    }
    func inode(_ name: String) throws -> UInt64 {
      try files.stat(
        at: files.workingDirectory, Array(directory.path(name).utf8), followLink: false
      )
      .inode
    }
    #expect(try location("/fine/f") == (inode("root/in/deep"), "f"))
    #expect(try location("/in/back/deep/f") == (inode("root/in/deep"), "f"))
    #expect(try location("/dangling") == (inode("root"), "nothing"))
    // An absolute target starts at the root, and ".." stays there: it has no /outside.
    for out in ["/absolute/f", "/in/up/f"] {
      #expect(throws: SystemError.self, "\(out)") { try location(out) }
    }
    #expect(throws: SystemError.self) { try location("/loop/x") }
    #expect(throws: SystemError.self) { try location("/fine/f", follow: false) }
    #expect(try location("/in/deep/f", follow: false) == (inode("root/in/deep"), "f"))
  }

  @Test func `times before and after 1970 are converted exactly`() {
    #expect(Timestamp(nanoseconds: -1) == Timestamp(seconds: -1, nanoseconds: 999_999_999))
    #expect(Timestamp(nanoseconds: -1_000_000_000) == Timestamp(seconds: -1, nanoseconds: 0))
    #expect(
      Timestamp(nanoseconds: 1_500_000_000) == Timestamp(seconds: 1, nanoseconds: 500_000_000))
  }

  @Test func `the first error of any thread is thrown`() {
    struct Failure: Error {}
    #expect(throws: Failure.self) { try runThreads(4) { if $0 == 2 { throw Failure() } } }
  }
}

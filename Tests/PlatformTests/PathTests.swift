// Names and paths: which bytes they accept, and that joining and splitting are inverse to each other.

import Platform
import TestSupport
import Testing

@Suite struct PathTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test(arguments: ["", ".", "..", "a/b", "a\0b", String(repeating: "a", count: 256)])
  func `a text that no entry can have as name is refused`(_ text: String) {
    #expect(FileName(bytes(text)) == nil)
    if !text.isEmpty, text != "a/b" { #expect(RelativePath(bytes("x/" + text)) == nil) }
  }

  @Test(arguments: ["/", "/a", "a/", "a//b", "./a", "a/.", "a/../b"])
  func `a path that is not in normal form is refused`(_ text: String) {
    #expect(RelativePath(bytes(text)) == nil)
  }

  @Test(arguments: [
    ("", ""), ("/", ""), ("/a//b/./c/", "a/b/c"), ("./a", "a"), ("a", "a"), ("..a", "..a"),
  ])
  func `a written path is brought into normal form`(_ written: String, _ path: String) {
    #expect(RelativePath(written: written.utf8)?.bytes == bytes(path))
    #expect(AbsolutePath("/" + written)?.bytes == bytes("/" + path))
  }

  @Test(arguments: ["..", "a/..", "/a/../b", "a\0"])
  func `a written path with parent references or NUL is refused`(_ written: String) {
    #expect(RelativePath(written: written.utf8) == nil)
    #expect(AbsolutePath("/" + written) == nil)
  }

  @Test func `the top is the parent of its entries and of itself`() {
    #expect(RelativePath.top.isTop && RelativePath.top.parent.isTop)
    #expect(RelativePath("a").parent.isTop && RelativePath.top.prefixes.isEmpty)
    #expect(RelativePath("a/b").parent == "a" && RelativePath("a/b").lastComponent == bytes("b"))
    #expect(AbsolutePath("/")?.parent == .root && AbsolutePath("/a")?.parent == .root)
    #expect(AbsolutePath("/")?.isRoot == true && AbsolutePath("/")?.lastComponent == [])
  }

  @Test func `a name that begins like a directory is not inside it`() {
    #expect(RelativePath("a/b").isInside("a") && RelativePath("a").isInside("a"))
    #expect(!RelativePath("ab").isInside("a") && !RelativePath("a").isInside("a/b"))
    #expect(RelativePath("a").isInside(.top) && RelativePath.top.isInside(.top))
    #expect(!RelativePath.top.isInside("a"))
    #expect(RelativePath("a/b/c").relative(to: "a/b") == "c")
    #expect(RelativePath("a").relative(to: "a") == .top)
    #expect(RelativePath("ab").relative(to: "a") == nil)
  }

  /// Random paths of few names, so that many are prefixes of others. Lists of names are the model.
  @Test(arguments: seeds) func `paths behave like lists of their names`(seed: UInt64) throws {
    var random = SplitMix64(seed)
    let names = ["a", "b", "ab", "a.", "..b", "\u{ff}"].map { Array($0.utf8) }
    let lists = (0..<40).map { _ in
      (0..<Int(random.next() % 5)).map { _ in names[Int(random.next() % UInt64(names.count))] }
    }
    for a in lists {
      let path = RelativePath(components: a)
      let absolute = AbsolutePath(components: a)
      #expect(path.components == a && absolute.components == a, "seed \(seed)")
      #expect(RelativePath(path.bytes) == path && AbsolutePath(absolute.bytes) == absolute)
      #expect(path.lastComponent == a.last ?? [] && absolute.lastComponent == a.last ?? [])
      #expect(path.parent.components == Array(a.dropLast()))
      #expect(absolute.parent.components == Array(a.dropLast()))
      #expect(path.prefixes.map(\.components) == a.indices.map { Array(a[...$0]) })
      #expect(AbsolutePath.root.appending(path) == absolute)
      for b in lists {
        let other = RelativePath(components: b)
        let isInside = a.starts(with: b)
        #expect(path.isInside(other) == isInside, "seed \(seed): \(path.text) \(other.text)")
        #expect(absolute.isInside(AbsolutePath(components: b)) == isInside)
        let rest = isInside ? RelativePath(components: a.dropFirst(b.count)) : nil
        #expect(path.relative(to: other) == rest)
        #expect(absolute.relative(to: AbsolutePath(components: b)) == rest)
        #expect(other.appending(path).components == b + a)
        #expect(AbsolutePath(components: b).appending(path).components == b + a)
      }
    }
  }
}

// docs/format.md is the specification: its examples are extracted and decoded.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct FormatDocumentTests {
  private let examples: [String: [UInt8]]

  init() throws {
    let text = try String(contentsOfFile: packageRoot + "/docs/format.md", encoding: .utf8)
    var examples: [String: [UInt8]] = [:]
    for block in text.components(separatedBy: "```hex ").dropFirst() {
      let body = block.components(separatedBy: "```")[0]
      let lines = body.split(separator: "\n", maxSplits: 1)
      let digits = lines[1].filter { !$0.isWhitespace }.utf8.compactMap(hexValue)
      examples[String(lines[0])] = stride(from: 0, to: digits.count, by: 2).map {
        digits[$0] << 4 | digits[$0 + 1]
      }
    }
    self.examples = examples
  }

  private func example(_ name: String) throws -> [UInt8] { try #require(examples[name]) }

  private var entries: [Entry] {
    [
      Entry(
        name: Array("a".utf8),
        content: .file(blob: SHA256.digest(of: Array("abc".utf8)), sizeBytes: 3), mode: 0o644,
        uid: 0, gid: 0,
        modified: Timestamp(seconds: 1_000_000_000, nanoseconds: 500_000_000)),
      Entry(
        name: Array("b".utf8), content: .symlink(target: Array("a".utf8)), mode: 0o777, uid: 0,
        gid: 0, modified: Timestamp(seconds: -1, nanoseconds: 0)),
    ]
  }

  @Test func `the example of a chunk list decodes to the documented fields`() throws {
    let bytes = try example("recipe")
    var recipe = ChunkList()
    for text in ["ab", "ab", "c"] {
      recipe.append(SHA256.digest(of: Array(text.utf8)), lengthBytes: text.utf8.count)
    }
    #expect(recipe.encode() == bytes)
    #expect(try ChunkList.decode(bytes) == recipe)
  }

  @Test func `the example of a reconstruction recipe decodes to the documented fields`() throws {
    let bytes = try example("made-recipe")
    let recipe = Reconstruction(
      sizeBytes: 400_000_000, plan: SHA256.digest(of: Array("c".utf8)), planBytes: 1000)
    #expect(recipe.encode() == bytes)
    #expect(try BlobLayout.decode(bytes) == .reconstruction(recipe))
  }

  @Test func `the example of an attribute set decodes to the documented fields`() throws {
    let bytes = try example("xattrs")
    let set = XattrSet([
      .init(name: Array("user.b".utf8), value: []),
      .init(name: Array("user.a".utf8), value: Array("1".utf8)),
    ])
    #expect(set.encode() == bytes)
    #expect(try XattrSet.decode(bytes) == set)
  }

  @Test func `the example of a hole map decodes to the documented fields`() throws {
    let bytes = try example("holes")
    let map = HoleMap([4096..<8192, 12288..<20480])
    #expect(map.encode() == bytes)
    #expect(try HoleMap.decode(bytes) == map)
    #expect(map.data(sizeBytes: 30000) == [0..<4096, 8192..<12288, 20480..<30000])
  }

  @Test func `the example of differences makes the documented bytes`() throws {
    let script = try example("differences")
    let base = [UInt8](0..<40)
    var target = [UInt8](repeating: 0, count: 35)
    try target.withUnsafeMutableBytes { target in
      try script.withUnsafeBytes { script in
        try base.withUnsafeBytes { try DifferenceDecoder.decode(script, base: $0, into: target) }
      }
    }
    var changed = Array(base[4..<36])
    // 300 is 0x012c.
    changed[8] += 0x2c
    changed[9] += 1
    #expect(target == Array("ab".utf8) + changed + Array("c".utf8))
  }

  @Test func `the examples of a tree and its times decode to the documented fields`() throws {
    var objects: [ObjectKind: [UInt8]] = [:]
    _ = Tree.encode(entries) { objects[$0.kind] = $0.bytes }
    #expect(objects[.tree] == (try example("tree")))
    #expect(objects[.times] == (try example("times")))
  }

  @Test(arguments: ["ref", "ref-2"]) func `the examples of a pack and a ref form a readable store`(
    _ ref: String
  ) throws {
    let directory = try TemporaryDirectory()
    let store = directory.path("store")
    let pack = try example("pack")
    for name in ["packs", "refs/demo"] {
      try FileManager.default.createDirectory(
        atPath: "\(store)/\(name)", withIntermediateDirectories: true)
    }
    try Data("imgstore store\nversion \(ref == "ref" ? 1 : 2)\n".utf8).write(
      to: URL(fileURLWithPath: store + "/format"))
    let name = SHA256.digest(of: pack).hex
    try Data(pack).write(to: URL(fileURLWithPath: store + "/packs/\(name)"))
    try Data(try example(ref))
      .write(to: URL(fileURLWithPath: store + "/refs/demo/0000000001"))

    let opened = try ObjectStore(
      KernelFileSystem.shared, path: Array(store.utf8), create: false
    ) { _ in }
    let report = try opened.verify(deep: true, progress: Progress())
    #expect(report.isClean, "\(report.problems)")
    #expect(report.objects == 3)
    let committed = try #require(try opened.refs.latest(of: ImageName("demo")))
    let root = try #require(committed.snapshot.components.first)
    #expect(root.role == .rootTree && root.path == Array("/demo".utf8))
    #expect(try Tree.entries(try #require(root.entry.ids), from: opened) == entries)
    #expect(
      committed.snapshot.encode() == Array(try example("ref")[12..<(example("ref").count - 32)]))
  }
}

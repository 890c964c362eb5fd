// Recipes: packed images of real tools need less than 1 % of their size, and are restored byte for byte.
// Images that cannot be reproduced are stored in full. Damage to data that a recipe needs is found and
// reported.

import Codec
import Foundation
import Images
import Platform
import Recipes
import Render
import Store
import TestSupport
import Testing

/// A tree of texts and programs, about 6 MB, created once.
private let template: Result<TemporaryDirectory, any Error> = Result {
  let directory = try TemporaryDirectory()
  try runFixture("scripts/trees/make-tree-for-recipes.py", directory.path)
  return directory
}

/// An image with that tree, and a function that packs it.
private struct PackedImage {
  let directory: TemporaryDirectory
  let workspace: Workspace

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    try shell("cp -a \"$1/.\" \"$2\"", try template.get().path, directory.path("root/img/rootimg"))
  }

  var packed: String { directory.path("root/img/rootimg.cpio.gz") }

  /// Runs a script in the tree. $1 is the file to create.
  func pack(_ script: String) throws {
    try shell("cd \"$2\"; \(script)", packed, directory.path("root/img/rootimg"))
  }

  func size() throws -> UInt64 {
    UInt64(try FileManager.default.attributesOfItem(atPath: packed)[.size] as? Int ?? 0)
  }

  /// Returns the packed file as the store restores it.
  func stored(_ store: ObjectStore? = nil) throws -> [UInt8] {
    let (blob, size) = try blob()
    var bytes: [UInt8] = []
    try (store ?? workspace.store()).read(blob, sizeBytes: size) { _, part in bytes += part }
    return bytes
  }

  func blob() throws -> (id: Digest, sizeBytes: UInt64) {
    let snapshot = try workspace.log("img")[0].committed.snapshot
    let component = try #require(snapshot.components.first { $0.role == .packed })
    guard case .file(let blob, let size) = component.entry.content else {
      throw TestFailure("the packed image is not a file")
    }
    return (blob, size)
  }

  func original() throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: packed))) }

  /// Takes a snapshot of the tree alone, then one with the packed file.
  func snapshotWithRecipe() throws -> (result: RecipeResult, storedBytes: UInt64) {
    let part = packed + ".kept"
    try FileManager.default.moveItem(atPath: packed, toPath: part)
    _ = try workspace.snapshot("img")
    try FileManager.default.moveItem(atPath: part, toPath: packed)
    let outcome = try workspace.snapshot("img", .recipes)
    return (try #require(outcome.recipes.first), outcome.storedBytes)
  }
}

private func report(_ result: RecipeResult) throws -> RecipeReport {
  guard case .stored(let report) = result.outcome else {
    throw TestFailure("no recipe: \(result.outcome)")
  }
  return report
}

/// Gives the same bytes in every run. zlib's output rarely depends on the sizes of its input portions; then
/// no encoder matches.
private let cpio = "find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc"
private func python(_ level: Int) -> String {
  """
  \(cpio) | python3 -c '
  import gzip, sys
  with open(sys.argv[1], "wb") as raw, gzip.GzipFile("rootimg.cpio", "wb", \(level), raw, 5) as f:
      while b := sys.stdin.buffer.read(70000): f.write(b)' "$1"
  """
}

@Suite(.usesTools) struct RecipeTests {
  /// Encoders, and the commands that pack with them.
  private static let encoders: [(encoder: String, script: String)] = [
    ("pigz -6", "\(cpio) | pigz -6 > \"$1\""),
    ("pigz -1", "\(cpio) | pigz -1 -p 2 > \"$1\""),
    ("pigz -9", "\(cpio) | pigz -9 > \"$1\""),
    ("pigz -6", "\(cpio) | pigz -6 -p 1 > \"$1\""),
    ("pigz -6", "\(cpio) | pigz -6 -p 4 > \"$1\""),
    ("pigz -1 -p 1", "\(cpio) | pigz -1 -p 1 > \"$1\""),
    ("pigz -3 -p 1", "\(cpio) | pigz -3 -p 1 > \"$1\""),
    ("pigz -6 -i", "\(cpio) | pigz -6 -i > \"$1\""),
    ("pigz -6 -b 512", "\(cpio) | pigz -6 -b 512 > \"$1\""),
    ("pigz -6", "tar c . | pigz > \"$1\""),
    ("pigz -6", "tar c --format=pax . | pigz > \"$1\""),
    ("pigz -6", "\(cpio) > \"$1.x\"; pigz -6 -c \"$1.x\" > \"$1\"; rm \"$1.x\""),
    ("zlib level 1", python(1)),
    ("zlib level 6", python(6)),
    ("zlib level 9", python(9)),
    (
      "zlib level 6 memLevel 9",
      "\(cpio) | perl -MIO::Compress::Gzip=:all -e 'gzip(\"-\" => $ARGV[0])' \"$1\""
    ),
    ("GNU gzip -6", "\(cpio) | gzip -6 > \"$1\""),
    ("GNU gzip -9", "\(cpio) | gzip -9 > \"$1\""),
    ("GNU gzip -1", "\(cpio) | gzip -1 > \"$1\""),
    ("GNU gzip -9", "head -c 5000000 /dev/urandom > 0; \(cpio) | gzip -9 > \"$1\""),
    ("zstd -1", "\(cpio) | zstd -q -1 -T0 > \"$1\""),
    ("zstd -3", "\(cpio) | zstd -q > \"$1\""),
    ("zstd -9", "\(cpio) > \"$1.x\"; zstd -q -9 -f --rm \"$1.x\" -o \"$1\""),
    ("zstd -19", "\(cpio) | zstd -q -19 -T0 > \"$1\""),
    ("", "\(cpio) > \"$1\""),
    ("", "tar c . > \"$1\""),
  ]

  @Test(arguments: Sweep.some(of: encoders, every: 3))
  func `a packed image needs less than 1 % and is restored`(encoder: String, script: String) throws
  {
    let image = try PackedImage()
    try image.pack(script)
    let (result, storedBytes) = try image.snapshotWithRecipe()
    let report = try report(result)
    #expect(report.encoders == (encoder.isEmpty ? [] : [encoder]))
    #expect(report.newContents == 0)
    let size = try image.size()
    #expect(storedBytes * 100 < size, "\(storedBytes) of \(size)")
    #expect(try image.stored() == image.original())
    #expect(try image.workspace.verify(deep: true).isClean)
  }

  @Test func `a pack of imgstore is stored as a recipe`() throws {
    let image = try PackedImage()
    _ = try image.workspace.pack(PackRequest("img"))
    let (result, storedBytes) = try image.snapshotWithRecipe()
    #expect(try report(result).encoders == ["segments, libdeflate level 5"])
    let size = try image.size()
    #expect(storedBytes * 100 < size, "\(storedBytes) of \(size)")
    #expect(try image.stored() == image.original())
    for deep in [false, true] {
      let report = try image.workspace.verify(deep: deep)
      #expect(report.isClean, "deep \(deep): \(report.problems)")
    }
  }

  @Test func `every form that imgstore packs is stored as a recipe`() throws {
    for method in [PackMethod.cpio, .tar] {
      for codec in [SegmentCodec.gzip, .xz, .zstd] {
        let image = try PackedImage()
        var request = PackRequest("img")
        request.method = method
        request.codec = codec
        _ = try image.workspace.pack(request)
        _ = try image.workspace.snapshot("img", .recipes)
        for deep in [false, true] {
          let report = try image.workspace.verify(deep: deep)
          #expect(report.isClean, "\(method) \(codec) deep \(deep): \(report.problems)")
        }
      }
    }
  }

  @Test(arguments: [
    (
      "two members",
      "\(cpio) > \"$1.a\"; (pigz -c \"$1.a\"; pigz -9 -c \"$1.a\") > \"$1\"; rm \"$1.a\""
    ),
    (
      "padded frames of zstd",
      "\(cpio) | zstd -q -1 > \"$1\"; \(cpio) | zstd -q >> \"$1\"; truncate -s %4096 \"$1\""
    ),
    (
      "an initrd with an archive in front of zstd",
      "(cd usr/lib/d3; find . | cpio --quiet -o -H newc); \(cpio) | zstd -q -9 | cat"
    ),
    ("garbage behind it", "\(cpio) | pigz > \"$1\"; head -c 100000 /dev/urandom >> \"$1\""),
    ("zeros behind it", "\(cpio) | pigz > \"$1\"; truncate -s %4096 \"$1\""),
    (
      "an initrd with an archive in front",
      "(cd usr/lib/d3; find . | cpio --quiet -o -H newc); \(cpio) | pigz -9 | cat"
    ),
  ])
  func `a packed image of several streams is stored as a recipe`(what: String, script: String)
    throws
  {
    let image = try PackedImage()
    try image.pack(script.hasPrefix("(cd") ? "{ \(script); } > \"$1\"" : script)
    let (result, storedBytes) = try image.snapshotWithRecipe()
    _ = try report(result)
    let limit: UInt64 = what.hasPrefix("garbage") ? 100_000 : 0
    let size = try image.size()
    #expect(storedBytes < limit + size / 50, "\(what): \(storedBytes) of \(size)")
    #expect(try image.stored() == image.original(), "\(what)")
    #expect(try image.workspace.verify(deep: true).isClean)
  }

  @Test(arguments: [
    ("cut off", "\(cpio) | pigz | head -c 900000 > \"$1\""),
    (
      "overwritten bytes",
      """
      \(cpio) | pigz > "$1"
      head -c 64 /dev/zero | tr '\\0' '\\377' | dd of="$1" bs=1 seek=900000 conv=notrunc status=none
      """
    ),
    ("xz", "\(cpio) | xz -1 > \"$1\""),
  ])
  func `an image that cannot be reproduced is stored in full`(what: String, script: String) throws {
    let image = try PackedImage()
    try image.pack(script)
    let outcome = try image.workspace.snapshot("img", .recipes)
    for result in outcome.recipes {
      guard case .none(let reason) = result.outcome else {
        Issue.record("\(what) became a recipe")
        continue
      }
      #expect(!reason.isEmpty)
    }
    #expect(try image.stored() == image.original(), "\(what)")
    #expect(try image.workspace.verify(deep: true).isClean)
  }

  @Test(arguments: seeds.prefix(2))
  func `a damaged archive is reproduced with its damage`(_ seed: UInt64) throws {
    let image = try PackedImage()
    try image.pack(seed % 2 == 0 ? "tar c --format=pax . > \"$1\"" : "\(cpio) > \"$1\"")
    _ = try image.workspace.snapshot("img")
    var random = SplitMix64(seed)
    var bytes = try image.original()
    for round in 0..<3 {
      for _ in 0..<3 {
        let at = Int(random.next() % UInt64(bytes.count - 5000))
        switch random.next() % 4 {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.removeSubrange(at..<at + Int(random.next() % 5000))
        case 2: bytes.insert(contentsOf: random.bytes(Int(random.next() % 700)), at: at)
        default: bytes.insert(contentsOf: [UInt8](repeating: 0, count: 70_000), at: at)
        }
      }
      try Data(bytes).write(to: URL(fileURLWithPath: image.packed))
      let outcome = try image.workspace.snapshot("img", .recipes)
      #expect(outcome.recipes.count == 1, "seed \(seed), round \(round)")
      #expect(try image.stored() == bytes, "seed \(seed), round \(round)")
    }
  }

  @Test func `contents missing in the tree are stored with the recipe`() throws {
    let image = try PackedImage()
    try image.pack("\(cpio) | pigz > \"$1\"; rm -r usr/lib/d4 usr/lib/d5")
    let result = try image.snapshotWithRecipe().result
    #expect(try report(result).newContents > 10)
    #expect(try image.stored() == image.original())
  }

  @Test(arguments: seeds)
  func `any range of the file can be reconstructed alone`(_ seed: UInt64) throws {
    let image = try PackedImage()
    try image.pack(seed % 2 == 0 ? "\(cpio) | pigz > \"$1\"" : python(6))
    _ = try report(try image.snapshotWithRecipe().result)
    let original = try image.original()
    let (blob, size) = try image.blob()
    var random = SplitMix64(seed)
    for _ in 0..<40 {
      let from = Int(random.next() % size)
      let count = Int(random.next() % (size - UInt64(from) + 1)) >> Int(random.next() % 16)
      var bytes = [UInt8](repeating: 0, count: count)
      try bytes.withUnsafeMutableBytes {
        try image.workspace.store().fill($0, from: blob, sizeBytes: size, at: UInt64(from))
      }
      #expect(bytes.elementsEqual(original[from..<from + count]), "seed \(seed): \(from) \(count)")
    }
  }

  @Test func `a stored file can be converted to a recipe and stays one in a rebuilt index`() throws
  {
    let image = try PackedImage()
    try image.pack("\(cpio) | pigz > \"$1\"")
    _ = try image.workspace.snapshot("img")
    let before = try image.workspace.store().totals().storedBytes
    let outcome = try image.workspace.makeRecipes("img")
    _ = try report(try #require(outcome.results.first))
    let grown = try image.workspace.store().totals().storedBytes - before
    let packedBytes = try image.size()
    #expect(grown < packedBytes / 100)
    let (blob, size) = try image.blob()
    func isMade() throws -> Bool {
      let needs = try image.workspace.store().references(of: blob, sizeBytes: size)
      return needs.chunks.isEmpty && needs.blobs.count == 2
    }
    #expect(try isMade())
    _ = try image.workspace.reindex()
    #expect(try isMade())
    #expect(try image.workspace.makeRecipes("img").alreadyMade == 1)
    #expect(try image.stored() == image.original())
  }

  @Test func `optimize makes recipes of ramdisks in the tree, and reverts restore them`() throws {
    let image = try PackedImage()
    let ramdisk = image.directory.path("root/img/rootimg/boot/initrd.img-6.1.0")
    try shell(
      "cd \"$1\"; mkdir -p boot; find usr | cpio --quiet -o -H newc | zstd -q -9 -T0 > \"$2\"",
      image.directory.path("root/img/rootimg"), ramdisk)
    let original = try Data(contentsOf: URL(fileURLWithPath: ramdisk))
    _ = try image.workspace.snapshot("img")
    let before = try image.workspace.store().totals().storedBytes
    var request = CollectionRequest()
    request.rewriting = .all(level: 3)
    #expect(try image.workspace.collect(request, makesRecipes: true).newRecipes == 1)
    #expect(try image.workspace.collect(request, makesRecipes: true).newRecipes == 0)
    let after = try image.workspace.store().totals().storedBytes
    #expect(after + UInt64(original.count) * 9 / 10 < before)
    try shell("echo other > \"$1\"", ramdisk)
    _ = try image.workspace.revert("img")
    #expect(try Data(contentsOf: URL(fileURLWithPath: ramdisk)) == original)
    #expect(try image.workspace.verify(deep: true).isClean)
  }

  @Test func `gc frees objects that a recipe replaces and keeps those that it needs`() throws {
    let image = try PackedImage()
    // Some contents are only in the packed file.
    try image.pack("\(cpio) | pigz > \"$1\"; rm -r usr/lib/d4 usr/lib/d5")
    _ = try image.workspace.snapshot("img")
    _ = try report(try #require(try image.workspace.makeRecipes("img").results.first))
    let before = try image.workspace.store().totals().storedBytes
    let collected = try image.workspace.store().collect(
      CollectionRequest(), progress: Progress(), report: { _ in })
    #expect(collected.freedBytes > 0)
    let packedBytes = try image.size()
    #expect(try image.workspace.store().totals().storedBytes + packedBytes / 2 < before)
    #expect(try image.stored() == image.original())
    #expect(try image.workspace.verify(deep: true).isClean)
    // Repeats the check after all data was recompressed, and with a new index.
    var request = CollectionRequest()
    request.rewriting = .all(level: 5)
    _ = try image.workspace.store().collect(request, progress: Progress(), report: { _ in })
    _ = try image.workspace.reindex()
    #expect(try image.stored() == image.original())
    #expect(try image.workspace.verify(deep: true).isClean)
  }

  @Test func `a recipe is reused if only the times of its file changed`() throws {
    let image = try PackedImage()
    try image.pack("\(cpio) | pigz > \"$1\"")
    _ = try report(try image.snapshotWithRecipe().result)
    try shell("sleep 0.1; touch \"$1\"", image.packed)
    let outcome = try image.workspace.snapshot("img")
    #expect(outcome.storedBytes < 4096)
    #expect(try image.stored() == image.original())
  }

  @Test func `restore and revert reconstruct the file of a recipe`() throws {
    let image = try PackedImage()
    try image.pack("\(cpio) | pigz > \"$1\"")
    let original = try image.original()
    _ = try image.snapshotWithRecipe()
    try shell("echo other > \"$1\"", image.packed)
    _ = try image.workspace.revert("img")
    #expect(try image.original() == original)
  }

  @Test func `damage to data of a recipe is found and reported`() throws {
    let image = try PackedImage()
    try image.pack("\(cpio) | pigz > \"$1\"; rm -r usr/lib/d4")
    _ = try report(try image.snapshotWithRecipe().result)
    // Contents that only the recipe needs are in a separate pack, which is deleted.
    let store = try image.workspace.store()
    let (blob, size) = try image.blob()
    let inner = try #require(try store.references(of: blob, sizeBytes: size).blobs.last)
    let parts = try store.references(of: inner.id, sizeBytes: inner.sizeBytes).blobs
    #expect(parts.count > 100)
    let packs = image.directory.path("store/packs")
    let names = try FileManager.default.contentsOfDirectory(atPath: packs)
    var found = 0
    for name in names {
      try shell("mv \"$1/$2\" \"$1/../gone\"", packs, name)
      let other = try Workspace(image.workspace.options, warn: { _ in })
      let report = try other.verify(deep: false)
      if report.problems.contains(where: { problem in
        problem.affected.contains { printable($0.path).hasSuffix("rootimg.cpio.gz") }
      }) {
        found += 1
      }
      try shell("mv \"$1/../gone\" \"$1/$2\"", packs, name)
    }
    #expect(found >= 3, "the tree's contents, the new ones, the plans: \(found) of \(names.count)")
  }

  @Test func `an encoder that produces other bytes is detected and reported`() throws {
    let image = try PackedImage()
    try image.pack("\(cpio) | pigz > \"$1\"")
    _ = try report(try image.snapshotWithRecipe().result)
    let store = try ObjectStore(
      KernelFileSystem.shared, path: Array(image.directory.path("store").utf8), create: false,
      reconstructor: PlanReconstructor(reencoder: OtherReencoder()), report: { _ in })
    do {
      _ = try image.stored(store)
      Issue.record("other bytes were believed")
    } catch let error as StoreError {
      #expect(error.kind == .incompatible)
      #expect(error.reason.contains("zlib 9.9"))
    }
    let report = try store.verify(deep: false, progress: Progress())
    #expect(report.problems.contains { $0.reason.contains("zlib 9.9") })
  }
}

/// A reencoder with another version of zlib.
private struct OtherReencoder: StreamReencoder {
  func fingerprint(of encoder: StreamMethod.Encoder) -> String { "zlib 9.9 0123456789abcdef" }

  func replay(
    _ run: StreamPlan.Run, _ method: StreamMethod, _ bytes: UnsafeRawBufferPointer,
    history: Int, isLast: Bool, into target: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    let count = try RunEncoderPool.shared.replay(
      run, method, bytes, history: history, isLast: isLast, into: target)
    if count > 40 { target[40] ^= 1 }
    return count
  }
}

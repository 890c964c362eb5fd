// The corpus of hostile bundles, as data (docs/guarantees.md, "Hostile bundles"): one file for each family.
// `Tests/ImagesTests/HostileTests.swift` imports each of them, and `scripts/fuzz.sh` begins with them.

/// A bundle that must be refused, or imported without its harm.
public struct HostileBundle: Sendable, CustomStringConvertible {
  /// Its defect.
  public let name: String
  public let outcome: HostileOutcome
  /// The options of its import.
  public var nodes: String?
  public var trustsPlugins = false
  public var requiresSignature = false
  /// Its bytes.
  public let make: @Sendable () -> [UInt8]

  init(_ name: String, _ words: String..., make: @escaping @Sendable () -> [UInt8]) {
    self.init(name, outcome: .refused(words), make: make)
  }

  /// Members added to the good bundle.
  static func adding(
    _ name: String, _ words: String..., more: @escaping @Sendable (inout RawTar) -> Void
  ) -> HostileBundle {
    HostileBundle(name, words: words) { BundleDraft().bundle(adding: more) }
  }

  /// The good bundle's manifest, changed.
  static func manifest(
    _ name: String, _ words: String..., edit: @escaping @Sendable (inout ManifestDraft) -> Void
  ) -> HostileBundle {
    HostileBundle(name, words: words) {
      var draft = BundleDraft()
      edit(&draft.manifest)
      return draft.bundle()
    }
  }

  /// A manifest of these bytes.
  static func document(
    _ name: String, _ words: String..., bytes: @escaping @Sendable () -> [UInt8]
  ) -> HostileBundle {
    HostileBundle(name, words: words) {
      var draft = BundleDraft()
      draft.manifestBytes = bytes()
      return draft.bundle()
    }
  }

  init(_ name: String, words: [String], make: @escaping @Sendable () -> [UInt8]) {
    self.init(name, outcome: .refused(words), make: make)
  }

  init(_ name: String, outcome: HostileOutcome, make: @escaping @Sendable () -> [UInt8]) {
    self.name = name
    self.outcome = outcome
    self.make = make
  }

  /// Whether it is refused.
  public var isRefused: Bool { if case .refused = outcome { true } else { false } }

  public var description: String { name }

  public static let all =
    [
      names, kinds, doubles, locations, texts, documents, sizes, bombs, truncations, incomplete,
      trees,
      closures, links, hardLinks, directories, kits, lists, several, streams, privileges, values,
      confusable, unasked, twins, foreign, signatures,
    ].flatMap { $0 }

  public static let refused = all.filter(\.isRefused)
  public static let imported = all.filter { !$0.isRefused }
}

/// A bundle that looks odd and must import as the good one does.
public struct OddBundle: Sendable, CustomStringConvertible {
  public let name: String
  public let make: @Sendable () -> [UInt8]
  public var description: String { name }

  public static let all: [OddBundle] = [
    OddBundle(name: "the good bundle") { BundleDraft().bundle() },
    OddBundle(name: "not compressed") { BundleDraft().tar { _ in } },
    OddBundle(name: "two gzip members") {
      let tar = BundleDraft().tar { _ in }
      return gzip(Array(tar[..<1000])) + gzip(Array(tar[1000...]))
    },
    OddBundle(name: "zeros after the gzip stream, more than a buffer") {
      BundleDraft().bundle() + [UInt8](repeating: 0, count: 600_000)
    },
    OddBundle(name: "no blocks of zeros at the end") { gzip(BundleDraft().tar.bytes) },
    OddBundle(name: "a contiguous file, which is a file") {
      BundleDraft().replacing("kernel") { tar in
        tar.header("./\(BundleDraft.directory)/kernel", type: "7", size: 1500)
        tar.content([UInt8](repeating: 0x4b, count: 1500))
      }
    },
    OddBundle(name: "600,000 pax records that mean nothing") {
      BundleDraft().bundle { tar in
        for _ in 0..<2 {
          tar.rawPax((0..<300_000).flatMap { _ in Array("6 a=b\n".utf8) })
          tar.file("./\(BundleDraft.directory)/extra/tinyscript.\(tar.bytes.count)", "x")
        }
      }
    },
    OddBundle(name: "a manifest in UTF-16") {
      var draft = BundleDraft()
      draft.manifest.prolog = "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n"
      draft.manifestBytes =
        [0xff, 0xfe] + draft.manifest.text.utf16.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
      return draft.bundle()
    },
    OddBundle(name: "links that stay inside their folders, hard ones and those of a kit") {
      let side = "./\(BundleDraft.directory)/extra/install/side"
      return BundleDraft.withDirectories.bundle { tar in
        tar.header("\(side)/sub/hard", type: "1", link: "\(side)/sub/file")
        tar.header(
          "./\(BundleDraft.directory)/k1/repos/r1/latest", type: "2", link: "../../kit.conf")
      }
    },
    OddBundle(name: "zstd, in frames") {
      let tar = BundleDraft().tar { _ in }
      return RawZstd.stored(Array(tar[..<1000])) + RawZstd.stored(Array(tar[1000...]))
    },
    OddBundle(name: "xz, in streams") {
      let tar = BundleDraft().tar { _ in }
      return RawXz.stream(Array(tar[..<1000])) + RawXz.stream(Array(tar[1000...]))
    },
    OddBundle(name: "a checksum for all members, which is the archive's") {
      var tar = RawTar()
      tar.pax([("comment", "sha256=" + String(repeating: "0", count: 64))], type: "g")
      return gzip(tar.bytes + BundleDraft().tar { _ in })
    },
    OddBundle(name: "an owner in base-256, and setuid") {
      BundleDraft().replacing("kernel") { tar in
        tar.header("./\(BundleDraft.directory)/kernel", size: 1500, mode: 0o6755) {
          $0.put([0x80, 0, 0, 0, 0, 0, 0, 0], at: 108)
        }
        tar.content([UInt8](repeating: 0x4b, count: 1500))
      }
    },
  ]
}

extension HostileBundle {
  /// The bytes of those that are small enough to fuzz from; bombs are not made for it.
  public static var small: [[UInt8]] {
    [
      names, kinds, doubles, locations, texts, documents, truncations, incomplete, trees, closures,
      links, hardLinks, directories, kits, lists, several, privileges, values, confusable, unasked,
      twins, foreign, signatures,
    ].flatMap { $0 }.filter { !$0.name.contains("GiB") }.map { $0.make() }
      .filter { $0.count <= 64 << 10 }
  }

  /// The bundles that require the most memory.
  public static var heavy: [HostileBundle] {
    let piles = [names, documents, trees, closures, links, lists, kits].flatMap { $0 }.filter {
      bundle in
      ["GiB", "MiB", "MB", "mega", "0,000", "levels", "two streams"]
        .contains { bundle.name.contains($0) }
    }
    return [sizes, bombs, streams, directories, several].flatMap { $0 } + piles
  }

  /// A bundle in one frame whose decoder needs 128 MiB, its tree in one that needs 64 MiB, with
  /// enough in them to fill both.
  public static func widestWindows() -> [UInt8] {
    var random: UInt32 = 1
    let noise = (0..<1 << 20).map { _ -> UInt8 in
      random = random &* 1_664_525 &+ 1_013_904_223
      return UInt8(random >> 24)
    }
    let tree = goodTarTree { tar in
      for i in 0..<140 { tar.file("rootimg/\(i)", noise) }
    }
    return RawZstd.stored(
      BundleDraft.statelite(tree: RawZstd.stored(tree, windowLog: 26)).tar { _ in }, windowLog: 27)
  }

  /// A statelite image whose tree has so many levels.
  public static func deepTree(levels: Int) -> [UInt8] {
    BundleDraft.statelite(
      tree: gzip(
        goodTree {
          $0.entry("rootimg" + String(repeating: "/a", count: levels), mode: 0o40755)
        })
    ).bundle()
  }

  /// Archives of root trees, compressed as the corpus has them.
  public static var archives: [[UInt8]] {
    treeArchives.map { $0.bytes() }.filter { $0.count <= 64 << 10 } + [gzip(goodTree { _ in })]
  }

  /// Plain bundles whose tree is not compressed either, so that noise reaches it.
  public static var plainTrees: [[UInt8]] {
    let good = goodTree { _ in }
    return [BundleDraft.statelite(tree: good).tar { _ in }] + [
      BundleDraft.statelite(tree: goodTarTree { _ in }).tar { _ in }
    ]
  }
}

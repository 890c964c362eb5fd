// The files that were examined for a recipe in vain: cache/refused-recipes (docs/format.md, "Other caches").
// An examination takes seconds, and may store contents that the next `gc` deletes.
//
// 1. A list belongs to one version of the search. Another version ignores it, and begins a new one.
// 2. It has a limit: the oldest ids are dropped. The file may be deleted at any time.
// 3. A writer holds the lock of recipes, and replaces the file in one step.

import Codec
import Platform

/// The ids of files that cannot become recipes, the oldest first.
struct RefusedRecipes: Equatable {
  static let fileName = Array("refused-recipes".utf8)
  static let maxCount = 8192
  static let maxBytes = 1 << 20
  private static let title = "refused recipes 1"

  /// The version of the search.
  let search: Digest
  private(set) var blobs: [Digest] = []

  init(search: Digest) { self.search = search }

  /// Decodes a file: the title, the version of the search, and an id a line. Damaged lines are skipped.
  /// - Returns: nil if the file is of another search or damaged.
  init?(decoding bytes: [UInt8], search: Digest) {
    let lines = bytes.split(separator: 0x0a)
    guard lines.count >= 2, lines[0].elementsEqual(Self.title.utf8),
      lines[1].elementsEqual(search.hex.utf8)
    else { return nil }
    self.search = search
    blobs = lines[2...].suffix(Self.maxCount).compactMap { Digest(hexDigits: Array($0)) }
  }

  mutating func insert(_ blob: Digest) {
    if blobs.contains(blob) { return }
    blobs.append(blob)
    if blobs.count > Self.maxCount { blobs.removeFirst(blobs.count - Self.maxCount) }
  }

  var encoded: [UInt8] {
    Array((([Self.title, search.hex] + blobs.map(\.hex)).joined(separator: "\n") + "\n").utf8)
  }
}

extension ObjectStore {
  /// Returns the ids of the files that a search of this version has refused; empty if they are not known.
  /// - Parameter search: computes the version of the search. It is not called if no list exists.
  public func refusedRecipes(search: () -> Digest) -> Set<Digest> {
    guard let bytes = refusedRecipesFile,
      let list = RefusedRecipes(decoding: bytes, search: search())
    else { return [] }
    return Set(list.blobs)
  }

  /// Remembers that a file cannot become a recipe. A failure only makes a later search examine it again.
  /// - Parameter search: the version of the search, whose lock the caller holds (`lockRecipes`).
  public func rememberRefusedRecipe(of blob: Digest, search: Digest) {
    if layout.isReadOnly { return }
    var list =
      refusedRecipesFile.flatMap { RefusedRecipes(decoding: $0, search: search) }
      ?? RefusedRecipes(search: search)
    let old = list
    list.insert(blob)
    guard list != old, let temporary = try? TemporaryFile(layout) else { return }
    do throws(SystemError) {
      try layout.fileSystem.write(temporary.file.raw, list.encoded)
      try temporary.publish(in: layout.cache, as: RefusedRecipes.fileName, exclusively: false)
    } catch {
      temporary.discard()
    }
  }

  private var refusedRecipesFile: [UInt8]? {
    guard
      case .content(let bytes)? = try? layout.read(
        layout.cache, RefusedRecipes.fileName, limitBytes: RefusedRecipes.maxBytes)
    else { return nil }
    return bytes
  }
}

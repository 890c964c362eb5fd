// The refs of a depot: which snapshots it has (docs/format.md, "The depot").
//
// 1. A snapshot exists while its ref exists and `removed/` does not have its number. So the record in `removed/`
//    decides about a removal, and a number never names another snapshot later.
// 2. Refs are listed before `removed/`: a ref that vanished before its page was listed is in the later listing.
// 3. The number of a new ref is above all numbers of both listings. If `removed/` has it nevertheless after the ref was
//    created, another writer's snapshot had it meanwhile: the ref is deleted, and the next number taken.

import Codec
import ObjectStorage
import Platform
import Store

/// Reads and creates refs. A value without state of its own.
package struct DepotRefs: Sendable {
  let storage: any ObjectStorage
  let cache: RefCache
  let requestCount: Int

  /// The numbers of an image.
  package struct Numbers {
    /// The snapshots, in ascending order.
    package var existing: [Int] = []
    /// The refs of removed snapshots, which a removal left behind.
    package var leftover: [Int] = []
    /// The highest number that was ever used.
    package var highest = 0
  }

  /// The most images, or numbers of one image, that a reader accepts.
  private static let maxCount = 4 << 20
  private static let maxAttempts = 1000

  // MARK: Listing

  /// Calls `body` with the image and the rest of every key of a section.
  static func forEachKey(
    _ section: String, _ storage: any ObjectStorage,
    _ body: (ImageName, Substring) throws -> Void
  ) throws {
    var last: (text: Substring, image: ImageName)?
    var count = 0
    try storage.list("\(section)/") { page in
      for object in page {
        guard let rest = DepotKeys.rest(of: object.key, after: "\(section)/"),
          let slash = rest.firstIndex(of: "/")
        else { continue }
        let encoded = rest[..<slash]
        if last?.text != encoded {
          guard let image = DepotKeys.image(encoded) else { continue }
          last = (encoded, image)
        }
        count += 1
        guard count <= maxCount else {
          throw DepotError.damaged(
            "\(section)/", of: storage.name, "has more objects than any depot")
        }
        if let last { try body(last.image, rest[rest.index(after: slash)...]) }
      }
      return true
    }
  }

  /// Returns the numbers of one image.
  func numbers(of image: ImageName) throws -> Numbers {
    let refs = try numbers("refs", image)
    let removed = try numbers("removed", image)
    return DepotRefs.combine(refs, removed)
  }

  /// Returns the numbers of all images that have any.
  package func allNumbers() throws -> [ImageName: Numbers] {
    var refs: [ImageName: Set<Int>] = [:]
    var removed: [ImageName: Set<Int>] = [:]
    try DepotRefs.forEachKey("refs", storage) { image, rest in
      if let number = DepotKeys.number(rest) { refs[image, default: []].insert(number) }
    }
    try DepotRefs.forEachKey("removed", storage) { image, rest in
      if let number = DepotKeys.number(rest) { removed[image, default: []].insert(number) }
    }
    var result: [ImageName: Numbers] = [:]
    for image in Set(refs.keys).union(removed.keys) {
      result[image] = DepotRefs.combine(refs[image] ?? [], removed[image] ?? [])
    }
    return result
  }

  private static func combine(_ refs: Set<Int>, _ removed: Set<Int>) -> Numbers {
    Numbers(
      existing: refs.subtracting(removed).sorted(), leftover: refs.intersection(removed).sorted(),
      highest: max(refs.max() ?? 0, removed.max() ?? 0))
  }

  private func numbers(_ section: String, _ image: ImageName) throws -> Set<Int> {
    let prefix = DepotKeys.prefix(section, image)
    var numbers: Set<Int> = []
    try storage.list(prefix) { page in
      for object in page {
        if let rest = DepotKeys.rest(of: object.key, after: prefix),
          let number = DepotKeys.number(rest)
        {
          numbers.insert(number)
        }
      }
      guard numbers.count <= DepotRefs.maxCount else {
        throw DepotError.damaged(prefix, of: storage.name, "has more objects than any depot")
      }
      return true
    }
    return numbers
  }

  // MARK: Reading

  /// Reads a ref; nil if it does not exist.
  /// - Throws: `remoteDamaged` if its bytes are damaged, or those of another ref; `StorageError`.
  package func read(_ image: ImageName, _ number: Int) throws -> RefRecord? {
    let key = DepotKeys.ref(image, number)
    if let bytes = cache.read(key, limitBytes: RefLog.maxRefBytes),
      let ref = try? decode(bytes, image, number)
    {
      return ref
    }
    let bytes: [UInt8]
    do {
      bytes = try storage.read(key, range: nil, limitBytes: RefLog.maxRefBytes)
    } catch {
      if error.isMissingObject { return nil }
      throw error
    }
    let ref = try mapDepotErrors("ref \(image)@\(number)", of: storage.name) {
      () throws(CodecError) in
      try decode(bytes, image, number)
    }
    cache.write(key, bytes)
    return ref
  }

  private func decode(
    _ bytes: [UInt8], _ image: ImageName, _ number: Int
  ) throws(CodecError) -> RefRecord {
    let ref = try RefRecord.decode(bytes)
    guard ref.number != nil else { throw .corrupt("the ref has version 1, which depots never had") }
    try ref.requireIdentity(image, number)
    return ref
  }

  /// Reads all snapshots of all images, and calls `body` with each.
  /// - Returns: the numbers.
  /// - Throws: `remoteDamaged` if a ref cannot be read and its number is not recorded as removed.
  @discardableResult
  package func readAll(
    _ body: (ImageName, Int, RefRecord) throws -> Void
  ) throws -> [ImageName: Numbers] {
    let numbers = try allNumbers()
    let all = numbers.sorted { $0.key < $1.key }.flatMap { image, numbers in
      numbers.existing.map { (image: image, number: $0) }
    }
    func use(_ name: (image: ImageName, number: Int), _ ref: RefRecord?) throws {
      if let ref { return try body(name.image, name.number, ref) }
      if try isRemoved(name.image, name.number) { return }
      throw DepotError.damaged(
        "ref \(name.image)@\(name.number)", of: storage.name,
        "vanished and is not recorded as removed")
    }
    guard requestCount > 1, all.count > 1 else {
      for name in all { try use(name, try read(name.image, name.number)) }
      return numbers
    }
    try runInOrder(
      threads: min(requestCount, all.count), window: 2 * requestCount,
      makeWorker: {
        { (name: (image: ImageName, number: Int)) in try read(name.image, name.number) }
      },
      use: use, produce: { submit in for name in all { try submit(name) } })
    return numbers
  }

  /// Returns true if `removed/` has the number.
  package func isRemoved(_ image: ImageName, _ number: Int) throws -> Bool {
    try storage.size(of: DepotKeys.removed(image, number)) != nil
  }

  // MARK: Creating

  /// Makes a snapshot the latest of its image.
  ///
  /// If the answer to a request was lost, the snapshot may have two numbers afterwards, which is harmless.
  /// - Returns: the number.
  /// - Throws: `busy` if other writers take every number; `StorageError`.
  func append(_ snapshot: [UInt8], _ id: Digest, to image: ImageName) throws -> Int {
    for _ in 0..<DepotRefs.maxAttempts {
      let number = try numbers(of: image).highest + 1
      let key = DepotKeys.ref(image, number)
      let bytes = RefRecord.encode(snapshot, id, image, number)
      if try storage.create(key, .bytes(bytes), isUnique: false) {
        if try !isRemoved(image, number) { return number }
        try storage.delete(key)
      }
    }
    throw DepotError(
      .busy, "image \(image) of \(storage.name)",
      "gets new snapshots from other writers all the time",
      hint: "Run the command again later")
  }
}

extension Depot {
  package var refs: DepotRefs {
    DepotRefs(storage: storage, cache: refCache, requestCount: options.requestCount)
  }

  /// Calls `body` with each item, on several threads if the depot may use them.
  func forEach<Item: Sendable>(
    _ items: [Item], _ body: @escaping @Sendable (Item) throws -> Void
  ) throws {
    guard options.requestCount > 1, items.count > 1 else { return try items.forEach(body) }
    try parallelForEach(
      items.count, threads: options.requestCount, makeWorker: {},
      { try body(items[$1]) })
  }
}

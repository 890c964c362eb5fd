// How a blob is made (docs/format.md, "Recipes"): of chunks, or, of other blobs, by a plan.
//
// What a blob needs to be whole is asked here and nowhere else (`ObjectStore.references`): whoever
// checks a store, or decides what may leave it, follows these.

import Codec

/// Chunks in order, runs of equal ones folded: a file of zeros is one run.
public struct Recipe: Hashable, Sendable {
  public struct Run: Hashable, Sendable {
    public let chunk: Digest
    public let lengthBytes: Int
    public var count: UInt64
  }
  public private(set) var runs: [Run] = []
  public private(set) var sizeBytes: UInt64 = 0
  /// The blob's id is a sparse one (`SparseHash`).
  public let isSparse: Bool

  public init(isSparse: Bool = false) { self.isSparse = isSparse }

  public mutating func append(_ chunk: Digest, lengthBytes: Int) {
    sizeBytes += UInt64(lengthBytes)
    if let last = runs.last, last.chunk == chunk, last.lengthBytes == lengthBytes {
      runs[runs.count - 1].count += 1
    } else {
      runs.append(Run(chunk: chunk, lengthBytes: lengthBytes, count: 1))
    }
  }

  /// Appends a chunk, so many times.
  public mutating func append(_ chunk: Digest, lengthBytes: Int, count: UInt64) {
    if count == 0 { return }
    append(chunk, lengthBytes: lengthBytes)
    runs[runs.count - 1].count += count - 1
    sizeBytes += UInt64(lengthBytes) * (count - 1)
  }

  private static let chunksTag: UInt8 = 1
  private static let sparseTag: UInt8 = 3

  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(isSparse ? Recipe.sparseTag : Recipe.chunksTag)
    writer.varint(sizeBytes)
    writer.varint(runs.count)
    for run in runs {
      writer.varint(run.count)
      writer.varint(run.lengthBytes)
      writer.digest(run.chunk)
    }
    return writer.bytes
  }

  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> Recipe {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      let tag = try reader.byte()
      guard tag == chunksTag || tag == sparseTag else {
        throw .corrupt("the recipe is no list of chunks")
      }
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      var recipe = Recipe(isSparse: tag == sparseTag)
      for _ in 0..<(try reader.count(bytesEach: 34)) {
        let count = try reader.varint(limit: size, "a run")
        let length = try reader.varint(limit: UInt64(FrameHeader.maxRawBytes), "a chunk's length")
        guard count > 0, length > 0 else { throw .corrupt("a run is empty") }
        let (total, overflow) = count.multipliedReportingOverflow(by: length)
        guard !overflow, total <= size - recipe.sizeBytes else {
          throw .corrupt("the chunks are more than the blob")
        }
        recipe.runs.append(
          Run(chunk: try reader.digest(), lengthBytes: Int(length), count: count))
        recipe.sizeBytes += total
      }
      try reader.expectEnd()
      guard recipe.sizeBytes == size else { throw .corrupt("the chunks are less than the blob") }
      return recipe
    }
  }
}

/// A blob that is made by a plan, which is a blob as well. It is shorter than any list of chunks that
/// has two of them: of two recipes of a blob the index keeps the shorter.
public struct Reconstruction: Hashable, Sendable {
  /// Of the blob that it makes.
  public let sizeBytes: UInt64
  public let plan: Digest
  public let planBytes: UInt64

  static let tag: UInt8 = 2

  public init(sizeBytes: UInt64, plan: Digest, planBytes: UInt64) {
    self.sizeBytes = sizeBytes
    self.plan = plan
    self.planBytes = planBytes
  }

  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(Reconstruction.tag)
    writer.varint(sizeBytes)
    writer.digest(plan)
    writer.varint(planBytes)
    return writer.bytes
  }
}

/// A recipe of either kind.
public enum BlobLayout: Hashable, Sendable {
  case chunks(Recipe)
  case made(Reconstruction)

  public var sizeBytes: UInt64 {
    switch self {
    case .chunks(let recipe): recipe.sizeBytes
    case .made(let recipe): recipe.sizeBytes
    }
  }

  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> BlobLayout {
    guard bytes.first == Reconstruction.tag else { return .chunks(try Recipe.decode(bytes)) }
    return try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      _ = try reader.byte()
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      let plan = try reader.digest()
      let planBytes = try reader.varint(limit: UInt64(ReconstructionPlan.maxBytes), "a plan's size")
      try reader.expectEnd()
      guard size > 0, planBytes > 0 else { throw .corrupt("the recipe makes nothing") }
      return .made(Reconstruction(sizeBytes: size, plan: plan, planBytes: planBytes))
    }
  }
}

/// What a blob needs to be whole.
public struct BlobReferences: Sendable {
  /// Its recipe is an object of its own, named by the blob.
  public var hasRecipe = false
  public var chunks: [Digest] = []
  /// Blobs, which have references of their own: its plan, and what the plan is over.
  public var blobs: [(id: Digest, sizeBytes: UInt64)] = []
}

extension ObjectStore {
  /// What a blob directly needs. Of two recipes it is the one that would be read.
  /// - Throws: `missing`, `damaged`.
  public func references(
    of blob: Digest, sizeBytes: UInt64
  ) throws(StoreError) -> BlobReferences {
    if sizeBytes == 0 { return BlobReferences() }
    if sizeBytes <= UInt64(Chunker.maxBytes), try holds(.chunk, blob) {
      var chunk = BlobReferences()
      chunk.chunks = [blob]
      return chunk
    }
    return try references(of: blob, by: recipe(of: blob, sizeBytes: sizeBytes))
  }

  /// What the recipe of a blob needs, whatever its size: a blob may be a chunk as well.
  func references(ofRecipeOf blob: Digest) throws(StoreError) -> BlobReferences {
    try references(of: blob, by: recipe(of: blob))
  }

  private func references(
    of blob: Digest, by recipe: BlobLayout
  ) throws(StoreError) -> BlobReferences {
    var references = BlobReferences()
    references.hasRecipe = true
    switch recipe {
    case .chunks(let recipe): references.chunks = recipe.runs.map(\.chunk)
    case .made(let made):
      references.blobs = [(made.plan, made.planBytes)]
      references.blobs += try plan(made, of: blob).references()
    }
    return references
  }
}

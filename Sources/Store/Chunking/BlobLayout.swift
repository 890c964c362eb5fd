// The layout of a blob (docs/format.md, "Recipes"): a list of chunks, or a plan that makes the blob from
// other blobs.
//
// `ObjectStore.references` is the only function that lists what a blob needs. Everything that verifies a
// store, or deletes from it, uses it.

import Codec

/// Lists the chunks of a blob in order. Equal consecutive chunks are one run: a file of zeros is one run.
public struct ChunkList: Hashable, Sendable {
  /// A chunk that occurs `count` times in succession.
  public struct Run: Hashable, Sendable {
    public let chunk: Digest
    public let lengthBytes: Int
    public var count: UInt64
  }
  public private(set) var runs: [Run] = []
  public private(set) var sizeBytes: UInt64 = 0
  /// True if the blob's id is a sparse one (`SparseBlobHasher`).
  public let isSparse: Bool

  /// Creates an empty list.
  public init(isSparse: Bool = false) { self.isSparse = isSparse }

  /// Appends a chunk.
  public mutating func append(_ chunk: Digest, lengthBytes: Int) {
    sizeBytes += UInt64(lengthBytes)
    if let last = runs.last, last.chunk == chunk, last.lengthBytes == lengthBytes {
      runs[runs.count - 1].count += 1
    } else {
      runs.append(Run(chunk: chunk, lengthBytes: lengthBytes, count: 1))
    }
  }

  /// Appends a chunk `count` times.
  public mutating func append(_ chunk: Digest, lengthBytes: Int, count: UInt64) {
    if count == 0 { return }
    append(chunk, lengthBytes: lengthBytes)
    runs[runs.count - 1].count += count - 1
    sizeBytes += UInt64(lengthBytes) * (count - 1)
  }

  private static let chunksTag: UInt8 = 1
  private static let sparseTag: UInt8 = 3

  /// Returns the list as the bytes of an object of kind `recipe`.
  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(isSparse ? ChunkList.sparseTag : ChunkList.chunksTag)
    writer.varint(sizeBytes)
    writer.varint(runs.count)
    for run in runs {
      writer.varint(run.count)
      writer.varint(run.lengthBytes)
      writer.digest(run.chunk)
    }
    return writer.bytes
  }

  /// Reads a list from the bytes of an object.
  /// - Throws: `corrupt` for another kind of recipe, an empty run, or chunks whose sizes do not add up to
  ///   the blob's size; `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> ChunkList {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      let tag = try reader.byte()
      guard tag == chunksTag || tag == sparseTag else {
        throw .corrupt("the recipe is not a list of chunks")
      }
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      var list = ChunkList(isSparse: tag == sparseTag)
      for _ in 0..<(try reader.count(bytesEach: 34)) {
        let count = try reader.varint(limit: size, "a run")
        let length = try reader.varint(limit: UInt64(FrameHeader.maxRawBytes), "a chunk's length")
        guard count > 0, length > 0 else { throw .corrupt("a run is empty") }
        let (total, overflow) = count.multipliedReportingOverflow(by: length)
        guard !overflow, total <= size - list.sizeBytes else {
          throw .corrupt("the chunks are larger than the blob")
        }
        list.runs.append(
          Run(chunk: try reader.digest(), lengthBytes: Int(length), count: count))
        list.sizeBytes += total
      }
      try reader.expectEnd()
      guard list.sizeBytes == size else { throw .corrupt("the chunks are smaller than the blob") }
      return list
    }
  }
}

/// Describes a blob that a plan makes. The plan is a blob, too.
///
/// The encoding is shorter than any list of two or more chunks. If a blob has two recipes, the index keeps
/// the shorter one.
public struct Reconstruction: Hashable, Sendable {
  /// The size of the blob that the plan makes.
  public let sizeBytes: UInt64
  public let plan: Digest
  public let planBytes: UInt64

  /// The maximum size of a plan.
  public static let maxPlanBytes = 128 << 20
  static let tag: UInt8 = 2

  /// Creates a description; `planBytes` is the size of the plan.
  public init(sizeBytes: UInt64, plan: Digest, planBytes: UInt64) {
    self.sizeBytes = sizeBytes
    self.plan = plan
    self.planBytes = planBytes
  }

  /// Returns the description as the bytes of an object of kind `recipe`.
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
  case chunks(ChunkList)
  case reconstruction(Reconstruction)

  /// Returns the size of the blob in bytes.
  public var sizeBytes: UInt64 {
    switch self {
    case .chunks(let recipe): recipe.sizeBytes
    case .reconstruction(let recipe): recipe.sizeBytes
    }
  }

  /// Reads a recipe of either kind from the bytes of an object.
  /// - Throws: `corrupt` for values out of range; `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> BlobLayout {
    guard bytes.first == Reconstruction.tag else { return .chunks(try ChunkList.decode(bytes)) }
    return try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      _ = try reader.byte()
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      let plan = try reader.digest()
      let planBytes = try reader.varint(limit: UInt64(Reconstruction.maxPlanBytes), "a plan's size")
      try reader.expectEnd()
      guard size > 0, planBytes > 0 else { throw .corrupt("the recipe makes an empty blob") }
      return .reconstruction(Reconstruction(sizeBytes: size, plan: plan, planBytes: planBytes))
    }
  }
}

/// Lists what a blob needs to be complete.
public struct BlobReferences: Sendable {
  /// True if the blob has a recipe, an object of its own that is named by the blob.
  public var hasRecipe = false
  public var chunks: [Digest] = []
  /// Blobs that have references of their own: the plan, and the blobs that the plan reads.
  public var blobs: [(id: Digest, sizeBytes: UInt64)] = []

  /// Creates an empty list.
  public init() {}
}

extension ObjectStore {
  /// Returns the direct dependencies of a blob. If it has two recipes, those of the one that would be read.
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

  /// Returns the dependencies of a blob's recipe, whatever the blob's size: a blob may be a chunk as well.
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
    case .reconstruction(let reconstruction):
      references.blobs = [(reconstruction.plan, reconstruction.planBytes)]
      references.blobs += try readPlan(reconstruction, of: blob).references()
    }
    return references
  }
}

// How a blob is made of chunks (docs/format.md, "Recipes"). Its first byte leaves room for other
// ways to make one.

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

  public init() {}

  public mutating func append(_ chunk: Digest, lengthBytes: Int) {
    sizeBytes += UInt64(lengthBytes)
    if let last = runs.last, last.chunk == chunk, last.lengthBytes == lengthBytes {
      runs[runs.count - 1].count += 1
    } else {
      runs.append(Run(chunk: chunk, lengthBytes: lengthBytes, count: 1))
    }
  }

  private static let chunksTag: UInt8 = 1

  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(Recipe.chunksTag)
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
      guard try reader.byte() == chunksTag else { throw .corrupt("the recipe is of a newer kind") }
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      var recipe = Recipe()
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

// The parts of a blob: chunks, or parts of a reconstruction, in order.

import Codec

/// A part of a blob: its range in the blob, and where its bytes come from.
public struct BlobPart: Sendable {
  public let offset: UInt64
  public let lengthBytes: Int
  let source: Source

  enum Source: Sendable {
    case chunk(Digest)
    case reconstruction(any ReconstructedBlob)
  }

  /// Returns the id of the chunk that the part is; nil if the part is reconstructed.
  public var chunk: Digest? { if case .chunk(let chunk) = source { chunk } else { nil } }

  /// Returns true if the part is a chunk of zeros.
  public var isZeros: Bool { chunk.map { $0 == ZeroChunk.id(lengthBytes: lengthBytes) } ?? false }
}

/// Iterates over the parts of a blob without an array of them: runs of equal chunks stay folded.
public struct BlobParts: Sequence, Sendable {
  fileprivate enum Parts: Sendable {
    case chunks(ChunkList)
    case reconstruction(any ReconstructedBlob)
  }
  private let parts: Parts
  init(_ chunkList: ChunkList) { parts = .chunks(chunkList) }
  init(_ reconstruction: any ReconstructedBlob) { parts = .reconstruction(reconstruction) }

  /// Returns the source of the bytes if the blob is reconstructed; nil if its chunks are stored.
  public var reconstruction: (any ReconstructedBlob)? {
    if case .reconstruction(let reconstruction) = parts { reconstruction } else { nil }
  }

  /// Returns true if the blob's id is a sparse one (`SparseBlobHasher`).
  public var isSparse: Bool {
    if case .chunks(let chunkList) = parts { chunkList.isSparse } else { false }
  }

  /// Iterates over the parts in order.
  public struct Iterator: IteratorProtocol {
    fileprivate let parts: Parts
    var run = 0
    var repeated: UInt64 = 0
    var offset: UInt64 = 0

    public mutating func next() -> BlobPart? {
      switch parts {
      case .chunks(let chunkList): return next(chunkList)
      case .reconstruction(let reconstruction):
        guard run < reconstruction.partCount else { return nil }
        defer { run += 1 }
        return reconstruction.part(run)
      }
    }

    private mutating func next(_ chunkList: ChunkList) -> BlobPart? {
      guard run < chunkList.runs.count else { return nil }
      let current = chunkList.runs[run]
      let part = BlobPart(
        offset: offset, lengthBytes: current.lengthBytes, source: .chunk(current.chunk))
      offset += UInt64(current.lengthBytes)
      repeated += 1
      if repeated == current.count {
        run += 1
        repeated = 0
      }
      return part
    }
  }

  public func makeIterator() -> Iterator { Iterator(parts: parts) }

  /// Returns the parts starting with the one that contains the byte at `offset`; none if the blob is shorter.
  public func starting(at offset: UInt64) -> IteratorSequence<Iterator> {
    var iterator = Iterator(parts: parts)
    switch parts {
    case .reconstruction(let reconstruction): iterator.run = reconstruction.indexOfPart(at: offset)
    case .chunks(let chunkList):
      while iterator.run < chunkList.runs.count {
        let run = chunkList.runs[iterator.run]
        let skipped = Swift.min((offset - iterator.offset) / UInt64(run.lengthBytes), run.count)
        iterator.offset += skipped * UInt64(run.lengthBytes)
        if skipped < run.count {
          iterator.repeated = skipped
          break
        }
        iterator.run += 1
      }
    }
    return IteratorSequence(iterator)
  }
}

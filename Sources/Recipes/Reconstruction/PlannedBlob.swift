// A blob that a plan rebuilds: any range of it is rebuilt from the plan's dependencies when it is read.
//
// 1. Rebuilt bytes are verified: each run of a deflate stream by its CRC, contents by the checksums of
//    their frames. Wrong bytes are never returned.
// 2. Memory: the plan, and for each concurrent range the plain bytes of about 1 MiB, or of one run.
// 3. Plans that depend on other plans are limited to a depth of
//    `ObjectStore.maxReconstructionDepth`. A plan's own bytes are chunks, never reconstructed.

import Codec
import Platform
import Store

/// A plan that can be executed. All methods may be called from any thread.
public final class PlannedBlob: ReconstructedBlob {
  private static let partBytes: UInt64 = 1 << 20
  static let groupBytes = 1 << 20

  public let id: Digest
  /// The plan that rebuilds the blob.
  public let plan: ReconstructionPlan
  /// Dependencies that the store does not have yet, because a recipe is verified before it is stored.
  let over: [PlannedBlob]
  let reencoder: any StreamReencoder
  /// The offsets of the parts, and the end; empty if all parts have `partBytes` bytes.
  private let partStarts: [UInt64]
  private let recentBlocks = Monitor<[(index: Int, block: ArchivePlanBlock)]>([])
  private static let maxRecentBlocks = 8

  public var sizeBytes: UInt64 { plan.sizeBytes }

  /// Creates a blob from its plan.
  /// - Parameters:
  ///   - id: the id of the blob that the plan rebuilds.
  ///   - over: dependencies that are taken from here instead of the store.
  ///   - reencoder: repeats deflate streams.
  public init(
    _ id: Digest, _ plan: ReconstructionPlan, over: [PlannedBlob] = [],
    reencoder: any StreamReencoder = RunEncoderPool.shared
  ) {
    self.id = id
    self.plan = plan
    self.over = over
    self.reencoder = reencoder
    partStarts = PlannedBlob.starts(of: plan)
  }

  // MARK: Parts

  private static func starts(of plan: ReconstructionPlan) -> [UInt64] {
    guard case .streams(let plan) = plan else { return [] }
    var starts: [UInt64] = [0]
    var position: UInt64 = 0
    func cut(at offset: UInt64) {
      if let last = starts.last, offset > last { starts.append(offset) }
    }
    for span in plan.spans {
      switch span {
      case .literal: break
      case .blob(_, let size):
        for offset in stride(from: partBytes, to: size, by: Int(partBytes)) {
          cut(at: position + offset)
        }
      case .encoded(let stream):
        var plain: UInt64 = 0
        for run in stream.runs {
          plain += UInt64(run.plainBytes)
          let runEnd = position + run.offset + UInt64(run.sizeBytes)
          guard plain >= 2 * UInt64(groupBytes) || runEnd - (starts.last ?? 0) >= partBytes / 2
          else {
            continue
          }
          cut(at: runEnd)
          plain = 0
        }
      }
      position += span.sizeBytes
    }
    if let last = starts.last, last < plan.sizeBytes { starts.append(plan.sizeBytes) }
    return starts
  }

  public var partCount: Int {
    partStarts.isEmpty
      ? Int((sizeBytes + PlannedBlob.partBytes - 1) / PlannedBlob.partBytes)
      : partStarts.count - 1
  }

  /// The plain bytes of a run of a large encoder are in memory until the encoder is free.
  public var maxThreadCount: Int {
    guard case .streams(let plan) = plan else { return .max }
    let isLarge = plan.spans.contains { span in
      if case .encoded(let stream) = span {
        stream.methods.contains(where: \.isLarge)
      } else {
        false
      }
    }
    return isLarge ? RunEncoderPool.maxLarge : .max
  }

  /// Returns the range of a part: about 1 MiB, or one run.
  public func range(ofPart index: Int) -> Range<UInt64> {
    guard partStarts.isEmpty else { return partStarts[index]..<partStarts[index + 1] }
    let start = UInt64(index) * PlannedBlob.partBytes
    return start..<min(start + PlannedBlob.partBytes, sizeBytes)
  }

  public func indexOfPart(at offset: UInt64) -> Int {
    if offset >= sizeBytes { return partCount }
    if partStarts.isEmpty { return Int(offset / PlannedBlob.partBytes) }
    return partStarts.partitioningIndex { $0 > offset } - 1
  }

  public func references() throws(StoreError) -> [(id: Digest, sizeBytes: UInt64)] {
    try plan.references()
  }

  /// Returns true if the blob depends on itself, directly or through other recipes.
  /// - Parameter others: blobs that are taken from here instead of the store.
  public func dependsOnItself(
    over others: [PlannedBlob], in store: ObjectStore
  ) throws(StoreError) -> Bool {
    var visited: Set<Digest> = []
    var pending = try references()
    while let (id, size) = pending.popLast() {
      if id == self.id { return true }
      guard size > 0, visited.insert(id).inserted else { continue }
      if let other = others.first(where: { $0.id == id }) {
        pending += try other.references()
      } else {
        pending += try store.references(of: id, sizeBytes: size).blobs
      }
    }
    return false
  }

  // MARK: Bytes

  public func fill(
    _ target: UnsafeMutableRawBufferPointer, from offset: UInt64, in store: ObjectStore, depth: Int
  ) throws {
    guard depth < ObjectStore.maxReconstructionDepth else {
      throw StoreError.damaged("blob \(id.hex)", "has too many nested reconstructions")
    }
    guard offset <= sizeBytes, UInt64(target.count) <= sizeBytes - offset else {
      throw StoreError.damaged("blob \(id.hex)", "ends before the requested range")
    }
    let request = FillRequest(target: target, offset: offset, store: store, depth: depth)
    switch plan {
    case .archive(let plan): try fill(request, plan)
    case .streams(let plan): try fill(request, plan)
    }
  }

  private func fill(_ request: FillRequest, _ plan: StreamPlan) throws {
    var position: UInt64 = 0
    for span in plan.spans {
      let start = position
      position += span.sizeBytes
      guard let part = request.part(start..<position) else { continue }
      switch span {
      case .literal(let bytes): part.copy(from: bytes)
      case .blob(let id, let size): try part.fill(from: id, sizeBytes: size)
      case .encoded(let stream): try encode(stream, part, plan)
      }
    }
  }

  // MARK: Archives

  private func fill(_ request: FillRequest, _ plan: ArchivePlan) throws {
    var index = plan.indexOfBlock(at: request.offset)
    while index < plan.blocks.count {
      let block = plan.blocks[index]
      guard let part = request.part(block.plainOffset..<block.plainOffset + block.plainBytes)
      else { return }
      try fill(part, plan, try self.block(plan, index))
      index += 1
    }
  }

  private func fill(_ request: FillRequest, _ plan: ArchivePlan, _ block: ArchivePlanBlock) throws {
    for record in block.records[block.indexOfRecord(at: request.offset)...] {
      let content = record.offset + UInt64(record.literal.count)
      let zeros = content + record.contentBytes
      let next = zeros + record.zeroBytes
      request.part(record.offset..<content)?.copy(from: block.literals[record.literal])
      try request.part(content..<zeros)?
        .fill(from: plan.content(record.content), sizeBytes: record.contentBytes)
      request.part(zeros..<next)?.target.initializeMemory(as: UInt8.self, repeating: 0)
      if next >= request.end { return }
    }
  }

  /// Returns a decoded block, from the few recent ones if possible.
  private func block(_ plan: ArchivePlan, _ index: Int) throws(StoreError) -> ArchivePlanBlock {
    if let recent = recentBlocks.withLock({ $0.first { $0.index == index } }) {
      return recent.block
    }
    let block = try mapCodecErrors("plan of blob \(id.hex)") { () throws(CodecError) in
      try plan.block(index)
    }
    recentBlocks.withLock { recent in
      if recent.count >= PlannedBlob.maxRecentBlocks { recent.removeFirst() }
      recent.append((index, block))
    }
    return block
  }
}

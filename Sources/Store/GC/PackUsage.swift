// The needed share of each pack, the snapshots that need it, and the resulting action of gc. gc plans with
// it and disk use is estimated with it, so both agree.
//
// 1. If an object has several copies, one counts (`Index.survey`). The others are unused.
// 2. A pack without needed objects is deleted. A pack with a tenth of dead bytes (a small one: a fiftieth)
//    is rewritten. Frames whose objects are all needed are copied unchanged; the needed objects of the
//    others go into new frames. All other packs stay.
// 3. The bytes of a partly needed frame are divided by uncompressed length. This estimate is only used to
//    decide: the numbers that users see are measured (CollectionPlan).

import Codec

/// Lists packs and frames with the use of their objects.
struct PackUsage {
  /// A set of users of an object. 0 means unused; the caller defines the other values.
  typealias Usage = UInt32
  static let unused: Usage = 0

  /// The share of a frame that objects of one usage take.
  struct Share {
    let usage: Usage
    var objects = 0
    var rawBytes = 0
    /// The bytes in the frame's directory.
    var directoryBytes = 0
  }

  struct Frame {
    let offset: UInt64
    let frameBytes: Int
    let rawBytes: Int
    var shares: [Share] = []

    mutating func add(_ length: Int, _ usage: Usage) {
      let index = shares.firstIndex { $0.usage == usage } ?? shares.count
      if index == shares.count { shares.append(Share(usage: usage)) }
      shares[index].objects += 1
      shares[index].rawBytes += length
      shares[index].directoryBytes += 33 + varintBytes(length)
    }

    /// Returns an estimate of the bytes of this frame in a rewritten pack.
    func keptBytes(_ isNeeded: (Usage) -> Bool) -> Int {
      var needed = Share(usage: PackUsage.unused)
      var directoryBytes = 0
      var isWhole = true
      for share in shares {
        directoryBytes += share.directoryBytes
        if share.usage != PackUsage.unused, isNeeded(share.usage) {
          needed.rawBytes += share.rawBytes
          needed.directoryBytes += share.directoryBytes
        } else {
          isWhole = false
        }
      }
      if isWhole { return frameBytes }
      let payload = max(0, frameBytes - FrameHeader.byteCount - directoryBytes)
      let part = rawBytes == 0 ? 0 : Double(needed.rawBytes) / Double(rawBytes)
      return needed.directoryBytes + Int(Double(payload) * part)
    }
  }

  struct Pack {
    let name: Digest
    let sizeBytes: UInt64
    let isDoomed: Bool
    var frames: [Frame] = []
  }

  enum PackAction: Equatable {
    case keep
    case delete
    /// The pack is replaced by a new one with about so many bytes of it.
    case rewrite(keptBytes: UInt64)
  }

  private(set) var packs: [Pack] = []
  /// The objects with several copies, by `prefixKey`: few or none.
  private(set) var duplicated = PrefixSet()

  /// Reads the packs, frames and objects of the index.
  /// - Parameter usage: returns the users of an object.
  init(_ index: Index, usage: (ObjectKind, Digest) -> Usage) throws(StoreError) {
    var packs: [Pack] = []
    var duplicated = PrefixSet()
    func add(_ row: ObjectRow, _ usage: Usage) {
      guard let index = packs[row.pack].frames.position(of: row.frame) else { return }
      packs[row.pack].frames[index].add(row.length, usage)
    }
    try index.survey { rows in
      duplicated = PrefixSet()
      packs = rows.map { Pack(name: $0.name, sizeBytes: $0.sizeBytes, isDoomed: $0.isDoomed) }
    } frame: { row in
      packs[row.pack].frames.append(
        Frame(offset: row.offset, frameBytes: row.frameBytes, rawBytes: row.rawBytes))
    } object: { copies in
      if copies.count > 1 { duplicated.insert(prefixKey(copies[0].kind, copies[0].id)) }
      add(copies[0], usage(copies[0].kind, copies[0].id))
      for copy in copies.dropFirst() { add(copy, PackUsage.unused) }
    }
    (self.packs, self.duplicated) = (packs, duplicated)
  }

  private static let smallPackBytes: UInt64 = 16 << 20

  /// Returns the action of gc for a pack if only the usages that `isNeeded` accepts count.
  func action(for pack: Pack, _ isNeeded: (Usage) -> Bool) -> PackAction {
    let needs = pack.frames.contains { frame in
      frame.shares.contains { $0.usage != PackUsage.unused && isNeeded($0.usage) }
    }
    guard needs else { return .delete }
    // A doomed pack that is needed is restored unchanged.
    if pack.isDoomed { return .keep }
    let kept = UInt64(pack.frames.reduce(0) { $0 + $1.keptBytes(isNeeded) })
    let dead = pack.sizeBytes - min(pack.sizeBytes, kept + UInt64(PackFormat.headerBytes))
    let part: UInt64 = pack.sizeBytes < PackUsage.smallPackBytes ? 50 : 10
    return dead > 0 && dead >= pack.sizeBytes / part ? .rewrite(keptBytes: kept) : .keep
  }

  /// Returns an estimate of the bytes on disk of a share of a frame, without the frame's header.
  static func storedBytes(of share: Share, in frame: Frame) -> UInt64 {
    if frame.shares.count == 1 { return UInt64(frame.frameBytes) }
    let directoryBytes = frame.shares.reduce(0) { $0 + $1.directoryBytes }
    let payload = max(0, frame.frameBytes - directoryBytes)
    let part = frame.rawBytes == 0 ? 0 : Double(share.rawBytes) / Double(frame.rawBytes)
    return UInt64(share.directoryBytes + Int(Double(payload) * part))
  }
}

extension [PackUsage.Frame] {
  /// Returns the position of the frame with this offset. Frames are sorted by their offsets.
  fileprivate func position(of offset: UInt64) -> Int? {
    let index = partitioningIndex { $0.offset >= offset }
    return index < count && self[index].offset == offset ? index : nil
  }
}

/// Returns the length of a number as a varint.
private func varintBytes(_ value: Int) -> Int {
  max(1, (UInt64(max(0, value)).bitWidth - UInt64(max(0, value)).leadingZeroBitCount + 6) / 7)
}

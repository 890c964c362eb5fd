// How much of each pack is needed, by whom, and what a collection would make of it. A collection
// plans with it, and an account of space foretells with it: so the two agree.
//
// 1. Of several copies of an object one counts (`Index.survey`); the others are needed by nobody.
// 2. A pack of which nothing is needed goes. One that is dead in a tenth (a small one: in a
//    fiftieth) is rewritten: frames that are needed whole are copied as they are, what is needed of
//    the others is put into new frames. The rest stays as it is.
// 3. The bytes of a frame that is needed in part are shared out by uncompressed length: an
//    estimate, good enough to decide by. What is told to people is measured (CollectionPlan).

import Codec

/// Packs and frames with what is needed of them.
struct PackUsage {
  /// Who needs something: 0 stands for nobody, the rest is the caller's.
  typealias Usage = UInt32
  static let unused: Usage = 0

  /// What the objects of one usage take of a frame.
  struct Share {
    let usage: Usage
    var objects = 0
    var rawBytes = 0
    /// Of the frame's directory.
    var directoryBytes = 0
  }

  struct Frame {
    let offset: UInt64
    let frameBytes: Int
    let rawBytes: Int
    var shares: [Share] = []

    mutating func add(_ length: Int, _ usage: Usage) {
      let at = shares.firstIndex { $0.usage == usage } ?? shares.count
      if at == shares.count { shares.append(Share(usage: usage)) }
      shares[at].objects += 1
      shares[at].rawBytes += length
      shares[at].directoryBytes += 33 + varintBytes(length)
    }

    /// Bytes of it that a rewritten pack would have.
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
    case stays
    case goes
    /// A new pack gets about so many bytes of it.
    case isRewritten(keptBytes: UInt64)
  }

  private(set) var packs: [Pack] = []
  /// The objects that have several copies, by `prefixKey`: a few, or none.
  private(set) var duplicated = PrefixSet()

  /// - Parameter usage: who needs an object.
  init(_ index: Index, usage: (ObjectKind, Digest) -> Usage) throws(StoreError) {
    var packs: [Pack] = []
    var duplicated = PrefixSet()
    func add(_ row: ObjectRow, _ usage: Usage) {
      guard let at = packs[row.pack].frames.position(of: row.frame) else { return }
      packs[row.pack].frames[at].add(row.length, usage)
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
    self.packs = packs
    self.duplicated = duplicated
  }

  private static let smallPackBytes: UInt64 = 16 << 20

  /// What a collection makes of a pack when just those need something.
  func fate(of pack: Pack, _ isNeeded: (Usage) -> Bool) -> PackAction {
    let needs = pack.frames.contains { frame in
      frame.shares.contains { $0.usage != PackUsage.unused && isNeeded($0.usage) }
    }
    guard needs else { return .goes }
    // A doomed pack that is needed comes back as it is.
    if pack.isDoomed { return .stays }
    let kept = UInt64(pack.frames.reduce(0) { $0 + $1.keptBytes(isNeeded) })
    let dead = pack.sizeBytes - min(pack.sizeBytes, kept + UInt64(PackFormat.headerBytes))
    let part: UInt64 = pack.sizeBytes < PackUsage.smallPackBytes ? 50 : 10
    return dead > 0 && dead >= pack.sizeBytes / part ? .isRewritten(keptBytes: kept) : .stays
  }

  /// What an object of that length takes of a frame, header and neighbours aside.
  static func storedBytes(of share: Share, in frame: Frame) -> UInt64 {
    if frame.shares.count == 1 { return UInt64(frame.frameBytes) }
    let directoryBytes = frame.shares.reduce(0) { $0 + $1.directoryBytes }
    let payload = max(0, frame.frameBytes - directoryBytes)
    let part = frame.rawBytes == 0 ? 0 : Double(share.rawBytes) / Double(frame.rawBytes)
    return UInt64(share.directoryBytes + Int(Double(payload) * part))
  }
}

extension [PackUsage.Frame] {
  /// Frames are in the order of their offsets.
  fileprivate func position(of offset: UInt64) -> Int? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    return low < count && self[low].offset == offset ? low : nil
  }
}

private func varintBytes(_ value: Int) -> Int {
  max(1, (UInt64(max(0, value)).bitWidth - UInt64(max(0, value)).leadingZeroBitCount + 6) / 7)
}

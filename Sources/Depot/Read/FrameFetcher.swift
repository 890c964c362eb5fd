// Fetches frames of packs by ranged reads.
//
// 1. Frames that are close to each other are fetched in one request, up to 4 MiB, so memory is bounded by the
//    number of requests at once.
// 2. A frame is passed on only if its header's checksum matches and its length is the expected one.

import Codec
import ObjectStorage
import Platform
import Store

/// Where a frame is.
struct FrameLocation: Hashable, Sendable, Comparable {
  let pack: DepotPack
  let offset: UInt64
  let frameBytes: Int
  /// The depth of the frame (`FrameBase`); 0 for a frame without a base.
  let depth: UInt8

  static func < (a: FrameLocation, b: FrameLocation) -> Bool {
    a.pack == b.pack ? a.offset < b.offset : a.pack < b.pack
  }
}

extension ObjectLocation {
  var frame: FrameLocation {
    FrameLocation(pack: pack, offset: offset, frameBytes: frameBytes, depth: depth)
  }
}

/// A pack vanished: a collector has deleted it. What it had and is still needed is in other packs.
struct VanishedPackError: Error {
  let pack: DepotPack
}

/// A frame has other bytes than its location promises.
struct DamagedFrameError: Error {
  let frame: FrameLocation
  let reason: String
}

/// Reads frames.
struct FrameFetcher: Sendable {
  let storage: any ObjectStorage
  let requestCount: Int
  private static let maxGapBytes: UInt64 = 64 << 10
  private static let maxRangeBytes: UInt64 = 4 << 20

  private struct Job: Sendable {
    let pack: DepotPack
    var range: Range<UInt64>
    var frames: [FrameLocation]
  }

  /// Calls `body` with each frame, in the order of packs and offsets.
  /// - Throws: `VanishedPackError`, `DamagedFrameError`; `StorageError`; errors of `body`.
  func fetch(
    _ frames: some Sequence<FrameLocation>, _ body: (FrameLocation, RawFrame) throws -> Void
  ) throws {
    let jobs = self.jobs(frames.sorted())
    func use(_ job: Job, _ bytes: [UInt8]) throws {
      for frame in job.frames {
        let start = Int(frame.offset - job.range.lowerBound)
        let raw: RawFrame
        do throws(CodecError) {
          raw = try RawFrame(Array(bytes[start..<(start + frame.frameBytes)]))
        } catch {
          throw DamagedFrameError(frame: frame, reason: "\(error)")
        }
        try body(frame, raw)
      }
    }
    guard requestCount > 1, jobs.count > 1 else {
      for job in jobs { try use(job, try read(job)) }
      return
    }
    try runInOrder(
      threads: min(requestCount, jobs.count), window: requestCount + 2,
      makeWorker: { { (job: Job) in try read(job) } }, use: use,
      produce: { submit in for job in jobs { try submit(job) } })
  }

  private func read(_ job: Job) throws -> [UInt8] {
    do {
      return try storage.read(
        DepotKeys.pack(job.pack), range: job.range, limitBytes: job.range.count)
    } catch {
      if error.isMissingObject { throw VanishedPackError(pack: job.pack) }
      throw error
    }
  }

  private func jobs(_ frames: [FrameLocation]) -> [Job] {
    var jobs: [Job] = []
    for frame in frames {
      let range = frame.offset..<(frame.offset + UInt64(frame.frameBytes))
      if let last = jobs.last, last.pack == frame.pack, last.range.upperBound <= range.lowerBound,
        range.lowerBound - last.range.upperBound <= FrameFetcher.maxGapBytes,
        range.upperBound - last.range.lowerBound <= FrameFetcher.maxRangeBytes
      {
        jobs[jobs.count - 1].range = last.range.lowerBound..<range.upperBound
        jobs[jobs.count - 1].frames.append(frame)
      } else {
        jobs.append(Job(pack: frame.pack, range: range, frames: [frame]))
      }
    }
    return jobs
  }
}

// The part of the search for a recipe that tries encoders: from the layouts of a file's streams to its plan.

import Codec
import Store

extension RecipeFinder {
  /// Returns the plan of a file whose streams have these layouts; nil if a stream does not come out.
  func plan(
    _ source: RandomAccessSource, _ spans: [StreamPlan.Span], _ members: [Member],
    _ layouts: [StreamLayout], _ failedRestarts: Set<UInt64>
  ) throws -> StreamPlan? {
    var spans = spans
    var encoders: Set<StreamMethod.Encoder> = []
    for (member, layout) in zip(members, layouts) {
      guard let (methods, runs) = try runs(source, member, layout, failedRestarts) else {
        return nil
      }
      encoders.formUnion(runs.map { methods[$0.method].encoder })
      spans[member.span] = .encoded(
        StreamPlan.Stream(
          inner: member.analysis.id, innerBytes: member.analysis.sizeBytes, methods: methods,
          runs: runs
        ))
    }
    return StreamPlan(
      fingerprints: encoders.map { EncoderFingerprint.of($0) }.sorted(),
      spans: spans.filter { $0.sizeBytes > 0 })
  }

  private func runs(
    _ source: RandomAccessSource, _ member: Member, _ layout: StreamLayout,
    _ failedRestarts: Set<UInt64>
  ) throws -> (methods: [StreamMethod], runs: [StreamPlan.Run])? {
    let plain = { @Sendable [store] (offset: UInt64, target: UnsafeMutableRawBufferPointer) in
      if let inner = member.inner {
        return try inner.fill(target, from: offset, in: store, depth: 0)
      }
      try store.fill(
        target, from: member.analysis.id, sizeBytes: member.analysis.sizeBytes, at: offset)
    }
    if case .jobs(let method) = layout {
      progress.begin("repeating the compression", totalBytes: member.analysis.sizeBytes)
      let finder = JobRunFinder(
        source: source, blocks: member.offset..<member.offset + member.sizeBytes,
        plainBytes: member.analysis.sizeBytes, plain: plain)
      return try finder.runs(method).map { ([method], $0) }
    }
    let finder = RestartPointFinder(
      source: source, offset: member.offset, boundaries: member.boundaries, plain: plain)
    return try finder.runs(layout, leavingOut: failedRestarts)
  }

  /// Returns the runs that cannot be reproduced, trying each one separately.
  func failedRuns(_ rebuilt: PlannedBlob, _ plan: StreamPlan) -> Set<UInt64>? {
    var failed: Set<UInt64> = []
    var position: UInt64 = 0
    for span in plan.spans {
      if case .encoded(let stream) = span {
        for run in stream.runs {
          let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: run.sizeBytes, alignment: 16)
          defer { buffer.deallocate() }
          do {
            try rebuilt.fill(buffer, from: position + run.offset, in: store, depth: 0)
          } catch {
            failed.insert(run.plainOffset)
            // Many failures mean a different encoder, not a badly chosen restart point.
            if failed.count > 4 + stream.runs.count / 20 || run.plainOffset == 0 { return nil }
          }
        }
      }
      position += span.sizeBytes
    }
    return failed.isEmpty ? nil : failed
  }
}

// The deflate streams of a blob with a plan: runs are encoded again from their plain bytes.
//
// 1. A run counts only if its length and its CRC are those of the plan.
// 2. Runs that are close together share one read of their plain bytes, about 1 MiB.

import Codec
import Platform
import Store

extension PlannedBlob {
  /// Fills memory with encoded bytes of a stream.
  func encode(
    _ stream: StreamPlan.Stream, _ request: FillRequest, _ plan: StreamPlan
  ) throws {
    let (offset, limit) = (request.offset, request.end)
    var first = stream.runs.partitioningIndex { $0.offset + UInt64($0.sizeBytes) > offset }
    while first < stream.runs.count, stream.runs[first].offset < limit {
      // Neighbouring runs share one read of plain bytes, because each needs the end of the previous ones.
      var last = first
      while last + 1 < stream.runs.count, stream.runs[last + 1].offset < limit,
        stream.runs[last + 1].plainOffset + UInt64(stream.runs[last + 1].plainBytes)
          - stream.runs[first].plainOffset <= UInt64(PlannedBlob.groupBytes)
      { last += 1 }
      try encodeGroup(stream, first...last, request, plan)
      first = last + 1
    }
  }

  /// Encodes a group of runs and copies the requested bytes.
  private func encodeGroup(
    _ stream: StreamPlan.Stream, _ group: ClosedRange<Int>, _ request: FillRequest,
    _ plan: StreamPlan
  ) throws {
    let runs = stream.runs[group]
    var from = stream.innerBytes
    var to: UInt64 = 0
    for run in runs {
      let method = stream.methods[run.method]
      let plainEnd = run.plainOffset + UInt64(run.plainBytes)
      from = min(from, run.plainOffset - method.historyBytes(before: run.plainOffset))
      to = max(to, min(stream.innerBytes, plainEnd + UInt64(method.lookaheadBytes)))
    }
    let plain = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(Int(to - from), 1), alignment: 64)
    defer { plain.deallocate() }
    let input = UnsafeMutableRawBufferPointer(rebasing: plain[..<Int(to - from)])
    let (store, depth) = (request.store, request.depth)
    if let inner = over.first(where: { $0.id == stream.inner }) {
      try inner.fill(input, from: from, in: store, depth: depth + 1)
    } else {
      try store.fill(
        input, from: stream.inner, sizeBytes: stream.innerBytes, at: from, depth: depth)
    }
    for (index, run) in zip(group, runs) {
      let method = stream.methods[run.method]
      let history = method.historyBytes(before: run.plainOffset)
      let plainEnd = min(
        stream.innerBytes,
        run.plainOffset + UInt64(run.plainBytes) + UInt64(method.lookaheadBytes))
      let bytes = UnsafeRawBufferPointer(
        rebasing: input[Int(run.plainOffset - history - from)..<Int(plainEnd - from)])
      let isLast = index == stream.runs.count - 1
      let output = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(run.sizeBytes, 1), alignment: 64)
      defer { output.deallocate() }
      let encoded = UnsafeMutableRawBufferPointer(rebasing: output[..<run.sizeBytes])
      let count = try reencoder.replay(
        run, method, bytes, history: Int(history), isLast: isLast, into: encoded)
      guard count == run.sizeBytes, CRC32.of(UnsafeRawBufferPointer(encoded)) == run.crc else {
        throw encoderMismatchError(plan, method)
      }
      if let part = request.part(run.offset..<run.offset + UInt64(run.sizeBytes)) {
        let bytes = encoded[Int(part.offset)..<Int(part.offset) + part.target.count]
        part.target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes))
      }
    }
  }

  private func encoderMismatchError(
    _ plan: StreamPlan, _ method: StreamMethod
  ) -> StoreError {
    let own = reencoder.fingerprint(of: method.encoder)
    let reason =
      plan.fingerprints.contains(own)
      ? "its recipe (\(method.name)) does not reproduce it"
      : "its recipe (\(method.name)) was made with '\(plan.fingerprints.joined(separator: "', '"))', but "
        + "this program encodes differently, with '\(own)'"
    return StoreError(
      .incompatible, "blob \(id.hex)", reason,
      hint:
        "No data is lost: use a build of imgstore with that library. Run 'imgstore verify' to list "
        + "other files that need one", code: .encoderMissing)
  }

  public var encoderMismatch: String? {
    guard case .streams(let plan) = plan else { return nil }
    var encoders: Set<StreamMethod.Encoder> = []
    for case .encoded(let stream) in plan.spans {
      encoders.formUnion(stream.methods.map(\.encoder))
    }
    // Stored blocks are copies that every encoder makes alike, so a plan names no encoder for them.
    encoders.remove(.stored)
    for encoder in encoders.sorted(by: { $0.rawValue < $1.rawValue }) {
      let own = reencoder.fingerprint(of: encoder)
      if !plan.fingerprints.contains(own) {
        return
          "its recipe was made with '\(plan.fingerprints.joined(separator: "', '"))', but this "
          + "program has '\(own)', which may encode differently"
      }
    }
    return nil
  }
}

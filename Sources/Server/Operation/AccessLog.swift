// The access log: one JSON object a line.
//
// 1. Event loops only queue a record. A thread encodes and writes them.
// 2. The queue is bounded. Records that do not fit are counted, and the count follows in a line of its own.

import FoundationEssentials
import HTTPServer
import Images
import Platform

/// An answer in the access log.
private struct AccessLine: JSONObject {
  let record: AccessRecord

  static let form = JSONForm<AccessLine> { key in
    key("time") { isoText($0.record.time) }
    key("peer") { $0.record.peer }
    key("method") { $0.record.method }
    key("target") { $0.record.target }
    key("status") { $0.record.status }
    key("bytes") { $0.record.bodyBytes }
    key("seconds") { ($0.record.seconds * 1e6).rounded() / 1e6 }
    key("complete") { $0.record.isComplete }
    key("userAgent") { $0.record.userAgent.isEmpty ? nil : $0.record.userAgent }
  }
}

/// A line in place of records that were dropped.
private struct DroppedLine: JSONObject {
  let count: Int

  static let form = JSONForm<DroppedLine> { key in key("droppedRecords") { $0.count } }
}

/// Writes the access log.
final class AccessLog: Sendable {
  private static let maxQueued = 10_000

  private struct State {
    var records: [AccessRecord] = []
    var dropped = 0
    var mustReopen = false
    var isWriting = false
    var isStopped = false
  }

  private let state = Monitor(State())
  private let path: String?
  private let warn: @Sendable (String) -> Void

  /// Opens the log, and starts its thread.
  /// - Parameters:
  ///   - path: a file, to which lines are appended; nil for standard output.
  ///   - warn: receives an error of a write, once.
  /// - Throws: `SystemError` if the file cannot be opened.
  init(path: String?, warn: @escaping @Sendable (String) -> Void) throws {
    self.path = path
    self.warn = warn
    let file = try AccessLog.open(path)
    try startDetachedThread { [self] in writeAll(to: file) }
  }

  /// Queues a record.
  func add(_ record: AccessRecord) {
    state.update { state in
      if state.records.count < AccessLog.maxQueued {
        state.records.append(record)
      } else {
        state.dropped += 1
      }
    }
  }

  /// Opens the file by its name again before the next record, after it was rotated.
  func reopen() { state.update { $0.mustReopen = true } }

  /// Writes what is queued, and ends the thread.
  func stop() {
    state.update { $0.isStopped = true }
    state.wait { $0.records.isEmpty && !$0.isWriting ? () : nil }
  }

  private static func open(_ path: String?) throws(SystemError) -> Descriptor? {
    let files = KernelFileSystem.shared
    return try path.map { (path) throws(SystemError) in
      try files.openFile(
        at: files.workingDirectory, Array(path.utf8), [.write, .create, .append, .nonBlocking],
        mode: 0o640)
    }
  }

  private func writeAll(to first: Descriptor?) {
    var file = first
    var hasFailed = false
    while let work = nextWork() {
      do {
        if work.mustReopen { file = try AccessLog.open(path) }
        let bytes = AccessLog.lines(work.records, dropped: work.dropped)
        try bytes.withUnsafeBytes { (bytes) throws(SystemError) in
          try KernelFileSystem.shared.write(file?.raw ?? 1, bytes)
        }
      } catch {
        if !hasFailed { warn("cannot write the access log: \(error)") }
        hasFailed = true
      }
      state.update { $0.isWriting = false }
    }
  }

  private func nextWork() -> (records: [AccessRecord], dropped: Int, mustReopen: Bool)? {
    state.wait { state in
      guard !state.records.isEmpty || state.mustReopen else {
        return state.isStopped ? .some(nil) : nil
      }
      let work = (state.records, state.dropped, state.mustReopen)
      (state.records, state.dropped, state.mustReopen) = ([], 0, false)
      state.isWriting = true
      return .some(work)
    }
  }

  private static func lines(_ records: [AccessRecord], dropped: Int) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var bytes: [UInt8] = []
    for record in records {
      guard let line = try? encoder.encode(AccessLine(record: record)) else { continue }
      bytes += line
      bytes.append(0x0a)
    }
    if dropped > 0, let line = try? encoder.encode(DroppedLine(count: dropped)) {
      bytes += line
      bytes.append(0x0a)
    }
    return bytes
  }
}

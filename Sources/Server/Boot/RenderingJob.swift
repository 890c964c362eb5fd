// The renderings of a cache: a queue, and the threads that work on it.

import Codec
import HTTPServer
import Images
import Platform

/// A file that is being rendered, or waits for it.
final class RenderingJob: Sendable {
  let rendering: FileRendering
  let file: Descriptor
  let temporaryName: [UInt8]
  /// What an earlier rendering, or the snapshot, says about the content.
  let record: RenderedRecord?
  let growing: GrowingFile
  var key: Digest { rendering.key.digest }

  init(
    rendering: FileRendering, file: Descriptor, temporaryName: [UInt8], record: RenderedRecord?
  ) {
    self.rendering = rendering
    self.file = file
    self.temporaryName = temporaryName
    self.record = record
    growing = GrowingFile(file, totalBytes: record?.sizeBytes)
  }
}

extension RenderedFiles {
  /// The number of bytes between two reports of the progress.
  private static let reportBytes: UInt64 = 256 << 10
  /// The number of bytes between two looks at the free space.
  private static let spaceBytes: UInt64 = 64 << 20

  /// Starts a thread that works on the queue until it is empty.
  func startRunner() {
    do throws(SystemError) {
      try startDetachedThread { [self] in
        while let job = nextJob() { run(job) }
      }
    } catch {
      let jobs = state.update { state -> [RenderingJob] in
        state.running -= 1
        guard state.running == 0 else { return [] }
        defer { state.queue = [] }
        for job in state.queue { state.jobs[job.key] = nil }
        return state.queue
      }
      for job in jobs { fail(job, error) }
    }
  }

  private func nextJob() -> RenderingJob? {
    state.update { state in
      if !state.queue.isEmpty { return state.queue.removeFirst() }
      state.running -= 1
      return nil
    }
  }

  private func run(_ job: RenderingJob) {
    do {
      // Trees may be deep: this thread has the stack for them.
      try runThreads(1) { [self] _ in try render(job) }
    } catch {
      fail(job, error)
    }
  }

  private func fail(_ job: RenderingJob, _ error: any Error) {
    directory.discard(job.temporaryName)
    let message = (error as? any ExplainedError)?.message ?? "\(error)"
    warn("\(job.rendering.name) cannot be made: \(message)")
    job.growing.report(.failed)
    state.update { state in
      state.jobs[job.key] = nil
      state.counts.failed += 1
    }
  }

  /// Renders a file and publishes it.
  private func render(_ job: RenderingJob) throws {
    let rendering = job.rendering
    try requireSpace(job.record?.sizeBytes ?? rendering.estimatedBytes, rendering)
    var reported: UInt64 = 0
    var checked: UInt64 = 0
    // Without a record there is nothing to compare with, and the first client has no entity tag. It does not
    // wait for the checksum.
    let output = BootFileOutput(
      job.file, on: directory.fileSystem, hashing: job.record == nil ? .onDemand : .whileWriting
    ) { [self] count in
      try requireRunning()
      if count >= checked + RenderedFiles.spaceBytes {
        checked = count
        try requireSpace(RenderedFiles.spaceBytes, rendering)
      }
      if count >= reported + RenderedFiles.reportBytes || reported == 0 {
        reported = count
        job.growing.report(.growing(availableBytes: count))
      }
    }
    try rendering.render(to: output, threads: limits.threads)
    if job.record == nil { job.growing.report(.finished(sizeBytes: output.writtenBytes)) }
    let digest = try output.digest(check: requireRunning)
    let record = RenderedRecord(digest: digest, sizeBytes: output.writtenBytes)
    if let known = job.record, known != record {
      directory.removeRecord(job.key)
      throw ImageError(
        .damaged, "boot file \(rendering.name)",
        "has other bytes than before (SHA-256 \(record.digest.hex), not \(known.digest.hex))",
        hint: "Run 'imgstore verify'; the next request gets the new file")
    }
    try finish(job, record)
  }

  private func requireRunning() throws {
    if state.withLock({ $0.isStopping }) {
      throw ImageError(.interrupted, "the rendering", "was stopped with the server")
    }
  }

  /// Ends the file for its clients, then makes it durable: no client waits for the disk.
  private func finish(_ job: RenderingJob, _ record: RenderedRecord) throws {
    job.growing.report(.finished(sizeBytes: record.sizeBytes))
    guard try job.rendering.isCurrent() else {
      // The management node's data changed meanwhile: the next request has another key.
      directory.discard(job.temporaryName)
      return state.update { $0.jobs[job.key] = nil }
    }
    try directory.publish((job.file, job.temporaryName), as: job.key, record)
    state.update { state in
      state.jobs[job.key] = nil
      state.entries[job.key] = Entry(
        sizeBytes: record.sizeBytes, used: state.nextTick(), touched: 0)
    }
    evict(for: 0)
  }

  /// Evicts files until `bytes` more fit.
  /// - Throws: `ImageError` (`noSpace`) if they do not.
  private func requireSpace(_ bytes: UInt64, _ rendering: FileRendering) throws {
    evict(for: bytes)
    guard try directory.freeBytes() >= bytes &+ limits.reservedBytes else {
      throw ImageError(
        .noSpace, "boot file \(rendering.name)",
        "cannot be made: \(directory.path) would have less than \(limits.reservedBytes >> 20) MiB free",
        hint: "Free space there, or name another directory with --cache")
    }
  }
}

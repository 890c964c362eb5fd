// imgstore metrics: the state of all images and of the store for Prometheus, as a file that node_exporter's
// textfile collector reads.
//
// 1. The file is replaced in one step: the collector never reads a part of one.
// 2. A value that is not known is left out. It is never reported as 0.
// 3. Without `measuring`, no image is read: whether one has changed is the result of the last `maintain`.

import Platform
import Store

extension Workspace {
  /// Returns the metrics as text.
  /// - Parameter measuring: whether to compare each image with its latest snapshot now.
  /// - Throws: `ImageError` (`storeNotFound`) without a store; errors of the tables.
  public func metrics(measuring: Bool = false) throws -> String {
    try MetricsWriter(context).text(measuring: measuring)
  }

  /// Writes the metrics to a file that all users may read.
  /// - Throws: as `metrics`, and `ImageError` or `SystemError` if the file cannot be written.
  public func writeMetrics(to path: String, measuring: Bool = false) throws {
    try MetricsWriter(context).write(to: path, measuring: measuring)
  }
}

/// Writes metrics.
struct MetricsWriter: Collaborator {
  let context: Context

  func write(to path: String, measuring: Bool) throws {
    let text = try text(measuring: measuring)
    let file = try OutputLocator(context).outputFile(path, "metrics \(path)")
    // It has no secrets, and the collector runs as a user of its own.
    try context.fileSystem.setMode(file.file.raw, 0o644)
    try file.publish(Array(text.utf8))
  }

  func text(measuring: Bool) throws -> String {
    try StoreCreation(context).requireStore()
    let images = try ImageLister(context).images()
    let record = try context.store().maintenanceRecord
    let metrics = try imageMetrics(images, record, measuring: measuring) + storeMetrics(record)
    var build = Metric("imgstore_build_info", "The version of imgstore, with the value 1")
    build.add(1, ("version", Workspace.version))
    return (metrics + [build]).map(\.text).joined()
  }

  private func imageMetrics(
    _ images: [ImageSummary], _ record: MaintenanceRecord, measuring: Bool
  ) throws -> [Metric] {
    var snapshots = Metric("imgstore_image_snapshots", "The number of snapshots of the image")
    var latest = Metric(
      "imgstore_image_latest_snapshot_timestamp_seconds",
      "When the latest snapshot of the image was taken")
    var checked = Metric(
      "imgstore_image_last_check_timestamp_seconds",
      "When the image was last compared with its latest snapshot")
    var changed = Metric(
      "imgstore_image_changed", "Whether the image differs from its latest snapshot (0 or 1)")
    var incomplete = Metric(
      "imgstore_image_incomplete", "Whether the latest snapshot of the image is incomplete (0 or 1)"
    )
    var unfinished = Metric(
      "imgstore_image_unfinished_change", "Whether the image has an unfinished change (0 or 1)")
    var unreadable = Metric(
      "imgstore_image_unreadable_snapshots",
      "The number of snapshots after the latest readable one, which cannot be read")
    var defined = Metric(
      "imgstore_image_defined", "Whether the tables define the image (0 or 1)")
    for image in images {
      let label = ("image", image.name)
      snapshots.add(Double(image.snapshots), label)
      defined.add(image.isDefined ? 1 : 0, label)
      unfinished.add(image.unfinished == nil ? 0 : 1, label)
      unreadable.add(Double(image.unreadable.count), label)
      if let snapshot = image.latest?.snapshot {
        latest.add(Double(snapshot.created.seconds), label)
        incomplete.add(snapshot.isComplete ? 0 : 1, label)
      }
      if let time = image.lastChecked { checked.add(Double(time.seconds), label) }
      if let isChanged = isChanged(image, record, measuring: measuring) {
        changed.add(isChanged ? 1 : 0, label)
      }
    }
    return [snapshots, latest, checked, changed, incomplete, unfinished, unreadable, defined]
  }

  /// Returns whether an image differs from its latest snapshot; nil if that is unknown.
  private func isChanged(
    _ image: ImageSummary, _ record: MaintenanceRecord, measuring: Bool
  ) -> Bool? {
    if measuring, image.isDefined {
      guard image.latest != nil else { return true }
      return (try? StatusReader(context).status(image.name)).map { !$0.isClean }
    }
    return StoreState(record: record, unfinished: []).isChanged(image)
  }

  private func storeMetrics(_ record: MaintenanceRecord) throws -> [Metric] {
    let store = try context.store()
    let statistics = try? SpaceReporter(context).statistics()
    var bytes = Metric("imgstore_store_size_bytes", "The size of the store, by kind of file")
    if let statistics {
      bytes.add(
        Double(statistics.contents.packBytes &+ statistics.contents.doomedBytes), ("kind", "packs"))
      bytes.add(Double(statistics.indexBytes), ("kind", "index"))
      bytes.add(Double(statistics.cacheBytes), ("kind", "cache"))
      bytes.add(Double(statistics.unfinishedBytes), ("kind", "unfinished"))
    }
    let growth = record.run.flatMap { run in
      run.earlierPackBytes.map { Double(run.packBytes) - Double($0) }
    }
    let damaged = damagedObjects(record, statistics)
    return [
      bytes,
      Metric(
        "imgstore_store_growth_bytes",
        "By how many bytes the packs grew between the last two runs of maintain", growth),
      Metric(
        "imgstore_store_free_bytes", "The free space of the store's file system",
        (try? context.fileSystem.freeBytes(store.layout.root.raw)).map { Double($0) }),
      Metric(
        "imgstore_store_damaged_objects",
        "The problems that the last verification found, and the snapshots that cannot be read now",
        damaged.map { Double($0) }),
      Metric(
        "imgstore_gc_last_timestamp_seconds", "When garbage was last collected",
        record.collected.map { Double($0) }),
      Metric(
        "imgstore_optimize_last_timestamp_seconds", "When the store was last recompressed",
        record.optimized.map { Double($0) }),
      Metric(
        "imgstore_verify_last_timestamp_seconds", "When the store was last verified",
        record.verified.map { Double($0) }),
      Metric(
        "imgstore_maintain_last_timestamp_seconds", "When maintain last ended",
        record.run.map { Double($0.ended) }),
      Metric(
        "imgstore_maintain_duration_seconds", "How long the last maintain took",
        record.run.map { Double($0.ended - $0.began) }),
      Metric(
        "imgstore_maintain_exit_code", "The exit code of the last maintain",
        record.run.map { Double($0.exitStatus) }),
    ]
  }

  /// Returns the number of known problems; nil if the store was never verified and all snapshots are readable.
  private func damagedObjects(
    _ record: MaintenanceRecord, _ statistics: StoreStatistics?
  ) -> Int? {
    let unreadable = statistics?.unreadable.count ?? 0
    guard let problems = record.problems else { return unreadable > 0 ? unreadable : nil }
    return max(problems, unreadable)
  }
}

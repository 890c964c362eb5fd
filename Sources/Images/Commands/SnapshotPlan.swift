// imgstore snapshot --dry-run: what a snapshot would record.
//
// Nothing is written: neither a snapshot nor an object, a tag, or the row of a directory that would become an
// image. The checks are those of the real run, and the plan has the error that would refuse it.

import Ingest
import Platform
import Store

/// The plan of a snapshot.
public struct SnapshotPlan: Sendable {
  public let image: String
  /// The directory that would become the image; nil for an existing image.
  public let addedDirectory: String?
  /// The number of the snapshot; nil if none would be recorded.
  public let number: Int?
  /// The latest snapshot of the image; nil if it has none.
  public let latest: CommittedSnapshot?
  /// The differences of the live image from the latest snapshot; nil if it has none.
  public let diff: ImageDiff?
  /// The remarks and problems that the snapshot would record.
  public let notes: [Snapshot.Note]
  /// The number of live entries.
  public let entryCount: UInt64
  /// The size of their content in bytes.
  public let contentBytes: UInt64
  /// The bytes of content that had to be read because the stat cache did not confirm them.
  public let readBytes: UInt64
  /// The error that would refuse the snapshot; nil if it would be recorded.
  public let refusal: (any ExplainedError)?
  public let seconds: Double
}

extension Workspace {
  /// Plans a snapshot without taking it. The store must exist.
  /// - Parameters: as for `snapshot`.
  /// - Throws: `ImageError` if the image is not found or has an unfinished change; `StoreError`, `XCATError`,
  ///   `SystemError`.
  public func planSnapshot(
    _ name: String, tags: [String] = [], _ options: SnapshotOptions = []
  ) throws -> SnapshotPlan {
    try SnapshotPlanner(context).planSnapshot(name, tags: tags, options)
  }
}

/// Plans snapshots.
struct SnapshotPlanner: Collaborator {
  let context: Context

  func planSnapshot(
    _ name: String, tags: [String], _ options: SnapshotOptions
  ) throws -> SnapshotPlan {
    let start = monotonicSeconds()
    let store = try context.store()
    let (image, definition, directory) = try DirectoryImages(context).adoptableImage(name, store)
    let lock = try ImageLocks(context).lock(image, store, isDryRun: true)
    defer { withExtendedLifetime(lock) {} }
    let latest = try store.refs.latestReadable(of: image)
    let memory = MemoryObjects(over: store)
    let live = try ImageCapturer(context).captureLive(
      image, CaptureScope(definition), latest: latest, into: .memory(memory))
    let snapshot = SnapshotTaker(context).newSnapshot(
      of: image, live, latest: latest, SnapshotRecord(SnapshotLabel(.snapshot, "")))
    let isSame = latest?.snapshot.hasSameState(as: snapshot) == true
    let isRecorded = try
      !(isSame
      && (options.contains(.skipIfUnchanged) && SnapshotTaker(context).latestStays(image, store)
        || !snapshot.isComplete))
    let refusal = try DryRunRefusal(context).refusal(isDryRun: true) {
      try store.layout.requireWritable("the history of \(image)")
      try DirectoryLocker(context).expectDirectoriesFree(
        image, ImageCapturer(context).requests(definition, latest: latest?.snapshot).all.map(\.path)
      )
      for tag in tags {
        try store.refs.checkTag(tag, of: image, mayMove: options.contains(.movesTags))
      }
      if isRecorded, !options.contains(.allowsEmpty),
        let reason = try EmptyStateCheck.reason(live, latest: latest?.snapshot, in: store)
      {
        throw ImageError(reason, of: image, definition)
      }
    }
    return SnapshotPlan(
      image: image.text, addedDirectory: directory?.text,
      number: isRecorded ? try store.refs.nextNumber(of: image) : nil, latest: latest,
      diff: try latest.map {
        try ImageComparer(context).diff(
          StatusReader(context).state($0, store), live.state(from: memory))
      },
      notes: snapshot.notes, entryCount: snapshot.entryCount, contentBytes: snapshot.contentBytes,
      readBytes: live.capture.readBytes, refusal: refusal, seconds: monotonicSeconds() - start)
  }
}

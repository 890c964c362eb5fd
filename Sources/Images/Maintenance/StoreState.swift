// The last work on a store: what `maintain`, `verify` and `gc` noted when they ran (MaintenanceRecord.swift).

import Platform
import Store

/// The last work on a store.
public struct StoreState: Sendable {
  let record: MaintenanceRecord
  /// The changes of live images that have not finished.
  public let unfinished: [UnfinishedChange]

  /// When the store was last verified, in seconds since 1970; nil if that is not known.
  public var verified: Int64? { record.verified }
  /// The number of problems that this verification found.
  public var problems: Int? { record.problems }
  /// When garbage was last collected.
  public var collected: Int64? { record.collected }
  /// When the store was last recompressed.
  public var optimized: Int64? { record.optimized }
  /// The last run of `maintain`.
  public var run: MaintenanceRun? { record.run.map(MaintenanceRun.init) }

  /// Returns whether an image differed from its latest snapshot when it was last compared with it; nil if that
  /// is not known. A snapshot after the comparison has recorded what had changed.
  public func isChanged(_ image: ImageSummary) -> Bool? {
    guard let check = record.images[image.name] else { return nil }
    if check.isChanged, let latest = image.latest?.snapshot.created.seconds,
      latest > check.compared
    {
      return false
    }
    return check.isChanged
  }
}

/// A run of `maintain`.
public struct MaintenanceRun: Sendable {
  let run: MaintenanceRecord.Run
  /// When it began and ended, in seconds since 1970.
  public var began: Int64 { run.began }
  public var ended: Int64 { run.ended }
  public var exitCode: Int { Int(run.exitStatus) }
  /// The bytes of all packs after it, and after the run before it.
  public var packBytes: UInt64 { run.packBytes }
  public var earlierPackBytes: UInt64? { run.earlierPackBytes }
}

extension Workspace {
  /// Returns the last work on the store, and what is under way. Nothing is read but records.
  /// - Throws: `ImageError` (`storeNotFound`) without a store.
  public func storeState() throws -> StoreState {
    try StoreStateReader(context).state()
  }
}

/// Reads the records of the last work.
struct StoreStateReader: Collaborator {
  let context: Context

  func state() throws -> StoreState {
    try StoreCreation(context).requireStore()
    return StoreState(
      record: try context.store().maintenanceRecord,
      unfinished: try ChangeJournal(context).unfinished(of: nil))
  }
}

extension StoreState: JSONDocument {
  public static let form = JSONForm<Self>(kind: "store-state") { key in
    key("verified") { $0.verified.map(time) }
    key("problems", \.problems)
    key("collected") { $0.collected.map(time) }
    key("optimized") { $0.optimized.map(time) }
    key("maintained", \.run)
    key("images") { state in
      state.record.images.sorted { $0.key < $1.key }.map { Image(name: $0.key, check: $0.value) }
    }
    key("unfinished", \.unfinished)
  }

  private struct Image: JSONObject {
    let name: String
    let check: MaintenanceRecord.Image

    static let form = JSONForm<Self>("StoreState.Image") { key in
      key("name", \.name)
      key("compared") { time($0.check.compared) }
      key("changed", \.check.isChanged)
    }
  }
}

extension MaintenanceRun: JSONObject {
  public static let form = JSONForm<Self>("StoreState.Run") { key in
    key("began") { time($0.began) }
    key("ended") { time($0.ended) }
    key("exitCode", \.exitCode)
    key("packBytes", \.packBytes)
    key("earlierPackBytes", \.earlierPackBytes)
  }
}

private func time(_ seconds: Int64) -> String {
  isoText(Timestamp(seconds: seconds, nanoseconds: 0))
}

/// The document of the changes that have not finished.
public struct UnfinishedJSON: JSONDocument {
  public let changes: [UnfinishedChange]

  /// Creates the document.
  public init(changes: [UnfinishedChange]) { self.changes = changes }

  public static let form = JSONForm<Self>("UnfinishedChanges", kind: "unfinished-changes") { key in
    key("changes", \.changes)
  }
}

/// The document of the version of imgstore.
public struct VersionJSON: JSONDocument {
  public init() {}

  public static let form = JSONForm<Self>(kind: "version") { key in
    key("version") { _ in Workspace.version }
  }
}

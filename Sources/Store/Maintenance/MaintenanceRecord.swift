// The times at which a store was last maintained: cache/maintained (docs/format.md, "The directory"). It can be
// lost without harm: every image is then due, and monitoring has no times until the next run.
//
// 1. Nothing is removed because of a time in it.
// 2. Writers take locks/maintained, and replace the file in one step.

import Platform

/// The times of the last work on a store.
public struct MaintenanceRecord: Sendable, Equatable {
  /// The latest checks of an image.
  public struct Image: Sendable, Equatable {
    /// When its schedule was last met, in seconds since 1970; 0 if never.
    public var checked: Int64
    /// When it was last compared with its latest snapshot, in seconds since 1970.
    public var compared: Int64
    /// Whether it then differed from its latest snapshot, after all work.
    public var isChanged: Bool
    public init(checked: Int64, compared: Int64, isChanged: Bool) {
      (self.checked, self.compared, self.isChanged) = (checked, compared, isChanged)
    }
  }
  /// A run of `maintain`.
  public struct Run: Sendable, Equatable {
    public var began: Int64
    public var ended: Int64
    public var exitStatus: Int32
    /// The bytes of all packs after it.
    public var packBytes: UInt64
    /// The bytes of all packs after the run before it; nil for the first one.
    public var earlierPackBytes: UInt64?
    public init(
      began: Int64, ended: Int64, exitStatus: Int32, packBytes: UInt64, earlierPackBytes: UInt64?
    ) {
      (self.began, self.ended, self.exitStatus) = (began, ended, exitStatus)
      (self.packBytes, self.earlierPackBytes) = (packBytes, earlierPackBytes)
    }
  }

  public var run: Run?
  /// When garbage was last collected.
  public var collected: Int64?
  /// When the store was last recompressed.
  public var optimized: Int64?
  /// When the store was last verified.
  public var verified: Int64?
  /// How many problems that verification found.
  public var problems: Int?
  public var images: [String: Image] = [:]

  public init() {}

  static let fileName = Array("maintained".utf8)
  private static let title = "maintained 1"
  static let maxBytes = 16 << 20

  /// Decodes a file. Unknown and damaged lines are skipped.
  init(decoding bytes: [UInt8]) {
    let lines = bytes.split(separator: 0x0a)
    guard let first = lines.first, first.elementsEqual(Self.title.utf8) else { return }
    for line in lines.dropFirst() {
      let words = line.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false).map {
        String(decoding: $0, as: UTF8.self)
      }
      guard words.count >= 2, let time = Int64(words[1]) else { continue }
      switch words[0] {
      case "gc": collected = time
      case "optimize": optimized = time
      case "verify":
        guard words.count == 3, let count = Int(words[2]), count >= 0 else { continue }
        (verified, problems) = (time, count)
      case "image":
        guard words.count == 4 else { continue }
        let rest = words[3].split(separator: " ", maxSplits: 1)
        guard let compared = Int64(words[2]), rest.count == 2, rest[0] == "0" || rest[0] == "1"
        else { continue }
        images[String(rest[1])] = Image(
          checked: time, compared: compared, isChanged: rest[0] == "1")
      case "run":
        guard words.count == 4 else { continue }
        let rest = words[3].split(separator: " ")
        guard let ended = Int64(words[2]), rest.count >= 2, let status = Int32(rest[0]),
          let bytes = UInt64(rest[1])
        else { continue }
        run = Run(
          began: time, ended: ended, exitStatus: status, packBytes: bytes,
          earlierPackBytes: rest.count > 2 ? UInt64(rest[2]) : nil)
      default: continue
      }
    }
  }

  var encoded: [UInt8] {
    var text = Self.title + "\n"
    if let run {
      text += "run \(run.began) \(run.ended) \(run.exitStatus) \(run.packBytes)"
      text += run.earlierPackBytes.map { " \($0)\n" } ?? "\n"
    }
    if let collected { text += "gc \(collected)\n" }
    if let optimized { text += "optimize \(optimized)\n" }
    if let verified { text += "verify \(verified) \(problems ?? 0)\n" }
    for (name, image) in images.sorted(by: { $0.key < $1.key }) {
      text += "image \(image.checked) \(image.compared) \(image.isChanged ? 1 : 0) \(name)\n"
    }
    return Array(text.utf8)
  }
}

extension ObjectStore {
  private static let recordLock = Array("maintained".utf8)
  private static let runLock = Array("maintain".utf8)

  /// The times of the last work; empty if they are not known.
  public var maintenanceRecord: MaintenanceRecord {
    guard
      case .content(let bytes)? = try? layout.read(
        layout.cache, MaintenanceRecord.fileName, limitBytes: MaintenanceRecord.maxBytes)
    else { return MaintenanceRecord() }
    return MaintenanceRecord(decoding: bytes)
  }

  /// Changes the record. A failure only affects later schedules and metrics.
  public func updateMaintenanceRecord(_ change: (inout MaintenanceRecord) -> Void) {
    if layout.isReadOnly { return }
    let lock = try? layout.lock(
      ObjectStore.recordLock, exclusive: true, waiting: .atMost(seconds: 10))
    defer { withExtendedLifetime(lock) {} }
    var record = maintenanceRecord
    let old = record
    change(&record)
    guard record != old, let temporary = try? TemporaryFile(layout) else { return }
    do throws(SystemError) {
      try layout.fileSystem.write(temporary.file.raw, record.encoded)
      try temporary.publish(
        in: layout.cache, as: MaintenanceRecord.fileName, exclusively: false)
    } catch {
      temporary.discard()
    }
  }

  /// Takes the lock of `maintain`, which does not wait.
  /// - Throws: `StoreError` with the code `maintenanceRunning` if another `maintain` holds it, and
  ///   `readOnly` for a store that cannot be written.
  public func lockMaintenance() throws(StoreError) -> FileLock {
    try layout.requireWritable("the store")
    let lock = try mapSystemErrors("the lock of maintain") { () throws(SystemError) in
      try layout.lockIfFree(ObjectStore.runLock)
    }
    guard let lock else {
      throw layout.busy(
        "the maintenance of \(layout.name)", ObjectStore.runLock, .maintenanceRunning)
    }
    return lock
  }
}

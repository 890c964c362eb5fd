// What a capture found, and the stat cache that the next one will begin with.

import Codec
import Platform
import Store

/// What a capture found.
public struct CaptureResult: Sendable {
  public var pieces: [Snapshot.Component]
  /// Requested pieces that are not there.
  public let absent: [CaptureRoot]
  public let notes: [Snapshot.Note]
  public let entryCount: UInt64
  public let contentBytes: UInt64
  /// Bytes and files that the stat cache did not vouch for.
  public let readBytes: UInt64
  public let readFiles: Int
  /// Entries that could not be examined or read; more than `notes` lists where there are many.
  public let unreadableEntries: UInt64
  /// Files that were known otherwise.
  let attestedFiles: Int
  let live: ScannedDirectory
  let scanStart: Timestamp

  /// Writes the stat cache for the next time, unless the old one is as good.
  /// - Parameter base: a committed snapshot that holds exactly these pieces.
  public func saveCache(_ layout: Layout, key: Digest, base: Digest, replacing old: StatCache?) {
    if let old, !isWorthSaving(old) { return }
    var writer = StatCache.Writer(base: base, scanStart: scanStart)
    writer.reserve(entries: Int(clamping: entryCount))
    let root = writer.add(live)
    writer.save(layout, key: key, root: root)
  }

  private func isWorthSaving(_ old: StatCache) -> Bool {
    if readBytes > 1 << 20 || readFiles > 64 || attestedFiles > 0 { return true }
    return live.entries.contains { entry in
      guard case .directory(let piece) = entry.content else {
        return !entry.isCached && readFiles > 0
      }
      return piece.ids != piece.cached?.ids
    }
  }
}

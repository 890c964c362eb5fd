// The result of a capture, and the stat cache for the next one.

import Codec
import Platform
import Store

/// The result of a capture.
public struct CaptureResult: Sendable {
  /// The captured components.
  public var components: [Snapshot.Component]
  /// Requested components that do not exist.
  public let absent: [CaptureRoot]
  /// Notes about unreadable, excluded and changed entries, in the order of their paths.
  public let notes: [Snapshot.Note]
  /// The number of captured entries.
  public let entryCount: UInt64
  /// The sum of all file sizes.
  public let contentBytes: UInt64
  /// The number of bytes that were read because the stat cache did not list them as unchanged.
  public let readBytes: UInt64
  /// The number of files that were read.
  public let readFiles: Int
  /// The number of entries that could not be examined or read. `notes` lists only the first if
  /// there are many.
  public let unreadableEntries: UInt64
  /// The number of files whose content was known from `verifiedFiles`.
  let verifiedCount: Int
  let live: ScannedDirectory
  let scanStart: Timestamp

  /// Saves the stat cache for the next capture, unless the old one is as good.
  /// - Parameters:
  ///   - key: the cache's key.
  ///   - base: a committed snapshot that contains exactly these components.
  ///   - old: the cache that this capture used.
  public func saveCache(_ layout: Layout, key: Digest, base: Digest, replacing old: StatCache?) {
    if let old, !isWorthSaving(old) { return }
    saveCache(layout, key: key, base: base, after: UnlinkedFiles())
  }

  /// Saves the stat cache for the next capture.
  /// - Parameter unlinked: captured files that lost other names after the capture. Their content is still
  ///   trusted, but not their attributes.
  public func saveCache(
    _ layout: Layout, key: Digest, base: Digest, after unlinked: UnlinkedFiles
  ) {
    guard
      var writer = try? StatCache.Writer(
        layout.fileSystem, at: layout.cache, layout.objectCacheName(key), base: base,
        scanStart: scanStart, unlinked: unlinked)
    else { return }
    // A failure only makes the next capture slower.
    do {
      let root = try writer.add(live)
      try writer.save(root: root)
    } catch {
      writer.discard()
    }
  }

  /// Saves a stat cache of one component in a file outside the store.
  /// - Parameters:
  ///   - path: the component.
  ///   - base: a committed snapshot that contains exactly this component.
  /// - Throws: `SystemError` if the file cannot be written; `StoreError` if a directory's entries cannot be
  ///   read again.
  public func saveCache(
    of path: [UInt8], base: Digest, _ fileSystem: any FileSystem, at directory: Descriptor,
    _ name: [UInt8]
  ) throws {
    let only = ScannedDirectory(name: [], parent: nil, cached: nil)
    only.entries = live.entries.filter { $0.name == path }
    var writer = try StatCache.Writer(
      fileSystem, at: directory, name, base: base, scanStart: scanStart, unlinked: UnlinkedFiles())
    do {
      let root = try writer.add(only)
      try writer.save(root: root)
    } catch {
      writer.discard()
      throw error
    }
  }

  private func isWorthSaving(_ old: StatCache) -> Bool {
    if old.hasUntrustedAttributes || readBytes > 1 << 20 || readFiles > 64 || verifiedCount > 0 {
      return true
    }
    return live.entries.contains { entry in
      guard case .directory(let tree) = entry.content else {
        return !entry.isCached && readFiles > 0
      }
      return tree.ids != tree.cached?.ids
    }
  }
}

// The journals of a store: one record an image that describes an unfinished change of its live files, so
// that the change can be resumed after a crash (docs/format.md, "Journals"). The module Apply interprets
// the bytes.
//
// 1. A record exists completely or not at all: it is synced, renamed into place, and the directory is synced.
// 2. It is written before the first step of a change and deleted after the last one. The image's lock is
//    held throughout.

import Platform

/// Gives access to the directory `journal/` of a store.
public struct JournalDirectory: Sendable {
  let layout: Layout
  private static let maxBytes = 16 << 20

  /// Returns the images that have a journal.
  public func images() throws(StoreError) -> [ImageName] {
    let names = try mapSystemError(
      "the directory journal/", try layout.fileSystem.names(of: layout.journals.raw))
    return names.compactMap { try? ImageName(String(decoding: $0, as: UTF8.self)) }.sorted()
  }

  /// Returns the journal of an image; nil if it has none.
  /// - Throws: `damaged` if the journal is not a readable file; `system`.
  public func read(_ image: ImageName) throws(StoreError) -> [UInt8]? {
    let file = try mapSystemErrors("the journal of \(image)") { () throws(SystemError) in
      try layout.read(layout.journals, image.bytes, limitBytes: JournalDirectory.maxBytes)
    }
    switch file {
    case .content(let bytes): return bytes
    case .absent: return nil
    case .unexpected(let reason):
      throw StoreError(
        .damaged, "the journal of \(image)",
        "cannot be read: journal/\(image) in the store \(reason)",
        hint: "Run 'imgstore resume \(image) --abandon', which moves it to quarantine/",
        code: .journalDamaged)
    }
  }

  /// Writes the journal of an image, and replaces an older one.
  /// - Throws: `refused` if the store is read-only; `system`.
  public func write(_ bytes: [UInt8], of image: ImageName) throws(StoreError) {
    try layout.requireWritable("the journal of \(image)")
    try mapSystemErrors("the journal of \(image)") { () throws(SystemError) in
      try TemporaryFile.write(
        bytes, in: layout.journals, as: image.bytes, exclusively: false, layout)
    }
  }

  /// Deletes the journal of an image, because the change is complete.
  /// - Throws: `system`.
  public func remove(_ image: ImageName) throws(StoreError) {
    try mapSystemErrors("the journal of \(image)") { () throws(SystemError) in
      do throws(SystemError) {
        try layout.fileSystem.remove(at: layout.journals.raw, image.bytes, isDirectory: false)
      } catch {
        if error.code == .isDirectory || error.code == .notPermitted {
          try layout.quarantine(layout.journals, image.bytes, as: "journal-\(image)")
        } else if error.code != .notFound {
          throw error
        }
      }
      try layout.fileSystem.sync(layout.journals.raw)
    }
  }
}

extension ObjectStore {
  /// Returns the journals of the store.
  public var journals: JournalDirectory { JournalDirectory(layout: layout) }

  /// Returns true if a process holds the image's lock now.
  public func isBusy(_ image: ImageName) throws(StoreError) -> Bool {
    if layout.isReadOnly { return false }
    return try mapSystemError(
      "the lock of \(image)", try layout.lockIfFree(Array("image-".utf8) + image.bytes) == nil)
  }
}

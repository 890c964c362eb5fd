// One record an image: what is being done to its live files, so that whoever comes after a crash can
// go on (docs/format.md, "Journals"). What the bytes say is for the room Apply to know.
//
// 1. A record is there whole or not at all: synced, renamed into place, the folder synced.
// 2. It is written before the first step of a change and removed after the last; the image's lock is
//    held from before until after.

import Codec
import Platform

/// The folder `journal/` of a store.
public struct JournalFolder: Sendable {
  let layout: Layout
  private static let maxBytes = 16 << 20

  /// The images that have a record.
  public func images() throws(StoreError) -> [ImageName] {
    let names = try explaining("the folder journal/") { () throws(SystemError) in
      try layout.fileSystem.names(of: layout.journals.raw)
    }
    return names.compactMap { try? ImageName(String(decoding: $0, as: UTF8.self)) }.sorted()
  }

  /// The record of an image; nil where it has none.
  public func read(_ image: ImageName) throws(StoreError) -> [UInt8]? {
    let file = try explaining("the journal of \(image)") { () throws(SystemError) in
      try layout.read(layout.journals, image.bytes, limitBytes: JournalFolder.maxBytes)
    }
    switch file {
    case .content(let bytes): return bytes
    case .absent: return nil
    case .odd(let reason):
      throw StoreError(
        .damaged, "the journal of \(image)", "journal/\(image) in the store \(reason)",
        advice: "'imgstore resume \(image) --abandon' moves it out of the way")
    }
  }

  /// Writes the record, in the place of an older one.
  public func write(_ bytes: [UInt8], of image: ImageName) throws(StoreError) {
    try layout.requireWritable("the journal of \(image)")
    try explaining("the journal of \(image)") { () throws(SystemError) in
      try TemporaryFile.write(
        bytes, in: layout.journals, as: image.bytes, exclusively: false, layout)
    }
  }

  /// Removes the record: the change is done.
  public func remove(_ image: ImageName) throws(StoreError) {
    try explaining("the journal of \(image)") { () throws(SystemError) in
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
  public var journals: JournalFolder { JournalFolder(layout: layout) }

  /// Whether some process has the image's lock now.
  public func isBusy(_ image: ImageName) throws(StoreError) -> Bool {
    if layout.isReadOnly { return false }
    return try explaining("the lock of \(image)") { () throws(SystemError) in
      try layout.lockIfFree(Array("image-".utf8) + image.bytes) == nil
    }
  }
}

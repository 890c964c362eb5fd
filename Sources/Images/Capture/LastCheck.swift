// Records when an image was last compared with its latest snapshot and found unchanged. A nightly
// `snapshot --if-changed` takes no snapshot then, and monitoring must still see that it ran.
//
// The time is that of an empty file in the store's cache, which may be deleted at any time. Without it, only
// the time of the latest snapshot is known.

import Codec
import Platform
import Store

struct LastCheck {
  private let fileSystem: any FileSystem
  private let directory: Descriptor
  private let name: [UInt8]

  init(_ store: ObjectStore, key: Digest) {
    fileSystem = store.layout.fileSystem
    directory = store.layout.cache
    name = Array("checked-\(key.shortHex)".utf8)
  }

  /// The time of the last check; nil if none is known.
  var time: Timestamp? {
    (try? fileSystem.statIfPresent(at: directory.raw, name)).flatMap { $0 }
      .flatMap { $0.kind == .file ? $0.modified : nil }
  }

  /// Records a check. A read-only store keeps the old time.
  func record(_ time: Timestamp) {
    do throws(SystemError) {
      try fileSystem.replaceFile(at: directory.raw, name, with: [])
      try fileSystem.setModified(at: directory.raw, name, time)
    } catch { return }
  }
}

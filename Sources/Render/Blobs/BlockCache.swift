// A cache of compressed blocks from earlier renderings, keyed by the hash of their input.

import Codec

/// A cache of compressed blocks that may drop any of them at any time. Any thread may call it.
///
/// `find` returns exactly the bytes that were `put` under the key: the cache itself must detect
/// damaged or foreign bytes. It has no errors: a failing cache behaves like an empty one.
public protocol BlockCache: Sendable {
  /// Returns the bytes under `key`, or nil.
  func find(_ key: Digest) -> [UInt8]?
  /// Stores bytes under `key`, if possible.
  func put(_ key: Digest, _ bytes: [UInt8])
}

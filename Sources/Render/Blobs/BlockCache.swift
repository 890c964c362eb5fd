// What renderings remember of earlier ones: compressed pieces by the hash of what they were made of.

import Codec

/// A place for compressed pieces that may forget any of them at any time. Any thread may call it.
///
/// What `find` returns is what was `put` under that key, to the last byte: keeping damaged or
/// foreign bytes out is the cache's duty. It has no errors: a cache that cannot is one that forgot.
public protocol BlockCache: Sendable {
  func find(_ key: Digest) -> [UInt8]?
  func put(_ key: Digest, _ bytes: [UInt8])
}

// How far a compressed stream may expand: a few megabytes from a stranger must not become
// terabytes of work.

/// When a compressed stream counts as a bomb.
public struct ExpansionLimit: Sendable, Equatable {
  /// Plain bytes that a compressed byte may become, on average so far.
  public var ratio: UInt64
  /// Plain bytes that any stream may become: small streams of zeros are common, and harmless.
  public var freeBytes: UInt64

  public init(ratio: UInt64, freeBytes: UInt64) {
    self.ratio = ratio
    self.freeBytes = freeBytes
  }

  /// Images hold mostly what is compressed already: their bundles expand by less than 10. Disk
  /// images that are mostly holes reach 100 or so; deflate's own limit is 1032. A gigabyte is a
  /// second of work, and what a large file of zeros in a small bundle may take.
  public static let standard = ExpansionLimit(ratio: 500, freeBytes: 1 << 30)
  /// Holes of sparse files in a tree cost nothing, but no file system that is common holds a file of
  /// more than 16 TiB.
  public static let holes = ExpansionLimit(ratio: 500, freeBytes: 16 << 40)
  public static let none = ExpansionLimit(ratio: .max, freeBytes: .max)

  /// Whether so many plain bytes may come of so many compressed ones.
  public func allows(plain: UInt64, compressed: UInt64) -> Bool {
    guard plain > freeBytes else { return true }
    let (limit, overflow) = compressed.multipliedReportingOverflow(by: ratio)
    return overflow || plain <= limit
  }
}

// Limits the expansion of compressed streams: a few untrusted megabytes must not become terabytes of work.

/// The limit beyond which a compressed stream counts as a bomb.
public struct ExpansionLimit: Sendable, Equatable {
  /// The maximum of plain bytes per compressed byte, on average so far.
  public var ratio: UInt64
  /// The number of plain bytes that any stream may have: small streams of zeros are common and harmless.
  public var freeBytes: UInt64

  /// Creates a limit.
  public init(ratio: UInt64, freeBytes: UInt64) {
    self.ratio = ratio
    self.freeBytes = freeBytes
  }

  /// Images hold mostly compressed data: their bundles expand by a factor below 10. Disk images that
  /// are mostly holes reach about 100; deflate's own limit is 1032. A gigabyte is a second of work,
  /// and allows a large file of zeros in a small bundle.
  public static let standard = ExpansionLimit(ratio: 500, freeBytes: 1 << 30)
  /// Holes of sparse files in a tree cost nothing, but common file systems hold no file over 16 TiB.
  public static let holes = ExpansionLimit(ratio: 500, freeBytes: 16 << 40)
  /// No limit.
  public static let none = ExpansionLimit(ratio: .max, freeBytes: .max)

  /// Returns whether so many compressed bytes may expand to so many plain ones.
  public func allows(plain: UInt64, compressed: UInt64) -> Bool {
    guard plain > freeBytes else { return true }
    let (limit, overflow) = compressed.multipliedReportingOverflow(by: ratio)
    return overflow || plain <= limit
  }
}

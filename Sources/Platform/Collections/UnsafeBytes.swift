// Access to the bytes of an array with typed errors. The standard library's versions throw `any Error`.

extension [UInt8] {
  /// Calls `body` with the array's bytes.
  @inlinable public func withUnsafeBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try withUnsafeBufferPointer { (bytes) throws(E) in try body(UnsafeRawBufferPointer(bytes)) }
  }

  /// Calls `body` with the array's bytes, which it may change.
  @inlinable public mutating func withUnsafeMutableBytes<R, E: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try withUnsafeMutableBufferPointer { (bytes) throws(E) in
      try body(UnsafeMutableRawBufferPointer(bytes))
    }
  }
}

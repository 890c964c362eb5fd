// Binary search.

extension RandomAccessCollection {
  /// Returns the index of the first element that belongs to the second part, by binary search; `endIndex`
  /// if none does.
  /// - Parameter isSecond: returns whether an element belongs to the second part. All elements after such
  ///   an element must belong to it too.
  @inlinable public func partitioningIndex<E: Error>(
    where isSecond: (Element) throws(E) -> Bool
  ) throws(E) -> Index {
    var low = startIndex
    var count = self.count
    while count > 0 {
      let half = count / 2
      let middle = index(low, offsetBy: half)
      if try isSecond(self[middle]) {
        count = half
      } else {
        low = index(after: middle)
        count -= half + 1
      }
    }
    return low
  }
}

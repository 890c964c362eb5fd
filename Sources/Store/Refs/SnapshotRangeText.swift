// Snapshots in messages: consecutive numbers of an image as a range, "compute@2..18".

/// Returns the names of snapshots as references and ranges, ordered by image and number. `remove` and `unpin`
/// accept them.
public func snapshotRanges(_ names: some Sequence<SnapshotName>) -> [String] {
  Dictionary(grouping: names, by: \.image).sorted { $0.key < $1.key }.flatMap { image, names in
    NumberRanges(names.map(\.number)).ranges.map { rangeText(image, $0) }
  }
}

/// Returns "compute@3", or "compute@2..18" for several numbers.
func rangeText(_ image: ImageName, _ range: ClosedRange<Int>) -> String {
  range.count == 1
    ? "\(image)@\(range.lowerBound)" : "\(image)@\(range.lowerBound)..\(range.upperBound)"
}

// Differences of a buffer from a base (docs/format.md, "Differences"): most of a new version of a program is
// the old one at other addresses. Copies of the base that are only similar, and the changes in them, need
// fewer bytes than exact copies.
//
// Source: Colin Percival, "Naive differences of executable code", 2003 (bsdiff). Unlike bsdiff, this finds
// copies with a table of every 16th offset of the base (OffsetTable.swift), and encodes changed 32-bit words
// instead of changed bytes.
//
// Which parts are copied is a matter of speed and size only (CopySearch.swift).

/// Encodes buffers as their differences from a base. Belongs to one thread at a time.
public final class DifferenceEncoder {
  private let table = OffsetTable()
  private var script = DifferenceScript.Parts()
  private var encoded = ByteWriter()
  /// The copied bytes since the last changed word.
  private var gapBytes = 0
  /// The number of literals of the last buffer.
  public private(set) var literalBytes = 0

  /// Creates an encoder.
  public init() {}

  /// Returns the script that makes `new` from `base`; nil if it is not shorter than `new`.
  public func encode(
    _ new: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer
  ) -> DifferenceScript? {
    script.removeAll()
    gapBytes = 0
    let search = CopySearch(new: new, base: base, offsets: table.list(base))
    var displacement = 0
    var done = 0
    while let copy = search.copy(from: done, displacement: displacement) {
      script.add(new, literals: done..<copy.range.lowerBound)
      script.add(
        copyBytes: copy.range.count, displacementChange: copy.displacement - displacement)
      displacement = copy.displacement
      addChanges(of: copy, new, base)
      done = copy.range.upperBound
      if script.countBytes >= new.count { return nil }
    }
    script.add(new, remainingLiterals: done..<new.count)
    literalBytes = script.literals.count
    guard script.countBytes < new.count else { return nil }
    return DifferenceScript(script, checksum: CRC32.of(new), &encoded)
  }

  /// Adds the words of a copy that differ from the base.
  private func addChanges(
    of copy: CopySearch.Copy, _ new: UnsafeRawBufferPointer, _ base: UnsafeRawBufferPointer
  ) {
    var offset = copy.range.lowerBound
    let end = copy.range.upperBound
    while true {
      let equal = equalBytes(new, offset, base, offset + copy.displacement, limit: end - offset)
      gapBytes += equal
      offset += equal
      if offset >= end { return }
      let count = min(4, end - offset)
      let change =
        partialWord(new, offset, count) &- partialWord(base, offset + copy.displacement, count)
      script.add(gapBytes: gapBytes, change: change)
      gapBytes = 0
      offset += count
    }
  }
}

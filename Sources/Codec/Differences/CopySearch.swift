// The search for parts of a base that resemble parts of a new buffer.
//
// 1. Copies may be found or missed: every list of copies is right.
// 2. The time is bounded by the length of both buffers, whatever they contain. Each offset of the new buffer
//    is compared with two of the base, over at most `minMatchBytes`. A copy ends at most `maxLookaheadBytes`
//    before the offset where the search for its end gave up.

/// Finds similar parts of two buffers.
struct CopySearch {
  /// A part of the new buffer that resembles one of the base.
  struct Copy {
    /// The offsets in the new buffer.
    let range: Range<Int>
    /// What must be added to an offset to get that in the base.
    let displacement: Int
  }

  /// An offset of the new buffer that the base has as well.
  private struct Match {
    let offset: Int
    let baseOffset: Int
  }

  /// The fewest equal bytes that start a copy. 24 bytes would miss changed entries of symbol tables.
  private static let minMatchBytes = 20
  /// The fewest equal bytes that continue the copy before with the same displacement.
  private static let minContinuationBytes = 16
  /// What a byte that differs takes from the score of a copy; an equal one adds 1.
  private static let penalty = 3
  /// A copy ends where its score was highest, once the score is lower than that by more than this.
  private static let maxScoreDrop = 24
  /// How far behind the highest score a higher one is searched for.
  private static let maxLookaheadBytes = 512
  /// After so many offsets without a match, the search takes larger steps (as LZ4 does).
  private static let offsetsBeforeLargerStep = 512

  let new: UnsafeRawBufferPointer
  let base: UnsafeRawBufferPointer
  /// Offsets of the base.
  let offsets: OffsetTable.Reader

  /// Returns the next copy.
  /// - Parameters:
  ///   - start: where it may begin at the earliest.
  ///   - displacement: that of the copy before.
  func copy(from start: Int, displacement: Int) -> Copy? {
    guard let match = match(from: start, displacement) else { return nil }
    let before = extendBackward(match, notBefore: start)
    let after = extendForward(match)
    return Copy(
      range: match.offset - before..<match.offset + after,
      displacement: match.baseOffset - match.offset)
  }

  /// Finds the next offset of `new` that the base has as well. The offset that continues the copy before is
  /// tried first: it takes the fewest bytes.
  private func match(from start: Int, _ displacement: Int) -> Match? {
    var offset = start
    while offset + 8 <= new.count {
      let first = word(new, offset)
      let following = offset + displacement
      if following >= 0, following + 8 <= base.count, first == word(base, following),
        equalBytes(
          new, offset, base, following, limit: CopySearch.minContinuationBytes)
          == CopySearch.minContinuationBytes
      {
        return Match(offset: offset, baseOffset: following)
      }
      if let candidate = offsets.offset(of: first), first == word(base, candidate) {
        let after = equalBytes(new, offset, base, candidate, limit: CopySearch.minMatchBytes)
        let before = equalBytesBefore(
          new, offset, base, candidate, limit: min(offset - start, CopySearch.minMatchBytes))
        if before + after >= CopySearch.minMatchBytes {
          return Match(offset: offset, baseOffset: candidate)
        }
      }
      offset += 1 + (offset - start) / CopySearch.offsetsBeforeLargerStep
    }
    return nil
  }

  /// Returns how many bytes the copy has before the match.
  private func extendBackward(_ match: Match, notBefore start: Int) -> Int {
    var score = 0
    var best = (score: 0, count: 0)
    var count = 0
    let limit = min(match.offset - start, match.baseOffset)
    while count < limit, count - best.count < CopySearch.maxLookaheadBytes {
      count += 1
      let isEqual = byte(new, match.offset - count) == byte(base, match.baseOffset - count)
      score += isEqual ? 1 : -CopySearch.penalty
      if score > best.score { best = (score, count) }
      if score < best.score - CopySearch.maxScoreDrop { break }
    }
    return best.count
  }

  /// Returns how many bytes the copy has from the match on.
  private func extendForward(_ match: Match) -> Int {
    var score = 0
    var best = (score: 0, count: 0)
    var count = 0
    let limit = min(new.count - match.offset, base.count - match.baseOffset)
    while count < limit, count - best.count < CopySearch.maxLookaheadBytes {
      let equal = equalBytes(
        new, match.offset + count, base, match.baseOffset + count,
        limit: min(limit - count, CopySearch.maxLookaheadBytes))
      count += equal
      score += equal
      if score >= best.score { best = (score, count) }
      if count == limit { break }
      if equal == CopySearch.maxLookaheadBytes { continue }
      // The byte that differs.
      count += 1
      score -= CopySearch.penalty
      if score < best.score - CopySearch.maxScoreDrop { break }
    }
    return best.count
  }
}

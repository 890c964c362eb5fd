// Packed images that exports scan for secrets and rewrite without them: archives and squashfs.

import Archive
import Codec
import Render

// MARK: Walks

/// Records the members of a walk, and decides by number.
private final class Visitor: ArchiveVisitor {
  private let changes: Bool
  private(set) var kept: [[UInt8]] = []
  private(set) var isFlat = true

  init(changes: Bool) { self.changes = changes }

  func wantsContent(_ member: WalkedMember) -> Bool {
    member.sizeBytes <= 16 << 10 && member.number % 2 == 0
  }

  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberAction {
    if let content {
      hold(UInt64(content.count) == member.sizeBytes, "content is as long as its size says")
    }
    if changes, member.number % 3 == 1 { return .leftOut }
    kept.append(member.path)
    guard changes, content != nil, member.number % 4 == 2 else { return .kept }
    return .replaced([UInt8](repeating: 0x2a, count: member.number % 600))
  }

  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws {
    var buffer = [UInt8](repeating: 0, count: 300)
    // Not always to the end.
    for _ in 0..<member.number % 5 {
      if try buffer.withUnsafeMutableBytes({ try read($0) }) == 0 { return }
    }
  }

  /// The plain stream in the place of a compressed one: the walk is fuzzed, not the compressor.
  func store(
    _ form: StreamFormat, _ write: (@escaping ByteSink) throws -> Void, _ sink: @escaping ByteSink
  ) throws {
    isFlat = false
    try write(sink)
  }
}

/// Walks the archive, and writes it again.
/// - Returns: the written bytes; nil if the archive cannot be written again.
private func walk(_ bytes: [UInt8], step: Int, _ visitor: Visitor) -> [UInt8]? {
  var output: [UInt8] = []
  do {
    let walk = ArchiveWalk(
      visitor, compress: visitor.store, limit: ExpansionLimit(ratio: 100, freeBytes: 1 << 20))
    try walk.run(Input(bytes, step: step).read) { part in
      // A small input may expand to much: so far is far enough.
      guard output.count + part.count <= 8 << 20 else { throw ArchiveError("enough") }
      output += part
    }
    return output
  } catch { return nil }
}

/// A walk without changes writes the same bytes; a walk with changes writes the kept members.
func fuzzWalk(_ input: [UInt8]) {
  let bytes = withRightSums(input)
  let reading = Visitor(changes: false)
  let whole = walk(bytes, step: .max, reading)
  if let whole, reading.isFlat {
    hold(whole == bytes, "a walk that keeps all gives the same bytes")
  }
  let segmented = Visitor(changes: false)
  let again = walk(bytes, step: 100, segmented)
  // How much of a damaged stream is handed out before it is found damaged is not the point.
  if whole != nil, again != nil {
    hold(segmented.kept == reading.kept && whole == again, "short reads change nothing")
  }
  let changing = Visitor(changes: true)
  guard let changed = walk(bytes, step: .max, changing) else { return }
  let written = Visitor(changes: false)
  hold(walk(changed, step: .max, written) != nil, "what a walk has written can be walked")
  hold(written.kept == changing.kept, "and holds what was kept")
}

// MARK: squashfs

/// An image that is read gives a tar archive, or an error.
func fuzzSquashfs(_ bytes: [UInt8]) {
  do {
    let image = try SquashfsReader(sizeBytes: UInt64(bytes.count)) { offset, target in
      guard offset <= UInt64(bytes.count), target.count <= bytes.count - Int(offset) else {
        throw ArchiveError("beyond the end")
      }
      target.copyBytes(from: bytes[Int(offset)..<Int(offset) + target.count])
    }
    var failure: (any Error)?
    var givenBytes = 0
    let stream = try image.tarStream(top: Array("rootimg".utf8))
    let tar = TarReader { target in
      do {
        guard givenBytes < 16 << 20 else { throw ArchiveError("enough") }
        let n = try stream(target)
        givenBytes += n
        return n
      } catch {
        failure = error
        throw error
      }
    }
    do {
      while try tar.next() != nil {}
    } catch {
      hold(failure != nil, "what is made of an image is a tar archive: \(error)")
    }
  } catch {}
}

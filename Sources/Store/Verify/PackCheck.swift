// One pack, read to its last byte: is it the file that its name says, and which of its objects are what their
// ids say?
//
// 1. The file's own SHA-256 and the frames' own checksums decide, at the positions that the pack's own
//    directories give. The index has no say.
// 2. Reading goes on behind damage, so that what can be saved of a damaged pack is known.
// 3. Memory: one frame, encoded and decoded.

import Codec
import Platform

/// What the bytes of one pack are.
struct PackCheck: Sendable {
  struct Problem: Sendable {
    let object: String
    let finding: String
  }

  let name: Digest
  var checkedBytes: UInt64 = 0
  var objects = 0
  var problems: [Problem] = []
  /// Frames in which every object is right.
  var goodFrames: [PackedFrame] = []
  /// Frames whose header is right and whose payload is not, or not wholly.
  var badFrames: [PackedFrame] = []
  /// The objects that are wrong, and in which frame.
  var badObjects: [ObjectName: String] = [:]

  var isSound: Bool { problems.isEmpty }
  /// The index may have rows of frames that cannot be found in the file.
  private(set) var hasUnreadableFrames = false
  /// Nothing is wrong but the name, or that neither.
  private(set) var isWhole = false
  /// The SHA-256 of the file; nil where it cannot be a pack.
  private(set) var digest: Digest?

  private init(_ name: Digest) { self.name = name }

  /// What is known of a name under which no file stands.
  static func odd(_ name: Digest, label: String, _ reason: String) -> PackCheck {
    var check = PackCheck(name)
    check.problems = [Problem(object: "pack \(label)", finding: reason)]
    return check
  }

  /// Reads a pack.
  /// - Parameters:
  ///   - name: under which `packs` finds it.
  ///   - label: what it is called in messages; the beginning of its name where nil.
  ///   - expected: what its SHA-256 must be; its name where nil.
  /// - Throws: `missing`, `system`. Damage is not thrown.
  static func run(
    _ name: Digest, _ packs: PackReader, label: String? = nil, expected: Digest? = nil,
    progress: Progress
  ) throws(StoreError) -> PackCheck {
    var check = PackCheck(name)
    let object = "pack \(label ?? name.shortHex)"
    let scan = try packs.scanReadable(name)
    check.hasUnreadableFrames = !scan.damage.isEmpty || scan.pack.sizeBytes == 0
    if scan.pack.sizeBytes == 0 {
      check.problems = scan.damage.map { Problem(object: object, finding: $0.reason) }
      if check.problems.isEmpty {
        check.problems = [Problem(object: object, finding: "is empty")]
      }
      return check
    }
    for (offset, reason) in scan.damage {
      check.problems.append(Problem(object: "\(object) at \(offset)", finding: reason))
    }
    let file = try packs.open(name)
    var whole = SHA256()
    let front = try packs.readBytes(file, object, at: 0, count: PackFormat.headerBytes)
    whole.update(front)
    if PackFormat.level(of: front) == nil {
      check.problems.append(
        Problem(object: object, finding: "its header is not that of a pack"))
    }
    var position = UInt64(front.count)
    var hash = SHA256()
    for frame in scan.pack.frames {
      try packs.hash(file, object, from: position, to: frame.offset, into: &whole)
      let bytes = try packs.readBytes(file, object, at: frame.offset, count: frame.frameBytes)
      whole.update(bytes)
      position = frame.offset + UInt64(bytes.count)
      check.add(frame, bytes, packs, "\(object) at \(frame.offset)", &hash)
      progress.add(bytes: UInt64(bytes.count))
    }
    if scan.pack.sizeBytes > PackFormat.maxPackBytes {
      // Named by the scan; what follows the frames is not read.
      check.checkedBytes = position
      return check
    }
    position = try packs.hash(file, object, from: position, to: .max, into: &whole)
    let digest = whole.finish()
    check.isWhole = check.problems.isEmpty && !check.goodFrames.isEmpty
    check.digest = digest
    if digest != expected ?? name {
      check.problems.append(
        Problem(
          object: object,
          finding: "its SHA-256 is \(digest.hex), not its name: the file was changed or damaged"))
    }
    check.checkedBytes = position
    return check
  }

  private mutating func add(
    _ frame: PackedFrame, _ bytes: [UInt8], _ packs: PackReader, _ place: String,
    _ hash: inout SHA256
  ) {
    objects += frame.objects.count
    let decoded: DecodedFrame
    do throws(CodecError) {
      decoded = try packs.decode(bytes, expecting: frame.frameBytes)
    } catch {
      // A frame that is cut off was named by the scan already.
      if bytes.count == frame.frameBytes {
        problems.append(Problem(object: place, finding: "\(error)"))
      }
      badFrames.append(frame)
      for (kind, id, _) in frame.objects { badObjects[ObjectName(kind: kind, id: id)] = place }
      return
    }
    var isGood = true
    for object in decoded.header.objects where object.kind != .recipe {
      let digest = decoded.withBytes(start: object.start, length: object.length) {
        hash.digest(of: $0)
      }
      if digest == object.id { continue }
      isGood = false
      badObjects[ObjectName(kind: object.kind, id: object.id)] = place
      problems.append(
        Problem(
          object: "\(object.kind.noun) \(object.id.hex)", finding: "its bytes hash to \(digest.hex)"
        ))
    }
    if isGood { goodFrames.append(frame) } else { badFrames.append(frame) }
  }
}

extension PackReader {
  /// Adds the bytes from one position to another, or to the file's end, to a hash.
  /// - Returns: where it stopped.
  @discardableResult
  fileprivate func hash(
    _ file: Descriptor, _ object: String, from start: UInt64, to end: UInt64,
    into hash: inout SHA256
  ) throws(StoreError) -> UInt64 {
    var position = start
    while position < end {
      let bytes = try readBytes(
        file, object, at: position, count: Int(min(1 << 20, end - position)))
      if bytes.isEmpty { break }
      hash.update(bytes)
      position += UInt64(bytes.count)
    }
    return position
  }

  /// Decodes a frame whose bytes are at hand.
  fileprivate func decode(
    _ bytes: [UInt8], expecting frameBytes: Int
  ) throws(CodecError) -> DecodedFrame {
    guard bytes.count == frameBytes else { throw .truncated }
    var result: Result<DecodedFrame, CodecError> = .failure(.truncated)
    bytes.withUnsafeBytes { buffer in
      do throws(CodecError) {
        let header = try FrameHeader.parse(buffer)
        guard header.frameBytes == frameBytes else {
          throw CodecError.corrupt("the frame's length is another")
        }
        result = .success(try decode(header, buffer))
      } catch {
        result = .failure(error)
      }
    }
    return try result.get()
  }
}

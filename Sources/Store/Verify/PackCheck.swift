// The check of one pack, read to its last byte: whether the file matches its name, and which of its objects
// match their ids.
//
// 1. The file's SHA-256 and the frames' checksums decide, at the offsets that the pack's own directories
//    give. The index is not used.
// 2. Reading continues after damage, so that the objects that can be rescued from a damaged pack are known.
// 3. Memory: one frame, encoded and decoded.

import Codec
import Platform

/// The result of reading one pack.
struct PackCheck: Sendable {
  struct Problem: Sendable {
    let object: String
    let reason: String
  }

  let name: Digest
  var checkedBytes: UInt64 = 0
  var objects = 0
  var problems: [Problem] = []
  /// The frames in which every object is intact.
  var goodFrames: [PackedFrame] = []
  /// The frames with an intact header and a payload that is damaged at least in part.
  var badFrames: [PackedFrame] = []
  /// The frames with an intact header and a base that cannot be read, so that their payload cannot be
  /// checked. That is not damage of this pack.
  var unresolvedFrames: [PackedFrame] = []
  /// The damaged objects, and those in unresolved frames, with the frames that hold them.
  var badObjects: [ObjectName: String] = [:]

  var isSound: Bool { problems.isEmpty }
  /// True if the index may have rows of frames that cannot be found in the file.
  private(set) var hasUnreadableFrames = false
  /// True if nothing is wrong with the file, except possibly its name.
  ///
  /// Unresolved frames do not count: two packs with each other's names may hold each other's bases. A damaged
  /// one among them may so get a name that matches its bytes, as it would in the copy of a damaged pack. Its
  /// own checksum tells once its base can be read.
  private(set) var isWhole = false
  /// The SHA-256 of the file; nil if it cannot be a pack.
  private(set) var digest: Digest?

  private init(_ name: Digest) { self.name = name }

  /// Returns the result for a name whose file is not a regular one.
  static func unexpected(_ name: Digest, label: String, _ reason: String) -> PackCheck {
    var check = PackCheck(name)
    check.problems = [Problem(object: "pack \(label)", reason: reason)]
    return check
  }

  /// Reads a pack.
  /// - Parameters:
  ///   - name: the name under which `packs` finds it.
  ///   - label: its name in messages; nil for the beginning of `name`.
  ///   - expected: the SHA-256 that it must have; nil for `name`.
  /// - Throws: `missing`, `system`. Damage is part of the result.
  static func run(
    _ name: Digest, _ packs: PackReader, label: String? = nil, expected: Digest? = nil,
    progress: Progress
  ) throws(StoreError) -> PackCheck {
    var check = PackCheck(name)
    let object = "pack \(label ?? name.shortHex)"
    let scan = try packs.scanReadable(name)
    check.hasUnreadableFrames = !scan.damage.isEmpty || scan.pack.sizeBytes == 0
    if scan.pack.sizeBytes == 0 {
      check.problems = scan.damage.map { Problem(object: object, reason: $0.reason) }
      if check.problems.isEmpty {
        check.problems = [Problem(object: object, reason: "is empty")]
      }
      return check
    }
    for (offset, reason) in scan.damage {
      check.problems.append(Problem(object: "\(object) at \(offset)", reason: reason))
    }
    let file = try packs.open(name)
    var whole = SHA256()
    let front = try packs.readBytes(file, object, at: 0, count: PackFormat.headerBytes)
    whole.update(front)
    if PackFormat.level(of: front) == nil {
      check.problems.append(
        Problem(object: object, reason: "does not start with a pack header"))
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
      // The scan has reported the size already. The bytes after the frames are not read.
      check.checkedBytes = position
      return check
    }
    position = try packs.hash(file, object, from: position, to: .max, into: &whole)
    let digest = whole.finish()
    check.isWhole =
      check.problems.isEmpty && !(check.goodFrames.isEmpty && check.unresolvedFrames.isEmpty)
    check.digest = digest
    if digest != expected ?? name {
      check.problems.append(
        Problem(
          object: object,
          reason:
            "has the SHA-256 \(digest.hex) instead of its name: the file was changed or damaged"))
    }
    check.checkedBytes = position
    return check
  }

  private mutating func add(
    _ frame: PackedFrame, _ bytes: [UInt8], _ packs: PackReader, _ location: String,
    _ hash: inout SHA256
  ) {
    objects += frame.objects.count
    let decoded: DecodedFrame
    do throws(StoreError) {
      let header = try mapCodecErrors(location) { () throws(CodecError) in
        try packs.header(of: bytes, expecting: frame.frameBytes)
      }
      do throws(StoreError) { try packs.withBase(header) { _ in } } catch {
        unresolvedFrames.append(frame)
        let reason = "\(location), because \(error.subject) \(error.reason)"
        for (kind, id, _) in frame.objects { badObjects[ObjectName(kind: kind, id: id)] = reason }
        return
      }
      decoded = try bytes.withUnsafeBytes { (bytes) throws(StoreError) in
        try packs.decode(header, bytes, location)
      }
    } catch {
      // The scan has reported a truncated frame already.
      if bytes.count == frame.frameBytes {
        problems.append(Problem(object: location, reason: error.reason))
      }
      badFrames.append(frame)
      for (kind, id, _) in frame.objects { badObjects[ObjectName(kind: kind, id: id)] = location }
      return
    }
    var isGood = true
    for object in decoded.header.objects where object.kind != .recipe {
      let digest = decoded.withBytes(start: object.start, length: object.length) {
        hash.digest(of: $0)
      }
      if digest == object.id { continue }
      isGood = false
      badObjects[ObjectName(kind: object.kind, id: object.id)] = location
      problems.append(
        Problem(
          object: "\(object.kind.noun) \(object.id.hex)", reason: "its bytes hash to \(digest.hex)"
        ))
    }
    if isGood { goodFrames.append(frame) } else { badFrames.append(frame) }
  }
}

extension PackReader {
  /// Hashes the bytes from one offset to another, or to the end of the file.
  /// - Returns: the offset where it stopped.
  @discardableResult
  fileprivate func hash(
    _ file: Descriptor, _ object: String, from start: UInt64, to limit: UInt64,
    into hash: inout SHA256
  ) throws(StoreError) -> UInt64 {
    var position = start
    while position < limit {
      let bytes = try readBytes(
        file, object, at: position, count: Int(min(1 << 20, limit - position)))
      if bytes.isEmpty { break }
      hash.update(bytes)
      position += UInt64(bytes.count)
    }
    return position
  }

  /// Returns the header of a frame in memory.
  fileprivate func header(
    of bytes: [UInt8], expecting frameBytes: Int
  ) throws(CodecError) -> FrameHeader {
    guard bytes.count == frameBytes else { throw .truncated }
    return try bytes.withUnsafeBytes { (buffer) throws(CodecError) in
      let header = try FrameHeader.parse(buffer)
      guard header.frameBytes == frameBytes else {
        throw .corrupt("the frame has another length than its directory says")
      }
      return header
    }
  }
}

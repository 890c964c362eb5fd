// Frames as damaged packs and strangers' stores contain them, with bases that this store has.

import Codec
import Glibc
import Platform
import Store

/// A frame that is read has the lengths that it says, and a base within the limits. Its payload decodes, over
/// the base, to objects with their ids, or is refused. The checksum is made right, so noise gets beyond it.
func fuzzFrame(_ bytes: [UInt8]) {
  guard let frame = try? RawFrame(withRightChecksum(bytes)) else { return }
  let header = frame.header
  hold(header.frameBytes == frame.bytes.count, "a frame is as long as it says")
  var end = 0
  for object in header.objects {
    hold(object.start == end && object.length >= 0, "objects follow each other")
    hold(
      header.holds(object.kind, object.id, start: object.start, length: object.length),
      "a listed object is found")
    end += object.length
  }
  hold(end == header.rawBytes && end <= Int(FrameHeader.maxRawBytes), "the lengths add up")
  if let base = header.base {
    hold((1...FrameBase.maxDepth).contains(base.depth), "a depth is bounded")
    hold(base.sizeBytes > 0 && base.sizeBytes <= FrameBase.maxBytes, "a base is bounded")
    hold(base.chunks.reduce(0) { $0 + $1.length } == base.sizeBytes, "a base is its chunks")
    hold(header.objects.allSatisfy { $0.kind == .chunk }, "only chunks have bases")
    hold((try? FrameDecoder().decode(frame)) == nil, "no base is made up")
  }
  guard let decoded = try? frames.decoder.verify(frame) else { return }
  for object in header.objects where object.kind != .recipe {
    let digest = decoded.withBytes(start: object.start, length: object.length) {
      SHA256.digest(of: [UInt8]($0))
    }
    hold(digest == object.id, "what was verified has its id")
  }
}

/// Gives a frame its magic, and the checksum of its header and directory, unless its last byte is odd.
private func withRightChecksum(_ input: [UInt8]) -> [UInt8] {
  guard let last = input.last, last % 2 == 0, input.count >= FrameHeader.byteCount else {
    return input
  }
  var bytes = input
  func put(_ word: UInt32, at offset: Int) {
    for i in 0..<4 { bytes[offset + i] = UInt8(truncatingIfNeeded: word >> (8 * UInt32(i))) }
  }
  put(FrameHeader.magic, at: 0)
  guard
    let lengths = try? bytes.withUnsafeBytes({ (bytes) throws(CodecError) in
      try FrameHeader.parseLengths(bytes)
    }), lengths.directoryBytes <= bytes.count - FrameHeader.byteCount
  else { return bytes }
  var crc = CRC32()
  let directory = FrameHeader.byteCount..<FrameHeader.byteCount + lengths.directoryBytes
  bytes.withUnsafeBytes {
    crc.update(UnsafeRawBufferPointer(rebasing: $0[..<24]))
    crc.update(UnsafeRawBufferPointer(rebasing: $0[directory]))
  }
  put(crc.value, at: 24)
  return bytes
}

/// A store with chains of frames. The seeds are its frames, so their bases are in it.
private final class Frames {
  let decoder: FrameDecoder
  let all: [[UInt8]]

  init() {
    var template = Array(
      "\(String(cString: getenv("TMPDIR") ?? strdup("/tmp")))/fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("no temporary folder") }
    let path = template.dropLast().map { UInt8(bitPattern: $0) } + Array("/store".utf8)
    do {
      let store = try ObjectStore(
        KernelFileSystem.shared, path: path, create: true, report: { _ in })
      for kind in 0..<3 {
        for usesDifferences in [true, false] {
          try Frames.addVersions(kind, usesDifferences: usesDifferences, to: store)
        }
      }
      decoder = FrameDecoder(store: store)
      all = try Frames.frames(path + Array("/packs".utf8))
    } catch { fatalError("no store: \(error)") }
  }

  /// Stores a file and three later versions, each as a delta of the one before.
  private static func addVersions(
    _ kind: Int, usesDifferences: Bool, to store: ObjectStore
  ) throws {
    let shift = usesDifferences ? 3 : 4
    var bytes = (0..<(400 << (2 * kind))).map {
      UInt8(truncatingIfNeeded: ($0 &* $0) >> shift & 0x3f)
    }
    var tuning = StoreTuning()
    tuning.usesDifferences = usesDifferences
    var earlier: Digest?
    for version in 0..<4 {
      let session = try store.beginSession(tuning)
      earlier = try session.withWorker { worker in
        try bytes.withUnsafeBytes {
          try worker.addChunk(
            $0,
            following: earlier.map {
              BlobPredecessor(
                $0, sizeBytes: UInt64(bytes.count), newSizeBytes: UInt64(bytes.count))
            })
        }
      }
      try session.finish()
      bytes[17 * version + 30] ^= 0x55
    }
  }

  /// Returns the frames of all packs in a directory.
  private static func frames(_ directory: [UInt8]) throws -> [[UInt8]] {
    let files = KernelFileSystem.shared
    let packs = try files.openDirectory(at: files.workingDirectory, directory)
    var frames: [[UInt8]] = []
    for name in try files.names(of: packs.raw).sorted(by: precedes) {
      let file = try files.openFile(at: packs.raw, name, [.read])
      var bytes = [UInt8](repeating: 0, count: Int(try files.stat(file.raw).size))
      let count = try bytes.withUnsafeMutableBytes {
        try files.readFully(file.raw, at: 0, into: $0)
      }
      var rest = bytes[PackFormat.header(level: 0).count..<count]
      while rest.count >= FrameHeader.byteCount {
        let size = try RawFrame.sizeBytes(front: Array(rest.prefix(FrameHeader.byteCount)))
        frames.append(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
      }
    }
    return frames
  }
}

nonisolated(unsafe) private let frames = Frames()

enum FrameSeeds {
  static func all() -> [[UInt8]] { frames.all }
}

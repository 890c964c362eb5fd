// The parsers, the properties that hold for every input, and the seeds for fuzzing.

import Archive
import Codec
import HostileBundles
import XCAT

/// Bytes as a source, a few at a time, as a pipe returns them.
final class Input {
  private let bytes: [UInt8]
  private let step: Int
  private(set) var position = 0

  init(_ bytes: [UInt8], step: Int) {
    self.bytes = bytes
    self.step = step
  }

  func read(_ target: UnsafeMutableRawBufferPointer) -> Int {
    let n = min(bytes.count - position, target.count, step)
    target.copyBytes(from: bytes[position..<position + n])
    position += n
    return n
  }
}

/// The result of a reader: the members before an error, whether it reached the end, content bytes.
private struct Found: Equatable {
  var members: [TarMember] = []
  var contentBytes: UInt64 = 0
  var content = CRC32()
  var failed = false
}

private func readTar(_ source: @escaping ByteSource, chunk: Int) -> Found {
  var found = Found()
  let tar = TarReader(source)
  var buffer = [UInt8](repeating: 0, count: chunk)
  do {
    while let member = try tar.next() {
      found.members.append(member)
      // Every third is skipped, not read.
      if found.members.count % 3 == 0 { continue }
      var read: UInt64 = 0
      while true {
        let n = try buffer.withUnsafeMutableBytes { try tar.read($0) }
        if n == 0 { break }
        read += UInt64(n)
        buffer.withUnsafeBytes { found.content.update(UnsafeRawBufferPointer(rebasing: $0[..<n])) }
      }
      hold(read == member.sizeBytes, "a member gives as many bytes as its size says")
      found.contentBytes += read
    }
  } catch {
    found.failed = true
  }
  return found
}

/// However the bytes arrive, the same members come out, and no more content than there was input;
/// what was read and is written again reads as the same.
func fuzzTar(_ input: [UInt8]) {
  let bytes = withRightSums(input)
  let whole = Input(bytes, step: .max)
  let found = readTar(whole.read, chunk: 4096)
  let segmented = Input(bytes, step: 100)
  hold(readTar(segmented.read, chunk: 333) == found, "short reads change nothing")
  hold(found.contentBytes <= UInt64(bytes.count), "no more content than input")
  for member in found.members {
    hold(!member.path.contains(0) && member.path.count <= 4096, "names are names")
    hold(member.kind == .file || member.sizeBytes == 0, "only files have content")
    hold(member.modifiedNanoseconds < 1_000_000_000, "less than a second of nanoseconds")
  }
  writeAgain(found.members)
}

/// Noise almost never has the right header sums, and would go no further than those: every block
/// that looks like a header gets its own, unless the input's last byte is odd.
func withRightSums(_ input: [UInt8]) -> [UInt8] {
  guard let last = input.last, last % 2 == 0 else { return input }
  var bytes = input
  for start in stride(from: 0, to: bytes.count - 511, by: 512)
  where bytes[start + 257] == 0x75 && bytes[start + 258] == 0x73 {
    for i in 148..<156 { bytes[start + i] = 0x20 }
    var sum = bytes[start..<start + 512].reduce(0) { $0 + Int($1) }
    for i in stride(from: 153, through: 148, by: -1) {
      bytes[start + i] = UInt8(0x30 + sum % 8)
      sum /= 8
    }
    bytes[start + 154] = 0
  }
  return bytes
}

private func writeAgain(_ members: [TarMember]) {
  var output: [UInt8] = []
  // Names that the writer's form cannot tell apart from others: an empty one, a file ending in "/".
  let kept = members.filter { $0.path.last != nil && $0.path.last != 0x2f }.map { member in
    var copy = member
    copy.sizeBytes = 0
    copy.modifiedNanoseconds = 0
    return copy
  }
  do {
    for member in kept { output += try member.header() }
    output += TarMember.end(after: UInt64(output.count))
  } catch { hold(false, "what was read can be written: \(error)") }
  let input = Input(output, step: .max)
  let reader = TarReader(input.read)
  do {
    for member in kept { hold(try reader.next() == member, "written and read is the same") }
    hold(try reader.next() == nil, "and no more")
  } catch { hold(false, "what was written can be read: \(error)") }
}

private func inflate(_ bytes: [UInt8], step: Int, chunk: Int) -> (bytes: [UInt8], failed: Bool) {
  let input = Input(bytes, step: step)
  let reader = DecompressingReader(
    input.read, limit: ExpansionLimit(ratio: 100, freeBytes: 1 << 20))
  var output: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: chunk)
  do {
    while true {
      let n = try buffer.withUnsafeMutableBytes { try reader.read($0) }
      if n == 0 { return (output, false) }
      output += buffer.prefix(n)
    }
  } catch { return (output, true) }
}

/// However the bytes arrive, the same come out, at most as many as the limit allows.
func fuzzGzip(_ bytes: [UInt8]) {
  let whole = inflate(bytes, step: .max, chunk: 65536)
  let segmented = inflate(bytes, step: 7, chunk: 501)
  hold(whole.failed == segmented.failed, "short reads change no verdict")
  if !whole.failed { hold(whole.bytes == segmented.bytes, "short reads change nothing") }
  hold(whole.bytes.count <= (1 << 20) + 65536 + bytes.count * 100, "the limit limits")
  let again = inflate(gzip(Array(bytes.prefix(10_000))), step: 1000, chunk: 4096)
  hold(!again.failed && again.bytes == Array(bytes.prefix(10_000)), "gzip and back")
}

/// gzip and tar as an import reads them.
func fuzzBundle(_ bytes: [UInt8]) {
  let input = Input(bytes, step: 4000)
  let plain = DecompressingReader(input.read)
  _ = readTar({ try plain.read($0) }, chunk: 4096)
}

/// Parsed text renders, and parses again to the same value.
func fuzzManifest(_ bytes: [UInt8]) {
  let manifest: Manifest
  do { manifest = try Manifest.parse(bytes) } catch {
    hold(!error.messageWithHint.isEmpty, "an error explains itself")
    return
  }
  do throws(XCATError) { try manifest.refuseHarmfulText() } catch { return }
  do {
    var again = try Manifest.parse(manifest.render())
    var manifest = manifest
    // Rows of a table have no order; they are written by name.
    for rows in [\Manifest.kits, \.kitRepositories, \.kitComponents] {
      again[keyPath: rows].sort {
        "\($0.sorted { $0.key < $1.key })" < "\($1.sorted { $0.key < $1.key })"
      }
      manifest[keyPath: rows].sort {
        "\($0.sorted { $0.key < $1.key })" < "\($1.sorted { $0.key < $1.key })"
      }
    }
    hold(again == manifest, "rendered and parsed again is the same")
  } catch { hold(false, "what was rendered parses: \(error.messageWithHint)") }
}

extension Parser {
  /// Small inputs: the good bundle, odd ones, and every hostile one below 64 KiB.
  func seeds() -> [[UInt8]] {
    let odd = OddBundle.all.filter { !$0.name.contains("600,000") }.map { $0.make() }
    let bundles = odd + HostileBundle.small
    switch self {
    case .bundle: return bundles
    case .cpio, .walk: return HostileBundle.archives.flatMap { [$0, plain($0) ?? []] }
    case .reader: return bundles.compactMap { plain($0) } + HostileBundle.plainTrees
    case .litefile, .csv, .stanza, .pattern, .statement, .configuration:
      return TextSeeds.of(self)
    case .value, .manifestvalue, .excludes, .synclist, .closure, .name, .terminal, .mounts:
      return GrammarSeeds.of(self)
    case .plan: return PlanSeeds.all()
    case .frame: return FrameSeeds.all()
    case .differences: return DifferenceSeeds.all()
    // scripts/fuzz.sh lets mksquashfs make them.
    case .squashfs: return []
    case .json: return ImageSeeds.documents
    case .layer: return ImageSeeds.layers
    case .message: return messageSeeds()
    case .request, .s3xml, .ini: return NetworkSeeds.of(self)
    case .ref, .journal, .packages: return RecordSeeds.of(self)
    case .tar: return bundles.compactMap { plain($0) }
    case .gzip:
      return bundles + [
        HostileBundles.gzip([]),
        HostileBundles.gzip([]) + HostileBundles.gzip([1, 2, 3]) + [0, 0, 0],
      ]
    case .manifest: return bundles.compactMap { plain($0) }.compactMap { firstManifest($0) }
    }
  }

  private func plain(_ bytes: [UInt8]) -> [UInt8]? {
    let result = inflate(bytes, step: .max, chunk: 65536)
    return result.bytes.isEmpty ? nil : result.bytes
  }

  private func firstManifest(_ tarBytes: [UInt8]) -> [UInt8]? {
    let tar = TarReader(Input(tarBytes, step: .max).read)
    while let member = try? tar.next() {
      guard member.path.suffix(12) == Array("manifest.xml".utf8)[...], member.sizeBytes < 65536
      else { continue }
      var bytes = [UInt8](repeating: 0, count: Int(member.sizeBytes))
      var done = 0
      while done < bytes.count {
        let n = bytes.withUnsafeMutableBytes {
          (try? tar.read(UnsafeMutableRawBufferPointer(rebasing: $0[done...]))) ?? 0
        }
        if n == 0 { return nil }
        done += n
      }
      return bytes
    }
    return nil
  }
}
